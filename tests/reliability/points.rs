//! `kill -9` at every point of a write. The test observes each point from outside, in the store or in the vendor's log,
//! so the gateway needs no code for these tests.

use std::sync::atomic::Ordering;

use libtest_mimic::Trial;
use passerelle::{
    store::State,
    twin::{faults::OperationName, log, log::email_hash},
};
use passerelle_providers::model::Operation;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    bed::{Gateway, Setup, Twin, assert_agree, count, sized, until},
    client::{Client, Outcome, email, person},
    cluster,
    relay::Relay,
    trial::trial,
};

/// The point at which the gateway is killed.
#[derive(Clone, Copy, PartialEq)]
enum Point {
    /// The claim is durable, and nothing has reached the vendor.
    Claimed,
    /// The request is in the vendor's socket. The vendor reads it after the kill.
    Sent,
    /// The vendor has executed the create, and has sent nothing of its answer.
    Done,
    /// A part of the answer has arrived.
    Answering,
    /// The outcome is recorded. The client may not have received it.
    Recorded,
    /// The gateway reconciles an unknown outcome.
    Reconciling,
    /// The gateway sends a create without effect again.
    SentAgain,
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("kill_9_while_a_distinct_create_is_matched", || async {
        for _ in 0..sized(1, 100) {
            kill_while_matching().await;
        }
    })];
    for (name, point) in [
        ("kill_9_once_the_claim_is_durable", Point::Claimed),
        ("kill_9_before_the_vendor_reads_the_request", Point::Sent),
        ("kill_9_after_the_effect", Point::Done),
        ("kill_9_in_the_middle_of_the_answer", Point::Answering),
        ("kill_9_once_the_outcome_is_recorded", Point::Recorded),
        ("kill_9_while_the_outcome_is_reconciled", Point::Reconciling),
        ("kill_9_while_the_create_is_sent_again", Point::SentAgain),
    ] {
        trials.push(trial(name, move || killed_at(point, false)));
        let on_postgres = trial(format!("{name}_on_postgres"), move || killed_at(point, true));
        trials.push(cluster::or_ignored(on_postgres));
    }
    trials
}

async fn killed_at(point: Point, on_postgres: bool) {
    for _ in 0..sized(1, 100) {
        let mut setup = Setup::of("visibility_lag = \"150ms\"\ntimeout = \"5s\"");
        if on_postgres {
            // Another replica could be running, so the gateway must wait until the lease of the dead process has
            // expired.
            setup.store = "lease = \"2s\"".to_owned();
            setup.database = Some(cluster::shared_database());
        }
        kill_once(point, setup).await;
    }
    eprintln!("killed {} times at this point", sized(1, 100));
}

async fn kill_once(point: Point, mut setup: Setup) {
    let twin = Twin::start(
        // At lomi a create is never sent again.
        if point == Point::SentAgain { "notchpay" } else { "lomi" },
        match point {
            Point::Claimed | Point::Sent | Point::Recorded => "",
            Point::Done => "hang_after = 1.0\nonly = [\"create\"]",
            Point::Answering => "drip = 1.0\npace = \"10ms\"\nonly = [\"create\"]",
            Point::Reconciling => "error_after = 1.0\nonly = [\"create\"]",
            Point::SentAgain => "hang_after = 1.0\nonly = [\"create\"]\nsearch_lag = \"50ms\"",
        },
    );
    let relay = Relay::start(twin.address()).await;
    relay.is_open.store(!matches!(point, Point::Claimed | Point::SentAgain), Ordering::Relaxed);
    if point == Point::SentAgain {
        setup.connection.push_str("\non_ambiguous = \"resend_after_lag\"");
    }
    setup.vendor = Some(relay.address.clone());
    let gateway = Gateway::start_for(&twin, &setup);
    let client = Client::of(&gateway);
    if point == Point::Sent {
        twin.signal(Signal::STOP);
    }
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("key"), &person(1)).await }
    });
    let wait_for_request = async |operation: Operation| {
        until("the vendor receives the request", async || {
            let log = twin.log();
            log::requests(&log).any(|request| request.operation == Some(OperationName(operation))).then_some(())
        })
        .await;
    };
    let wait_for_state = async |state: State| {
        until("the store has the write in this state", async || gateway.has_write_in(state).await.then_some(())).await;
    };
    match point {
        Point::Claimed => wait_for_state(State::Sending).await,
        Point::Sent => {
            wait_for_state(State::Sending).await;
            until("the relay passes the request on", async || relay.has_passed.load(Ordering::Relaxed).then_some(()))
                .await;
        }
        Point::Done | Point::Answering => wait_for_request(Operation::Create).await,
        Point::Recorded => wait_for_state(State::Done).await,
        Point::Reconciling => wait_for_request(Operation::List).await,
        Point::SentAgain => {
            // The relay discards the first attempt. Its process is killed before the second attempt.
            wait_for_state(State::Sending).await;
            gateway.kill();
            relay.is_open.store(true, Ordering::Relaxed);
            gateway.start();
            wait_for_request(Operation::Create).await;
        }
    }
    gateway.kill();
    let first = request.await.expect("no panic");
    relay.is_open.store(true, Ordering::Relaxed);
    if point == Point::Sent {
        twin.signal(Signal::CONT);
    }
    gateway.start();
    let outcome = client.create_until_known("key", &person(1)).await;
    let created = twin.created();
    let effects = created.get(&email_hash(&email(1))).map_or(&[][..], Vec::as_slice);
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    match (point, outcome) {
        (Point::Claimed, Outcome::Held(_)) => {
            assert_eq!(effects.len(), 0, "the policy does not allow to send it again");
        }
        (Point::Claimed, outcome) | (_, outcome @ (Outcome::Held(_) | Outcome::Refused(_))) => panic!("{outcome:?}"),
        (_, Outcome::Done(answer)) => {
            assert_eq!(effects.len(), 1);
            assert_eq!(effects[0].customer, answer.json()["id"]);
            if let Some(first) = first.filter(|first| first.status == 201) {
                assert_eq!(first.body, answer.body, "the client gets the same answer again");
            }
        }
    }
}

/// A distinct create that matches an existing customer has no effect at the vendor. A process that takes it over must
/// search for the match again.
async fn kill_while_matching() {
    let twin = Twin::start("lomi", "delay = \"200ms\"\nonly = [\"list\"]");
    let gateway = Gateway::start_for(&twin, &Setup::of("visibility_lag = \"50ms\""));
    let client = Client::of(&gateway);
    let send = || {
        let client = client.clone();
        async move {
            let amadou = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
            client.send(Method::POST, "/v1/customers?distinct=true", Some("key"), Some(&amadou)).await
        }
    };
    let request = tokio::spawn(send());
    until("the vendor receives the search", async || (twin.requests() > 0).then_some(())).await;
    gateway.kill();
    assert!(request.await.expect("no panic").is_none(), "the client got no answer");
    gateway.start();
    let answer =
        until("the create is matched again", async || send().await.filter(|answer| answer.status == 200)).await;
    let listed = client.get("/v1/customers?email=amadou.ba@example.com").await.expect("an answer").json();
    assert_eq!((&answer.json()["id"], listed["data"].as_array().map(Vec::len)), (&listed["data"][0]["id"], Some(1)));
    assert!(answer.body.contains("existing customer matched by email"), "{}", answer.body);
    assert!(twin.creates().is_empty(), "no create was sent");
    let records = gateway.records().await;
    assert_eq!((records.len(), count(&records, State::Done)), (1, 1));
}
