//! Clients without idempotency keys that repeat a request that failed, as the vendors' own SDKs do.

use std::time::Duration;

use libtest_mimic::Trial;
use passerelle::{
    store::State,
    twin::{
        faults::{Fault, FaultPlan},
        log::email_hash,
    },
};
use passerelle_providers::model::Operation;
use reqwest::Method;

use crate::{
    bed::{Gateway, Setup, Twin, assert_agree, count, sized},
    client::{Client, email, person},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_sdk_that_retries_creates_no_second_customer", || retry_after_error(false)),
        trial("an_sdk_that_sends_its_retries_at_once_creates_no_second_customer", || retry_after_error(true)),
        trial("an_sdk_that_retries_after_reconciliation_creates_no_second_customer", retry_after_reconciliation),
    ]
}

/// When Modem Pay's SDK sends its create and the three retries, in milliseconds.
const SEND_TIMES: [u64; 4] = [0, 2_100, 6_200, 14_200];

/// A plan with one fault: the vendor executes the first create and answers 500.
fn first_fails() -> String {
    let text = |seed: u64| format!("seed = {seed}\nerror_after = 0.05\nonly = [\"create\"]");
    let fits = |seed: &u64| {
        let plan = FaultPlan::read(&text(*seed), "faults.toml").expect("a plan");
        let fault = |number| plan.fault(number, Some(Operation::Create));
        fault(1) == Some(Fault::ErrorAfter) && (2..40).all(|number| fault(number).is_none())
    };
    text((0..100_000).find(fits).expect("a seed"))
}

/// The client sends four identical creates. The vendor executes the first one and answers 500: there is one effect.
/// Later the client sends two identical creates that both succeed: there are two effects.
async fn retry_after_error(at_once: bool) {
    let twin = Twin::start("modempay", &format!("{}\nsearch_lag = \"50ms\"", first_fails()));
    let gateway = Gateway::start_for(&twin, &Setup::of("visibility_lag = \"100ms\""));
    let client = Client::of(&gateway);
    let scale = sized(10, 1);
    let path = "/as/modempay/v1/customers";
    let post = |number: usize| {
        let client = client.clone();
        async move { client.send(Method::POST, path, None, Some(&person(number))).await.expect("an answer") }
    };
    let begun = tokio::time::Instant::now();
    let mut last = None;
    for at in SEND_TIMES {
        if !at_once {
            tokio::time::sleep_until(begun + Duration::from_millis(at / scale)).await;
        }
        let answer = post(1).await;
        if answer.status < 300 {
            last = Some(answer);
            break;
        }
        assert!(answer.status >= 500, "{} {}", answer.status, answer.body);
        assert_eq!(answer.header("passerelle-outcome"), "unknown");
    }
    // The client may have given up before the vendor shows the new customer. The gateway continues to reconcile.
    crate::bed::until("the create is reconciled", async || {
        let operations = client.get("/v1/operations").await?.json();
        operations["data"].as_array().filter(|listed| listed.iter().all(|one| one["outcome"] == "done")).map(|_| ())
    })
    .await;
    let effects = |number| twin.created().get(&email_hash(&email(number))).map_or(0, Vec::len);
    assert_eq!(effects(1), 1, "one effect");
    assert!(last.is_some() || at_once, "a client that waited gets a success");
    for _ in 0..2 {
        assert!(post(2).await.status < 300);
    }
    assert_eq!(effects(2), 2, "two creates that both succeed have two effects");
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!((records.len(), count(&records, State::Done)), (3, 3));
    eprintln!("keyless: one effect for four retries, two for two separate creates");
}

/// The gateway has reconciled a create before its client retries. The client has not received the outcome: it got
/// `outcome_unknown`, or it had disconnected.
async fn retry_after_reconciliation() {
    for has_disconnected in [false, true] {
        let faults = if has_disconnected { "delay = \"300ms\"\nonly = [\"create\"]".to_owned() } else { first_fails() };
        let twin = Twin::start("modempay", &faults);
        let gateway = Gateway::start_for(&twin, &Setup::of("visibility_lag = \"20ms\""));
        let client = Client::of(&gateway);
        let effects = || twin.created().get(&email_hash(&email(1))).map_or(0, Vec::len);
        let awa = person(1);
        let first = client.create(None, &awa);
        if has_disconnected {
            let patience = Duration::from_millis(100);
            assert!(tokio::time::timeout(patience, first).await.is_err(), "the client disconnects before the answer");
        } else {
            assert_eq!(first.await.expect("an answer").code(), "outcome_unknown");
        }
        crate::bed::until("the outcome is known", async || gateway.has_write_in(State::Done).await.then_some(())).await;
        let again = client.create(None, &person(1)).await.expect("an answer");
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{}", again.body);
        assert_eq!(effects(), 1, "one effect");
        let next = client.create(None, &person(1)).await.expect("an answer");
        assert_eq!((next.status, effects()), (201, 2), "a create whose answer was delivered is not joined");
    }
}
