//! What the store says at its start about a log that lost committed writes after `kill -9`, and that it starts after
//! every state of its files that a killed process, a crash of the machine or a backup can leave.

use std::fs;

use libtest_mimic::Trial;
use passerelle::store::{Inspection, Store};
use rusqlite::Connection;

use crate::{
    bed::{Bed, claim, keyed},
    damage::{beside, copy, is_known, open, refusal, write},
    restore::accept_restore,
    trial::trial,
};

/// The files that a killed process leaves, and that belong to the store.
const KILLED: [&str; 4] = ["", ".key", ".lock", "-wal"];
/// The length of the log's header, and of one page with its header.
const HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("log::{}", stringify!($test)), $test)),+] };
    }
    trials![
        a_log_that_lost_committed_writes_is_refused,
        an_overwritten_header_of_the_log_is_refused,
        a_refusal_changes_nothing_and_says_how_to_accept_the_loss,
        a_refusal_survives_a_look_at_the_store,
        a_process_killed_after_any_commit_starts_again,
        a_process_killed_in_a_transaction_starts_again,
        a_note_about_an_earlier_state_of_the_log_refuses_nothing,
        a_process_killed_in_a_checkpoint_starts_again,
        a_copy_without_the_note_starts,
        an_accepted_restored_store_starts_beside_the_notes_of_the_lost_one,
        a_look_at_a_killed_store_leaves_it_as_it_is,
    ]
}

/// A store with the write `k`, and a copy of its files as of a kill.
async fn killed() -> (Bed, Store, Bed) {
    let bed = Bed::file();
    let store = open(&bed).await;
    write(&store, 5).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let copied = copy(&bed, &KILLED);
    (bed, store, copied)
}

fn log_of(bed: &Bed) -> Vec<u8> {
    fs::read(beside(bed, "-wal")).expect("the log")
}

/// The number of pages in the log of a store that made no checkpoint since its start. A checkpoint begins the log anew.
fn pages(log: &[u8]) -> usize {
    let salts = &log[16..24];
    log[HEADER..].chunks_exact(FRAME).take_while(|frame| &frame[8..16] == salts).count()
}

fn set_log(bed: &Bed, log: &[u8]) {
    fs::write(beside(bed, "-wal"), log).expect("the log");
}

async fn a_log_that_lost_committed_writes_is_refused() {
    let (_running, _store, bed) = killed().await;
    let whole = log_of(&bed);
    let committed = pages(&whole);
    let end = HEADER + committed * FRAME;
    let middle = HEADER + committed / 2 * FRAME;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut log = whole.clone();
        change(&mut log);
        log
    };
    let cases = [
        ("cut by a page", committed - 1, changed(&|log| log.truncate(end - FRAME))),
        ("cut in its last page", committed - 1, changed(&|log| log.truncate(end - 1))),
        ("cut in the middle", committed / 2, changed(&|log| log.truncate(middle))),
        ("cut in a page", committed / 2, changed(&|log| log.truncate(middle + 100))),
        ("cut after its header", 0, changed(&|log| log.truncate(HEADER))),
        ("a changed byte of a page", committed / 2, changed(&|log| log[middle + 1000] ^= 1)),
        ("a changed byte of a page's header", committed / 2, changed(&|log| log[middle + 2] ^= 1)),
        ("a changed byte of the last page", committed - 1, changed(&|log| log[end - 1] ^= 1)),
        ("zeros over its tail", committed / 2, changed(&|log| log[middle..].fill(0))),
        ("zeros over its last page", committed - 1, changed(&|log| log[end - FRAME..].fill(0))),
    ];
    for (case, readable, log) in cases {
        set_log(&bed, &log);
        let message = refusal(&bed).await;
        let expected = format!("{committed} pages were committed to it, and only the first {readable} can be read");
        assert!(message.contains("-wal is cut or damaged"), "{case}: {message}");
        assert!(message.contains(&expected), "{case}: {message}");
        assert!(message.contains("restore the newest backup") && message.contains("docs/store.md"), "{message}");
    }
    set_log(&bed, &whole);
    assert!(is_known(&open(&bed).await, "k").await);
}

/// SQLite ignores such a log, with everything in it.
async fn an_overwritten_header_of_the_log_is_refused() {
    let (_running, _store, bed) = killed().await;
    let whole = log_of(&bed);
    for from in [0, 8, 16, 24] {
        for length in [1, 8, whole.len() - from] {
            let mut log = whole.clone();
            // The salts and the checksum are random: a fixed byte could be the one that is there.
            log[from..from + length].iter_mut().for_each(|byte| *byte ^= 0xEE);
            set_log(&bed, &log);
            let message = refusal(&bed).await;
            assert!(message.contains("-wal is damaged: nothing in it can be read"), "{message}");
        }
    }
    for length in 1..HEADER {
        set_log(&bed, &whole[..length]);
        assert!(refusal(&bed).await.contains("nothing in it can be read"));
    }
}

async fn a_refusal_changes_nothing_and_says_how_to_accept_the_loss() {
    let (_running, _store, bed) = killed().await;
    let cut = &log_of(&bed)[..HEADER + FRAME];
    set_log(&bed, cut);
    for _ in 0..3 {
        refusal(&bed).await;
        assert!(log_of(&bed) == cut);
    }
    // The commands of docs/store.md.
    Connection::open(bed.path()).expect("the file").pragma_update(None, "user_version", 0).expect("a version");
    assert!(refusal(&bed).await.contains("it is older than what was written here"));
    accept_restore(&bed).await.expect("it lacks writes");
    assert!(!is_known(&open(&bed).await, "k").await);
}

async fn look(bed: &Bed) -> usize {
    let inspection = Inspection::open(&bed.settings("").expect("settings")).expect("an inspection");
    inspection.operations(None, None, None, 100).await.expect("operations").len()
}

/// A program that only reads makes SQLite's index of the log anew, but not the note.
async fn a_refusal_survives_a_look_at_the_store() {
    let (_running, _store, bed) = killed().await;
    set_log(&bed, &log_of(&bed)[..HEADER + FRAME]);
    refusal(&bed).await;
    look(&bed).await;
    refusal(&bed).await;
}

async fn a_process_killed_after_any_commit_starts_again() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let length = || fs::metadata(bed.path()).expect("the file").len();
    let before = length();
    let mut number = 0;
    // Past several checkpoints, each of which begins the log anew: the old pages stay behind the new ones.
    while number < 400 {
        claim(&store, keyed("acme", &format!("k{number}"), "r")).await;
        if number % 7 == 0 {
            let copied = copy(&bed, &KILLED);
            assert!(is_known(&open(&copied).await, &format!("k{number}")).await);
        }
        number += 1;
    }
    assert!(length() > before, "the log was moved into the file at least once");
    assert!(pages(&log_of(&bed)) < log_of(&bed).len() / FRAME, "older pages are behind the new ones");
}

async fn a_process_killed_in_a_transaction_starts_again() {
    let (running, store, bed) = killed().await;
    let committed = pages(&log_of(&bed));
    // A transaction that does not fit SQLite's cache is in the log before it is committed.
    let other = Connection::open(running.path()).expect("the file");
    other.execute_batch("PRAGMA cache_size = 5; BEGIN; CREATE TABLE large (bytes BLOB)").expect("a transaction");
    for _ in 0..50 {
        other.execute("INSERT INTO large VALUES (randomblob(20000))", []).expect("inserted");
    }
    let open_transaction = copy(&running, &KILLED);
    assert!(pages(&log_of(&open_transaction)) > committed + 10);
    let spilled = log_of(&open_transaction);
    // The machine may have written any part of it.
    for length in [spilled.len() - 1, HEADER + (committed + 3) * FRAME + 10, HEADER + committed * FRAME] {
        let copied = copy(&running, &KILLED);
        set_log(&copied, &spilled[..length]);
        assert!(is_known(&open(&copied).await, "k").await);
        let copied = copy(&running, &KILLED);
        let mut torn = spilled.clone();
        torn[length.min(spilled.len() - FRAME)..].fill(0);
        set_log(&copied, &torn);
        assert!(is_known(&open(&copied).await, "k").await);
    }
    assert!(is_known(&open(&open_transaction).await, "k").await);
    // What was rolled back stays behind the next commits.
    other.execute_batch("ROLLBACK").expect("rolled back");
    claim(&store, keyed("acme", "k2", "r")).await;
    assert!(is_known(&open(&copy(&running, &KILLED)).await, "k2").await);
}

async fn a_note_about_an_earlier_state_of_the_log_refuses_nothing() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let mut notes = vec![Vec::new(), vec![0; 40], vec![0xEE; 40]];
    for number in 0..400 {
        claim(&store, keyed("acme", &format!("k{number}"), "r")).await;
        if number % 40 == 0 {
            notes.push(fs::read(beside(&bed, ".lock")).expect("the note"));
        }
    }
    // After a loss of power the note on the disk may be an old one, or half of it.
    let torn = notes[3..].windows(2).map(|pair| [&pair[0][..30], &pair[1][30..]].concat()).collect::<Vec<_>>();
    for note in notes.into_iter().chain(torn) {
        let copied = copy(&bed, &KILLED);
        fs::write(beside(&copied, ".lock"), note).expect("a note");
        assert!(is_known(&open(&copied).await, "k399").await);
    }
}

async fn a_process_killed_in_a_checkpoint_starts_again() {
    let (running, store, before) = killed().await;
    let old = fs::read(before.path()).expect("the file");
    Connection::open(running.path())
        .expect("the file")
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .expect("a checkpoint");
    let new = fs::read(running.path()).expect("the file");
    for moved in 0..=new.len() / 4096 {
        let copied = copy(&before, &KILLED);
        let moved = moved * 4096;
        fs::write(copied.path(), [&new[..moved], old.get(moved..).unwrap_or_default()].concat()).expect("the file");
        assert!(is_known(&open(&copied).await, "k").await);
    }
    // The next transaction begins the log anew. First only its new header is there.
    let copied = copy(&running, &KILLED);
    claim(&store, keyed("acme", "k2", "r")).await;
    let log = log_of(&running);
    let mut begun = log_of(&copied);
    assert!(begun[..HEADER] != log[..HEADER], "the log was begun anew");
    begun[..HEADER].copy_from_slice(&log[..HEADER]);
    set_log(&copied, &begun);
    assert!(is_known(&open(&copied).await, "k").await);
    assert!(is_known(&open(&copy(&running, &KILLED)).await, "k2").await);
    // The note may be older than the new log.
    let copied = copy(&running, &KILLED);
    fs::copy(beside(&before, ".lock"), beside(&copied, ".lock")).expect("the note");
    assert!(is_known(&open(&copied).await, "k2").await);
}

async fn a_copy_without_the_note_starts() {
    let (running, _store, _copied) = killed().await;
    for files in [&["", ".key", "-wal"][..], &["", ".key", "-wal", "-shm"][..]] {
        assert!(is_known(&open(&copy(&running, files)).await, "k").await);
    }
}

async fn an_accepted_restored_store_starts_beside_the_notes_of_the_lost_one() {
    let (running, store, _copied) = killed().await;
    drop(store);
    let backup = copy(&running, &["", ".key"]);
    let store = open(&running).await;
    write(&store, 20).await;
    let lost = copy(&running, &KILLED);
    fs::copy(backup.path(), lost.path()).expect("restored");
    fs::remove_file(beside(&lost, "-wal")).expect("removed");
    accept_restore(&lost).await.expect("it lacks writes");
    for _ in 0..2 {
        let store = open(&lost).await;
        assert!(is_known(&store, "k").await);
        write(&store, 1).await;
        assert!(is_known(&open(&copy(&lost, &KILLED)).await, "k").await);
    }
}

async fn a_look_at_a_killed_store_leaves_it_as_it_is() {
    let (running, store, bed) = killed().await;
    let log = log_of(&bed);
    assert_eq!(look(&bed).await, 6);
    assert!(log_of(&bed) == log);
    assert!(is_known(&open(&bed).await, "k").await);
    drop(store);
    // A closed store has no log.
    let closed = copy(&running, &["", ".key", ".lock"]);
    assert_eq!(look(&closed).await, 6);
    assert!(is_known(&open(&closed).await, "k").await);
}
