//! Whose record an answer is: answers about another customer, ids that the provider cannot have, and records that are
//! answered to two creates.

use http::Method;
use serde_json::json;

use crate::{
    stand_in::{Act, StandIn, json},
    support::{Gateway, JsonText},
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
