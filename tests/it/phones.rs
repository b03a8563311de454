//! Phone numbers: national ones are completed only into valid numbers of the merchant's region, and none has more than 15
//! digits.

use serde_json::{Value, json};

use crate::support::Gateway;

/// A number of Senegal, as it is dialled there. With the dial code of Cameroon it has a possible length.
pub(crate) const ABROAD: &str = "77 123 45 67";

/// The providers at which a client can create a customer.
pub(crate) const CREATING: [&str; 4] = ["modempay", "lomi", "bitnob", "notchpay"];

pub(crate) async fn gateway_in_cameroon() -> Gateway {
    gateway_in("region = \"CM\"").await
}

async fn gateway_in(region: &str) -> Gateway {
    let mut configuration = "[store]\nurl = \"sqlite::memory:\"\n".to_owned();
    for provider in CREATING {
        configuration.push_str(&format!(
            "[merchants.{provider}]\napi_keys = [\"sk_{provider}\"]\nactive = \"main\"\n{region}\n\
             connections.main = {{ provider = \"{provider}\", sandbox = true }}\n"
        ));
    }
    Gateway::start(&configuration).await
}

/// The entries about the phone.
fn entries(answer: &Value) -> Vec<&Value> {
    answer["fidelity"].as_array().into_iter().flatten().filter(|entry| entry["field"] == "phone").collect()
}

/// The entry of a number that went to the provider as it was written.
fn as_written(rule: &str) -> Value {
    json!({ "field": "phone", "outcome": "transformed", "rule": rule, "from": ABROAD })
}

#[tokio::test]
async fn a_national_number_that_is_not_valid_in_the_region_stays_as_written_and_fidelity_says_why() {
    let mut gateway = gateway_in_cameroon().await;
    let reported = as_written("not a valid number of the merchant's region, so it stays as written");
    for provider in CREATING {
        gateway = gateway.with_key(&format!("sk_{provider}"));
        let body = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": ABROAD });
        let explained = gateway.post("/v1/customers?explain=true", body.clone()).await;
        assert_eq!(entries(&explained.body), [&reported], "{provider}: {}", explained.text);
        assert!(explained.body["requests"][0]["body"].to_string().contains(ABROAD), "{provider}: {}", explained.text);

        let created = gateway.post("/v1/customers", body).await;
        assert_eq!((created.status.as_u16(), &created.body["phone"]), (201, &json!(ABROAD)), "{provider}");
        assert!(entries(&created.body).contains(&&reported), "{provider}: {}", created.text);
        let path = format!("/v1/customers/{}", created.body["id"].as_str().unwrap_or_default());
        assert_eq!(gateway.get(&path).await.body["phone"], ABROAD, "{provider}");

        let found = gateway.get("/v1/customers/lookup?phone=77%20123%2045%2067").await;
        assert_eq!((found.status.as_u16(), &found.body["id"]), (200, &created.body["id"]), "{provider}");
        let listed = gateway.get("/v1/customers?phone=77%20123%2045%2067").await;
        assert_eq!(listed.body["data"][0]["id"], created.body["id"], "{provider}: {}", listed.text);
        let guessed = gateway.get("/v1/customers/lookup?phone=%2B237771234567").await;
        assert_eq!(guessed.status, 404, "{provider}: no customer has the number that was never written");

        let changed = gateway.patch(&path, json!({ "phone": "6 77 12 34 56" })).await;
        assert_eq!(changed.body["phone"], "+237677123456", "{provider}: a valid number is completed");
        let changed = gateway.patch(&path, json!({ "phone": ABROAD })).await;
        assert_eq!(changed.body["phone"], ABROAD, "{provider}");
        assert!(entries(&changed.body).contains(&&reported), "{provider}: {}", changed.text);
    }
}

#[tokio::test]
async fn a_national_number_without_a_region_stays_as_written_and_fidelity_says_why() {
    let mut gateway = gateway_in("").await;
    let reported = as_written("the merchant has no region to complete a national number with, so it stays as written");
    for provider in CREATING {
        gateway = gateway.with_key(&format!("sk_{provider}"));
        let body = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": ABROAD });
        let explained = gateway.post("/v1/customers?explain=true", body.clone()).await;
        assert_eq!(entries(&explained.body), [&reported], "{provider}: {}", explained.text);
        let created = gateway.post("/v1/customers", body).await;
        assert_eq!((created.status.as_u16(), entries(&created.body)), (201, vec![&reported]), "{}", created.text);
        let path = format!("/v1/customers/{}", created.body["id"].as_str().unwrap_or_default());
        assert_eq!(entries(&gateway.get(&path).await.body), [&reported], "{provider}");
        let changed = gateway.patch(&path, json!({ "phone": ABROAD })).await;
        assert_eq!(entries(&changed.body), [&reported], "{provider}: {}", changed.text);
        let international = gateway.patch(&path, json!({ "phone": "+221 77 123 45 67" })).await;
        assert!(!entries(&international.body).contains(&&reported), "{provider}: {}", international.text);
    }
}

#[tokio::test]
async fn a_number_with_more_than_fifteen_digits_is_refused() {
    let gateway = gateway_in_cameroon().await.with_key("sk_lomi");
    for (number, code) in [
        ("1234567890123456", "invalid_request"),
        ("+49 176 1234 5678 9012", "invalid_request"),
        ("4242 4242 4242 4242", "card_data_refused"),
    ] {
        for field in ["phone", "whatsapp"] {
            let body = json!({ "name": "Awa Diop", field: number });
            for path in ["/v1/customers", "/v1/customers?explain=true"] {
                let refused = gateway.post(path, body.clone()).await;
                assert_eq!(refused.status_and_code(), (422, code), "{number}: {}", refused.text);
                assert_eq!(refused.body["errors"][0]["pointer"], format!("/{field}"), "{}", refused.text);
            }
        }
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        for path in [format!("/v1/customers/lookup?phone={digits}"), format!("/v1/customers?phone={digits}")] {
            assert_eq!(gateway.get(&path).await.status_and_code(), (422, "invalid_request"), "{path}");
        }
    }
    let longest = json!({ "name": "Awa Diop", "phone": "00 237 677 123 456" });
    let created = gateway.post("/v1/customers", longest).await;
    assert_eq!((created.status.as_u16(), &created.body["phone"]), (201, &json!("+237677123456")), "{}", created.text);
}
