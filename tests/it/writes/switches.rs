//! Idempotency keys while the merchant's active connection changes.

use http::Method;
use passerelle::config;
use serde_json::json;
use tempfile::TempDir;

use super::helpers::{CUSTOMERS, assert_replayed, count_effects, create, start_twin};
use crate::support::{Answer, Gateway, JsonText};

/// A merchant with two connections, each to a twin of its own: lomi and Notch Pay.
struct Switched {
    gateway: Gateway,
    lomi: (String, TempDir),
    notchpay: (String, TempDir),
}

impl Switched {
    /// lomi is active. `faults` are those of its twin.
    async fn start(faults: &str) -> Self {
        let (lomi, notchpay) = (start_twin("lomi", faults), start_twin("notchpay", ""));
        let configuration = configuration(&lomi.0, &notchpay.0, "lomi");
        let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
        Self { gateway, lomi, notchpay }
    }

    fn activate(&self, connection: &str) {
        self.gateway.reload(&configuration(&self.lomi.0, &self.notchpay.0, connection));
    }

    /// The configuration has only this provider from now on. Nothing listens at its address.
    fn replace_connections(&self, provider: &str, credentials: &str) {
        self.gateway.reload(&format!(
            "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n\
             [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"new\"\nregion = \"SN\"\n\
             [merchants.acme.connections.new]\nprovider = \"{provider}\"\nbase_url = \"http://127.0.0.1:9\"\n\
             credentials = {{ {credentials} = \"sk_test_secret\" }}\n"
        ));
    }

    fn effects(&self) -> (usize, usize) {
        (count_effects(&self.lomi.1), count_effects(&self.notchpay.1))
    }

    async fn keyed(&self, method: Method, path: &str, key: &str, body: Option<serde_json::Value>) -> Answer {
        let request = self.gateway.request(method, path).header("idempotency-key", key);
        self.gateway.send(body.iter().fold(request, JsonText::json_text)).await
    }
}

fn configuration(lomi: &str, notchpay: &str, active: &str) -> String {
    let text = format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"{active}\"\nregion = \"SN\"\n\
         [merchants.acme.connections.lomi]\nprovider = \"lomi\"\nbase_url = \"{lomi}\"\n\
         visibility_lag = \"50ms\"\ncredentials = {{ api_key = \"sk_test_secret\" }}\n\
         [merchants.acme.connections.notchpay]\nprovider = \"notchpay\"\nbase_url = \"{notchpay}\"\n\
         visibility_lag = \"50ms\"\ncredentials = {{ public_key = \"pk_test_secret\" }}\n"
    );
    config::load_text(&text, "test.toml").expect("a configuration");
    text
}

#[tokio::test]
async fn a_key_is_answered_with_what_the_former_connection_answered() {
    let switched = Switched::start("").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&switched.gateway, Some("order-1"), &awa).await;
    assert_eq!(first.status, 201, "{}", first.text);
    switched.activate("notchpay");
    let again = create(&switched.gateway, Some("order-1"), &awa).await;
    assert_replayed(&again, &first);
    assert_eq!(again.body["provider"]["connection"], "lomi");
    let other = create(&switched.gateway, Some("order-1"), &json!({ "name": "Awa Ba" })).await;
    assert_eq!(other.status_and_code(), (422, "idempotency_key_reused"), "{}", other.text);
    assert_eq!(switched.effects(), (1, 0));
    let second = create(&switched.gateway, Some("order-2"), &awa).await;
    assert_eq!(second.body["provider"]["connection"], "notchpay", "{}", second.text);
    switched.activate("lomi");
    assert_replayed(&create(&switched.gateway, Some("order-2"), &awa).await, &second);
    assert_eq!(switched.effects(), (1, 1));
}

#[tokio::test]
async fn a_key_is_answered_although_the_active_connection_would_refuse_the_request() {
    let switched = Switched::start("").await;
    // Notch Pay requires an e-mail address or a phone number.
    let name = json!({ "name": "Awa Diop" });
    let created = create(&switched.gateway, Some("created"), &name).await;
    assert_eq!(created.status, 201, "{}", created.text);
    switched.activate("notchpay");
    let refused = create(&switched.gateway, Some("new"), &name).await;
    assert_eq!(refused.status_and_code(), (422, "invalid_request"), "{}", refused.text);
    assert_replayed(&create(&switched.gateway, Some("created"), &name).await, &created);
    let reused = create(&switched.gateway, Some("created"), &json!({ "name": "Awa Ba" })).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"), "{}", reused.text);
    assert_eq!(switched.effects(), (1, 0));
}

/// lomi's ids have another form than those of Notch Pay, and lomi cannot block customers.
#[tokio::test]
async fn a_key_is_answered_although_the_active_connection_has_other_ids_and_operations() {
    let switched = Switched::start("").await;
    switched.activate("notchpay");
    let created = create(&switched.gateway, None, &json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    let id = created.body["id"].as_str().expect("an id");
    let (path, dropped) = (format!("{CUSTOMERS}/{id}"), format!("/as/notchpay/customers/{id}"));
    let change = |name: &str| Some(json!({ "name": name }));
    let drop_in = |key: &str| {
        let request = switched.gateway.plain(Method::PUT, &dropped).header("authorization", "sk_acme");
        request.header("idempotency-key", key).json_text(&json!({ "name": "Awa Fall" }))
    };
    let changed = switched.keyed(Method::PATCH, &path, "changed", change("Awa Ndiaye")).await;
    let blocked = switched.keyed(Method::POST, &format!("{path}/block"), "blocked", None).await;
    let put = switched.gateway.send(drop_in("put")).await;
    let effects = switched.effects();
    for answer in [&changed, &blocked, &put] {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    switched.activate("lomi");
    assert_replayed(&switched.keyed(Method::PATCH, &path, "changed", change("Awa Ndiaye")).await, &changed);
    assert_replayed(&switched.keyed(Method::POST, &format!("{path}/block"), "blocked", None).await, &blocked);
    assert_replayed(&switched.gateway.send(drop_in("put")).await, &put);
    let reused = switched.keyed(Method::PATCH, &path, "changed", change("Awa Ba")).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"), "{}", reused.text);
    let invalid = switched.keyed(Method::PATCH, &path, "another", change("Awa Ba")).await;
    assert_eq!(invalid.status_and_code(), (400, "invalid_id"), "{}", invalid.text);
    let unsupported = switched.keyed(Method::POST, &format!("{path}/block"), "another", None).await;
    assert_eq!(unsupported.code(), "operation_not_supported", "{}", unsupported.text);
    // Without a key, it repeats no earlier write, so its other mistakes do not matter.
    let unsupported = switched.gateway.post(&format!("{path}/block?explain=perhaps"), json!({})).await;
    assert_eq!(unsupported.code(), "operation_not_supported", "{}", unsupported.text);
    let invalid = drop_in("another").send().await.expect("an answer");
    assert_eq!(invalid.status(), 404);
    assert_eq!(switched.effects(), effects);
}

/// The providers that replace Notch Pay, with the name of their credentials.
const OTHERS: [(&str, &str); 4] =
    [("lomi", "api_key"), ("modempay", "secret_key"), ("bitnob", "secret_key"), ("paymentkit", "access_key")];

#[tokio::test]
async fn a_key_is_answered_although_its_connection_is_not_configured_any_more() {
    let switched = Switched::start("").await;
    switched.activate("notchpay");
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let created = create(&switched.gateway, Some("created"), &awa).await;
    let id = created.body["id"].as_str().expect("an id");
    let path = format!("{CUSTOMERS}/{id}");
    let drop_in = async |path: &str, key: &str, body| {
        let request = switched.gateway.plain(Method::PUT, &format!("{path}/{id}")).header("authorization", key);
        switched.gateway.send(request.header("idempotency-key", path).json_text(&body)).await
    };
    let repeated = async || {
        [
            create(&switched.gateway, Some("created"), &awa).await,
            switched.keyed(Method::PATCH, &path, "changed", Some(json!({ "name": "Awa Ndiaye" }))).await,
            switched.keyed(Method::POST, &format!("{path}/block"), "blocked", None).await,
            switched.keyed(Method::POST, &format!("{path}/unblock"), "unblocked", None).await,
            drop_in("/as/notchpay/customers", "sk_acme", json!({ "name": "Awa Fall" })).await,
            drop_in("/as/modempay/v1/customers", "Bearer sk_acme", json!({ "data": { "name": "Awa Sow" } })).await,
        ]
    };
    let first = repeated().await;
    assert_replayed(&first[0], &created);
    for answer in &first {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    let effects = switched.effects();
    for (provider, credentials) in OTHERS {
        switched.replace_connections(provider, credentials);
        for (again, first) in repeated().await.iter().zip(&first) {
            assert_replayed(again, first);
        }
        let reused = switched.keyed(Method::PATCH, &path, "changed", Some(json!({ "name": "Awa Ba" }))).await;
        assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"), "{provider}: {}", reused.text);
        let foreign = switched.keyed(Method::PATCH, &path, "another", Some(json!({ "name": "Awa Ba" }))).await;
        assert_eq!(foreign.status_and_code(), (400, "invalid_id"), "{provider}: {}", foreign.text);
    }
    // PaymentKit creates no customers.
    let refused = create(&switched.gateway, Some("another"), &awa).await;
    assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{}", refused.text);
    switched.activate("notchpay");
    let deleted = switched.keyed(Method::DELETE, &path, "deleted", None).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    for (provider, credentials) in OTHERS {
        switched.replace_connections(provider, credentials);
        assert_replayed(&switched.keyed(Method::DELETE, &path, "deleted", None).await, &deleted);
        let erased = switched.keyed(Method::POST, &format!("{path}/block"), "blocked", None).await;
        assert_eq!(erased.status_and_code(), (410, "replay_erased"), "{provider}: {}", erased.text);
    }
    assert_eq!(switched.effects(), (effects.0, effects.1 + 1));
}

#[tokio::test]
async fn a_write_that_is_unknown_stays_unknown_although_its_connection_is_not_configured_any_more() {
    let switched = Switched::start("error_after = 1.0\nonly = [\"create\"]").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let unknown = create(&switched.gateway, Some("order-1"), &awa).await;
    assert_eq!(unknown.code(), "outcome_unknown", "{}", unknown.text);
    switched.replace_connections("paymentkit", "access_key");
    let ends = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let again = loop {
        let again = create(&switched.gateway, Some("order-1"), &awa).await;
        if again.code() != "idempotency_in_progress" || std::time::Instant::now() > ends {
            break again;
        }
    };
    // A worker may have reconciled it before the configuration changed.
    assert!(again.body["outcome"] == "unknown" || again.status == 201, "{}", again.text);
    assert_eq!(again.header("x-operation-id"), unknown.header("x-operation-id"));
    assert_eq!(switched.effects(), (1, 0));
}

#[tokio::test]
async fn a_write_of_the_former_connection_is_reconciled_there_when_its_key_is_repeated() {
    let switched = Switched::start("error_after = 1.0\nonly = [\"create\"]").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let unknown = create(&switched.gateway, Some("order-1"), &awa).await;
    assert_eq!(unknown.code(), "outcome_unknown", "{}", unknown.text);
    switched.activate("notchpay");
    let ends = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let again = loop {
        let again = create(&switched.gateway, Some("order-1"), &awa).await;
        if again.status.is_success() {
            break again;
        }
        assert!(["idempotency_in_progress", "outcome_unknown"].contains(&again.code()), "{}", again.text);
        assert!(std::time::Instant::now() < ends, "{}", again.text);
    };
    assert_eq!(again.body["provider"]["connection"], "lomi", "{}", again.text);
    assert_eq!(again.header("x-operation-id"), unknown.header("x-operation-id"));
    assert_eq!(switched.effects(), (1, 0));
}

#[tokio::test]
async fn a_create_without_a_key_that_is_unknown_is_not_repeated_at_another_connection() {
    let switched = Switched::start("error_after = 1.0\nonly = [\"create\"]").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let unknown = create(&switched.gateway, None, &awa).await;
    assert_eq!(unknown.code(), "outcome_unknown", "{}", unknown.text);
    switched.activate("notchpay");
    let again = create(&switched.gateway, None, &awa).await;
    assert_eq!(again.header("x-operation-id"), unknown.header("x-operation-id"), "{}", again.text);
    assert_eq!(switched.effects(), (1, 0));
}

#[tokio::test]
async fn an_erased_answer_names_the_connection_that_executed_the_write() {
    let switched = Switched::start("").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let created = create(&switched.gateway, Some("order-1"), &awa).await;
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let deleted = switched.keyed(Method::DELETE, &format!("{CUSTOMERS}/{id}"), "gone", None).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    switched.activate("notchpay");
    let erased = create(&switched.gateway, Some("order-1"), &awa).await;
    assert_eq!(erased.status_and_code(), (410, "replay_erased"), "{}", erased.text);
    let provider = &erased.body["provider"];
    assert_eq!((&provider["connection"], &provider["id"]), (&json!("lomi"), &json!(id)), "{}", erased.text);
    assert_replayed(&switched.keyed(Method::DELETE, &format!("{CUSTOMERS}/{id}"), "gone", None).await, &deleted);
}

#[tokio::test]
async fn a_drop_in_client_is_answered_with_what_the_former_connection_answered() {
    let switched = Switched::start("").await;
    let send = async || {
        let request = switched.gateway.plain(Method::POST, "/as/notchpay/customers").header("authorization", "sk_acme");
        let request = request.header("idempotency-key", "order-1");
        let body = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": "+221771234567" });
        switched.gateway.send(request.json_text(&body)).await
    };
    let first = send().await;
    assert_eq!(first.status, 201, "{}", first.text);
    switched.activate("notchpay");
    assert_replayed(&send().await, &first);
    assert_eq!(switched.effects(), (1, 0));
}
