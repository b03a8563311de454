//! Copies of a store that is written meanwhile: each is of one state, complete, or not there at all.

use std::fs;

use libtest_mimic::Trial;
use passerelle::store::{Backup, OperationId, Store, StoreError};
use rusqlite::Connection;

use crate::{
    bed::{Bed, claim, done_with, keyed},
    damage::{beside, copy, is_known, open},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("backup::{}", stringify!($test)), $test)),+] };
    }
    trials![
        a_copy_in_many_steps_is_of_one_state_although_others_write,
        an_interrupted_copy_leaves_nothing,
        a_file_that_lacks_its_log_is_not_copied,
        what_is_no_store_is_not_copied,
    ]
}

fn make(bed: &Bed, out: &Bed, goes_on: impl FnMut(u64, u64) -> bool) -> Result<Option<Backup>, StoreError> {
    Backup::make(&bed.settings("").expect("settings"), &out.path(), goes_on)
}

/// Writes with answers that need so many pages that a copy takes several steps.
async fn fill(store: &Store) {
    for _ in 0..30 {
        let id = claim(store, keyed("acme", &OperationId::now().to_string(), "r")).await;
        assert_eq!(store.operations().finish(id, 1, done_with(200_000)).await, Ok(true));
    }
}

/// Without a read transaction, SQLite would begin anew after each commit of another connection.
async fn a_copy_in_many_steps_is_of_one_state_although_others_write() {
    let bed = Bed::file();
    let store = open(&bed).await;
    fill(&store).await;
    claim(&store, keyed("acme", "before", "r")).await;
    let other = Connection::open(bed.path()).expect("the file");
    let out = copy(&bed, &[".key"]);
    let mut steps = Vec::new();
    let made = make(&bed, &out, |copied, all| {
        steps.push((copied, all));
        let insert = "INSERT INTO meta (name, value) VALUES (?1, x'00')";
        other.execute(insert, [format!("during {}", steps.len())]).expect("the writer is not blocked");
        steps.len() < 100
    });
    let backup = made.expect("a backup").expect("it goes on");
    assert!(steps.len() >= 3, "{steps:?}");
    assert!(steps.is_sorted() && steps.iter().all(|(_, all)| *all == steps[0].1), "it begins once: {steps:?}");
    assert_eq!((backup.copied.operations, backup.bytes), (31, fs::metadata(out.path()).expect("a file").len()));
    let during = "SELECT count(*) FROM meta WHERE name LIKE 'during%'";
    let count = |file: &Connection| file.query_row(during, [], |row| row.get::<_, u32>(0)).expect("a count");
    assert_eq!(u32::try_from(steps.len()), Ok(count(&other)));
    assert_eq!(count(&Connection::open(out.path()).expect("the copy")), 0);
    assert!(is_known(&open(&out).await, "before").await);
    assert_eq!(store.ready().await, Ok(()));
}

async fn an_interrupted_copy_leaves_nothing() {
    let bed = Bed::file();
    let store = open(&bed).await;
    fill(&store).await;
    let out = Bed::file();
    assert_eq!(make(&bed, &out, |_, _| false), Ok(None));
    let folder = out.path();
    assert_eq!(fs::read_dir(folder.parent().expect("a folder")).expect("read").count(), 0);
}

/// Such a copy would look complete.
async fn a_file_that_lacks_its_log_is_not_copied() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let alone = copy(&bed, &["", ".key"]);
    let refused = make(&alone, &Bed::file(), |_, _| true).expect_err("it lacks its log");
    assert!(refused.message().contains("its -wal is missing: start the gateway on it first"), "{refused}");
    // The log is there, but what was committed last is not in it.
    let cut = copy(&bed, &["", ".key", ".lock", "-wal"]);
    let log = fs::read(beside(&cut, "-wal")).expect("the log");
    for page in (1..log.len() / 4120).rev() {
        fs::write(beside(&cut, "-wal"), &log[..32 + page * 4120]).expect("the log");
        let _ = fs::remove_file(beside(&cut, "-shm"));
        if let Err(refused) = make(&cut, &Bed::file(), |_, _| true) {
            let (older, unfinished) = ("it is older than what was written here", "its -wal is missing");
            assert!(refused.message().contains(older) || refused.message().contains(unfinished), "{refused}");
            return;
        }
    }
    panic!("a log that was cut was never noticed");
}

async fn what_is_no_store_is_not_copied() {
    let bed = Bed::file();
    let refused = make(&bed, &Bed::file(), |_, _| true).expect_err("there is no file");
    assert!(refused.message().contains("there is no store at"), "{refused}");
    Connection::open(bed.path()).expect("a file").execute("CREATE TABLE t (c)", []).expect("a table");
    let refused = make(&bed, &Bed::file(), |_, _| true).expect_err("the database of another program");
    assert!(refused.message().contains("does not have the schema of this version"), "{refused}");
    let refused = make(&Bed::memory(), &Bed::file(), |_, _| true).expect_err("it has no file");
    assert!(refused.message().contains("in the gateway's memory"), "{refused}");
}
