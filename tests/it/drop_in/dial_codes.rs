//! Bitnob's clients send and read a phone number in two parts: national digits and a dial code.

use std::sync::atomic::{AtomicU8, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    dialects::{DialectAnswer, dialect, send},
    signed::Signature,
};
use crate::{
    phones::{ABROAD, CREATING, gateway_in_cameroon},
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, JsonText},
};

/// The names of the two members in the generations of Bitnob's API, with the path of its customers.
const GENERATIONS: [(&str, &str, &str); 3] = [
    ("/as/bitnob/api/v1/customers", "phone", "countryCode"),
    ("/as/bitnob/api/customers", "phone", "country_code"),
    ("/as/bitnob/api/customers", "phone_number", "dial_code"),
];

fn configuration(on_loss: &str) -> String {
    let mut text = "[store]\nurl = \"sqlite::memory:\"\n".to_owned();
    for provider in ["bitnob", "lomi", "notchpay", "modempay"] {
        text.push_str(&format!(
            "[merchants.{provider}]\napi_keys = [\"sk_{provider}\"]\nactive = \"main\"\nregion = \"SN\"\n\
             on_loss = \"{on_loss}\"\nconnections.main = {{ provider = \"{provider}\", sandbox = true }}\n\
             ingress.bitnob = {{ client_id = \"{provider}\", client_secret = \"secret_{provider}\" }}\n"
        ));
    }
    text
}

/// Sends a request. The clients of the older generation have a key, those of the others sign their requests.
async fn call(gateway: &Gateway, provider: &str, method: &str, path: &str, body: &Value) -> DialectAnswer {
    static NONCE: AtomicU8 = AtomicU8::new(0);
    if path.contains("/v1/") {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = gateway.plain(method, path).header("authorization", format!("Bearer sk_{provider}"));
        return send(request.json_text(body)).await;
    }
    let secret = format!("secret_{provider}");
    let credentials = &[("client_id", provider), ("client_secret", &secret)];
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed);
    let signature = Signature { provider: "bitnob", credentials, late: 0, nonce };
    send(signature.request(gateway, method, path, &body.to_string())).await
}

/// The number as the answer shows it, in the members of the generation.
fn shown<'a>(answer: &'a DialectAnswer, path: &str) -> (&'a Value, &'a Value) {
    let code = if path.contains("v1") { "/data/countryCode" } else { "/data/country_code" };
    (answer.at("/data/phone"), answer.at(code))
}

#[tokio::test]
async fn an_update_of_the_national_digits_alone_keeps_the_dial_code() {
    let gateway = Gateway::start(&configuration("drop")).await;
    for provider in ["bitnob", "lomi", "notchpay", "modempay"] {
        for (index, (path, phone, code)) in GENERATIONS.into_iter().enumerate() {
            let email = format!("kofi{index}@example.com");
            let body =
                json!({ "first_name": "Kofi", "firstName": "Kofi", "email": email, phone: "241234567", code: "+233" });
            let created = call(&gateway, provider, "POST", path, &body).await;
            let one = format!("{path}/{}", created.at("/data/id").as_str().expect("an id"));
            for (digits, expected) in [("0242345678", "242345678"), ("243456789", "243456789")] {
                let updated = call(&gateway, provider, "PUT", &one, &json!({ phone: digits })).await;
                let read = call(&gateway, provider, "GET", &one, &json!({})).await;
                for answer in [updated, read] {
                    let (digits, code) = shown(&answer, path);
                    assert_eq!((digits, code), (&json!(expected), &json!("+233")), "{provider}: {}", answer.text);
                    assert_eq!(answer.header("passerelle-loss"), "", "{provider}: {}", answer.text);
                }
            }
            let updated = call(&gateway, provider, "PUT", &one, &json!({ phone: "+2348123456789" })).await;
            assert_eq!(shown(&updated, path), (&json!("8123456789"), &json!("+234")), "{provider}: {}", updated.text);
        }
    }
}

/// The number is one of Senegal, the customer's dial code and the merchant's region are others.
#[tokio::test]
async fn the_dial_code_of_the_record_completes_only_valid_numbers() {
    let gateway = gateway_in_cameroon().await;
    let client = dialect("bitnob");
    for provider in CREATING {
        let key = format!("sk_{provider}");
        for (code, digits) in [("+237", "677123456"), ("+233", "241234567")] {
            let email = format!("kofi{digits}@example.com");
            let body = json!({ "firstName": "Kofi", "email": email, "phone": digits, "countryCode": code });
            let created = client.send(&gateway, &key, "POST", "", Some(&body)).await;
            let one = format!("/{}", created.at("/data/id").as_str().expect("an id"));
            let updated = client.send(&gateway, &key, "PUT", &one, Some(&json!({ "phone": ABROAD }))).await;
            assert_eq!(updated.header("passerelle-loss"), "phone", "{provider}: {}", updated.text);
            let read = client.send(&gateway, &key, "GET", &one, None).await;
            for answer in [updated, read] {
                assert_eq!(answer.at("/data/phone"), ABROAD, "{provider}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_dial_code_without_a_number_is_reported_or_refused() {
    let (lenient, strict) =
        (Gateway::start(&configuration("drop")).await, Gateway::start(&configuration("reject")).await);
    for (path, phone, code) in GENERATIONS {
        for body in [
            json!({ "email": "kofi@example.com", code: "+233" }),
            json!({ "email": "kofi@example.com", phone: "", code: "+233" }),
        ] {
            let created = call(&lenient, "notchpay", "POST", path, &body).await;
            assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (200, code), "{}", created.text);
            let refused = call(&strict, "notchpay", "POST", path, &body).await;
            assert_eq!(refused.status, 400, "{}", refused.text);
            assert!(refused.text.contains("the gateway has no field for it"), "{}", refused.text);
            let one = format!("{path}/{}", created.at("/data/id").as_str().expect("an id"));
            let refused = call(&lenient, "notchpay", "PUT", &one, &body).await;
            assert_eq!(refused.status, 400, "{}", refused.text);
            assert!(refused.text.contains("should be sent with its country code"), "{}", refused.text);
        }
    }
}

/// The number is international, and the dial code beside it is another one.
#[tokio::test]
async fn an_answer_with_two_dial_codes_is_read_as_one_number() {
    let customer = json!({ "id": "c1", "email": "kofi@example.com", "phone": "+233241234567", "countryCode": "+234" });
    let body = json!({ "status": true, "data": customer }).to_string();
    let vendor = StandIn::always(json_answer("200 OK", &body)).await;
    let gateway = Gateway::in_front_of("bitnob", &vendor.url(), "").await;
    let read = gateway.get("/v1/customers/c1").await;
    assert_eq!(read.body["phone"], "+233241234567", "{}", read.text);
    let answer = call(&gateway, "acme", "GET", "/as/bitnob/api/v1/customers/c1", &json!({})).await;
    assert_eq!((answer.at("/data/phone"), answer.at("/data/countryCode")), (&json!("241234567"), &json!("+233")));
    assert_eq!(answer.text.matches("countryCode").count(), 1, "{}", answer.text);
}
