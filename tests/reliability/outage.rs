//! No durable claim, no vendor write: what happens while the store cannot be written.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};
use rusqlite::Connection;

use crate::{
    bed::{Gateway, Setup, Twin, agree, count, kept_by, sized, until},
    client::{Client, Outcome, email, person},
    cluster::{self, Cluster},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_full_disk_refuses_writes_and_no_reads", full_disk),
        trial("a_locked_database_refuses_writes_and_no_reads", locked),
        trial("a_write_under_way_when_the_disk_fills_is_told_later", under_way),
        cluster::or_ignored(trial("a_stopped_postgres_refuses_writes_and_no_reads", stopped)),
    ]
}

/// Asks for creates that must be refused, and for reads that must not. What is known of writes can be read if the
/// store can.
async fn refused(client: &Client, twin: &Twin, creates: usize, customer: &str, known: u16) -> Duration {
    let before = twin.asked().len();
    let mut slowest = Duration::ZERO;
    for number in 0..creates {
        let begun = Instant::now();
        let answer = client.create(Some(&format!("later-{number}")), &person(1000 + number)).await.expect("an answer");
        slowest = slowest.max(begun.elapsed());
        assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"), "{}", answer.body);
        let read = client.get(&format!("/v1/customers/{customer}")).await.expect("an answer");
        assert_eq!(read.status, 200, "reads go on");
        let operations = client.get("/v1/operations").await.expect("an answer");
        assert_eq!(operations.status, known, "{}", operations.body);
    }
    assert_eq!(twin.asked().len(), before, "nothing was sent that could not be recorded");
    slowest
}

async fn recovered(client: &Client, twin: &Twin, creates: usize) -> Duration {
    let begun = Instant::now();
    for number in 0..creates {
        let outcome = client.insist(&format!("later-{number}"), &person(1000 + number)).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        if number == 0 {
            assert!(begun.elapsed() < Duration::from_secs(2), "the first write after {:?}", begun.elapsed());
        }
    }
    for number in 0..creates {
        assert_eq!(twin.created()[&email_hash(&email(1000 + number))].len(), 1);
    }
    begun.elapsed()
}

async fn full_disk() {
    let creates = sized(10, 200);
    let twin = Twin::start("lomi", "");
    let gateway = Gateway::before(&twin, &Setup::of(""));
    let client = Client::of(&gateway);
    let first = client.create(Some("first"), &person(1)).await.expect("an answer");
    let customer = first.json()["id"].as_str().expect("an id").to_owned();
    gateway.fill_disk(true);
    let slowest = refused(&client, &twin, creates, &customer, 200).await;
    assert!(slowest < Duration::from_secs(1), "a refusal takes {slowest:?}");
    gateway.fill_disk(false);
    recovered(&client, &twin, creates).await;
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    assert_eq!((kept.len(), count(&kept, State::Done)), (creates + 1, creates + 1));
    eprintln!("full disk: {creates} writes refused within {slowest:?}, nothing sent; then all carried out");
}

async fn locked() {
    let twin = Twin::start("lomi", "");
    let gateway = Gateway::before(&twin, &Setup::of(""));
    let client = Client::of(&gateway);
    let first = client.create(Some("first"), &person(1)).await.expect("an answer");
    let customer = first.json()["id"].as_str().expect("an id").to_owned();
    let other = Connection::open(gateway.store_file()).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let slowest = refused(&client, &twin, 1, &customer, 200).await;
    assert!(slowest < Duration::from_secs(7), "a refusal takes {slowest:?}");
    other.execute_batch("ROLLBACK").expect("no lock");
    until("the writer goes on", async || {
        client.create(Some("later-0"), &person(1000)).await.filter(|answer| answer.status == 201)
    })
    .await;
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    assert_eq!((kept.len(), count(&kept, State::Done)), (2, 2));
}

/// The vendor did it, and the end of it cannot be kept when its answer comes: the client is told that it is
/// unknown, and the key gets the answer as soon as it can be kept.
async fn under_way() {
    let twin = Twin::start("lomi", "delay = \"400ms\"\nonly = [\"create\"]");
    let gateway = Gateway::before(&twin, &Setup::of("visibility_lag = \"100ms\""));
    let client = Client::of(&gateway);
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("key"), &person(1)).await.expect("an answer") }
    });
    until("the vendor has it", async || (!twin.created().is_empty()).then_some(())).await;
    gateway.fill_disk(true);
    let answer = asked.await.expect("no panic");
    assert_eq!((answer.status, answer.code().as_str()), (504, "outcome_unknown"), "{}", answer.body);
    gateway.fill_disk(false);
    let begun = Instant::now();
    let Outcome::Done(again) = client.insist("key", &person(1)).await else { panic!("it was done") };
    assert!(begun.elapsed() < Duration::from_secs(5), "told after {:?}", begun.elapsed());
    assert_eq!(again.operation(), answer.operation());
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    assert_eq!((twin.asked().len(), count(&kept, State::Done)), (1, 1));
}

/// The server ends as in a crash while the vendor works for one client, and comes back: before two gateways.
async fn stopped() {
    let creates = sized(10, 200);
    let twin = Twin::start("lomi", "delay = \"150ms\"\nonly = [\"create\"]");
    let mut cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let gateways = Gateway::replicas(&twin, &Setup::of("visibility_lag = \"100ms\""), cluster.database());
    let client = Client::between(&gateways);
    let first = client.create(Some("first"), &person(1)).await.expect("an answer");
    let customer = first.json()["id"].as_str().expect("an id").to_owned();
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("under-way"), &person(2)).await.expect("an answer") }
    });
    until("the vendor has it", async || (twin.asked().len() > 1).then_some(())).await;
    cluster.down();
    let answer = asked.await.expect("no panic");
    assert_eq!((answer.status, answer.code().as_str()), (504, "outcome_unknown"), "{}", answer.body);
    let slowest = refused(&client, &twin, creates, &customer, 503).await;
    assert!(slowest < Duration::from_secs(3), "a refusal takes {slowest:?}");
    cluster.up();
    recovered(&client, &twin, creates).await;
    let Outcome::Done(again) = client.insist("under-way", &person(2)).await else { panic!("it was done") };
    assert_eq!(again.operation(), answer.operation());
    let kept = kept_by(&gateways).await;
    agree(&twin, &kept);
    assert_eq!((twin.asked().len(), count(&kept, State::Done)), (creates + 2, creates + 2));
    eprintln!("stopped server: {creates} writes refused within {slowest:?}, nothing sent; then all carried out");
}
