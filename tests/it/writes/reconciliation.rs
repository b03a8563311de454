//! Creates with an unknown outcome: the gateway searches the provider for the customer, and never matches a customer
//! that the create may not have made.

use http::Method;
use jiff::Timestamp;
use passerelle::twin::{faults::OperationName, log};
use passerelle_providers::model::Operation;
use serde_json::{Value, json};

use super::helpers::{
    CUSTOMERS, count_effects, create, create_fails, gateway_and_twin, wait_for_outcome, with_fitting_seed,
};
use crate::support::JsonText;

#[tokio::test]
async fn a_key_gets_its_answer_once_its_create_is_reconciled() {
    for provider in ["lomi", "modempay", "notchpay", "bitnob"] {
        let faults = "error_after = 1.0\nonly = [\"create\"]";
        let (gateway, folder) = gateway_and_twin(provider, faults, "visibility_lag = \"10ms\"").await;
        let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
        let first = create(&gateway, Some("k"), &awa).await;
        assert_eq!(first.status_and_code(), (502, "outcome_unknown"), "{provider}");
        let id = first.body["operation_id"].as_str().expect("an id").to_owned();
        let operation = wait_for_outcome(&gateway, &id, "unknown").await;
        assert_eq!(operation["outcome"], "done", "{provider}: {operation}");
        let again = create(&gateway, Some("k"), &awa).await;
        assert_eq!((again.status.as_u16(), &again.body["id"]), (201, &operation["customer"]), "{provider}");
        assert_eq!(count_effects(&folder), 1, "{provider}");
    }
}

/// A dialect accepts values that the gateway's own API refuses. The create is reconciled all the same.
#[tokio::test]
async fn an_unknown_create_in_a_dialect_is_reconciled() {
    let awa = [("name", "Awa Diop"), ("email", "awa@example.com")];
    for (provider, more) in [("modempay", ("phone", "ask her brother")), ("lomi", ("country", "Senegal"))] {
        let faults = "error_after = 1.0\nonly = [\"create\"]";
        let (gateway, _folder) = gateway_and_twin(provider, faults, "visibility_lag = \"10ms\"").await;
        let request =
            gateway.request(Method::POST, &format!("/as/{provider}/v1/customers")).header("x-api-key", "sk_acme");
        let body: Value = awa.into_iter().chain([more]).collect();
        let answer = request.json_text(&body).send().await.expect("an answer");
        let id = answer.headers()["x-operation-id"].to_str().expect("an id");
        assert_eq!(wait_for_outcome(&gateway, id, "unknown").await["outcome"], "done", "{provider}");
    }
}

/// The list with which a distinct create looks for its customer fails, also the two times that the gateway sends it again.
/// So the provider decides. Its answer is lost: the create fails too.
fn list_and_create_fail(first: u64) -> String {
    let faults = "error_after = 0.5\nonly = [\"create\", \"list\"]";
    let failing = first..first + 4;
    with_fitting_seed(faults, |plan| (1..10).all(|request| create_fails(plan, request) == failing.contains(&request)))
}

/// The provider matched an existing customer, and its answer was lost. It created no customer that the gateway could
/// find.
#[tokio::test]
async fn an_unknown_distinct_create_is_reconciled_to_the_existing_customer() {
    let (gateway, folder) = gateway_and_twin("modempay", &list_and_create_fail(1), "visibility_lag = \"10ms\"").await;
    let send = async || {
        let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
        let request = gateway.request(Method::POST, "/v1/customers?distinct=true").json_text(&body);
        gateway.send(request.header("idempotency-key", "k")).await
    };
    let first = send().await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let operation = wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    let known = gateway.get(&format!("{CUSTOMERS}?email=amadou.ba@example.com")).await;
    let again = send().await;
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &known.body["data"][0]["id"]), "{}", again.text);
    assert_eq!(count_effects(&folder), 0);
}

/// Another create made the customer a moment ago. The distinct create did not make it, but matches it.
#[tokio::test]
async fn an_unknown_distinct_create_may_match_the_customer_of_another_create() {
    let (gateway, folder) = gateway_and_twin("modempay", &list_and_create_fail(2), "visibility_lag = \"10ms\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let created = create(&gateway, None, &awa).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let unknown = gateway.post("/v1/customers?distinct=true", awa).await;
    assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"));
    let operation = wait_for_outcome(&gateway, unknown.header("x-operation-id"), "unknown").await;
    assert_eq!((&operation["outcome"], &operation["customer"]), (&json!("done"), &created.body["id"]), "{operation}");
    assert_eq!(count_effects(&folder), 1);
}

/// The provider executed the first create, and its answer is delayed. Meanwhile the gateway reconciles a second create
/// with the same content, which the provider did not execute.
#[tokio::test]
async fn the_customer_of_a_create_in_flight_is_never_matched_to_another_create() {
    let faults = "error_before = 0.3\ndelay = \"1ms..2s\"\nonly = [\"create\"]";
    let faults = with_fitting_seed(faults, |plan| {
        let delay = |create| plan.delay(create, Some(Operation::Create)).as_millis();
        !create_fails(plan, 1) && create_fails(plan, 2) && delay(1) > 1_500 && delay(2) < 100
    });
    let (gateway, folder) = gateway_and_twin("modempay", &faults, "visibility_lag = \"10ms\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        create(&gateway, Some("second"), &awa).await
    };
    let (first, second) = tokio::join!(create(&gateway, Some("first"), &awa), second);
    assert_eq!((first.status.as_u16(), second.status_and_code()), (201, (502, "outcome_unknown")));
    let operation = wait_for_outcome(&gateway, second.header("x-operation-id"), "unknown").await;
    assert_eq!(count_effects(&folder), 1);
    assert_ne!(operation["customer"], first.body["id"], "{operation}");
}

#[tokio::test]
async fn a_create_without_effect_is_held_and_not_sent_again() {
    let faults = "error_before = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = gateway_and_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    let first = create(&gateway, Some("k"), &json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    let id = first.body["operation_id"].as_str().expect("an id").to_owned();
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let unknown = gateway.get("/v1/operations?outcome=unknown").await;
        assert_eq!(
            unknown.body["data"][0]["id"],
            id.as_str(),
            "an operation is listed as unknown until its outcome is known"
        );
        if unknown.body["data"][0]["held"] == true {
            break;
        }
        assert!(Timestamp::now() < ends, "{}", unknown.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(count_effects(&folder), 0);
    let requests = log::read(&folder.path().join("log")).expect("a log");
    let creates =
        log::requests(&requests).filter(|request| request.operation == Some(OperationName(Operation::Create))).count();
    assert_eq!(creates, 1, "the create is not sent again");
}

#[tokio::test]
async fn the_operator_may_let_the_gateway_send_a_create_again() {
    let faults = "seed = 3\nerror_before = 0.5\nonly = [\"create\"]";
    let connection = "visibility_lag = \"1ms\"\non_ambiguous = \"resend_after_lag\"";
    let (gateway, folder) = gateway_and_twin("notchpay", faults, connection).await;
    for number in 0..4 {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") });
        let first = create(&gateway, Some(&format!("k{number}")), &body).await;
        let id = first.header("x-operation-id").to_owned();
        assert_eq!(wait_for_outcome(&gateway, &id, "unknown").await["outcome"], "done", "{number}");
    }
    assert_eq!(count_effects(&folder), 4);
}

#[tokio::test]
async fn a_customer_without_the_marker_is_never_matched() {
    let faults = "error_before = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = gateway_and_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    // Amadou is a sample customer. The update makes him look like a customer that was created just now.
    let found = gateway.get(&format!("{CUSTOMERS}?email=amadou.ba@example.com")).await;
    let path = format!("{CUSTOMERS}/{}", found.body["data"][0]["id"].as_str().expect("an id"));
    assert_eq!(gateway.patch(&path, json!({ "metadata": { "segment": "retail" } })).await.status, 200);
    let same_content = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    let first = create(&gateway, Some("k"), &same_content).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let again = create(&gateway, Some("k"), &same_content).await;
    assert_eq!(again.code(), "outcome_unknown", "no customer has the marker: {}", again.text);
    assert_eq!(count_effects(&folder), 1, "only the update");
}
