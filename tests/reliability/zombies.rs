//! A replica that stops for longer than its lease, and continues after the other replica has taken over its writes
//! (P15). Such a replica (a "zombie") must neither end nor send these writes.

use std::sync::{Arc, atomic::Ordering};

use libtest_mimic::Trial;
use passerelle::{
    store::{Event, State},
    twin::{faults::OperationName, log, log::email_hash},
};
use passerelle_providers::model::Operation;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    bed::{Gateway, Setup, Twin, assert_agree, records_of, until},
    client::{Client, Outcome, email, person},
    cluster,
    relay::Relay,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        cluster::or_ignored(trial("a_zombie_does_not_end_a_write_that_was_taken_over", late_end)),
        cluster::or_ignored(trial("a_zombie_does_not_send_a_write_that_was_taken_over", late_sending)),
    ]
}

/// Two replicas on one database. One of them will stop. A relay delays the vendor's answers to it until it has stopped.
struct Pair {
    twin: Twin,
    gateways: [Arc<Gateway>; 2],
    zombie: Client,
    living: Client,
    relay: Relay,
}

impl Pair {
    async fn start(connection: &str) -> Self {
        let twin = Twin::start("notchpay", "");
        let relay = Relay::start(twin.address()).await;
        relay.delays_answers.store(true, Ordering::Relaxed);
        let mut setup = Setup::of(connection);
        setup.store = "lease = \"2s\"".to_owned();
        setup.database = Some(cluster::shared_database());
        let living = Gateway::start_for(&twin, &setup);
        setup.vendor = Some(relay.address.clone());
        let zombie = Gateway::start_for(&twin, &setup);
        let (of_zombie, of_living) = (Client::of(&zombie), Client::of(&living));
        Self { twin, gateways: [zombie, living], zombie: of_zombie, living: of_living, relay }
    }

    fn stop(&self) {
        self.gateways[0].signal(Signal::STOP);
        self.relay.delays_answers.store(false, Ordering::Relaxed);
    }

    fn resume(&self) {
        self.gateways[0].signal(Signal::CONT);
    }

    fn received(&self, operation: Operation) -> usize {
        let log = self.twin.log();
        log::requests(&log).filter(|request| request.operation == Some(OperationName(operation))).count()
    }
}

/// The zombie stops after the vendor has executed its create. The other replica reconciles the create. Then the zombie
/// resumes and reads the answer: the record of the other replica must stay.
async fn late_end() {
    let pair = Pair::start("visibility_lag = \"100ms\"").await;
    let request = tokio::spawn({
        let zombie = pair.zombie.clone();
        async move { zombie.create(Some("key"), &person(1)).await.expect("an answer") }
    });
    until("the vendor has executed the create", async || (!pair.twin.created().is_empty()).then_some(())).await;
    pair.stop();
    let Outcome::Done(reconciled) = pair.living.create_until_known("key", &person(1)).await else {
        panic!("the create was executed")
    };
    pair.resume();
    let late = request.await.expect("no panic");
    assert_eq!((late.status, late.code().as_str()), (504, "outcome_unknown"), "{}", late.body);
    assert_eq!(late.operation(), reconciled.operation());
    let again = pair.zombie.create(Some("key"), &person(1)).await.expect("an answer");
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.body), (201, "true", &reconciled.body));
    assert_eq!(pair.received(Operation::Create), 1, "sent once");
    let records = records_of(&pair.gateways).await;
    assert_agree(&pair.twin, &records);
    let record = &records[&reconciled.operation().expect("an id")];
    assert_eq!((record.state, record.attempt), (State::Done, 2));
    let audit = pair.gateways[0].store().await.audit().records(0, 10).await.expect("the audit");
    let events: Vec<(Event, u32)> = audit.iter().map(|record| (record.event, record.attempt)).collect();
    assert_eq!(events, [(Event::Intent, 1), (Event::TakenOver, 2), (Event::Done, 2)]);
}

/// Two writes need a read before the write: a distinct create, and an update that merges metadata. The zombie stops
/// after the reads. The other replica executes both writes, and a newer update. When the zombie resumes, it sends
/// neither write.
async fn late_sending() {
    let pair = Pair::start("visibility_lag = \"100ms\"\non_ambiguous = \"resend_after_lag\"").await;
    let known = pair.living.create(Some("known"), &person(1)).await.expect("an answer");
    let customer = format!("/v1/customers/{}", known.json()["id"].as_str().expect("an id"));
    let tier = |tier: &str| json!({ "metadata": { "tier": tier } });
    let create = ("new", Method::POST, "/v1/customers?distinct=true".to_owned(), person(2));
    let update = ("older", Method::PATCH, customer.clone(), tier("silver"));
    let requests = [create.clone(), update.clone()].map(|(key, method, path, body)| {
        let zombie = pair.zombie.clone();
        tokio::spawn(async move { zombie.send(method, &path, Some(key), Some(&body)).await.expect("an answer") })
    });
    until("both writes have sent their read", async || {
        (pair.received(Operation::List) > 0 && pair.received(Operation::Retrieve) > 0).then_some(())
    })
    .await;
    pair.stop();
    for (key, method, path, body) in [create, update, ("newer", Method::PATCH, customer.clone(), tier("gold"))] {
        let outcome = pair.living.send_until_known(method, &path, key, Some(&body)).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{key}: {outcome:?}");
    }
    let sent = || (pair.received(Operation::Create), pair.received(Operation::Update));
    assert_eq!(sent(), (2, 2));
    pair.resume();
    for request in requests {
        let late = request.await.expect("no panic");
        assert_eq!(late.code(), "outcome_unknown", "{}", late.body);
    }
    assert_eq!(sent(), (2, 2), "the zombie sends nothing more");
    let read = pair.living.get(&customer).await.expect("an answer");
    assert_eq!(read.json()["metadata"]["tier"], "gold", "the newer update stays");
    let records = records_of(&pair.gateways).await;
    assert_agree(&pair.twin, &records);
    assert_eq!(pair.twin.created()[&email_hash(&email(2))].len(), 1);
    assert!(records.values().all(|record| record.state == State::Done), "{records:?}");
}
