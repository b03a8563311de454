//! National phone numbers of the clients of each provider.

use serde_json::json;

use super::dialects::DIALECTS;
use crate::phones::{ABROAD, CREATING, gateway_in_cameroon};

#[tokio::test]
async fn drop_in_completes_only_valid_numbers_of_the_region() {
    let gateway = gateway_in_cameroon().await;
    for (client, member) in [(&DIALECTS[0], "phone"), (&DIALECTS[1], "phone_number"), (&DIALECTS[4], "phone")] {
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
