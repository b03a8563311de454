//! Carried fields: what a provider cannot hold is kept by the gateway, and answered as if the provider held it.

mod doubts;
mod drop_in;
mod others;
mod parts;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, JsonText};

/// Merchants whose providers hold little: `sk_acme` carries, `sk_choose` may ask for it, `sk_strict` may not.
const CARRYING: &str = r#"
[store]
url = "sqlite::memory:"
[merchants.acme]
api_keys = ["sk_acme"]
active = "main"
region = "GM"
on_loss = "carry"
connections.main = { provider = "modempay", sandbox = true }
connections.other = { provider = "notchpay", sandbox = true }
[merchants.choose]
api_keys = ["sk_choose"]
active = "main"
allow_carry = true
connections.main = { provider = "modempay", sandbox = true }
[merchants.strict]
api_keys = ["sk_strict"]
active = "main"
connections.main = { provider = "modempay", sandbox = true }
"#;

fn awa() -> Value {
    json!({ "name": "Awa Diop", "email": "awa@example.com", "whatsapp": "+221771234567", "type": "business",
            "address": { "line1": "12 rue Blanchot", "city": "Dakar", "country": "SN" },
            "metadata": { "crm": "1", "note": { "a": 1, "b": 2 } } })
}

/// The members of a customer that a client writes.
fn written(body: &Value) -> Value {
    let names = ["name", "first_name", "last_name", "email", "phone", "whatsapp", "address", "type", "metadata"];
    names.into_iter().map(|name| (name.to_owned(), body[name].clone())).collect()
}

/// The full name and its parts.
fn names(body: &Value) -> [&str; 3] {
    ["name", "first_name", "last_name"].map(|name| body[name].as_str().unwrap_or_default())
}

/// The fields of a report with an outcome.
fn fields(body: &Value, outcome: &str) -> Vec<String> {
    let entries = body["fidelity"].as_array().into_iter().flatten();
    let fields = entries.filter(|entry| entry["outcome"] == outcome).map(|entry| entry["field"].as_str());
    let mut fields: Vec<String> = fields.map(|field| field.unwrap_or_default().to_owned()).collect();
    fields.sort();
    fields
}

async fn create(gateway: &Gateway, body: &Value) -> (String, Answer) {
    let created = gateway.post("/v1/customers", body.clone()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    (format!("/v1/customers/{}", created.body["id"].as_str().expect("an id")), created)
}

/// R28: what was written reads back, on every way to read a customer.
#[tokio::test]
async fn what_the_provider_cannot_hold_reads_back_equal_on_every_route() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let (path, created) = create(&gateway, &awa()).await;
    let carried = ["address.city", "address.country", "address.line1", "metadata", "type", "whatsapp"];
    assert_eq!(fields(&created.body, "carried"), carried, "{}", created.text);
    assert_eq!((fields(&created.body, "lost").len(), created.header("preference-applied")), (0, "loss=carry"));
    for (name, value) in awa().as_object().expect("members") {
        match value.as_object() {
            Some(members) => {
                for (part, value) in members {
                    assert_eq!(&created.body[name][part], value, "{}", created.text);
                }
            }
            None => assert_eq!(&created.body[name], value, "{}", created.text),
        }
    }
    let whole = written(&created.body);
    let retrieved = gateway.get(&path).await;
    assert_eq!(
        (written(&retrieved.body), fields(&retrieved.body, "carried")),
        (whole.clone(), carried.map(str::to_owned).to_vec())
    );
    let found = gateway.get("/v1/customers/lookup?email=awa@example.com").await;
    assert_eq!((written(&found.body), found.body["id"].clone()), (whole.clone(), created.body["id"].clone()));
    let listed = gateway.get("/v1/customers?email=awa@example.com").await;
    assert_eq!(written(&listed.body["data"][0]), whole, "{}", listed.text);
    let existing = gateway
        .post(
            "/v1/customers?distinct=true",
            json!({ "name": "Awa Diop", "email": "awa@example.com", "type": "individual" }),
        )
        .await;
    assert_eq!((existing.status.as_u16(), written(&existing.body)), (200, whole), "{}", existing.text);
    assert_eq!(fields(&existing.body, "lost"), ["type"], "the match changed nothing: {}", existing.text);
}

/// R28: updates, clears and merges reach what the gateway keeps.
#[tokio::test]
async fn updates_clears_and_merges_reach_carried_fields() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let (path, _) = create(&gateway, &awa()).await;
    let patch = json!({ "whatsapp": null, "type": "individual", "address": { "city": "Thiès", "line1": null },
                        "metadata": { "crm": null, "note": { "b": 3 }, "more": true } });
    let updated = gateway.patch(&path, patch).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    for body in [updated.body, gateway.get(&path).await.body] {
        assert_eq!(body["whatsapp"], Value::Null);
        assert_eq!(body["type"], "individual");
        assert_eq!((&body["address"]["city"], &body["address"]["line1"]), (&json!("Thiès"), &Value::Null));
        assert_eq!(body["address"]["country"], "SN", "what the patch does not name stays");
        assert_eq!(body["metadata"], json!({ "note": { "a": 1, "b": 3 }, "more": true }));
        assert_eq!(fields(&body, "carried"), ["address.city", "address.country", "metadata", "type"], "{body}");
        assert_eq!(fields(&body, "lost"), Vec::<String>::new());
    }
    let cleared = gateway.patch(&path, json!({ "address": null, "metadata": null, "type": null })).await;
    for body in [cleared.body, gateway.get(&path).await.body] {
        assert_eq!(
            (&body["address"]["city"], &body["metadata"], &body["type"]),
            (&Value::Null, &json!({}), &Value::Null)
        );
        assert_eq!(fields(&body, "carried"), Vec::<String>::new(), "{body}");
    }
}

#[tokio::test]
async fn a_deletion_forgets_what_is_carried() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let (path, created) = create(&gateway, &awa()).await;
    let id = created.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(gateway.carried().parts("acme", &[&id]).await.expect("read")[0].len(), 6);
    let deleted = gateway.send(gateway.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    assert!(gateway.carried().parts("acme", &[&id]).await.expect("read")[0].is_empty());
    assert_eq!(gateway.get(&path).await.status, 404);
}

#[tokio::test]
async fn an_explanation_and_the_answer_agree_on_what_is_carried() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let mut body = awa();
    body["name"] = Value::Null;
    (body["first_name"], body["last_name"]) = (json!("Awa"), json!("Ndiaye Fall"));
    let carried = |answer: &Answer| {
        let entries = answer.body["fidelity"].as_array().expect("a report").iter();
        let mut carried: Vec<Value> = entries.filter(|entry| entry["outcome"] == "carried").cloned().collect();
        carried.sort_by_key(|entry| entry["field"].to_string());
        carried
    };
    let explained = gateway.post("/v1/customers?explain=true", body.clone()).await;
    let (path, created) = create(&gateway, &body).await;
    assert_eq!(carried(&explained), carried(&created));
    assert_eq!(carried(&created).len(), 8, "{}", created.text);
    assert_eq!(carried(&gateway.get(&path).await), carried(&created), "a read has the same report");
    let patch = json!({ "whatsapp": "+221771234568", "address": { "line1": null } });
    let explained =
        gateway.send(gateway.request(Method::PATCH, &format!("{path}?explain=true")).json_text(&patch)).await;
    assert_eq!(fields(&explained.body, "carried"), ["whatsapp"], "{}", explained.text);
    assert_eq!(fields(&explained.body, "lost"), Vec::<String>::new(), "{}", explained.text);
}

#[tokio::test]
async fn a_request_may_ask_for_carry_where_the_configuration_allows_it() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_choose");
    let asked =
        |policy: &str| gateway.request(Method::POST, "/v1/customers").header("prefer", policy).json_text(&awa());
    let refused = gateway.post("/v1/customers", awa()).await;
    assert_eq!(refused.status_and_code(), (422, "fields_not_supported"), "the default stays `reject`");
    let created = gateway.send(asked("loss=carry")).await;
    assert_eq!(
        (created.status.as_u16(), created.header("preference-applied")),
        (201, "loss=carry"),
        "{}",
        created.text
    );
    let read = gateway.get(&format!("/v1/customers/{}", created.body["id"].as_str().expect("an id"))).await;
    assert_eq!((&read.body["address"]["city"], written(&read.body)), (&json!("Dakar"), written(&created.body)));

    let strict = Gateway::start(CARRYING).await.with_key("sk_strict");
    let asked = strict.request(Method::POST, "/v1/customers").header("prefer", "loss=carry").json_text(&awa());
    let refused = strict.send(asked).await;
    assert_eq!(refused.status_and_code(), (422, "invalid_request"), "{}", refused.text);
    assert!(refused.text.contains("allow_carry"), "{}", refused.text);
}

/// What was carried stays visible when the configuration does not allow it any more.
#[tokio::test]
async fn what_is_carried_stays_after_the_configuration_has_changed() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let (path, created) = create(&gateway, &awa()).await;
    gateway.learn_routing().await;
    gateway.reload(&CARRYING.replace("on_loss = \"carry\"", "on_loss = \"reject\""));
    assert_eq!(written(&gateway.get(&path).await.body), written(&created.body));
    let refused = gateway.patch(&path, json!({ "whatsapp": "+221771234568" })).await;
    assert_eq!(refused.status_and_code(), (422, "fields_not_supported"));
}

/// R1: a merchant who carries nothing pays nothing.
#[tokio::test]
async fn a_merchant_who_carries_nothing_has_no_carried_fields() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_strict");
    let snapshot = gateway.snapshot();
    let carries = |key: &str| snapshot.client(key).expect("a client").merchant.carried.is_some();
    assert!(carries("sk_acme") && carries("sk_choose") && !carries("sk_strict"));
    assert!(snapshot.client("sk_strict").expect("a client").merchant.passes_through());
    let created = gateway.post("/v1/customers", json!({ "name": "Awa" })).await;
    assert_eq!((created.status.as_u16(), fields(&created.body, "carried")), (201, Vec::new()));
    gateway.learn_routing().await;
    assert!(!gateway.carried().is_known("strict"));
}
