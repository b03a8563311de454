//! Updates and deletions with an unknown outcome: the gateway repeats them, because that is safe.

use http::Method;
use passerelle::twin::faults::FaultPlan;
use passerelle_providers::model::Operation;
use serde_json::json;

use super::helpers::{CUSTOMERS, count_effects, create, gateway_and_twin, wait_for_outcome, with_fitting_seed};
use crate::{
    stand_in::{Act, StandIn, json as json_answer},
    support::{Gateway, JsonText},
};

#[tokio::test]
async fn an_update_is_repeated_until_its_outcome_is_known() {
    let faults = "seed = 1\nerror_before = 0.4\nerror_after = 0.3\nonly = [\"update\"]";
    let (gateway, folder) = gateway_and_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    let awa = create(&gateway, None, &json!({ "name": "Awa Diop" })).await;
    let path = format!("{CUSTOMERS}/{}", awa.body["id"].as_str().expect("an id"));
    for name in ["Awa Ba", "Awa Sow", "Awa Fall", "Awa Ndiaye"] {
        let request = gateway.request(Method::PATCH, &path).json_text(&json!({ "name": name }));
        let answer = gateway.send(request).await;
        assert_eq!(
            wait_for_outcome(&gateway, answer.header("x-operation-id"), "unknown").await["outcome"],
            "done",
            "{name}"
        );
        assert_eq!(gateway.get(&path).await.body["name"], name);
    }
    assert!(count_effects(&folder) >= 5);
}

/// The provider executes the first deletion late: after the gateway has read the customer during reconciliation.
#[tokio::test]
async fn a_repeated_deletion_that_finds_no_customer_is_done() {
    let answer = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
        Act::Send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into())
    };
    let found = || answer("200 OK", r#"{"code":200,"status":"OK","customer":{"id":"cus.abc","name":"Awa"}}"#);
    let acts = vec![
        found(),
        answer("500 Internal Server Error", "{}"),
        found(),
        answer("404 Not Found", r#"{"code":404,"status":"Not Found","message":"Customer not found"}"#),
    ];
    let vendor = StandIn::start(acts).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "visibility_lag = \"10ms\"").await;
    let delete = || gateway.request(Method::DELETE, &format!("{CUSTOMERS}/cus.abc")).header("idempotency-key", "k");
    let first = gateway.send(delete()).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let operation = wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    let again = gateway.send(delete()).await;
    assert_eq!((again.status.as_u16(), &again.body["deleted"]), (200, &json!(true)), "{}", again.text);
    assert_eq!(vendor.requests().len(), 4);
}

/// Modem Pay answers 404 where there is no customer to delete. A replay of the first deletion is still answered 200.
#[tokio::test]
async fn a_deletion_in_another_dialect_is_replayed() {
    let (gateway, folder) = gateway_and_twin("lomi", "delay = \"200ms\"\nonly = [\"delete\"]", "").await;
    let awa = create(&gateway, None, &json!({ "name": "Awa Diop" })).await;
    let path = format!("/as/modempay/v1/customers/{}", awa.body["id"].as_str().expect("an id"));
    let delete = async |key: Option<&str>| {
        let request = gateway.request(Method::DELETE, &path);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let first = delete(Some("k")).await;
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(delete(Some("k")).await, first);
    assert_eq!(delete(None).await.0, 404, "a new deletion");
    assert_eq!(count_effects(&folder), 2);
}

/// Notch Pay stores one name. It shows the first update late, and the gateway sends it again.
#[tokio::test]
async fn an_update_of_a_name_part_that_is_sent_again_adds_no_word() {
    for (before, patch, after) in [
        ("Awa", json!({ "first_name": "Awa Ndiaye" }), "Awa Ndiaye"),
        ("Fall", json!({ "first_name": "Awa Ndiaye" }), "Awa Ndiaye"),
        ("Awa Sow", json!({ "last_name": "Ndiaye Fall" }), "Awa Ndiaye Fall"),
        ("", json!({ "last_name": "Ndiaye Fall" }), "Ndiaye Fall"),
    ] {
        // The read before the update, the update, the late read of reconciliation, the read before the second update.
        let acts = vec![named(before), failed(), named(before), named(after), named(after)];
        let vendor = StandIn::start(acts).await;
        let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "visibility_lag = \"10ms\"").await;
        let first = gateway.patch(&format!("{CUSTOMERS}/cus.abc"), patch).await;
        assert_eq!(first.status_and_code(), (502, "outcome_unknown"), "{before}: {}", first.text);
        let operation = wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
        assert_eq!(operation["outcome"], "done", "{before}: {operation}");
        let requests = vendor.requests();
        let written: Vec<_> = requests.iter().filter(|request| !request.starts_with("GET ")).collect();
        assert_eq!(written.len(), 2, "{before}: sent again");
        let sent = json!({ "name": after }).to_string();
        assert!(written.iter().all(|request| request.ends_with(&sent)), "{before}: {written:?}");
    }
}

/// A second removal would remove another word, and the name does not show the first one.
#[tokio::test]
async fn the_removal_of_a_name_part_is_never_sent_again() {
    for (patch, after) in [(json!({ "last_name": null }), "Awa Ndiaye"), (json!({ "first_name": null }), "Fall")] {
        let vendor = StandIn::start(vec![named("Awa Ndiaye Fall"), failed(), named(after)]).await;
        let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "visibility_lag = \"10ms\"").await;
        let first = gateway.patch(&format!("{CUSTOMERS}/cus.abc"), patch).await;
        assert_eq!(first.status_and_code(), (502, "outcome_unknown"), "{after}: {}", first.text);
        let operation = wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
        assert_eq!((&operation["outcome"], &operation["held"]), (&json!("unknown"), &json!(true)), "{operation}");
        let written = vendor.requests().iter().filter(|request| !request.starts_with("GET ")).count();
        assert_eq!(written, 1, "{after}");
    }
    // A name of one word shows that the removal happened.
    let vendor = StandIn::start(vec![named("Awa Fall"), failed(), named("Awa")]).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "visibility_lag = \"10ms\"").await;
    let first = gateway.patch(&format!("{CUSTOMERS}/cus.abc"), json!({ "last_name": null })).await;
    let operation = wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
}

/// PaymentKit accepts a customer's DID in place of its id, and answers with the id.
#[tokio::test]
async fn an_older_update_by_did_does_not_undo_a_newer_one() {
    let only_the_second_update_fails = |plan: &FaultPlan| {
        let create_fails = |number| plan.fault(number, Some(Operation::Update)).is_some();
        create_fails(2) && (3..22).all(|later| !create_fails(later))
    };
    let faults = with_fitting_seed("error_before = 0.3\nonly = [\"update\"]", only_the_second_update_fails);
    let (gateway, _folder) = gateway_and_twin("paymentkit", &faults, "visibility_lag = \"500ms\"").await;
    let customers = gateway.get(&format!("{CUSTOMERS}?limit=1")).await;
    let path = format!("{CUSTOMERS}/{}", customers.body["data"][0]["did"].as_str().expect("a DID"));
    let first = gateway.patch(&path, json!({ "name": "Old Name" })).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    assert_eq!(gateway.patch(&path, json!({ "name": "New Name" })).await.status, 200);
    wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(gateway.get(&path).await.body["name"], "New Name", "the newer name stays");
}

/// The customer of Notch Pay with this name.
fn named(name: &str) -> Act {
    let customer = json!({ "id": "cus.abc", "name": name, "email": "awa@example.com" });
    json_answer("200 OK", &json!({ "code": 200, "status": "OK", "customer": customer }).to_string())
}

fn failed() -> Act {
    json_answer("500 Internal Server Error", "{}")
}
