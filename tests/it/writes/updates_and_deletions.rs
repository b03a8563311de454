//! Updates and deletions with an unknown outcome: the gateway repeats them, because that is safe.

use http::Method;
use jiff::Timestamp;
use passerelle::twin::faults::FaultPlan;
use passerelle_providers::model::Operation;
use serde_json::json;

use super::helpers::{CUSTOMERS, before_a_twin, create, effects, planned, settled};
use crate::{
    stand_in::{Act, StandIn},
    support::{Gateway, JsonText},
};

#[tokio::test]
async fn what_can_be_repeated_is_repeated_until_it_is_known() {
    let faults = "seed = 1\nerror_before = 0.4\nerror_after = 0.3\nonly = [\"update\"]";
    let (gateway, folder) = before_a_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    let awa = create(&gateway, None, &json!({ "name": "Awa Diop" })).await;
    let path = format!("{CUSTOMERS}/{}", awa.body["id"].as_str().expect("an id"));
    for name in ["Awa Ba", "Awa Sow", "Awa Fall", "Awa Ndiaye"] {
        let request = gateway.request(Method::PATCH, &path).json_text(&json!({ "name": name }));
        let answer = gateway.send(request).await;
        assert_eq!(settled(&gateway, answer.header("x-operation-id"), "unknown").await["outcome"], "done", "{name}");
        assert_eq!(gateway.get(&path).await.body["name"], name);
    }
    assert!(effects(&folder) >= 5);
}

/// The provider carries out the first deletion only after it was asked what came of it.
#[tokio::test]
async fn a_deletion_that_finds_nobody_any_more_has_happened() {
    let answer = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
        Act::Send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into())
    };
    let acts = vec![
        answer("500 Internal Server Error", "{}"),
        answer("200 OK", r#"{"code":200,"status":"OK","customer":{"id":"cus.abc","name":"Awa"}}"#),
        answer("404 Not Found", r#"{"code":404,"status":"Not Found","message":"Customer not found"}"#),
    ];
    let vendor = StandIn::start(acts).await;
    let gateway = Gateway::before("notchpay", &vendor.url(), "visibility_lag = \"10ms\"").await;
    let delete = || gateway.request(Method::DELETE, &format!("{CUSTOMERS}/cus.abc")).header("idempotency-key", "k");
    let first = gateway.send(delete()).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let told = settled(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(told["outcome"], "done", "{told}");
    let again = gateway.send(delete()).await;
    assert_eq!((again.status.as_u16(), &again.body["deleted"]), (200, &json!(true)), "{}", again.text);
    assert_eq!(vendor.asked().len(), 3);
}

/// Whether there is anybody to be deleted is asked once a deletion: the same one is answered the same.
#[tokio::test]
async fn a_deletion_in_another_dialect_is_answered_again() {
    let (gateway, folder) = before_a_twin("lomi", "delay = \"200ms\"\nonly = [\"delete\"]", "").await;
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
    assert_eq!(delete(None).await.0, 404, "another deletion");
    assert_eq!(effects(&folder), 2);
}

/// PaymentKit's customers are known by their DIDs, which are not the ids that its answers tell.
#[tokio::test]
async fn an_older_update_by_another_name_does_not_undo_a_newer_one() {
    let only_the_second_update_fails = |plan: &FaultPlan| {
        let fails = |number| plan.fault(number, Some(Operation::Update)).is_some();
        fails(2) && (3..22).all(|later| !fails(later))
    };
    let faults = planned("error_before = 0.3\nonly = [\"update\"]", only_the_second_update_fails);
    let (gateway, _folder) = before_a_twin("paymentkit", &faults, "visibility_lag = \"500ms\"").await;
    let someone = gateway.get(&format!("{CUSTOMERS}?limit=1")).await;
    let path = format!("{CUSTOMERS}/{}", someone.body["data"][0]["did"].as_str().expect("a DID"));
    let first = gateway.patch(&path, json!({ "name": "Old Name" })).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    assert_eq!(gateway.patch(&path, json!({ "name": "New Name" })).await.status, 200);
    let operation = format!("/v1/operations/{}", first.header("x-operation-id"));
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let told = gateway.get(&operation).await.body;
        if told["held"] == true || told["outcome"] != "unknown" {
            break;
        }
        assert!(Timestamp::now() < ends, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.get(&path).await.body["name"], "New Name", "the newer name stays");
}
