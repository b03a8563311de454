//! What the provider behind the gateway cannot store, and what it stores in another form.

use serde_json::{Value, json};

use super::dialects::{dialect, key_of};
use crate::support::Gateway;

const LOSSY: &str = r#"
[store]
url = "sqlite::memory:"
[merchants.strict]
api_keys = ["sk_strict"]
active = "main"
region = "GM"
connections.main = { provider = "modempay", sandbox = true }
[merchants.lenient]
api_keys = ["sk_lenient"]
active = "main"
region = "GM"
on_loss = "drop"
connections.main = { provider = "modempay", sandbox = true }
"#;

#[tokio::test]
async fn losses_follow_the_policy_of_the_merchant() {
    let gateway = Gateway::start(LOSSY).await;
    let lomi = dialect("lomi");
    let body = json!({ "name": "Awa", "email": "awa@example.com", "city": "Banjul", "metadata": { "crm": "1" } });
    let refused = lomi.send(&gateway, "sk_strict", "POST", "", Some(&body)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (400, &json!("INVALID_REQUEST")));
    for field in ["city", "metadata"] {
        assert!(refused.body["error"]["details"][field]["_errors"][0].is_string(), "{}", refused.text);
    }
    let dropped = lomi.send(&gateway, "sk_lenient", "POST", "", Some(&body)).await;
    assert_eq!((dropped.status.as_u16(), dropped.header("passerelle-loss")), (201, "address.city, metadata"));
    assert_eq!((&dropped.body["data"]["city"], &dropped.body["data"]["is_business"]), (&Value::Null, &Value::Null));
    // A field that the imitated vendor accepts and the gateway does not know is a loss too.
    let (body, notchpay) =
        (json!({ "name": "Awa", "phone": "+2207000009", "company_name": "ACME", "billing": {} }), dialect("notchpay"));
    let refused = notchpay.send(&gateway, "sk_strict", "POST", "", Some(&body)).await;
    assert!(refused.status == 422 && refused.body["errors"]["company_name"].is_array(), "{}", refused.text);
    assert!(refused.body["errors"].get("billing").is_none(), "an empty object is no loss: {}", refused.text);
    let answer = notchpay.send(&gateway, "sk_lenient", "POST", "", Some(&body)).await;
    assert_eq!((answer.status.as_u16(), answer.header("passerelle-loss")), (201, "company_name"), "{}", answer.text);
    assert_eq!(dropped.body["data"].get("business_id"), None, "lomi has no such field");
}

/// Empty fields and nulls lose nothing, so a provider that cannot store the field does not cause a refusal.
#[tokio::test]
async fn empty_fields_are_no_loss() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let [lomi, paymentkit, notchpay] = ["lomi", "paymentkit", "notchpay"].map(dialect);
    let empty = json!({ "name": "Awa Ba", "email": "awa@example.com", "metadata": {} });
    let cleared = json!({ "address": null, "metadata": null });
    for provider in ["modempay", "bitnob"] {
        let key = key_of(provider);
        let person = json!({ "name": "Awa", "email": "person@example.com", "is_business": false });
        let created = lomi.send(&gateway, &key, "POST", "", Some(&person)).await;
        assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (201, "type"), "{}", created.text);
        let business = json!({ "name": "Awa", "email": "business@example.com", "is_business": true });
        assert_eq!(lomi.send(&gateway, &key, "POST", "", Some(&business)).await.status, 400);
        let created = notchpay.send(&gateway, &key, "POST", "", Some(&empty)).await;
        assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (201, ""), "{}", created.text);
        let id = created.body["customer"]["id"].as_str().expect("an id").to_owned();
        let updated = paymentkit.send(&gateway, &key, "PUT", &format!("/{id}"), Some(&cleared)).await;
        assert_eq!((updated.status.as_u16(), &updated.body["address"]), (200, &Value::Null), "{}", updated.text);
        let with_metadata = json!({ "metadata": { "crm": "1" } });
        let refused = paymentkit.send(&gateway, &key, "PUT", &format!("/{id}"), Some(&with_metadata)).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    }
}

/// A client reads back what it wrote, in the same spelling.
#[tokio::test]
async fn values_are_read_back_as_they_were_written() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let [modempay, lomi, bitnob] = ["modempay", "lomi", "bitnob"].map(dialect);
    let body = json!({ "name": "Awa", "email": "awa@gm.example", "phone": "771234599" });
    let national = modempay.send(&gateway, &key_of("lomi"), "POST", "", Some(&body)).await;
    assert_eq!(national.body["phone"], "771234599", "{}", national.text);
    let body = json!({ "firstName": "Awa", "lastName": "Ba", "email": "awa@ng.example", "phone": "8123456789", "countryCode": "+234" });
    for provider in ["lomi", "notchpay", "modempay"] {
        let parts = bitnob.send(&gateway, &key_of(provider), "POST", "", Some(&body)).await;
        let customer = parts.at("/data");
        assert_eq!(
            (&customer["phone"], &customer["countryCode"]),
            (&json!("8123456789"), &json!("+234")),
            "{}",
            parts.text
        );
        assert_eq!((&customer["firstName"], &customer["lastName"]), (&json!("Awa"), &json!("Ba")));
    }
    for provider in ["lomi", "notchpay"] {
        let email = format!("awa@{provider}.example");
        let body = json!({ "name": "Awa", "email": email, "country": "Sénégal" });
        let created = lomi.send(&gateway, &key_of(provider), "POST", "", Some(&body)).await;
        assert_eq!(created.body["data"]["country"], "Sénégal", "{}", created.text);
        let listed = lomi.send(&gateway, &key_of(provider), "GET", &format!("?email={email}"), None).await;
        assert_eq!(listed.body["data"][0]["country"], "Sénégal", "{}", listed.text);
    }
    // lomi's clients accept only UUIDs as ids.
    let id = lomi.send(&gateway, &key_of("notchpay"), "GET", "", None).await;
    let id = id.body["data"][0]["customer_id"].as_str().expect("an id").to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).expect("a UUID").get_version_num(), 8);
    assert_eq!(lomi.send(&gateway, &key_of("notchpay"), "GET", &format!("/{id}"), None).await.status, 200);
}

/// Also where no numbering plan has the digits: a dial code that is lost would make a number of the merchant's region.
#[tokio::test]
async fn a_dial_code_comes_back_for_numbers_outside_the_region() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let bitnob = dialect("bitnob");
    for provider in ["bitnob", "lomi", "notchpay", "modempay"] {
        let key = key_of(provider);
        for (number, phone) in ["241234567", "08123456789", "12345"].into_iter().enumerate() {
            let email = format!("kofi{number}@example.com");
            let written = json!({ "phone": phone, "countryCode": "+233" });
            let body = json!({ "firstName": "Kofi", "email": email, "phone": phone, "countryCode": "+233" });
            let created = bitnob.send(&gateway, &key, "POST", "", Some(&body)).await;
            let below = format!("/{}", created.at("/data/id").as_str().expect("an id"));
            let updated = bitnob.send(&gateway, &key, "PUT", &below, Some(&written)).await;
            let read = bitnob.send(&gateway, &key, "GET", &below, None).await;
            for answer in [created, updated, read] {
                let shown = json!({ "phone": answer.at("/data/phone"), "countryCode": answer.at("/data/countryCode") });
                assert_eq!(shown, written, "{provider}: {}", answer.text);
                assert_eq!(answer.header("passerelle-loss"), "", "{provider}: {}", answer.text);
            }
        }
        let unknown = json!({ "email": "kofi@example.com", "phone": "1234567", "countryCode": "+999" });
        bitnob.assert_refusal(&bitnob.send(&gateway, &key, "POST", "", Some(&unknown)).await);
    }
}
