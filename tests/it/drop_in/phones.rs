//! National phone numbers of the clients of each provider.

use serde_json::json;

use super::dialects::dialect;
use crate::phones::{ABROAD, CREATING, gateway_in_cameroon};

#[tokio::test]
async fn drop_in_completes_only_valid_numbers_of_the_region() {
    let gateway = gateway_in_cameroon().await;
    for (name, member) in [("modempay", "phone"), ("lomi", "phone_number"), ("notchpay", "phone")] {
        let client = dialect(name);
        for provider in CREATING {
            let email = format!("awa.{}@example.com", client.name);
            let body = json!({ "name": "Awa Diop", "email": email, member: ABROAD });
            let key = format!("sk_{provider}");
            let created = client.send(&gateway, &key, "POST", "", Some(&body)).await;
            assert!(created.status.is_success(), "{} to {provider}: {}", client.name, created.text);
            assert!(created.text.contains(ABROAD), "{} to {provider}: {}", client.name, created.text);
        }
    }
}

/// A text that is no phone number goes to the provider as it is written, a card number never does.
#[tokio::test]
async fn a_card_number_in_place_of_a_phone_number_is_refused_in_every_dialect() {
    let gateway = gateway_in_cameroon().await;
    // PaymentKit's clients cannot create customers.
    let members = [("modempay", "phone"), ("lomi", "phone_number"), ("bitnob", "phone"), ("notchpay", "phone")];
    for (name, member) in members {
        let client = dialect(name);
        for provider in CREATING {
            let send = async |phone: &str| {
                let mut body = (client.new)(&format!("awa.{name}@example.com"));
                body[member] = json!(phone);
                client.send(&gateway, &format!("sk_{provider}"), "POST", "", Some(&body)).await
            };
            for card in ["4242424242424242", "tel. 4242-4242 4242 4242"] {
                let refused = send(card).await;
                assert!(refused.status.is_client_error(), "{name} to {provider}: {}", refused.text);
                assert!(refused.text.contains("card number"), "{name} to {provider}: {}", refused.text);
            }
            let created = send("1234567890123456").await;
            assert!(created.status.is_success(), "{name} to {provider}: {}", created.text);
        }
    }
}
