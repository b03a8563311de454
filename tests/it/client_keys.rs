//! Keys with a name, scopes and a time: what each allows, how it is refused, what the operator sees of it, and that the
//! audit names it.

use data_encoding::HEXLOWER;
use passerelle::{
    merchant::digest_of,
    store::{AuditRecord, Event},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    drop_in::dialects::DIALECTS,
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, JsonText},
};

/// An entry of `api_keys` with a name. The key is `sk_` and the name.
fn entry(name: &str, more: &str) -> String {
    let digest = HEXLOWER.encode(&digest_of(&format!("sk_{name}")));
    format!("{{ name = \"{name}\", sha256 = \"{digest}\"{more} }}")
}

/// One merchant with these entries and the key `sk_acme`, which has no name. `connection` is its connection to lomi.
fn merchant(entries: &[String], connection: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\n\
         api_keys = [\"sk_acme\", {}]\nactive = \"main\"\nregion = \"SN\"\n\
         connections.main = {{ provider = \"lomi\", {connection} }}\n",
        entries.join(", ")
    )
}

fn of_every_scope() -> Vec<String> {
    [("reader", "read"), ("writer", "write"), ("auditor", "admin")]
        .map(|(name, scope)| entry(name, &format!(", scopes = [\"{scope}\"]")))
        .to_vec()
}

/// The same gateway, asked with another key.
async fn ask(gateway: &Gateway, key: &str, method: Method, path: &str) -> (u16, String, String) {
    let body = json!({ "name": "Awa Ndiaye", "email": "awa@example.com" });
    let request = gateway.plain(method.clone(), path).bearer_auth(key);
    let request = if method == Method::POST { request.json_text(&body) } else { request };
    let answer = gateway.send(request).await;
    (answer.status.as_u16(), answer.code().to_owned(), answer.body["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_key_without_the_scope_is_refused_by_its_name_and_nothing_is_sent() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    let connection = format!("base_url = \"{}\", credentials = {{ api_key = \"any\" }}", vendor.url());
    let gateway = Gateway::start(&merchant(&of_every_scope(), &connection)).await;
    for (key, method, path, scope) in [
        ("sk_reader", Method::POST, "/v1/customers", "write"),
        ("sk_reader", Method::POST, "/v1/customers?explain=true", "write"),
        ("sk_reader", Method::GET, "/v1/operations", "admin"),
        ("sk_writer", Method::GET, "/v1/customers", "read"),
        ("sk_writer", Method::HEAD, "/v1/providers", "read"),
        ("sk_writer", Method::GET, "/v1/providers/lomi", "read"),
        ("sk_auditor", Method::GET, "/v1/merchant", "read"),
        ("sk_auditor", Method::POST, "/v1/customers", "write"),
    ] {
        if method == Method::HEAD {
            let request = gateway.plain(method, path).bearer_auth(key);
            assert_eq!(gateway.send_to_dialect(request).await.status, 403, "{key} HEAD {path}");
            continue;
        }
        let (status, code, detail) = ask(&gateway, key, method.clone(), path).await;
        assert_eq!((status, code.as_str()), (403, "forbidden"), "{key} {method} {path}: {detail}");
        let name = key.trim_start_matches("sk_");
        assert!(detail.starts_with(&format!("the key `{name}` lacks the scope `{scope}`; ")), "{detail}");
        assert!(!detail.contains("sk_"), "the detail has no key: {detail}");
    }
    // A body is not read, and nothing else of the request is looked at.
    let request = gateway.plain(Method::POST, "/v1/customers").bearer_auth("sk_reader").body("no JSON");
    assert_eq!(gateway.send(request).await.status_and_code(), (403, "forbidden"));
    assert_eq!(vendor.requests(), Vec::<String>::new());
    assert!(
        (gateway.metric("passerelle_keys_refused_total{merchant=\"acme\",key=\"writer\",reason=\"lacks_scope\"}")
            - 3.0)
            .abs()
            < 0.1
    );
    for (key, method, path) in [
        ("sk_writer", Method::POST, "/v1/customers?explain=true"),
        ("sk_auditor", Method::GET, "/v1/operations"),
        ("sk_reader", Method::GET, "/v1/providers"),
        ("sk_acme", Method::GET, "/v1/operations"),
    ] {
        let (status, _, detail) = ask(&gateway, key, method.clone(), path).await;
        assert_eq!(status, 200, "{key} {method} {path}: {detail}");
    }
}

#[tokio::test]
async fn a_dialect_refuses_a_key_without_the_scope_in_its_own_form() {
    let gateway = Gateway::start(&merchant(&of_every_scope(), "sandbox = true")).await.with_key("sk_acme");
    let created = gateway.post("/v1/customers", json!({ "name": "Awa Ndiaye", "email": "awa@example.com" })).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let before = gateway.audited().await;
    for dialect in DIALECTS {
        let ask = async |key: &str, method: Method, path: String, body: Option<serde_json::Value>| {
            let request = gateway.plain(method, &path);
            let request = request.header(dialect.key_header, format!("{}{key}", dialect.key_prefix));
            gateway.send_to_dialect(body.iter().fold(request, JsonText::json_text)).await
        };
        let one = format!("{}/{id}", dialect.path);
        let method: Method = dialect.update.parse().expect("a method");
        let change = || Some((dialect.change)("new@example.com"));
        // The first generation of Bitnob documents 400 and no 403.
        let expected = if dialect.name == "bitnob" { 400 } else { 403 };
        let refused = ask("sk_reader", method.clone(), one.clone(), change()).await;
        assert_eq!(refused.status, expected, "{}: {}", dialect.name, refused.text);
        let text = refused.body.pointer(dialect.error).unwrap_or_default().to_string();
        assert!(text.contains("the key `reader` lacks the scope `write`"), "{}: {}", dialect.name, refused.text);
        let page = format!("{}{}", dialect.path, (dialect.page)(0, 5));
        let refused = ask("sk_writer", Method::GET, page.clone(), None).await;
        assert_eq!(refused.status, expected, "{}: {}", dialect.name, refused.text);
        let listed = ask("sk_reader", Method::GET, page, None).await;
        assert_eq!(listed.status, 200, "{}: {}", dialect.name, listed.text);
    }
    // The path and the method are those of a retrieval; the body makes it a create.
    let path = "/as/paymentkit/api/customers/z1abcDIDabcDIDabcDIDabcDIDabcDIDabc";
    let request = gateway.plain(Method::GET, path).bearer_auth("sk_reader").json_text(&json!({ "create": true }));
    let refused = gateway.send_to_dialect(request).await;
    assert!(refused.status == 403 && refused.text.contains("the scope `write`"), "{}", refused.text);
    assert_eq!(gateway.audited().await, before, "no write was begun");
    let unchanged = gateway.get(&format!("/v1/customers/{id}")).await;
    assert_eq!(unchanged.body["email"], "awa@example.com");
}

#[tokio::test]
async fn a_key_outside_of_its_time_is_answered_like_an_unknown_one_and_counted() {
    let entries = [
        entry("old", ", expires = \"2020-01-01T00:00:00Z\""),
        entry("next", ", not_before = \"2999-01-01T00:00:00Z\""),
        entry("now", ", not_before = \"2020-01-01T00:00:00Z\", expires = \"2999-01-01T00:00:00Z\""),
    ];
    let gateway = Gateway::start(&merchant(&entries, "sandbox = true")).await;
    let unknown = ask(&gateway, "sk_unknown", Method::GET, "/v1/merchant").await;
    assert_eq!((unknown.0, unknown.1.as_str()), (401, "unauthorized"));
    for key in ["sk_old", "sk_next"] {
        assert_eq!(ask(&gateway, key, Method::GET, "/v1/merchant").await, unknown, "{key}");
    }
    let in_dialect = async |key: &str| {
        let request = gateway.plain(Method::GET, "/as/lomi/v1/customers").header("x-api-key", key);
        let answer = gateway.send_to_dialect(request).await;
        (answer.status.as_u16(), answer.text)
    };
    assert_eq!(in_dialect("sk_old").await, in_dialect("sk_unknown").await);
    assert_eq!(in_dialect("sk_now").await.0, 200);
    assert_eq!(ask(&gateway, "sk_now", Method::GET, "/v1/merchant").await.0, 200);
    let refused = |key: &str, reason: &str| {
        gateway.metric(&format!("passerelle_keys_refused_total{{merchant=\"acme\",key=\"{key}\",reason=\"{reason}\"}}"))
    };
    let counted = [refused("old", "expired"), refused("next", "not_yet_valid"), refused("now", "expired")];
    assert_eq!(counted.map(|count| format!("{count}")), ["2", "1", "0"]);
}

#[tokio::test]
async fn a_client_may_use_two_keys_while_one_follows_the_other() {
    let first = entry("first", "");
    let gateway = Gateway::start(&merchant(std::slice::from_ref(&first), "sandbox = true")).await;
    let status = async |key: &str| ask(&gateway, key, Method::GET, "/v1/merchant").await.0;
    assert_eq!([status("sk_first").await, status("sk_second").await], [200, 401]);
    gateway.reload(&merchant(&[first, entry("second", "")], "sandbox = true"));
    assert_eq!([status("sk_first").await, status("sk_second").await], [200, 200]);
    let ended = entry("first", ", expires = \"2020-01-01T00:00:00Z\"");
    gateway.reload(&merchant(&[ended, entry("second", "")], "sandbox = true"));
    assert_eq!([status("sk_first").await, status("sk_second").await], [401, 200]);
}

#[tokio::test]
async fn the_audit_names_the_key_that_requested_a_write() {
    let gateway = Gateway::start(&merchant(&of_every_scope(), "sandbox = true")).await;
    for key in ["sk_acme", "sk_writer"] {
        let (status, _, detail) = ask(&gateway, key, Method::POST, "/v1/customers").await;
        assert_eq!(status, 201, "{detail}");
    }
    let body = json!({ "name": "Awa Ndiaye", "email": "awa@example.com" });
    let request = gateway.plain(Method::POST, "/as/lomi/v1/customers").header("x-api-key", "sk_writer");
    assert_eq!(gateway.send_to_dialect(request.json_text(&body)).await.status, 201);
    let audit = gateway.app().store.audit();
    let records = audit.records(0, 100).await.expect("the audit");
    let details = |event: Event| -> Vec<Option<&str>> {
        let of_event = |record: &&AuditRecord| record.event == event;
        records.iter().filter(of_event).map(|record| record.detail.as_deref()).collect()
    };
    let named = Some("{\"key\":\"writer\"}");
    assert_eq!(details(Event::Intent), [None, named, named]);
    assert_eq!(details(Event::Done), [None, None, None], "an outcome has the id of its intent");
    assert!(audit.verify().await.expect("the audit").is_ok(), "records with and without a name are one chain");
}
