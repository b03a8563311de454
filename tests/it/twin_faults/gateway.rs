//! What the gateway answers when the provider fails.

use passerelle::twin::{faults::Fault, log};
use passerelle_providers::model::Operation;
use serde_json::json;

use super::served::{EMAIL, ServedTwin, until};
use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, PROVIDERS},
};

/// The gateway reports the outcome of a write that met a fault as none or as unknown, and never wrongly.
#[tokio::test]
async fn a_write_that_meets_a_fault_is_answered_with_its_outcome() {
    let elsewhere = StandIn::always(json_answer("200 OK", "{}")).await;
    let each = async |provider: &'static str| {
        // PaymentKit has no create.
        let (operation, key) = match provider {
            "paymentkit" => (Operation::Update, "update"),
            _ => (Operation::Create, "create"),
        };
        for fault in Fault::ALL {
            let waits = matches!(fault, Fault::HangBefore | Fault::HangAfter | Fault::Drip);
            let plan = format!(
                "{fault} = 1\nonly = [\"{key}\"]\npace = \"1s\"\nretry_after = \"7s\"\nredirect_to = \"{}\"",
                elsewhere.url()
            );
            let twin = ServedTwin::start(provider, &plan);
            let gateway =
                Gateway::in_front_of(provider, &twin.url(), if waits { "timeout = \"500ms\"" } else { "" }).await;
            let answer = if operation == Operation::Create {
                let body = json!({ "name": "Awa Diop", "email": EMAIL, "phone": "+221771234568" });
                gateway.post("/v1/customers", body).await
            } else {
                let list = gateway.get("/v1/customers").await;
                let id = list.body["data"][0]["id"].as_str().expect("a customer").to_owned();
                gateway.patch(&format!("/v1/customers/{id}"), json!({ "name": "Awa Diop" })).await
            };
            let expected = match fault {
                // No answer, as opposed to a bad one.
                Fault::ResetBefore | Fault::ResetAfter => (504, "outcome_unknown"),
                _ if waits => (504, "outcome_unknown"),
                Fault::RateLimited => (429, "provider_rate_limited"),
                _ => (502, "outcome_unknown"),
            };
            assert_eq!(answer.status_and_code(), expected, "{provider}, {fault}: {}", answer.text);
            if fault == Fault::RateLimited {
                assert_eq!(answer.header("retry-after"), "7", "{provider}");
                assert_eq!(answer.body["outcome"], "none");
            } else {
                assert_eq!(answer.body["outcome"], "unknown", "{provider}, {fault}");
            }
            let expected = (vec![Some(fault)], usize::from(fault.has_effect()));
            until(|| twin.faults_and_effects(operation) == expected).await;
        }
    };
    // All providers at the same time, because most of the time is spent waiting for time-outs.
    futures_util::future::join_all(PROVIDERS.map(each)).await;
    assert!(elsewhere.requests().is_empty(), "no redirect is followed");
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let twin = ServedTwin::start("lomi", "drip = 1\npace = \"1ms\"");
    let gateway = Gateway::in_front_of("lomi", &twin.url(), "").await;
    let created = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": EMAIL })).await;
    assert_eq!(created.status, 201, "{}", created.text);
}

/// Many concurrent creates meet all faults. Every answer is a documented one, and agrees with the log of the twin.
#[tokio::test]
async fn answers_agree_with_the_log_under_all_faults_at_once() {
    let faults: Vec<String> = Fault::ALL.iter().map(|fault| format!("{fault} = 0.07")).collect();
    let plan = format!("seed = 5\nonly = [\"create\"]\n{}", faults.join("\n"));
    let twin = ServedTwin::start("notchpay", &plan);
    let gateway = Gateway::in_front_of("notchpay", &twin.url(), "timeout = \"2s\"").await;
    let one = async |number: usize| {
        let email = format!("person{number}@example.com");
        let answer = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": email })).await;
        (log::email_hash(&email), answer)
    };
    let answers = futures_util::future::join_all((0..60).map(one)).await;
    let entries = twin.entries();
    for (person, answer) in answers {
        let done = log::effects(&entries).filter(|effect| effect.email_hash.as_ref() == Some(&person)).count();
        match answer.status_and_code() {
            (201, _) => assert_eq!(done, 1, "{}", answer.text),
            (429, "provider_rate_limited") => assert_eq!(done, 0, "{}", answer.text),
            (502 | 504, "outcome_unknown") => assert!(done <= 1, "{}", answer.text),
            _ => panic!("not a documented answer: {}", answer.text),
        }
    }
    let mut bodies: Vec<_> = log::requests(&entries).filter_map(|request| request.body_hash.as_deref()).collect();
    let sent = bodies.len();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(sent, bodies.len(), "no request is sent twice");
}
