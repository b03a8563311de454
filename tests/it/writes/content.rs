//! What makes two requests the same write: what the client sent, and nothing that the operator can change.

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::helpers::{CUSTOMERS, assert_replayed, count_effects, start_twin};
use crate::support::{Answer, Gateway, JsonText};

/// A number of Senegal, as it is dialled there.
const NATIONAL: &str = "77 123 45 67";

/// A merchant in front of a twin of lomi, whose configuration changes.
struct Changing {
    gateway: Gateway,
    twin: (String, TempDir),
}

impl Changing {
    async fn start(merchant: &str) -> Self {
        let twin = start_twin("lomi", "");
        let gateway = Gateway::start(&configuration(&twin.0, merchant)).await.with_key("sk_acme");
        Self { gateway, twin }
    }

    /// Loads a configuration with other settings of the merchant.
    fn change(&self, merchant: &str) {
        self.gateway.reload(&configuration(&self.twin.0, merchant));
    }

    async fn create(&self, key: Option<&str>, body: &Value) -> Answer {
        let request = self.gateway.request(Method::POST, CUSTOMERS).json_text(body);
        self.gateway.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
    }

    async fn drop_in(&self, key: &str, body: &Value) -> Answer {
        let request = self.gateway.plain(Method::POST, "/as/notchpay/customers").header("authorization", "sk_acme");
        self.gateway.send_to_dialect(request.header("idempotency-key", key).json_text(body)).await
    }

    fn assert_effects(&self, expected: usize) {
        assert_eq!(count_effects(&self.twin.1), expected);
    }
}

fn configuration(base: &str, merchant: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n{merchant}\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\nbase_url = \"{base}\"\n\
         credentials = {{ api_key = \"sk_test_secret\" }}\n"
    )
}

#[tokio::test]
async fn a_key_means_the_same_write_after_the_region_has_changed() {
    let changing = Changing::start("region = \"SN\"").await;
    let awa = json!({ "name": "Awa Diop", "phone": NATIONAL, "email": "awa@example.com" });
    let created = changing.create(Some("v1"), &awa).await;
    let dropped = changing.drop_in("as", &awa).await;
    assert_eq!((created.status.as_u16(), dropped.status.as_u16()), (201, 201), "{}", dropped.text);
    for region in ["region = \"CM\"", "", "region = \"GM\""] {
        changing.change(region);
        assert_replayed(&changing.create(Some("v1"), &awa).await, &created);
        assert_replayed(&changing.drop_in("as", &awa).await, &dropped);
    }
    changing.assert_effects(2);
}

#[tokio::test]
async fn a_key_means_the_same_write_after_the_loss_policy_of_the_merchant_has_changed() {
    for [first, then] in [["drop", "reject"], ["reject", "drop"]] {
        let changing = Changing::start(&format!("on_loss = \"{first}\"")).await;
        let mut awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
        let mut dialect = awa.clone();
        if first == "drop" {
            awa["did"] = json!("did:example:awa");
            dialect["company_name"] = json!("Diop SARL");
        }
        let created = changing.create(Some("v1"), &awa).await;
        let dropped = changing.drop_in("as", &dialect).await;
        assert_eq!((created.status.as_u16(), dropped.status.as_u16()), (201, 201), "{}", dropped.text);
        changing.change(&format!("on_loss = \"{then}\""));
        assert_replayed(&changing.create(Some("v1"), &awa).await, &created);
        assert_replayed(&changing.drop_in("as", &dialect).await, &dropped);
        if first == "drop" {
            let refused = changing.create(Some("another"), &awa).await;
            assert_eq!(refused.status_and_code(), (422, "fields_not_supported"), "{}", refused.text);
            assert_eq!(changing.drop_in("another", &dialect).await.status, 422);
        }
        changing.assert_effects(2);
    }
}

#[tokio::test]
async fn the_loss_preference_of_the_client_is_a_part_of_the_write() {
    let changing = Changing::start("on_loss = \"drop\"").await;
    let send = async |preference: Option<&str>| {
        let request = changing.gateway.request(Method::POST, CUSTOMERS).header("idempotency-key", "k");
        let request = request.json_text(&json!({ "name": "Awa Diop" }));
        let request = preference.into_iter().fold(request, |request, loss| request.header("prefer", loss));
        changing.gateway.send(request).await
    };
    let created = send(Some("loss=reject")).await;
    assert_eq!(created.status, 201, "{}", created.text);
    changing.change("on_loss = \"reject\"");
    assert_replayed(&send(Some("loss=reject")).await, &created);
    for other in [None, Some("loss=drop")] {
        assert_eq!(send(other).await.status_and_code(), (422, "idempotency_key_reused"), "{other:?}");
    }
    changing.assert_effects(1);
}

#[tokio::test]
async fn a_key_that_belongs_to_another_write_names_that_write() {
    let changing = Changing::start("region = \"SN\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": NATIONAL });
    let created = changing.create(Some("v1"), &awa).await;
    let dropped = changing.drop_in("as", &awa).await;
    let mut other = awa.clone();
    other["phone"] = json!("77 123 45 68");
    let reused = changing.create(Some("v1"), &other).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"));
    let id = created.header("x-operation-id");
    assert_eq!((reused.header("x-operation-id"), &reused.body["operation_id"]), (id, &json!(id)), "{}", reused.text);
    assert!(reused.text.contains(&format!("GET /v1/operations/{id}")), "{}", reused.text);
    let refused = changing.drop_in("as", &other).await;
    let id = dropped.header("x-operation-id");
    assert_eq!((refused.status.as_u16(), refused.header("x-operation-id")), (422, id), "{}", refused.text);
    assert!(refused.text.contains(&format!("GET /v1/operations/{id}")), "{}", refused.text);
    changing.assert_effects(2);
}

#[tokio::test]
async fn a_request_without_a_key_is_the_same_after_the_configuration_has_changed() {
    let twin = start_twin("lomi", "error_after = 1.0\nonly = [\"create\"]");
    let gateway = Gateway::start(&configuration(&twin.0, "region = \"SN\"")).await.with_key("sk_acme");
    let changing = Changing { gateway, twin };
    let awa = json!({ "name": "Awa Diop", "phone": NATIONAL });
    let unknown = changing.create(None, &awa).await;
    assert_eq!(unknown.code(), "outcome_unknown", "{}", unknown.text);
    changing.change("region = \"CM\"\non_loss = \"drop\"");
    let again = changing.create(None, &awa).await;
    assert_eq!(again.header("x-operation-id"), unknown.header("x-operation-id"), "{}", again.text);
    changing.assert_effects(1);
}
