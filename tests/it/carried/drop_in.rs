//! Carried fields for clients of an imitated provider.

use serde_json::{Value, json};

use super::CARRYING;
use crate::{drop_in::dialects::dialect, support::Gateway};

/// A client reads back what it wrote, in its own provider's form, and hears of no loss.
#[tokio::test]
async fn a_drop_in_client_reads_back_what_the_provider_cannot_hold() {
    let gateway = Gateway::start(CARRYING).await;
    let lomi = dialect("lomi");
    let body = json!({ "name": "Awa", "email": "awa@example.com", "city": "Banjul", "metadata": { "crm": "1" } });
    let created = lomi.send(&gateway, "sk_acme", "POST", "", Some(&body)).await;
    assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (201, ""), "{}", created.text);
    let id = format!(
        "/{}",
        created.body["data"]["id"].as_str().or(created.body["data"]["customer_id"].as_str()).expect("an id")
    );
    let patch = json!({ "city": "Thiès" });
    let updated = lomi.send(&gateway, "sk_acme", "PATCH", &id, Some(&patch)).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    let read = lomi.send(&gateway, "sk_acme", "GET", &id, None).await;
    assert_eq!(
        (&read.body["data"]["city"], &read.body["data"]["metadata"]),
        (&json!("Thiès"), &json!({ "crm": "1" })),
        "{}",
        read.text
    );
}

/// A client that clears what the gateway keeps reads that it is cleared.
#[tokio::test]
async fn a_drop_in_client_clears_what_the_gateway_keeps() {
    let gateway = Gateway::start(CARRYING).await;
    let (lomi, paymentkit) = (dialect("lomi"), dialect("paymentkit"));
    let body = json!({ "name": "Awa", "email": "awa@example.com", "metadata": { "crm": "1" } });
    let created = lomi.send(&gateway, "sk_acme", "POST", "", Some(&body)).await;
    let id = format!(
        "/{}",
        created.body["data"]["id"].as_str().or(created.body["data"]["customer_id"].as_str()).expect("an id")
    );
    let read = paymentkit.send(&gateway, "sk_acme", "GET", &id, None).await;
    assert_eq!(read.body["metadata"], json!({ "crm": "1" }), "{}", read.text);
    let cleared = paymentkit.send(&gateway, "sk_acme", "PUT", &id, Some(&json!({ "metadata": null }))).await;
    assert_eq!(cleared.status, 200, "{}", cleared.text);
    let read = paymentkit.send(&gateway, "sk_acme", "GET", &id, None).await;
    assert_ne!(read.body["metadata"], json!({ "crm": "1" }), "{}", read.text);
}

/// A block in a dialect is kept by the gateway where the provider cannot block.
#[tokio::test]
async fn a_drop_in_client_reads_back_its_block() {
    let gateway = Gateway::start(CARRYING).await;
    let notchpay = dialect("notchpay");
    let created = notchpay
        .send(&gateway, "sk_acme", "POST", "", Some(&json!({ "name": "Awa", "email": "awa@example.com" })))
        .await;
    let id = created.body["customer"]["id"].as_str().expect("an id").to_owned();
    let blocked = notchpay.send(&gateway, "sk_acme", "POST", &format!("/{id}/block"), None::<&Value>).await;
    assert!(blocked.status.is_success(), "{}", blocked.text);
    let read = notchpay.send(&gateway, "sk_acme", "GET", &format!("/{id}"), None::<&Value>).await;
    assert_eq!(read.body["customer"]["blocked"], true, "{}", read.text);
}
