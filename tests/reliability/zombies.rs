//! Gateways that stand still for longer than their leases, and go on when somebody else has taken over what they were
//! at (P15). What they have lost they neither end nor send.

use std::sync::{Arc, atomic::Ordering};

use libtest_mimic::Trial;
use passerelle::{
    store::{Event, State},
    twin::{faults::Named, log, log::email_hash},
};
use passerelle_providers::model::Operation;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    bed::{Gateway, Setup, Twin, agree, kept_by, until},
    client::{Client, Outcome, email, person},
    cluster,
    relay::Relay,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        cluster::or_ignored(trial("a_zombie_does_not_end_what_it_has_lost", late_end)),
        cluster::or_ignored(trial("a_zombie_does_not_send_what_it_has_lost", late_sending)),
    ]
}

/// Two gateways on one database, of which one will stand still. What it has asked the vendor is answered only then.
struct Pair {
    twin: Twin,
    gateways: [Arc<Gateway>; 2],
    zombie: Client,
    living: Client,
    relay: Relay,
}

impl Pair {
    async fn start(connection: &str) -> Self {
        let twin = Twin::start("lomi", "");
        let relay = Relay::start(twin.address()).await;
        relay.keeps_answers.store(true, Ordering::Relaxed);
        let mut setup = Setup::of(connection);
        setup.store = "lease = \"2s\"".to_owned();
        setup.database = Some(cluster::shared_database());
        let living = Gateway::before(&twin, &setup);
        setup.vendor = Some(relay.address.clone());
        let zombie = Gateway::before(&twin, &setup);
        let (of_zombie, of_living) = (Client::of(&zombie), Client::of(&living));
        Self { twin, gateways: [zombie, living], zombie: of_zombie, living: of_living, relay }
    }

    fn stop(&self) {
        self.gateways[0].signal(Signal::STOP);
        self.relay.keeps_answers.store(false, Ordering::Relaxed);
    }

    fn go_on(&self) {
        self.gateways[0].signal(Signal::CONT);
    }

    fn asked(&self, operation: Operation) -> usize {
        let log = self.twin.log();
        log::requests(&log).filter(|request| request.operation == Some(Named(operation))).count()
    }
}

/// A gateway stands still once the vendor did what it had sent, and reads the answer when the other one has found what
/// came of it: that stays what is known.
async fn late_end() {
    let pair = Pair::start("visibility_lag = \"100ms\"").await;
    let asked = tokio::spawn({
        let zombie = pair.zombie.clone();
        async move { zombie.create(Some("key"), &person(1)).await.expect("an answer") }
    });
    until("the vendor did it", async || (!pair.twin.created().is_empty()).then_some(())).await;
    pair.stop();
    let Outcome::Done(told) = pair.living.insist("key", &person(1)).await else { panic!("it is found") };
    pair.go_on();
    let late = asked.await.expect("no panic");
    assert_eq!((late.status, late.code().as_str()), (504, "outcome_unknown"), "{}", late.body);
    assert_eq!(late.operation(), told.operation());
    let again = pair.zombie.create(Some("key"), &person(1)).await.expect("an answer");
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.body), (201, "true", &told.body));
    assert_eq!(pair.asked(Operation::Create), 1, "sent once");
    let kept = kept_by(&pair.gateways).await;
    agree(&pair.twin, &kept);
    let record = &kept[&told.operation().expect("an id")];
    assert_eq!((record.state, record.attempt), (State::Done, 2));
    let audit = pair.gateways[0].store().await.audit().records(0, 10).await.expect("the audit");
    let events: Vec<(Event, u32)> = audit.iter().map(|record| (record.event, record.attempt)).collect();
    assert_eq!(events, [(Event::Intent, 1), (Event::TakenOver, 2), (Event::Done, 2)]);
}

/// A gateway stands still between the two requests of a write, of which the first only reads: of a create that asks
/// who is there, and of an update that asks what it adds to. The other one carries both out, and the customer is
/// changed again. When the first one goes on, it sends neither.
async fn late_sending() {
    let pair = Pair::start("visibility_lag = \"100ms\"\non_ambiguous = \"resend_after_lag\"").await;
    let known = pair.living.create(Some("known"), &person(1)).await.expect("an answer");
    let customer = format!("/v1/customers/{}", known.json()["id"].as_str().expect("an id"));
    let tier = |tier: &str| json!({ "metadata": { "tier": tier } });
    let create = ("new", Method::POST, "/v1/customers?distinct=true".to_owned(), person(2));
    let update = ("older", Method::PATCH, customer.clone(), tier("silver"));
    let asked = [create.clone(), update.clone()].map(|(key, method, path, body)| {
        let zombie = pair.zombie.clone();
        tokio::spawn(async move { zombie.send(method, &path, Some(key), Some(&body)).await.expect("an answer") })
    });
    until("both have asked first", async || {
        (pair.asked(Operation::List) > 0 && pair.asked(Operation::Retrieve) > 0).then_some(())
    })
    .await;
    pair.stop();
    for (key, method, path, body) in [create, update, ("newer", Method::PATCH, customer.clone(), tier("gold"))] {
        let outcome = pair.living.insist_on(method, &path, key, &body).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{key}: {outcome:?}");
    }
    let sent = || (pair.asked(Operation::Create), pair.asked(Operation::Update));
    assert_eq!(sent(), (2, 2));
    pair.go_on();
    for asked in asked {
        let late = asked.await.expect("no panic");
        assert_eq!(late.code(), "outcome_unknown", "{}", late.body);
    }
    assert_eq!(sent(), (2, 2), "nothing more is sent");
    let read = pair.living.get(&customer).await.expect("an answer");
    assert_eq!(read.json()["metadata"]["tier"], "gold", "the newer one stays");
    let kept = kept_by(&pair.gateways).await;
    agree(&pair.twin, &kept);
    assert_eq!(pair.twin.created()[&email_hash(&email(2))].len(), 1);
    assert!(kept.values().all(|record| record.state == State::Done), "{kept:?}");
}
