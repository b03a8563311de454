//! A restored store that lacks writes which were made here is refused until an operator accepts it; a store that lacks
//! nothing is not.

use std::fs;

use libtest_mimic::Trial;
use passerelle::store::{AcceptedRestore, Backup, Event, NewSwitch, Store, StoreError, SwitchChange, SwitchState};

use crate::{
    bed::{Bed, claim, key, keyed},
    damage::{beside, copy, is_known, open, refusal, write},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("restore::{}", stringify!($test)), $test)),+] };
    }
    trials![
        a_copy_that_lacks_writes_is_refused_until_it_is_accepted,
        a_copy_that_lacks_nothing_starts,
        a_process_killed_after_a_commit_leaves_the_newest_record,
        another_store_in_its_place_is_refused,
        a_copy_that_was_written_elsewhere_is_refused,
        a_missing_database_is_refused_also_with_a_configured_key,
        an_empty_store_begins_where_the_key_was_removed_as_well,
        a_store_in_use_is_not_accepted,
        accepting_stops_open_switches,
        a_note_of_an_earlier_version_refuses_nothing,
        a_restored_store_is_not_backed_up_before_it_is_accepted,
    ]
}

/// Accepts a restored store, as the command does.
pub(crate) async fn accept_restore(bed: &Bed) -> Option<AcceptedRestore> {
    Store::accept_restore(&bed.settings("").expect("settings")).await.expect("an answer")
}

/// Makes a backup of a store in use.
fn back_up(bed: &Bed) -> Bed {
    let backup = copy(bed, &[".key"]);
    let made = Backup::make(&bed.settings("").expect("settings"), &backup.path(), |_, _| true);
    assert!(made.expect("a backup").is_some());
    backup
}

/// Puts a backup in the place of a store that no process uses, as docs/operating.md says.
fn restore(backup: &Bed, bed: &Bed) {
    let _ = fs::remove_file(beside(bed, "-wal"));
    let _ = fs::remove_file(beside(bed, "-shm"));
    fs::copy(backup.path(), bed.path()).expect("restored");
}

async fn a_copy_that_lacks_writes_is_refused_until_it_is_accepted() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "before", "r")).await;
    let backup = back_up(&bed);
    write(&store, 3).await;
    drop(store);
    restore(&backup, &bed);
    for _ in 0..2 {
        let message = refusal(&bed).await;
        for part in [
            bed.path().to_str().expect("a path"),
            "it is older than what was written here: audit record 7 of 2027-01-15T08:00:00Z was written here",
            "its newest record is 1 of 2027-01-15T08:00:00Z",
            "a client that repeats one of them would cause a second effect",
            "`passerelle store accept-restore`",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let older = Store::older(&bed.settings("").expect("settings")).expect("an answer").expect("it is older");
    assert_eq!((older.noted.head.sequence, older.missing()), (7, Some(6)));
    assert!(refusal(&bed).await.contains("is older"), "a look accepts nothing");

    let accepted = accept_restore(&bed).await.expect("it was older");
    assert_eq!((accepted.older, accepted.stopped.len()), (older, 0));
    for number in 0..2 {
        let store = open(&bed).await;
        assert!(is_known(&store, "before").await);
        claim(&store, keyed("acme", &format!("after {number}"), "r")).await;
    }
    let store = open(&bed).await;
    let records = store.audit().records(0, 10).await.expect("the audit");
    let [_, command, ..] = &records[..] else { panic!("{records:?}") };
    assert_eq!((command.operation.as_str(), command.event), ("store.accept_restore", Event::Done));
    let detail = command.detail.as_deref().unwrap_or_default();
    assert!(detail.contains("\"from\":{") && detail.contains("\"sequence\":7"), "{detail}");
    store.audit().verify().await.expect("read").expect("an unbroken chain");
    drop(store);
    assert!(accept_restore(&bed).await.is_none(), "nothing is left to be accepted");
}

async fn a_copy_that_lacks_nothing_starts() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let backup = back_up(&bed);
    drop(store);
    restore(&backup, &bed);
    assert!(is_known(&open(&bed).await, "k").await);
    // On another machine nothing is known of what was written.
    assert!(is_known(&open(&backup).await, "k").await);
}

/// The note of each commit is written before the commit is acknowledged.
async fn a_process_killed_after_a_commit_leaves_the_newest_record() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let mut backup = None;
    for number in 0..30 {
        claim(&store, keyed("acme", &format!("k{number}"), "r")).await;
        let killed = copy(&bed, &["", ".key", ".lock", "-wal"]);
        if let Some(backup) = &backup {
            let restored = copy(&killed, &[".key", ".lock"]);
            restore(backup, &restored);
            assert!(refusal(&restored).await.contains(&format!("audit record {} of", number + 1)));
        }
        assert!(is_known(&open(&killed).await, &format!("k{number}")).await);
        backup = Some(back_up(&bed));
    }
}

async fn another_store_in_its_place_is_refused() {
    let (bed, other) = (Bed::file(), Bed::file());
    for (bed, count) in [(&bed, 2), (&other, 5)] {
        write(&open(bed).await, count).await;
    }
    fs::copy(beside(&other, ".key"), beside(&bed, ".key")).expect("its key");
    restore(&other, &bed);
    let message = refusal(&bed).await;
    assert!(message.contains("it is not the store that was here, or it was written elsewhere since"), "{message}");
    assert_eq!(accept_restore(&bed).await.map(|accepted| accepted.older.missing()), Some(None));
    open(&bed).await;
}

async fn a_copy_that_was_written_elsewhere_is_refused() {
    let bed = Bed::file();
    let store = open(&bed).await;
    write(&store, 1).await;
    let elsewhere = back_up(&bed);
    write(&store, 2).await;
    drop(store);
    write(&open(&elsewhere).await, 20).await;
    restore(&elsewhere, &bed);
    let message = refusal(&bed).await;
    assert!(message.contains("audit record 6 of") && message.contains("its record 6 is another one"), "{message}");
}

async fn a_missing_database_is_refused_also_with_a_configured_key() {
    let bed = Bed::file();
    claim(&bed.open().await, keyed("acme", "k", "r")).await;
    fs::remove_file(bed.path()).expect("removed");
    let configured = format!("key = \"{}\"", key('1'));
    for _ in 0..2 {
        let Err(StoreError::Damaged(message)) = bed.try_open(&configured).await else { panic!("it opened") };
        assert!(message.contains("is missing or empty, but audit record 1 of"), "{message}");
        assert!(message.contains("store.db.lock to begin with an empty store"), "{message}");
    }
    let accepted = Store::accept_restore(&bed.settings(&configured).expect("settings")).await;
    assert!(accepted.is_err_and(|error| error.message().contains("is missing or empty")));
    fs::remove_file(beside(&bed, ".lock")).expect("removed");
    bed.open().await;
}

async fn an_empty_store_begins_where_the_key_was_removed_as_well() {
    let bed = Bed::file();
    claim(&open(&bed).await, keyed("acme", "k", "r")).await;
    for ending in ["", ".key"] {
        fs::remove_file(beside(&bed, ending)).expect("removed");
    }
    for _ in 0..2 {
        open(&bed).await;
    }
    assert!(!is_known(&open(&bed).await, "k").await);
}

async fn a_store_in_use_is_not_accepted() {
    let bed = Bed::file();
    let _store = open(&bed).await;
    let accepted = Store::accept_restore(&bed.settings("").expect("settings")).await;
    assert!(matches!(&accepted, Err(StoreError::Locked(_))), "{accepted:?}");
}

/// What they have copied since the backup is not in it.
async fn accepting_stops_open_switches() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let new = |merchant: &str| NewSwitch {
        merchant: merchant.to_owned(),
        from: "main".to_owned(),
        to: "other".to_owned(),
        epoch: 0,
        settings: "{}".to_owned(),
        progress: "{}".to_owned(),
        is_stopped: false,
    };
    for merchant in ["acme", "beta"] {
        store.switches().open(new(merchant)).await.expect("stored").expect("opened");
    }
    let ended = store.switches().of_merchant("beta").await.expect("read").expect("a switch");
    let abandon = SwitchChange { state: Some(SwitchState::Abandoned), ..SwitchChange::default() };
    assert_eq!(store.switches().change(&ended, false, abandon).await, Ok(true));
    write(&store, 1).await;
    let backup = back_up(&bed);
    write(&store, 1).await;
    drop(store);
    restore(&backup, &bed);
    let accepted = accept_restore(&bed).await.expect("it was older");
    assert_eq!(accepted.stopped.iter().map(|switch| switch.merchant.as_str()).collect::<Vec<_>>(), ["acme"]);
    let store = open(&bed).await;
    let switch = store.switches().of_merchant("acme").await.expect("read").expect("a switch");
    assert!(switch.is_stopped);
    assert_eq!(store.switches().lease_free().await.map(|leased| leased.len()), Ok(0), "no worker takes it");
}

/// Earlier versions note the end of the log alone, and leave what follows as it is.
async fn a_note_of_an_earlier_version_refuses_nothing() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let mut notes = Vec::new();
    for number in 0..20 {
        claim(&store, keyed("acme", &format!("k{number}"), "r")).await;
        notes.push(fs::read(beside(&bed, ".lock")).expect("the note"));
    }
    let (newest, older) = (notes[19].clone(), notes[3].clone());
    let torn = [&newest[..100], &older[100..]].concat();
    for note in [newest[..40].to_vec(), [&newest[..40], &older[40..]].concat(), torn, newest[..90].to_vec()] {
        let copied = copy(&bed, &["", ".key", "-wal"]);
        fs::write(beside(&copied, ".lock"), note).expect("a note");
        assert!(is_known(&open(&copied).await, "k19").await);
    }
}

async fn a_restored_store_is_not_backed_up_before_it_is_accepted() {
    let bed = Bed::file();
    let store = open(&bed).await;
    write(&store, 1).await;
    let backup = back_up(&bed);
    write(&store, 1).await;
    drop(store);
    restore(&backup, &bed);
    let out = beside(&bed, ".backup");
    let made = Backup::make(&bed.settings("").expect("settings"), &out, |_, _| true);
    assert!(made.is_err_and(|error| error.message().contains("A backup of it would lack the same")));
    assert!(!out.exists());
    accept_restore(&bed).await.expect("it was older");
    assert!(Backup::make(&bed.settings("").expect("settings"), &out, |_, _| true).expect("a backup").is_some());
}
