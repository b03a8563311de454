//! Whose record an answer is: answers about another customer, ids that the provider cannot have, and records that are
//! answered to two creates.

use http::Method;
use serde_json::json;

use crate::{
    stand_in::{Act, StandIn, json},
    support::{Answer, Gateway, JsonText},
};

const AMADOU: &str = "/v1/customers/cus.amadou";

/// A customer of Notch Pay.
fn customer(id: &str) -> Act {
    json("200 OK", &json!({ "code": 200, "status": "OK", "customer": { "id": id, "name": "Awa" } }).to_string())
}

#[tokio::test]
async fn an_answer_about_another_customer_is_a_bad_response_to_reads_and_unknown_for_writes() {
    let vendor = StandIn::always(customer("cus.awa")).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "visibility_lag = \"10m\"").await;
    let read = gateway.get(AMADOU).await;
    assert_eq!(read.status_and_code(), (502, "provider_bad_response"), "{}", read.text);
    assert!(!read.text.contains("cus.awa"), "{}", read.text);
    let renamed = gateway.patch(AMADOU, json!({ "name": "Amadou Ba" })).await;
    let block = gateway.send(gateway.request(Method::POST, &format!("{AMADOU}/block"))).await;
    for written in [renamed, block] {
        assert_eq!(written.status_and_code(), (502, "outcome_unknown"), "{}", written.text);
        assert_eq!(written.body["outcome"], "unknown");
        assert_eq!(written.body["operation_id"], written.header("x-operation-id"));
    }
}

#[tokio::test]
async fn an_update_is_not_sent_when_the_customer_that_was_read_first_is_another_one() {
    let vendor = StandIn::always(customer("cus.awa")).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    let updated = gateway.patch(AMADOU, json!({ "metadata": { "crm": "2" } })).await;
    assert_eq!(updated.status_and_code(), (502, "provider_bad_response"), "{}", updated.text);
    assert_eq!(updated.body["outcome"], "none");
    assert!(vendor.requests().iter().all(|request| request.starts_with("GET ")));
}

#[tokio::test]
async fn an_id_outside_the_pattern_is_never_passed_on() {
    for id in ["../x", "a\r\nX: y"] {
        let vendor = StandIn::always(customer(id)).await;
        let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "visibility_lag = \"10m\"").await;
        let created = gateway.post("/v1/customers", json!({ "email": "awa@example.com" })).await;
        assert_eq!(created.status_and_code(), (502, "outcome_unknown"), "{}", created.text);
        assert_eq!(created.header("location"), "");

        let page = json!({ "code": 200, "items": [{ "id": "cus.awa" }, { "id": id }], "totals": 2 });
        let vendor = StandIn::always(json("200 OK", &page.to_string())).await;
        let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
        for path in
            ["/v1/customers", "/v1/customers?email=awa@example.com", "/v1/customers/lookup?phone=%2B221771234567"]
        {
            let listed = gateway.get(path).await;
            assert_eq!(listed.status_and_code(), (502, "provider_bad_response"), "{path}: {}", listed.text);
        }
    }
}

const LOOKUP: &str = "/v1/customers/lookup?email=twice@example.com";

#[tokio::test]
async fn a_look_up_and_a_distinct_create_that_several_customers_match_name_them() {
    for provider in ["modempay", "lomi", "notchpay"] {
        let gateway = Gateway::sandbox(provider).await;
        let twice = || json!({ "name": "Awa Diop", "email": "twice@example.com", "phone": "+221770001122" });
        let mut ids = Vec::new();
        for key in ["one", "two"] {
            let request = gateway.request(Method::POST, "/v1/customers").header("idempotency-key", key);
            let created = gateway.send(request.json_text(&twice())).await;
            assert_eq!(created.status, 201, "{}", created.text);
            ids.push(created.body["id"].clone());
        }
        ids.reverse();
        let looked_up = gateway.get(LOOKUP).await;
        let distinct = gateway.post("/v1/customers?distinct=true", twice()).await;
        for answer in [looked_up, distinct] {
            assert_eq!(answer.status_and_code(), (409, "lookup_ambiguous"), "{provider}: {}", answer.text);
            assert_eq!((&answer.body["ids"], &answer.body["outcome"]), (&json!(ids), &json!("none")), "{provider}");
        }
    }
}

/// The rule of a create that made no customer.
const ALREADY_HAD: &str = "the provider answered the customer it already had";

/// The outcome and the rule of the report's entry about the id.
fn entry_of_id(answer: &Answer) -> Option<(&str, &str)> {
    let entry = answer.body["fidelity"].as_array()?.iter().find(|entry| entry["field"] == "id")?;
    Some((entry["outcome"].as_str()?, entry["rule"].as_str()?))
}

async fn create(gateway: &Gateway, key: &str, name: &str, email: &str) -> Answer {
    let request = gateway.request(Method::POST, "/v1/customers").header("idempotency-key", key);
    gateway.send(request.json_text(&json!({ "name": name, "email": email }))).await
}

#[tokio::test]
async fn a_create_that_the_provider_answers_with_a_record_that_existed_is_not_a_creation() {
    let gateway = Gateway::sandbox("bitnob").await;
    let made = create(&gateway, "made", "Fatou Sow", "fatou.sow@example.com").await;
    assert_eq!((made.status.as_u16(), entry_of_id(&made)), (201, None), "{}", made.text);
    // The first customer is known by its time of creation, the second by having been answered before.
    for (key, name, email) in
        [("old", "Amadou Ba", "amadou.ba@example.com"), ("again", "fatou SOW", "fatou.sow@example.com")]
    {
        let existing = create(&gateway, key, name, email).await;
        assert_eq!(existing.status, 200, "{}", existing.text);
        assert_eq!(entry_of_id(&existing), Some(("derived", ALREADY_HAD)), "{}", existing.text);
        let other = create(&gateway, &format!("{key}-other"), "Awa Diop", email).await;
        assert_eq!(other.status_and_code(), (409, "vendor_record_shared"), "{}", other.text);
        assert_eq!((&other.body["provider"]["id"], &other.body["outcome"]), (&existing.body["id"], &json!("none")));
    }
}

#[tokio::test]
async fn one_id_that_is_answered_to_two_different_creates_is_shared() {
    let record = json!({ "code": 201, "status": "Created", "customer": { "id": "cus.awa", "name": "Awa Diop", "email": "awa@example.com" } });
    let vendor = StandIn::always(json("201 Created", &record.to_string())).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    assert_eq!(create(&gateway, "first", "Awa Diop", "awa@example.com").await.status, 201);
    let other = create(&gateway, "other", "Fatou Sow", "fatou@example.com").await;
    assert_eq!(other.status_and_code(), (409, "vendor_record_shared"), "{}", other.text);
    assert_eq!(other.body["provider"]["id"], "cus.awa");
    let same = create(&gateway, "same", "Awa Diop", "awa@example.com").await;
    assert_eq!((same.status.as_u16(), entry_of_id(&same)), (200, Some(("derived", ALREADY_HAD))), "{}", same.text);
}
