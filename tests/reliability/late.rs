//! Vendors that show late what they did, and what must not be concluded before.

use std::time::Duration;

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    bed::{Gateway, Setup, Twin, agree, count, sized, until},
    client::{Client, Outcome, email, person},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("asking_again_early_does_not_send_again", || early("resend_after_lag")),
        trial("asking_again_early_does_not_give_up", || early("hold")),
        trial("a_resend_that_is_refused_forgets_nothing", refused),
        trial("an_older_update_does_not_undo_a_newer_one", overtaken),
        trial("a_process_that_was_stopped_does_not_send_late", stopped),
    ]
}

/// The client asks again and again while the vendor does not show yet what it did. However often it asks, nothing
/// is concluded before the vendor had its time (I1).
async fn early(policy: &str) {
    let twin = Twin::start("lomi", "error_after = 1.0\nonly = [\"create\"]\nsearch_lag = \"800ms\"");
    let setup = Setup::of(&format!("visibility_lag = \"1s\"\non_ambiguous = \"{policy}\""));
    let gateway = Gateway::before(&twin, &setup);
    let client = Client::of(&gateway);
    let mut asked = 0;
    let answer = until("the create is found", async || {
        asked += 1;
        let answer = client.create(Some("key"), &person(1)).await?;
        (answer.status == 201).then_some(answer)
    })
    .await;
    assert_eq!(twin.asked().len(), 1, "sent once");
    let made = twin.created();
    assert_eq!(made[&email_hash(&email(1))][0].customer, answer.json()["id"]);
    assert!(asked > 5, "asked {asked} times, too seldom to tell anything");
    let kept = gateway.kept().await;
    agree(&twin, &kept);
}

/// A create without a trace is sent again, and the vendor cannot be reached then: what was told to be unknown is
/// not forgotten (I3).
async fn refused() {
    // Nothing of the first attempt is there, and every further one is refused for its frequency.
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
    let twin = Twin::start("lomi", &text((0..100_000).find(fits).expect("a seed")));
    let gateway = Gateway::before(&twin, &Setup::of("visibility_lag = \"20ms\"\non_ambiguous = \"resend_after_lag\""));
    let client = Client::of(&gateway);
    let answer = client.create(Some("key"), &person(1)).await.expect("an answer");
    let id = answer.operation().expect("an id");
    until("it is sent again", async || (twin.asked().len() > 1).then_some(())).await;
    for _ in 0..20 {
        // Fails where the write is not known any more.
        client.known(id).await.expect("an answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Outcome::Done(answer) = client.insist("key", &person(1)).await else { panic!("it is sent until it is done") };
    assert_eq!(answer.operation(), Some(id), "the same write");
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    assert_eq!(twin.created()[&email_hash(&email(1))].len(), 1);
}

/// An update whose outcome is unknown is not sent again once a newer one was made to the same customer.
async fn overtaken() {
    let twin = Twin::start("lomi", "");
    // The vendor is too slow for the first update, then asked for another one, then for what became of the first.
    let gateway = Gateway::before(&twin, &Setup::of("timeout = \"300ms\"\nvisibility_lag = \"1s\""));
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
    // The request still lies in the vendor's socket, and is read now.
    until("the vendor goes on", async || client.get(&path).await.filter(|read| read.status == 200)).await;
    let second = update("New Name").await;
    assert_eq!(second.status, 200, "{}", second.body);
    let id = first.operation().expect("an id");
    until("the first one is looked for", async || {
        client.known(id).await.filter(|known| known["outcome"] != "unknown" || known["held"] == true)
    })
    .await;
    assert_eq!(client.get(&path).await.expect("an answer").json()["name"], "New Name", "the newer name stays");
}

/// A gateway that stands still for longer than its leases, as under a debugger or on a stalled machine, does not
/// send afterwards what it has lost.
async fn stopped() {
    let (lease, stops) = sized(("2s", Duration::from_secs(3)), ("30s", Duration::from_secs(35)));
    let twin = Twin::start("lomi", "delay = \"1ms..40ms\"\nonly = [\"create\"]");
    let mut setup = Setup::of("visibility_lag = \"200ms\"\non_ambiguous = \"resend_after_lag\"");
    setup.store = format!("lease = \"{lease}\"");
    let gateway = Gateway::before(&twin, &setup);
    let client = Client::of(&gateway);
    let asking: Vec<_> = (0..200)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.insist(&format!("key-{number}"), &person(number)).await })
        })
        .collect();
    until("some are under way", async || (twin.asked().len() > 20).then_some(())).await;
    gateway.signal(Signal::STOP);
    tokio::time::sleep(stops).await;
    gateway.signal(Signal::CONT);
    for asking in asking {
        assert!(matches!(asking.await.expect("no panic"), Outcome::Done(_)));
    }
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    assert_eq!(count(&kept, State::Done), 200);
    assert!(twin.created().values().all(|made| made.len() == 1), "nobody was made twice");
}
