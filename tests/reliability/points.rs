//! `kill -9` at every point of a write, each seen from outside: in the store, or in the vendor's log. So the
//! gateway needs no code for it.

use std::sync::atomic::Ordering;

use libtest_mimic::Trial;
use passerelle::{
    store::State,
    twin::{faults::Named, log, log::email_hash},
};
use passerelle_providers::model::Operation;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    bed::{Gateway, Setup, Twin, agree, count, sized, until},
    client::{Client, Outcome, email, person},
    cluster,
    relay::Relay,
    trial::trial,
};

/// Where the gateway is killed.
#[derive(Clone, Copy, PartialEq)]
enum Point {
    /// Its claim is durable, and nothing has reached the vendor.
    Claimed,
    /// The request is in the vendor's socket, which reads it after the death.
    Sent,
    /// The vendor did it, and its answer has not begun.
    Done,
    /// The answer has come in part.
    Answering,
    /// The end was kept; the client may not have been told.
    Kept,
    /// What came of an unknown outcome is being looked for.
    Looking,
    /// A create without a trace is being sent again.
    SentAgain,
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("kill_9_while_a_distinct_create_is_matched", || async {
        for _ in 0..sized(1, 100) {
            matched().await;
        }
    })];
    for (name, point) in [
        ("kill_9_once_the_claim_is_durable", Point::Claimed),
        ("kill_9_before_the_vendor_reads_the_request", Point::Sent),
        ("kill_9_after_the_effect", Point::Done),
        ("kill_9_in_the_middle_of_the_answer", Point::Answering),
        ("kill_9_once_the_end_is_kept", Point::Kept),
        ("kill_9_while_the_outcome_is_looked_for", Point::Looking),
        ("kill_9_while_it_is_sent_again", Point::SentAgain),
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
            // Another gateway could be at work, so the lease of the dead one has to run out.
            setup.store = "lease = \"2s\"".to_owned();
            setup.database = Some(cluster::shared_database());
        }
        once(point, setup).await;
    }
    eprintln!("killed {} times at this point", sized(1, 100));
}

async fn once(point: Point, mut setup: Setup) {
    let twin = Twin::start(
        "lomi",
        match point {
            Point::Claimed | Point::Sent | Point::Kept => "",
            Point::Done => "hang_after = 1.0\nonly = [\"create\"]",
            Point::Answering => "drip = 1.0\npace = \"10ms\"\nonly = [\"create\"]",
            Point::Looking => "error_after = 1.0\nonly = [\"create\"]",
            Point::SentAgain => "hang_after = 1.0\nonly = [\"create\"]\nsearch_lag = \"50ms\"",
        },
    );
    let relay = Relay::start(twin.address()).await;
    relay.is_open.store(!matches!(point, Point::Claimed | Point::SentAgain), Ordering::Relaxed);
    if point == Point::SentAgain {
        setup.connection.push_str("\non_ambiguous = \"resend_after_lag\"");
    }
    setup.vendor = Some(relay.address.clone());
    let gateway = Gateway::before(&twin, &setup);
    let client = Client::of(&gateway);
    if point == Point::Sent {
        twin.signal(Signal::STOP);
    }
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("key"), &person(1)).await }
    });
    let seen = async |operation: Operation| {
        until("the vendor is asked", async || {
            let log = twin.log();
            log::requests(&log).any(|request| request.operation == Some(Named(operation))).then_some(())
        })
        .await;
    };
    let shown = async |state: State| {
        until("the store shows it", async || gateway.shows(state).await.then_some(())).await;
    };
    match point {
        Point::Claimed => shown(State::Sending).await,
        Point::Sent => {
            shown(State::Sending).await;
            until("the request is on its way", async || relay.has_passed.load(Ordering::Relaxed).then_some(())).await;
        }
        Point::Done | Point::Answering => seen(Operation::Create).await,
        Point::Kept => shown(State::Done).await,
        Point::Looking => seen(Operation::List).await,
        Point::SentAgain => {
            // The first attempt never reaches the vendor, and is dead when the second one is sent.
            shown(State::Sending).await;
            gateway.kill();
            relay.is_open.store(true, Ordering::Relaxed);
            gateway.start();
            seen(Operation::Create).await;
        }
    }
    gateway.kill();
    let first = asked.await.expect("no panic");
    relay.is_open.store(true, Ordering::Relaxed);
    if point == Point::Sent {
        twin.signal(Signal::CONT);
    }
    gateway.start();
    let outcome = client.insist("key", &person(1)).await;
    let made = twin.created();
    let made = made.get(&email_hash(&email(1))).map_or(&[][..], Vec::as_slice);
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    match (point, outcome) {
        (Point::Claimed, Outcome::Held(_)) => assert_eq!(made.len(), 0, "it may not be sent again"),
        (Point::Claimed, outcome) | (_, outcome @ (Outcome::Held(_) | Outcome::Refused(_))) => panic!("{outcome:?}"),
        (_, Outcome::Done(answer)) => {
            assert_eq!(made.len(), 1);
            assert_eq!(made[0].customer, answer.json()["id"]);
            if let Some(first) = first.filter(|first| first.status == 201) {
                assert_eq!(first.body, answer.body, "what was told stays");
            }
        }
    }
}

/// A distinct create that matches somebody leaves no trace at the vendor, so that whoever goes on with it has to match
/// it again.
async fn matched() {
    let twin = Twin::start("lomi", "delay = \"200ms\"\nonly = [\"list\"]");
    let gateway = Gateway::before(&twin, &Setup::of("visibility_lag = \"50ms\""));
    let client = Client::of(&gateway);
    let ask = || {
        let client = client.clone();
        async move {
            let amadou = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
            client.send(Method::POST, "/v1/customers?distinct=true", Some("key"), Some(&amadou)).await
        }
    };
    let asked = tokio::spawn(ask());
    until("the vendor is asked whom it knows", async || (twin.requests() > 0).then_some(())).await;
    gateway.kill();
    assert!(asked.await.expect("no panic").is_none(), "nobody was told");
    gateway.start();
    let answer = until("it is matched again", async || ask().await.filter(|answer| answer.status == 200)).await;
    let known = client.get("/v1/customers?email=amadou.ba@example.com").await.expect("an answer").json();
    assert_eq!((&answer.json()["id"], known["data"].as_array().map(Vec::len)), (&known["data"][0]["id"], Some(1)));
    assert!(answer.body.contains("existing customer matched by email"), "{}", answer.body);
    assert!(twin.asked().is_empty(), "nobody was to be made");
    let kept = gateway.kept().await;
    assert_eq!((kept.len(), count(&kept, State::Done)), (1, 1));
}
