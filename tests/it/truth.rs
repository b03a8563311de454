//! What a provider keeps is compared with what was asked for: a difference is in `fidelity`, and in drop-in in a header.

use http::Method;
use serde_json::{Value, json};

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Answer, Gateway, JsonText},
};

const ID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";

/// The customer as lomi answers it.
fn lomi(members: Value) -> String {
    let mut customer = json!({ "customer_id": ID, "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    for (key, value) in members.as_object().into_iter().flatten() {
        customer[key] = value.clone();
    }
    json!({ "data": customer }).to_string()
}

/// The entries of one field in the answer's report: outcome and provider's value.
fn entries(answer: &Answer, field: &str) -> Vec<(String, Value)> {
    let report = answer.body["fidelity"].as_array().cloned().unwrap_or_default();
    let of_field = report.into_iter().filter(|entry| entry["field"] == field);
    of_field.map(|entry| (entry["outcome"].as_str().unwrap_or_default().to_owned(), entry["from"].clone())).collect()
}

fn lost() -> Vec<(String, Value)> {
    vec![("lost".to_owned(), Value::Null)]
}

#[tokio::test]
async fn metadata_that_a_provider_ignores_is_reported_as_lost() {
    let vendor = StandIn::always(json_answer("200 OK", &lomi(json!({})))).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let answer = gateway.patch(&format!("/v1/customers/{ID}"), json!({ "metadata": { "crm": "2" } })).await;
    assert_eq!((answer.status.as_u16(), entries(&answer, "metadata")), (200, lost()), "{}", answer.text);
    assert_eq!(vendor.requests().len(), 3, "read, written, and read again because the answer does not show the key");
}

/// lomi repeats the metadata of a request in its answer, and does not store it. An update is compared with a read. A create
/// is not read again, and its answer says that the metadata is not verified.
#[tokio::test]
async fn metadata_that_only_the_answer_to_a_write_shows_is_lost_or_not_verified() {
    let (echo, stored) = (lomi(json!({ "metadata": { "crm": "2" } })), lomi(json!({})));
    let metadata = json!({ "metadata": { "crm": "2" } });
    let cases = [
        (json_answer("200 OK", &stored), "lost", json!({})),
        (json_answer("500 Internal Server Error", "{}"), "unverified", json!({ "crm": "2" })),
    ];
    for (read, expected, shown) in cases {
        let acts = [json_answer("200 OK", &stored), json_answer("200 OK", &echo), read];
        let gateway = Gateway::in_front_of("lomi", &StandIn::start(acts.to_vec()).await.url(), "").await;
        let answer = gateway.patch(&format!("/v1/customers/{ID}"), metadata.clone()).await;
        let reported = vec![(expected.to_owned(), Value::Null)];
        assert_eq!((answer.status.as_u16(), entries(&answer, "metadata")), (200, reported), "{}", answer.text);
        assert_eq!(answer.body["metadata"], shown, "{}", answer.text);
    }
    let vendor = StandIn::start(vec![json_answer("201 Created", &echo)]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com", "metadata": { "crm": "2" } });
    let answer = gateway.post("/v1/customers", body).await;
    let reported = vec![("unverified".to_owned(), Value::Null)];
    assert_eq!((answer.status.as_u16(), entries(&answer, "metadata")), (201, reported), "{}", answer.text);
    assert_eq!((&answer.body["metadata"], vendor.requests().len()), (&json!({ "crm": "2" }), 1), "{}", answer.text);
}

/// Bitnob replaces the whole record, so the gateway sends again what it read.
#[tokio::test]
async fn a_field_that_an_update_did_not_ask_for_and_the_provider_changed_is_reported() {
    let customer = |members: Value| {
        let mut customer = json!({
            "id": "c1", "email": "john@example.com", "first_name": "John", "last_name": "Doe",
            "phone": "08123456789", "country_code": "+234", "blacklist": false,
        });
        for (key, value) in members.as_object().into_iter().flatten() {
            customer[key] = value.clone();
        }
        json_answer("200 OK", &json!({ "status": true, "data": customer }).to_string())
    };
    let update = async |members: Value| {
        let vendor = StandIn::start(vec![customer(json!({})), customer(members)]).await;
        let configuration = format!(
            "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
             active = \"main\"\n[merchants.acme.connections.main]\nprovider = \"bitnob\"\ngeneration = \"v2\"\n\
             base_url = \"{}\"\ncredentials = {{ client_id = \"c\", client_secret = \"s\" }}\n",
            vendor.url()
        );
        let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
        gateway.patch("/v1/customers/c1", json!({ "email": "doe@example.com" })).await
    };
    let answer = update(json!({ "email": "doe@example.com", "phone": "08123456780", "last_name": "Ba" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(entries(&answer, "phone").contains(&("altered".to_owned(), json!("08123456780"))), "{}", answer.text);
    assert_eq!(entries(&answer, "last_name"), [("altered".to_owned(), json!("Ba"))], "{}", answer.text);
    // The international number of an update is the same number.
    let answer = update(json!({ "email": "doe@example.com", "phone": "+2348123456789", "country_code": "" })).await;
    for field in ["phone", "first_name", "last_name"] {
        assert_eq!(entries(&answer, field), [], "{}", answer.text);
    }
}

/// The customer as Notch Pay answers it.
fn notchpay(members: Value) -> String {
    let mut customer = json!({ "id": "cus.a", "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    for (key, value) in members.as_object().into_iter().flatten() {
        customer[key] = value.clone();
    }
    json!({ "customer": customer }).to_string()
}

#[tokio::test]
async fn an_altered_number_is_shown_as_the_provider_keeps_it_also_where_it_was_sent_as_written() {
    let number = "+237655555555";
    let cases = [
        ("notchpay", "cus.a", "phone", notchpay(json!({ "phone": number }))),
        ("lomi", ID, "phone", lomi(json!({ "phone_number": number }))),
        ("lomi", ID, "whatsapp", lomi(json!({ "whatsapp_number": number }))),
    ];
    for (provider, id, field, kept) in cases {
        let vendor = StandIn::always(json_answer("200 OK", &kept)).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let answer = gateway.patch(&format!("/v1/customers/{id}"), json!({ field: "12345" })).await;
        let expected = [("transformed".to_owned(), json!("12345")), ("altered".to_owned(), json!(number))];
        assert_eq!(entries(&answer, field), expected, "{provider}: {}", answer.text);
    }
}

#[tokio::test]
async fn drop_in_names_lost_and_altered_fields_in_a_header() {
    let answer = lomi(json!({ "city": "Thiès" }));
    let vendor = StandIn::always(json_answer("200 OK", &answer)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let body = json!({ "metadata": { "crm": "2" }, "city": "Dakar" });
    let request = gateway.plain(Method::PATCH, &format!("/as/lomi/v1/customers/{ID}")).header("x-api-key", "sk_acme");
    let answer = request.json_text(&body).send().await.expect("an answer");
    let header = answer.headers().get("passerelle-loss").and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!((answer.status().as_u16(), header.as_deref()), (200, Some("address.city, metadata")));
}

#[tokio::test]
async fn a_field_is_taken_from_a_read_where_the_answer_does_not_show_it() {
    let (slim, full) = (lomi(json!({})), lomi(json!({ "phone_number": "+221771234567" })));
    let vendor = StandIn::start(vec![json_answer("201 Created", &slim), json_answer("200 OK", &full)]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com", "phone": "+221771234567" });
    let answer = gateway.post("/v1/customers", body).await;
    assert_eq!((answer.status.as_u16(), &answer.body["phone"]), (201, &json!("+221771234567")), "{}", answer.text);
    assert_eq!(entries(&answer, "phone"), []);
    assert_eq!(vendor.requests().len(), 2);
}

#[tokio::test]
async fn a_field_is_unverified_if_the_read_that_compares_it_fails() {
    let failure = json_answer("500 Internal Server Error", "{}");
    let vendor = StandIn::start(vec![json_answer("201 Created", &lomi(json!({}))), failure]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com", "address": { "city": "Dakar" } });
    let answer = gateway.post("/v1/customers", body).await;
    let unverified = vec![("unverified".to_owned(), Value::Null)];
    assert_eq!((answer.status.as_u16(), entries(&answer, "address.city")), (201, unverified), "{}", answer.text);
    let operation = gateway.get(&format!("/v1/operations/{}", answer.header("x-operation-id"))).await;
    assert_eq!(operation.body["outcome"], "done");
}

#[tokio::test]
async fn a_value_that_the_provider_changes_is_altered_and_one_that_it_respells_is_transformed() {
    let answer = lomi(json!({ "city": "Thiès", "email": "AMADOU.BA@example.com", "country": "Senegal" }));
    let vendor = StandIn::always(json_answer("201 Created", &answer)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let address = json!({ "city": "Dakar", "country": "SN" });
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com", "address": address });
    let answer = gateway.post("/v1/customers", body).await;
    let one = |outcome: &str, from: &str| vec![(outcome.to_owned(), json!(from))];
    assert_eq!(entries(&answer, "address.city"), one("altered", "Thiès"), "{}", answer.text);
    assert_eq!(entries(&answer, "email"), one("transformed", "AMADOU.BA@example.com"));
    assert_eq!(entries(&answer, "address.country"), one("transformed", "Senegal"));
    assert_eq!(vendor.requests().len(), 1, "no read where the answer shows everything");
}

#[tokio::test]
async fn the_answer_has_the_way_out_in_the_words_of_the_explanation() {
    let answer = lomi(json!({ "phone_number": "+221771234567", "country": "SN" }));
    let vendor = StandIn::always(json_answer("201 Created", &answer)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let address = json!({ "country": "Sénégal" });
    let body = json!({ "name": "Amadou Ba", "phone": "77 123 45 67", "address": address });
    let explained = gateway.post("/v1/customers?explain=true", body.clone()).await;
    let answer = gateway.post("/v1/customers", body).await;
    for (field, outcome) in [("phone", "derived"), ("address.country", "transformed")] {
        assert_eq!(entries(&explained, field), [(outcome.to_owned(), Value::Null)], "{}", explained.text);
    }
    let report = answer.body["fidelity"].as_array().cloned().unwrap_or_default();
    for entry in explained.body["fidelity"].as_array().expect("a report") {
        assert!(report.contains(entry), "{entry} in {}", answer.text);
    }
}

/// The provider keeps one name, so that a later read splits it at its last space.
#[tokio::test]
async fn a_name_that_splits_at_another_space_is_reported() {
    let answer = lomi(json!({ "name": "Awa Ndiaye Fall" }));
    let vendor = StandIn::always(json_answer("201 Created", &answer)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let body = json!({ "first_name": "Awa", "last_name": "Ndiaye Fall", "email": "amadou.ba@example.com" });
    let answer = gateway.post("/v1/customers", body).await;
    assert_eq!((&answer.body["first_name"], &answer.body["last_name"]), (&json!("Awa Ndiaye"), &json!("Fall")));
    let changed = ("transformed".to_owned(), json!("Awa Ndiaye Fall"));
    for part in ["first_name", "last_name"] {
        assert!(entries(&answer, part).contains(&changed), "{}", answer.text);
    }
}

/// The first answer is lost, and the customer that reconciliation finds lacks a field and has another value in another.
#[tokio::test]
async fn a_create_that_was_recovered_is_compared_too() {
    let vendor = StandIn::answering(|requests| {
        let body = requests[0].split("\r\n\r\n").nth(1).unwrap_or_default();
        let metadata = serde_json::from_str::<Value>(body).unwrap_or_default()["metadata"].clone();
        let one = lomi(json!({ "city": "Thiès", "metadata": metadata }));
        let last = requests.last().map_or("", |request| request);
        Some(if last.starts_with("POST ") {
            json_answer("500 Internal Server Error", "{}")
        } else if last.starts_with("GET /customers?") {
            let customer = serde_json::from_str::<Value>(&one).unwrap_or_default()["data"].clone();
            json_answer("200 OK", &json!({ "data": [customer] }).to_string())
        } else {
            json_answer("200 OK", &one)
        })
    })
    .await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "visibility_lag = \"1h\"").await;
    let send = async |policy: &str| {
        let address = json!({ "city": "Dakar", "state": "DK" });
        let body = json!({ "name": "Amadou Ba", "phone": "77 123 45 67", "address": address });
        let request = gateway.request(Method::POST, "/v1/customers").json_text(&body);
        gateway.send(request.header("idempotency-key", "k").header("prefer", policy)).await
    };
    assert_eq!(send("loss=drop").await.status_and_code(), (502, "outcome_unknown"));
    let answer = send("loss=drop").await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (201, "loss=drop"), "{}", answer.text);
    assert_eq!(entries(&answer, "address.city"), [("altered".to_owned(), json!("Thiès"))], "{}", answer.text);
    let completed = ("derived".to_owned(), Value::Null);
    assert_eq!(entries(&answer, "phone"), [vec![completed], lost()].concat(), "{}", answer.text);
    assert_eq!(entries(&answer, "address.state"), lost(), "{}", answer.text);
}
