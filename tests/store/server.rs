//! What only PostgreSQL has: several replicas, and a server that can crash or hang.

use std::{
    fs,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use passerelle::store::{Claim, End, Event, Inspection, OperationId, State, Store, StoreError, audit::Broken};

use rustix::process::Signal;

use crate::{
    bed::{Bed, answer, claim, done, key, keyed},
    cluster::{self, Cluster},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("server::{}", stringify!($test)), $test)),+] };
    }
    let trials = trials![
        two_replicas_never_take_over_the_same_write,
        replicas_share_keys_and_one_chain,
        replicas_start_together,
        a_crashed_server_makes_the_store_unavailable_until_it_is_back,
        a_database_that_cannot_write_is_not_ready_until_it_can,
        a_server_that_hangs_makes_the_store_unavailable_within_a_second,
        nothing_of_a_customer_is_on_its_disk,
        a_changed_audit_record_is_found,
        another_key_is_refused_unless_the_old_one_is_listed,
        sslmode_require_refuses_a_server_without_tls,
        leases_use_the_clock_of_the_database,
        an_inspection_changes_nothing,
        an_older_database_is_not_written_until_a_restart,
    ];
    trials.into_iter().map(cluster::or_ignored).collect()
}

/// A database on the cluster that most tests share.
pub(crate) fn bed() -> Bed {
    Bed::server(cluster::shared_database())
}

async fn sql(bed: &Bed, statement: &str) {
    let (client, connection) = tokio_postgres::connect(&bed.url, tokio_postgres::NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    client.batch_execute(statement).await.expect("executed");
    drop(client);
    connection.await.expect("a task").expect("a connection");
}

async fn two_replicas_never_take_over_the_same_write() {
    let bed = bed();
    let (first, second) = (bed.open().await, bed.open().await);
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(claim(&first, keyed("acme", &number.to_string(), "r")).await);
    }
    assert_eq!(second.operations().take_over(100).await, Ok(Vec::new()), "their leases are still valid");
    bed.clock.move_by(Duration::from_secs(31));
    let third = bed.open().await;
    let mut taken: Vec<OperationId> = Vec::new();
    for _ in 0..4 {
        let (one, other) = tokio::join!(second.operations().take_over(10), third.operations().take_over(10));
        let both = one.expect("taken over").into_iter().chain(other.expect("taken over"));
        taken.extend(both.map(|record| record.id));
    }
    taken.sort();
    assert_eq!(taken, ids);
    assert_eq!(first.operations().finish(ids[0], 1, done()).await, Ok(false));
}

async fn replicas_share_keys_and_one_chain() {
    let bed = bed();
    let stores: Vec<Store> = vec![bed.open().await, bed.open().await, bed.open().await];
    let mut running = Vec::new();
    for number in 0..300 {
        let store = stores[number % 3].clone();
        running.push(tokio::spawn(async move {
            let new = keyed("acme", &(number / 2).to_string(), "r");
            let id = new.id;
            match store.operations().claim(new).await.expect("a claim") {
                Claim::New { attempt } => store.operations().finish(id, attempt, done()).await.expect("finished"),
                _ => false,
            }
        }));
    }
    let mut finished = 0;
    for task in running {
        finished += u64::from(task.await.expect("a task"));
    }
    assert_eq!(finished, 150);
    let head = stores[0].audit().verify().await.expect("read").expect("an unbroken chain");
    assert_eq!(head.sequence, 300);
    assert!(matches!(stores[2].operations().claim(keyed("acme", "0", "r")).await, Ok(Claim::Finished(_))));
}

async fn replicas_start_together() {
    let bed = bed();
    let (one, two, three) = tokio::join!(bed.open(), bed.open(), bed.open());
    let id = claim(&one, keyed("acme", "k", "r")).await;
    // All derive their hashes from the same secret, and open what another sealed.
    for store in [&two, &three] {
        assert!(
            matches!(store.operations().claim(keyed("acme", "k", "r")).await, Ok(Claim::InFlight(record)) if record.id == id)
        );
    }
}

/// Claims a new write. Returns the result, and how long it took.
async fn timed_claim(store: &Store) -> (Result<Claim, StoreError>, Duration) {
    let begin = Instant::now();
    let claim = store.operations().claim(keyed("acme", &OperationId::now().to_string(), "r")).await;
    (claim, begin.elapsed())
}

async fn wait_until_available(store: &Store) {
    let begin = Instant::now();
    while let (Err(error), _) = timed_claim(store).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_crashed_server_makes_the_store_unavailable_until_it_is_back() {
    let mut cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let bed = Bed::server(cluster.database());
    let store = bed.open().await;
    let mut claimed = vec![claim(&store, keyed("acme", "before", "r")).await];
    for round in 0..3 {
        // It crashes under load. Acknowledged claims must be there afterwards.
        let load: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut claimed = Vec::new();
                    loop {
                        let new = keyed("acme", &OperationId::now().to_string(), "r");
                        let id = new.id;
                        match store.operations().claim(new).await {
                            Ok(Claim::New { .. }) => claimed.push(id),
                            Ok(other) => panic!("{other:?}"),
                            Err(StoreError::Unavailable(_)) => return claimed,
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.down();
        for task in load {
            claimed.extend(task.await.expect("a task"));
        }
        let (refused, took) = timed_claim(&store).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{round}: {refused:?}");
        assert!(took < Duration::from_millis(1500), "{took:?}");
        assert!(matches!(store.operations().get("acme", claimed[0]).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(bed.try_open(&format!("key = \"{}\"", key('1'))).await, Err(StoreError::Unavailable(_))));
        cluster.up();
        wait_until_available(&store).await;
    }
    assert!(claimed.len() > 20, "{} claims are too few for this test", claimed.len());
    for id in claimed {
        assert!(matches!(store.operations().get("acme", id).await, Ok(Some(_))), "{id} is lost");
    }
    store.audit().verify().await.expect("read").expect("an unbroken chain");
}

/// Triggers fail as a full disk does.
async fn a_database_that_cannot_write_is_not_ready_until_it_can() {
    let bed = bed();
    let store = bed.open().await;
    sql(
        &bed,
        "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_operations BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION is_full(); \
         CREATE TRIGGER full_meta BEFORE INSERT ON meta FOR EACH ROW EXECUTE FUNCTION is_full()",
    )
    .await;
    let refused = store.operations().claim(keyed("acme", "k", "r")).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(message)) if message.contains("53100")), "{refused:?}");
    for _ in 0..2 {
        let unready = store.ready().await;
        assert!(matches!(&unready, Err(StoreError::Unavailable(message)) if message.contains("53100")), "{unready:?}");
    }
    sql(&bed, "DROP FUNCTION is_full() CASCADE").await;
    assert_eq!(store.ready().await, Ok(()));
    claim(&store, keyed("acme", "k", "r")).await;
}

async fn a_server_that_hangs_makes_the_store_unavailable_within_a_second() {
    let cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let bed = Bed::server(cluster.database());
    let store = bed.open().await;
    claim(&store, keyed("acme", "before", "r")).await;
    cluster.signal(Signal::STOP);
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { timed_claim(&store).await })
        })
        .collect();
    for task in waiting {
        let (refused, took) = task.await.expect("a task");
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    cluster.signal(Signal::CONT);
    wait_until_available(&store).await;
}

async fn nothing_of_a_customer_is_on_its_disk() {
    let cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let bed = Bed::server(cluster.database());
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "canarykey", "canaryrequest")).await;
    store.operations().finish(id, 1, done()).await.expect("finished");
    let id = claim(&store, keyed("acme", "canarykey2", "canaryrequest2")).await;
    store
        .operations()
        .finish(id, 1, End::Unknown { reconcile_after: None, answer: answer(504) })
        .await
        .expect("finished");
    sql(&bed, "CHECKPOINT").await;
    let mut found_ids = false;
    for file in cluster.files() {
        let Ok(bytes) = fs::read(&file) else { continue };
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        found_ids |= contains(&id.to_string());
        for text in ["canarykey", "canaryrequest", "Amadou"] {
            assert!(!contains(text), "{} contains {text}", file.display());
        }
    }
    assert!(found_ids, "the search finds what is in the files");
}

async fn a_changed_audit_record_is_found() {
    let bed = bed();
    let store = bed.open().await;
    for number in 0..20 {
        let id = claim(&store, keyed("acme", &number.to_string(), "r")).await;
        store.operations().finish(id, 1, done()).await.expect("finished");
    }
    sql(&bed, "UPDATE audit SET attempt = 2 WHERE sequence = 7").await;
    assert_eq!(store.audit().verify().await, Ok(Err(Broken::Changed(7))));
    sql(&bed, "UPDATE audit SET attempt = 1 WHERE sequence = 7; DELETE FROM audit WHERE sequence = 40").await;
    assert_eq!(store.audit().verify().await, Ok(Err(Broken::Missing(40))));
}

async fn another_key_is_refused_unless_the_old_one_is_listed() {
    let bed = bed();
    let old = bed.open().await;
    let id = claim(&old, keyed("acme", "k", "r")).await;
    old.operations().finish(id, 1, done()).await.expect("finished");
    let new = format!("key = \"{}\"", key('2'));
    assert!(matches!(bed.try_open(&new).await, Err(StoreError::WrongKey(_))));
    let both = bed.try_open(&format!("{new}\nprevious_keys = [\"{}\"]", key('1'))).await.expect("a store");
    // A replica that still has the old key seals with it.
    claim(&old, keyed("acme", "later", "r")).await;
    assert_eq!((both.reseal().await, both.reseal().await), (Ok(1), Ok(0)));
    let store = bed.try_open(&new).await.expect("a store");
    let again = store.operations().claim(keyed("acme", "k", "r")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.answer == Some(answer(201))));
}

async fn sslmode_require_refuses_a_server_without_tls() {
    let mut bed = bed();
    bed.url.push_str("?sslmode=require");
    let refused = bed.try_open(&format!("key = \"{}\"", key('1'))).await;
    assert!(refused.is_err(), "this server has no TLS");
}

async fn leases_use_the_clock_of_the_database() {
    let bed = bed();
    let mut settings = bed.settings(&format!("key = \"{}\"", key('1'))).expect("settings");
    settings.clock = None;
    settings.lease = Duration::from_millis(300);
    let store = Store::open(&settings).await.expect("a store");
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let taken = store.operations().take_over(10).await.expect("taken over");
    assert_eq!(taken.iter().map(|record| (record.id, record.state)).collect::<Vec<_>>(), [(id, State::Sending)]);
    let records = store.audit().records(0, 10).await.expect("audit");
    assert_eq!(records.iter().map(|record| record.event).collect::<Vec<_>>(), [Event::Intent, Event::TakenOver]);
    let recorded = records[0].at.as_millisecond();
    assert!((jiff::Timestamp::now().as_millisecond() - recorded).abs() < 60_000, "the time is that of the database");
}

async fn an_inspection_changes_nothing() {
    let bed = bed();
    let settings = bed.settings(&format!("key = \"{}\"", key('1'))).expect("settings");
    let inspect = async || Inspection::open(&settings).expect("an inspection").operations(None, None, None, 10).await;
    let refused = inspect().await.expect_err("a database without a store").to_string();
    assert!(refused.contains("start the gateway on it once"), "{refused}");
    assert!(inspect().await.is_err(), "an inspection creates no tables");
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let seen = inspect().await.expect("the operations");
    assert_eq!(seen.iter().map(|record| record.id).collect::<Vec<_>>(), [id]);
}

/// As after a restored backup, or where a standby was promoted without the last writes.
async fn an_older_database_is_not_written_until_a_restart() {
    let bed = bed();
    let store = bed.open().await;
    claim(&store, keyed("acme", "a", "r")).await;
    sql(&bed, "CREATE TABLE backup AS SELECT sequence, hash FROM chain").await;
    claim(&store, keyed("acme", "b", "r")).await;
    sql(
        &bed,
        "UPDATE chain SET (sequence, hash) = (SELECT sequence, hash FROM backup); DELETE FROM audit WHERE sequence > 1",
    )
    .await;
    for _ in 0..2 {
        let refused = store.operations().claim(keyed("acme", "c", "r")).await;
        let message = refused.expect_err("it is older").to_string();
        assert!(message.contains("this gateway has seen audit record 2"), "{message}");
        assert!(message.contains("ends with record 1 now"), "{message}");
        assert!(store.ready().await.is_err_and(|error| error.message().contains("older than it was")));
    }
    drop(store);
    let store = bed.open().await;
    claim(&store, keyed("acme", "c", "r")).await;
    store.audit().verify().await.expect("read").expect("an unbroken chain");
}
