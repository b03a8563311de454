//! What the gateway answers when the provider fails.

use passerelle::twin::{faults::Fault, log};
use passerelle_providers::model::Operation;
use serde_json::json;

use super::served::{EMAIL, Served, until};
use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, PROVIDERS},
};

/// What a merchant is told when the provider fails at a write: the truth, or that it is not known.
#[tokio::test]
async fn the_gateway_tells_what_a_fault_may_have_done() {
    let elsewhere = StandIn::always(json_answer("200 OK", "{}")).await;
    let each = async |provider: &'static str| {
        // One has no create.
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
            let twin = Served::start(provider, &plan);
            let gateway = Gateway::before(provider, &twin.url(), if waits { "timeout = \"500ms\"" } else { "" }).await;
            let answer = if operation == Operation::Create {
                let body = json!({ "name": "Awa Diop", "email": EMAIL, "phone": "+221771234568" });
                gateway.post("/v1/customers", body).await
            } else {
                let list = gateway.get("/v1/customers").await;
                let id = list.body["data"][0]["id"].as_str().expect("a customer").to_owned();
                gateway.patch(&format!("/v1/customers/{id}"), json!({ "name": "Awa Diop" })).await
            };
            let told = match fault {
                // No answer, as opposed to a bad one.
                Fault::ResetBefore | Fault::ResetAfter => (504, "outcome_unknown"),
                _ if waits => (504, "outcome_unknown"),
                Fault::RateLimited => (429, "provider_rate_limited"),
                _ => (502, "outcome_unknown"),
            };
            assert_eq!(answer.told(), told, "{provider}, {fault}: {}", answer.text);
            if fault == Fault::RateLimited {
                assert_eq!(answer.header("retry-after"), "7", "{provider}");
                assert_eq!(answer.body["outcome"], "none");
            } else {
                assert_eq!(answer.body["outcome"], "unknown", "{provider}, {fault}");
            }
            let done = (vec![Some(fault)], usize::from(fault.has_effect()));
            until(|| twin.played(operation) == done).await;
        }
    };
    // At once, because most of the time is waiting for time-outs.
    futures_util::future::join_all(PROVIDERS.map(each)).await;
    assert!(elsewhere.asked().is_empty(), "no redirect is followed");
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let twin = Served::start("lomi", "drip = 1\npace = \"1ms\"");
    let gateway = Gateway::before("lomi", &twin.url(), "").await;
    let created = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": EMAIL })).await;
    assert_eq!(created.status, 201, "{}", created.text);
}

/// A mixture of everything, with many at once: no answer but the documented ones, and the log agrees with them.
#[tokio::test]
async fn a_storm_of_faults_is_told_truly() {
    let sorts: Vec<String> = Fault::ALL.iter().map(|fault| format!("{fault} = 0.07")).collect();
    let plan = format!("seed = 5\nonly = [\"create\"]\n{}", sorts.join("\n"));
    let twin = Served::start("notchpay", &plan);
    let gateway = Gateway::before("notchpay", &twin.url(), "timeout = \"2s\"").await;
    let one = async |number: usize| {
        let email = format!("person{number}@example.com");
        let answer = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": email })).await;
        (log::email_hash(&email), answer)
    };
    let answers = futures_util::future::join_all((0..60).map(one)).await;
    let entries = twin.entries();
    for (person, answer) in answers {
        let done = log::effects(&entries).filter(|effect| effect.email_hash.as_ref() == Some(&person)).count();
        match answer.told() {
            (201, _) => assert_eq!(done, 1, "{}", answer.text),
            (429, "provider_rate_limited") => assert_eq!(done, 0, "{}", answer.text),
            (502 | 504, "outcome_unknown") => assert!(done <= 1, "{}", answer.text),
            _ => panic!("not documented: {}", answer.text),
        }
    }
    let mut bodies: Vec<_> = log::requests(&entries).filter_map(|request| request.body_hash.as_deref()).collect();
    let sent = bodies.len();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(sent, bodies.len(), "nothing is sent twice");
}
