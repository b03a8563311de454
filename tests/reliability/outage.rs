//! While the store cannot be written, the gateway refuses writes and sends nothing to the vendor: a write needs a
//! durable claim first.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};
use rusqlite::Connection;

use crate::{
    bed::{Gateway, Setup, Twin, assert_agree, count, records_of, sized, until},
    client::{Client, Outcome, email, person},
    cluster::{self, Cluster},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_full_disk_refuses_writes_and_no_reads", full_disk),
        trial("a_locked_database_refuses_writes_and_no_reads", locked),
        trial("a_write_in_flight_when_the_disk_fills_gets_its_answer_later", in_flight),
        cluster::or_ignored(trial("a_stopped_postgres_refuses_writes_and_no_reads", stopped)),
    ]
}

/// Sends creates, which must be refused, and reads, which must be answered. `operations_status` is the answer to reads
/// of operations, which need the store.
async fn assert_refused(
    client: &Client,
    twin: &Twin,
    creates: usize,
    customer: &str,
    operations_status: u16,
) -> Duration {
    let before = twin.creates().len();
    let mut slowest = Duration::ZERO;
    for number in 0..creates {
        let begun = Instant::now();
        let answer = client.create(Some(&format!("later-{number}")), &person(1000 + number)).await.expect("an answer");
        slowest = slowest.max(begun.elapsed());
        assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"), "{}", answer.body);
        let read = client.get(&format!("/v1/customers/{customer}")).await.expect("an answer");
        assert_eq!(read.status, 200, "reads are answered");
        let operations = client.get("/v1/operations").await.expect("an answer");
        assert_eq!(operations.status, operations_status, "{}", operations.body);
    }
    assert_eq!(twin.creates().len(), before, "no write is sent without a durable claim");
    slowest
}

/// Sends the refused creates again. All must succeed, with one effect each.
async fn assert_recovered(client: &Client, twin: &Twin, creates: usize) -> Duration {
    let begun = Instant::now();
    for number in 0..creates {
        let outcome = client.create_until_known(&format!("later-{number}"), &person(1000 + number)).await;
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
    let gateway = Gateway::start_for(&twin, &Setup::of(""));
    let client = Client::of(&gateway);
    let first = client.create(Some("first"), &person(1)).await.expect("an answer");
    let customer = first.json()["id"].as_str().expect("an id").to_owned();
    gateway.fill_disk(true);
    let slowest = assert_refused(&client, &twin, creates, &customer, 200).await;
    assert!(slowest < Duration::from_secs(1), "a refusal takes {slowest:?}");
    gateway.fill_disk(false);
    assert_recovered(&client, &twin, creates).await;
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!((records.len(), count(&records, State::Done)), (creates + 1, creates + 1));
    eprintln!("full disk: {creates} writes refused within {slowest:?}, nothing sent; then all executed");
}

async fn locked() {
    let twin = Twin::start("lomi", "");
    let gateway = Gateway::start_for(&twin, &Setup::of(""));
    let client = Client::of(&gateway);
    let first = client.create(Some("first"), &person(1)).await.expect("an answer");
    let customer = first.json()["id"].as_str().expect("an id").to_owned();
    let lock = Connection::open(gateway.store_file()).expect("the file");
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let slowest = assert_refused(&client, &twin, 1, &customer, 200).await;
    assert!(slowest < Duration::from_secs(7), "a refusal takes {slowest:?}");
    lock.execute_batch("ROLLBACK").expect("no lock");
    until("writes are accepted again", async || {
        client.create(Some("later-0"), &person(1000)).await.filter(|answer| answer.status == 201)
    })
    .await;
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!((records.len(), count(&records, State::Done)), (2, 2));
}

/// The vendor executes the create, and the gateway cannot record the answer. The client gets `outcome_unknown`. Its key
/// gets the answer as soon as the store can be written.
async fn in_flight() {
    let twin = Twin::start("lomi", "delay = \"400ms\"\nonly = [\"create\"]");
    let gateway = Gateway::start_for(&twin, &Setup::of("visibility_lag = \"100ms\""));
    let client = Client::of(&gateway);
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("key"), &person(1)).await.expect("an answer") }
    });
    until("the vendor has received the create", async || (!twin.created().is_empty()).then_some(())).await;
    gateway.fill_disk(true);
    let answer = request.await.expect("no panic");
    assert_eq!((answer.status, answer.code().as_str()), (504, "outcome_unknown"), "{}", answer.body);
    gateway.fill_disk(false);
    let begun = Instant::now();
    let Outcome::Done(again) = client.create_until_known("key", &person(1)).await else {
        panic!("the create was executed")
    };
    assert!(begun.elapsed() < Duration::from_secs(5), "answered after {:?}", begun.elapsed());
    assert_eq!(again.operation(), answer.operation());
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!((twin.creates().len(), count(&records, State::Done)), (1, 1));
}

/// With two replicas: the PostgreSQL server ends as in a crash while a create is in flight, and starts again later.
async fn stopped() {
    let creates = sized(10, 200);
    let twin = Twin::start("lomi", "delay = \"150ms\"\nonly = [\"create\"]");
    let mut cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let gateways = Gateway::replicas(&twin, &Setup::of("visibility_lag = \"100ms\""), cluster.database());
    let client = Client::between(&gateways);
    let first = client.create(Some("first"), &person(1)).await.expect("an answer");
    let customer = first.json()["id"].as_str().expect("an id").to_owned();
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("in-flight"), &person(2)).await.expect("an answer") }
    });
    until("the vendor has received the create", async || (twin.creates().len() > 1).then_some(())).await;
    cluster.down();
    let answer = request.await.expect("no panic");
    assert_eq!((answer.status, answer.code().as_str()), (504, "outcome_unknown"), "{}", answer.body);
    let slowest = assert_refused(&client, &twin, creates, &customer, 503).await;
    assert!(slowest < Duration::from_secs(3), "a refusal takes {slowest:?}");
    cluster.up();
    assert_recovered(&client, &twin, creates).await;
    let Outcome::Done(again) = client.create_until_known("in-flight", &person(2)).await else {
        panic!("the create was executed")
    };
    assert_eq!(again.operation(), answer.operation());
    let records = records_of(&gateways).await;
    assert_agree(&twin, &records);
    assert_eq!((twin.creates().len(), count(&records, State::Done)), (creates + 2, creates + 2));
    eprintln!("stopped server: {creates} writes refused within {slowest:?}, nothing sent; then all executed");
}
