//! Replicas that work on one PostgreSQL at the same time. A second session acts as the other replica, and keeps a lock
//! for as long as the test needs it.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use passerelle::store::{
    Adopted, CarriedChanges, Claim, ContactKind, ContactsOf, End, NewOperation, OperationId, State, Store, StoreError,
};
use tokio_postgres::{Client, NoTls};

use crate::{
    bed::{Bed, answer, claim, done, keyed, keyless},
    cluster, server,
    trial::trial,
};

const SECOND: Duration = Duration::from_secs(1);

/// Takes the lock that all audited work takes first.
const LOCK_HEAD: &str = "BEGIN; SELECT sequence FROM chain FOR UPDATE";
/// Counts the sessions that wait for a lock of another session.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
/// Counts the sessions that have locked the end of the audit chain.
const HEAD_LOCKED: &str = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'RowShareLock' \
                           AND relation = 'chain'::regclass \
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("replicas::{}", stringify!($test)), $test)),+] };
    }
    let trials = trials![
        work_that_is_not_audited_does_not_wait_for_the_audit,
        work_that_waits_for_a_locked_row_is_repeated_alone,
        a_lease_that_is_renewed_during_a_takeover_is_kept,
        a_key_that_is_reaped_during_a_claim_is_claimed,
        one_customer_is_adopted_by_one_replica,
        a_contact_that_is_moved_during_an_update_is_replaced,
        a_contact_of_an_older_replica_is_found_once_and_replaced,
    ];
    trials.into_iter().map(cluster::or_ignored).collect()
}

/// A session of another replica.
async fn session(bed: &Bed) -> Client {
    let (client, connection) = tokio_postgres::connect(&bed.url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Waits until a query counts `expected` sessions.
async fn until(session: &Client, query: &str, expected: i64) {
    let ends = Instant::now() + 20 * SECOND;
    loop {
        let count: i64 = session.query_one(query, &[]).await.expect("a count").get(0);
        if count == expected {
            return;
        }
        assert!(Instant::now() < ends, "{count} instead of {expected}: {query}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn work_that_is_not_audited_does_not_wait_for_the_audit() {
    let bed = server::bed();
    let store = bed.open().await;
    let operations = store.operations();
    let open = claim(&store, keyed("acme", "open", "r")).await;
    let ended = claim(&store, keyless("acme", "ended")).await;
    operations.finish(ended, 1, done()).await.expect("finished");
    bed.clock.move_by(20 * SECOND);
    let other = session(&bed).await;
    other.batch_execute(LOCK_HEAD).await.expect("locked");
    assert_eq!(operations.renew().await, Ok(()));
    assert_eq!(operations.mark_undelivered(ended).await, Ok(()));
    assert_eq!(operations.mark_delivered(ended).await, Ok(()));
    assert!(operations.reap().await.is_ok());
    let refused = operations.claim(keyed("acme", "new", "r")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "a claim is audited: {refused:?}");
    other.batch_execute("ROLLBACK").await.expect("unlocked");
    // The statement of the refused claim may still wait in the database, and then hold the lock for a moment.
    let unlocked = session(&bed).await;
    unlocked.batch_execute("SET lock_timeout = 0").await.expect("it waits for the lock as long as it takes");
    unlocked.batch_execute(LOCK_HEAD).await.expect("locked");
    unlocked.batch_execute("ROLLBACK").await.expect("unlocked");
    bed.clock.move_by(20 * SECOND);
    assert_eq!(operations.take_over(10).await, Ok(Vec::new()), "the lease is renewed");
    assert!(matches!(operations.get("acme", open).await, Ok(Some(record)) if record.attempt == 1));
    store.audit().verify().await.expect("read").expect("an unbroken chain");
}

async fn work_that_waits_for_a_locked_row_is_repeated_alone() {
    let bed = server::bed();
    let store = bed.open().await;
    claim(&store, keyed("acme", "k", "r")).await;
    bed.clock.move_by(20 * SECOND);
    let (other, observer) = (session(&bed).await, session(&bed).await);
    other.batch_execute("BEGIN; SELECT id FROM operations FOR UPDATE").await.expect("locked");
    let operations = store.operations().clone();
    let renewal = tokio::spawn(async move { operations.renew().await });
    until(&observer, HEAD_LOCKED, 1).await;
    other.batch_execute("ROLLBACK").await.expect("unlocked");
    assert_eq!(renewal.await.expect("a task"), Ok(()));
    bed.clock.move_by(20 * SECOND);
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()), "the lease is renewed");
}

async fn a_lease_that_is_renewed_during_a_takeover_is_kept() {
    let bed = server::bed();
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    bed.clock.move_by(31 * SECOND);
    let (other, observer) = (session(&bed).await, session(&bed).await);
    other.batch_execute("BEGIN; UPDATE operations SET lease_until = lease_until + 30000").await.expect("renewed");
    let operations = store.operations().clone();
    let taking = tokio::spawn(async move { operations.take_over(10).await });
    until(&observer, WAITING, 1).await;
    other.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(taking.await.expect("a task"), Ok(Vec::new()));
    let record = store.operations().get("acme", id).await.expect("read").expect("the write");
    assert_eq!((record.attempt, record.state), (1, State::Sending));
    store.audit().verify().await.expect("read").expect("an unbroken chain");
}

async fn a_key_that_is_reaped_during_a_claim_is_claimed() {
    let bed = server::bed();
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    store.operations().finish(id, 1, done()).await.expect("finished");
    // The trigger acts as a reaper that deletes the row just after the insertion found its key taken.
    let reaper = "CREATE FUNCTION reap() RETURNS trigger LANGUAGE plpgsql AS \
                  'BEGIN DELETE FROM operations WHERE finished_at IS NOT NULL; RETURN NULL; END'; \
                  CREATE TRIGGER reap AFTER INSERT ON operations FOR EACH STATEMENT EXECUTE FUNCTION reap()";
    session(&bed).await.batch_execute(reaper).await.expect("a trigger");
    assert_eq!(store.operations().claim(keyed("acme", "k", "r")).await, Ok(Claim::New { attempt: 1 }));
}

async fn one_customer_is_adopted_by_one_replica() {
    let bed = server::bed();
    let stores = [bed.open().await, bed.open().await];
    let (other, observer) = (session(&bed).await, session(&bed).await);
    let mut ids = Vec::new();
    for (number, store) in stores.iter().enumerate() {
        ids.push(claim(store, keyed("acme", &number.to_string(), "r")).await);
    }
    other.batch_execute(LOCK_HEAD).await.expect("locked");
    let adopting: Vec<_> = stores
        .iter()
        .zip(ids)
        .map(|(store, id)| {
            let operations = store.operations().clone();
            tokio::spawn(async move { operations.adopt(id, 1, "c1", true).await })
        })
        .collect();
    until(&observer, WAITING, 2).await;
    other.batch_execute("ROLLBACK").await.expect("unlocked");
    let mut adopted = Vec::new();
    for task in adopting {
        adopted.push(task.await.expect("a task").expect("adopted"));
    }
    assert!(adopted.contains(&Adopted::Own) && adopted.contains(&Adopted::Refused), "{adopted:?}");
}

const OF: ContactsOf<'_> = ContactsOf { merchant: "acme", connection: "main" };

/// The end of a write that leaves its customer with one contact.
fn with_email(store: &Store, customer: Option<&str>, email: &str) -> End {
    let contacts = store.contacts().changes(OF, [(ContactKind::Email, Some(email))]);
    End::Done {
        customer: customer.map(str::to_owned),
        contacts,
        carried: CarriedChanges::default(),
        answer: answer(200),
    }
}

/// A store with customer `c1`, whose e-mail address is `old@example.com`, and an update of it that is in flight.
async fn updating(bed: &Bed) -> (Store, OperationId) {
    let store = bed.open().await;
    let create = claim(&store, keyed("acme", "create", "r")).await;
    store.operations().finish(create, 1, with_email(&store, Some("c1"), "old@example.com")).await.expect("finished");
    let update = NewOperation {
        operation: "update".to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", "update", "r")
    };
    let update = claim(&store, update).await;
    (store, update)
}

async fn by_email(store: &Store, email: &str) -> Vec<String> {
    store.contacts().find(OF, ContactKind::Email, email, 10).await.expect("read")
}

async fn a_contact_that_is_moved_during_an_update_is_replaced() {
    let bed = server::bed();
    let (store, update) = updating(&bed).await;
    let (reaper, observer) = (session(&bed).await, session(&bed).await);
    let moving = "BEGIN; WITH gone AS (DELETE FROM operations WHERE operation = 'create' RETURNING *) \
                  INSERT INTO contacts SELECT merchant, connection, customer, 'email', email_hash, finished_at FROM gone";
    reaper.batch_execute(moving).await.expect("moved");
    let (operations, end) = (store.operations().clone(), with_email(&store, None, "new@example.com"));
    let finishing = tokio::spawn(async move { operations.finish(update, 1, end).await });
    until(&observer, WAITING, 1).await;
    assert_eq!(by_email(&store, "old@example.com").await, ["c1"]);
    reaper.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(finishing.await.expect("a task"), Ok(true));
    assert!(by_email(&store, "old@example.com").await.is_empty());
    assert_eq!(by_email(&store, "new@example.com").await, ["c1"]);
}

/// A replica of schema 5 keeps contacts in the table `contacts` alone.
async fn a_contact_of_an_older_replica_is_found_once_and_replaced() {
    let bed = server::bed();
    let (store, update) = updating(&bed).await;
    let older = "INSERT INTO contacts SELECT merchant, connection, customer, 'email', email_hash, finished_at \
                 FROM operations WHERE operation = 'create'";
    let other = session(&bed).await;
    other.batch_execute(older).await.expect("inserted");
    assert_eq!(by_email(&store, "old@example.com").await, ["c1"]);
    store.operations().finish(update, 1, with_email(&store, None, "new@example.com")).await.expect("finished");
    assert!(by_email(&store, "old@example.com").await.is_empty());
    other.batch_execute("UPDATE operations SET answer = NULL, erased = 1 WHERE customer = 'c1'").await.expect("erased");
    assert!(by_email(&store, "new@example.com").await.is_empty(), "its customer was deleted by an older replica");
    bed.clock.move_by(Duration::from_hours(31 * 24));
    store.operations().reap().await.expect("reaped");
    assert!(by_email(&store, "new@example.com").await.is_empty());
}
