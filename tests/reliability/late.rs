//! Vendors that show a new customer late, and writes that are overtaken or stopped: the gateway must not decide too
//! early, and must not send too late.

use std::time::Duration;

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    bed::{Gateway, Setup, Twin, assert_agree, count, sized, until},
    client::{Client, Outcome, email, person},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_early_retry_does_not_send_the_create_again", || early_retries("resend_after_lag")),
        trial("an_early_retry_does_not_end_the_reconciliation", || early_retries("hold")),
        trial("a_resend_that_is_refused_keeps_the_operation", refused_resend),
        trial("an_older_update_does_not_undo_a_newer_one", overtaken),
        trial("a_process_that_was_stopped_does_not_send_a_write_again", stopped),
    ]
}

/// The client retries many times while the vendor does not show the new customer yet. The gateway decides nothing
/// before the visibility lag has passed (I1).
async fn early_retries(policy: &str) {
    let twin = Twin::start("notchpay", "error_after = 1.0\nonly = [\"create\"]\nsearch_lag = \"800ms\"");
    let setup = Setup::of(&format!("visibility_lag = \"1s\"\non_ambiguous = \"{policy}\""));
    let gateway = Gateway::start_for(&twin, &setup);
    let client = Client::of(&gateway);
    let mut retries = 0;
    let answer = until("the create is reconciled", async || {
        retries += 1;
        let answer = client.create(Some("key"), &person(1)).await?;
        (answer.status == 201).then_some(answer)
    })
    .await;
    assert_eq!(twin.creates().len(), 1, "sent once");
    let created = twin.created();
    assert_eq!(created[&email_hash(&email(1))][0].customer, answer.json()["id"]);
    assert!(retries > 5, "only {retries} retries: too few to test anything");
    let records = gateway.records().await;
    assert_agree(&twin, &records);
}

/// The gateway sends a create without effect again, and the vendor refuses it with a 429. The operation that was
/// reported as unknown must not disappear (I3).
async fn refused_resend() {
    // The first attempt has no effect. The vendor answers most later attempts with 429.
    let text = |seed: u64| {
        format!("seed = {seed}\nerror_before = 0.2\nrate_limited = 0.7\nonly = [\"create\"]\nretry_after = \"1s\"")
    };
    let fits = |seed: &u64| {
        use passerelle::twin::faults::{Fault, FaultPlan};
        use passerelle_providers::model::Operation::Create;
        let plan = FaultPlan::read(&text(*seed), "faults.toml").expect("a plan");
        let fault = |number| plan.fault(number, Some(Create));
        fault(1) == Some(Fault::ErrorBefore) && (4..8).all(|number| fault(number) == Some(Fault::RateLimited))
    };
    let twin = Twin::start("notchpay", &text((0..100_000).find(fits).expect("a seed")));
    let gateway =
        Gateway::start_for(&twin, &Setup::of("visibility_lag = \"20ms\"\non_ambiguous = \"resend_after_lag\""));
    let client = Client::of(&gateway);
    let answer = client.create(Some("key"), &person(1)).await.expect("an answer");
    let id = answer.operation().expect("an id");
    until("the create is sent again", async || (twin.creates().len() > 1).then_some(())).await;
    for _ in 0..20 {
        // Fails if the gateway no longer has the operation.
        client.operation(id).await.expect("an answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Outcome::Done(answer) = client.create_until_known("key", &person(1)).await else {
        panic!("the gateway sends it until it is done")
    };
    assert_eq!(answer.operation(), Some(id), "the same write");
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!(twin.created()[&email_hash(&email(1))].len(), 1);
}

/// An update with an unknown outcome is not sent again after a newer update of the same customer.
async fn overtaken() {
    let twin = Twin::start("lomi", "");
    // The first update times out. Then comes the second update, and then the gateway reconciles the first one.
    let gateway = Gateway::start_for(&twin, &Setup::of("timeout = \"300ms\"\nvisibility_lag = \"1s\""));
    let client = Client::of(&gateway);
    let created = client.create(None, &person(1)).await.expect("an answer");
    let path = format!("/v1/customers/{}", created.json()["id"].as_str().expect("an id"));
    let update = |name: &'static str| {
        let (client, path) = (client.clone(), path.clone());
        async move { client.send(Method::PATCH, &path, None, Some(&json!({ "name": name }))).await.expect("an answer") }
    };
    twin.signal(Signal::STOP);
    let first = update("Old Name").await;
    assert_eq!(first.code(), "outcome_unknown", "{}", first.body);
    twin.signal(Signal::CONT);
    // The request is still in the vendor's socket. The vendor reads it now.
    until("the vendor answers again", async || client.get(&path).await.filter(|read| read.status == 200)).await;
    let second = update("New Name").await;
    assert_eq!(second.status, 200, "{}", second.body);
    let id = first.operation().expect("an id");
    until("the first update is reconciled", async || {
        client.operation(id).await.filter(|operation| operation["outcome"] != "unknown" || operation["held"] == true)
    })
    .await;
    assert_eq!(client.get(&path).await.expect("an answer").json()["name"], "New Name", "the newer name stays");
}

/// A gateway that stops for longer than its leases, as under a debugger or on a stalled machine, does not send a write
/// again whose lease it has lost.
async fn stopped() {
    let (lease, stops) = sized(("2s", Duration::from_secs(3)), ("30s", Duration::from_secs(35)));
    let twin = Twin::start("notchpay", "delay = \"1ms..40ms\"\nonly = [\"create\"]");
    let mut setup = Setup::of("visibility_lag = \"200ms\"\non_ambiguous = \"resend_after_lag\"");
    setup.store = format!("lease = \"{lease}\"");
    let gateway = Gateway::start_for(&twin, &setup);
    let client = Client::of(&gateway);
    let requests: Vec<_> = (0..200)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.create_until_known(&format!("key-{number}"), &person(number)).await })
        })
        .collect();
    until("some creates are in flight", async || (twin.creates().len() > 20).then_some(())).await;
    gateway.signal(Signal::STOP);
    tokio::time::sleep(stops).await;
    gateway.signal(Signal::CONT);
    for request in requests {
        assert!(matches!(request.await.expect("no panic"), Outcome::Done(_)));
    }
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!(count(&records, State::Done), 200);
    assert!(twin.created().values().all(|effects| effects.len() == 1), "no customer was created twice");
}
