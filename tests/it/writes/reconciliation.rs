//! Creates with an unknown outcome.

use http::Method;
use jiff::Timestamp;
use passerelle::twin::{faults::Named, log};
use passerelle_providers::model::Operation;
use serde_json::{Value, json};

use super::helpers::{CUSTOMERS, before_a_twin, create, effects, fails, planned, settled};
use crate::support::JsonText;

#[tokio::test]
async fn an_unknown_create_is_found_and_the_key_gets_its_answer() {
    for provider in ["lomi", "modempay", "notchpay", "bitnob"] {
        let faults = "error_after = 1.0\nonly = [\"create\"]";
        let (gateway, folder) = before_a_twin(provider, faults, "visibility_lag = \"10ms\"").await;
        let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
        let first = create(&gateway, Some("k"), &awa).await;
        assert_eq!(first.told(), (502, "outcome_unknown"), "{provider}");
        let id = first.body["operation_id"].as_str().expect("an id").to_owned();
        let told = settled(&gateway, &id, "unknown").await;
        assert_eq!(told["outcome"], "done", "{provider}: {told}");
        let again = create(&gateway, Some("k"), &awa).await;
        assert_eq!((again.status.as_u16(), &again.body["id"]), (201, &told["customer"]), "{provider}");
        assert_eq!(effects(&folder), 1, "{provider}");
    }
}

/// What an imitated provider takes need not be what the gateway's own API does.
#[tokio::test]
async fn an_unknown_create_in_a_dialect_is_found_whatever_it_says() {
    let awa = [("name", "Awa Diop"), ("email", "awa@example.com")];
    for (provider, more) in [("modempay", ("phone", "ask her brother")), ("lomi", ("country", "Senegal"))] {
        let faults = "error_after = 1.0\nonly = [\"create\"]";
        let (gateway, _folder) = before_a_twin(provider, faults, "visibility_lag = \"10ms\"").await;
        let asked =
            gateway.request(Method::POST, &format!("/as/{provider}/v1/customers")).header("x-api-key", "sk_acme");
        let body: Value = awa.into_iter().chain([more]).collect();
        let answer = asked.json_text(&body).send().await.expect("an answer");
        let id = answer.headers()["x-operation-id"].to_str().expect("an id");
        assert_eq!(settled(&gateway, id, "unknown").await["outcome"], "done", "{provider}");
    }
}

/// The provider has matched somebody who was there, and its answer was lost: nobody was made who could be found.
#[tokio::test]
async fn an_unknown_distinct_create_is_whom_it_matches() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("modempay", faults, "visibility_lag = \"10ms\"").await;
    let ask = async || {
        let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
        let request = gateway.request(Method::POST, "/v1/customers?distinct=true").json_text(&body);
        gateway.send(request.header("idempotency-key", "k")).await
    };
    let first = ask().await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let told = settled(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(told["outcome"], "done", "{told}");
    let known = gateway.get(&format!("{CUSTOMERS}?email=amadou.ba@example.com")).await;
    let again = ask().await;
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &known.body["data"][0]["id"]), "{}", again.text);
    assert_eq!(effects(&folder), 0);
}

/// Who was made a moment ago by another create is not what came of this one, but whom it matches.
#[tokio::test]
async fn an_unknown_distinct_create_may_match_whom_another_create_made() {
    let faults = "error_after = 0.5\nonly = [\"create\"]";
    let faults = planned(faults, |plan| !fails(plan, 1) && fails(plan, 2));
    let (gateway, folder) = before_a_twin("modempay", &faults, "visibility_lag = \"10ms\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let made = create(&gateway, None, &awa).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let unknown = gateway.post("/v1/customers?distinct=true", awa).await;
    assert_eq!(unknown.told(), (502, "outcome_unknown"));
    let told = settled(&gateway, unknown.header("x-operation-id"), "unknown").await;
    assert_eq!((&told["outcome"], &told["customer"]), (&json!("done"), &made.body["id"]), "{told}");
    assert_eq!(effects(&folder), 1);
}

/// The provider has made a customer, and its answer is on its way, while it is looked for what came of another create
/// with the same content, of which nothing came.
#[tokio::test]
async fn who_comes_of_a_create_that_is_under_way_is_not_anothers() {
    let faults = "error_before = 0.3\ndelay = \"1ms..2s\"\nonly = [\"create\"]";
    let faults = planned(faults, |plan| {
        let delay = |create| plan.delay(create, Some(Operation::Create)).as_millis();
        !fails(plan, 1) && fails(plan, 2) && delay(1) > 1_500 && delay(2) < 100
    });
    let (gateway, folder) = before_a_twin("modempay", &faults, "visibility_lag = \"10ms\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        create(&gateway, Some("second"), &awa).await
    };
    let (first, second) = tokio::join!(create(&gateway, Some("first"), &awa), second);
    assert_eq!((first.status.as_u16(), second.told()), (201, (502, "outcome_unknown")));
    let told = settled(&gateway, second.header("x-operation-id"), "unknown").await;
    assert_eq!(effects(&folder), 1);
    assert_ne!(told["customer"], first.body["id"], "{told}");
}

#[tokio::test]
async fn a_create_that_did_not_happen_is_held_and_not_sent_again() {
    let faults = "error_before = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    let first = create(&gateway, Some("k"), &json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    let id = first.body["operation_id"].as_str().expect("an id").to_owned();
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let unknown = gateway.get("/v1/operations?outcome=unknown").await;
        assert_eq!(unknown.body["data"][0]["id"], id.as_str(), "an unknown outcome is listed until it is known");
        if unknown.body["data"][0]["held"] == true {
            break;
        }
        assert!(Timestamp::now() < ends, "{}", unknown.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(effects(&folder), 0);
    let requests = log::read(&folder.path().join("log")).expect("a log");
    let creates =
        log::requests(&requests).filter(|request| request.operation == Some(Named(Operation::Create))).count();
    assert_eq!(creates, 1, "never sent again blindly");
}

#[tokio::test]
async fn an_operator_may_choose_to_send_again() {
    let faults = "seed = 3\nerror_before = 0.5\nonly = [\"create\"]";
    let more = "visibility_lag = \"1ms\"\non_ambiguous = \"resend_after_lag\"";
    let (gateway, folder) = before_a_twin("lomi", faults, more).await;
    for number in 0..4 {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") });
        let first = create(&gateway, Some(&format!("k{number}")), &body).await;
        let id = first.header("x-operation-id").to_owned();
        assert_eq!(settled(&gateway, &id, "unknown").await["outcome"], "done", "{number}");
    }
    assert_eq!(effects(&folder), 4);
}

#[tokio::test]
async fn a_stranger_who_is_alike_is_never_taken_for_the_one() {
    let faults = "error_before = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    // Amadou has been there from the beginning, and looks as if he had just been made.
    let found = gateway.get(&format!("{CUSTOMERS}?email=amadou.ba@example.com")).await;
    let path = format!("{CUSTOMERS}/{}", found.body["data"][0]["id"].as_str().expect("an id"));
    assert_eq!(gateway.patch(&path, json!({ "metadata": { "segment": "retail" } })).await.status, 200);
    let alike = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    let first = create(&gateway, Some("k"), &alike).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let again = create(&gateway, Some("k"), &alike).await;
    assert_eq!(again.code(), "outcome_unknown", "nobody has the mark: {}", again.text);
    assert_eq!(effects(&folder), 1, "the update");
}
