//! What the store says where its file, its log or a part of them is missing or damaged: at its start, and while it runs.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use libtest_mimic::Trial;
use passerelle::store::{Claim, OperationId, Store, StoreError};
use rusqlite::Connection;

use crate::{
    bed::{Bed, claim, done, keyed},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("damage::{}", stringify!($test)), $test)),+] };
    }
    let mut trials = trials![
        a_missing_or_empty_database_beside_its_key_is_refused,
        a_failed_first_start_leaves_no_key,
        a_file_without_the_log_that_it_needs_is_refused,
        a_file_needs_its_log_after_every_checkpoint,
        an_empty_file_beside_a_log_is_refused,
        a_store_that_was_closed_is_one_complete_file,
        a_copy_that_sqlite_makes_is_complete,
        a_removed_file_refuses_writes_until_it_is_back,
        a_removed_log_refuses_writes,
        a_truncated_log_refuses_writes_until_a_restart,
        a_replaced_file_refuses_writes,
        a_damaged_file_refuses_writes_until_a_restart,
        a_change_of_another_program_that_damages_nothing_is_accepted,
    ];
    trials.push(a_filesystem_that_becomes_read_only());
    trials
}

/// Another file of the store: the key, the log.
pub(crate) fn beside(bed: &Bed, ending: &str) -> PathBuf {
    let mut path = bed.path().into_os_string();
    path.push(ending);
    path.into()
}

/// A folder with copies of these files of the store, as another bed.
pub(crate) fn copy(bed: &Bed, endings: &[&str]) -> Bed {
    let other = Bed::file();
    for ending in endings {
        fs::copy(beside(bed, ending), beside(&other, ending)).expect("a copy");
    }
    other
}

pub(crate) async fn refusal(bed: &Bed) -> String {
    match bed.try_open("").await {
        Err(StoreError::Damaged(message)) => message,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn open(bed: &Bed) -> Store {
    bed.open_with("").await
}

pub(crate) async fn is_known(store: &Store, key: &str) -> bool {
    matches!(store.operations().claim(keyed("acme", key, "r")).await, Ok(Claim::InFlight(_) | Claim::Finished(_)))
}

/// Claims and ends so many writes.
pub(crate) async fn write(store: &Store, count: usize) {
    for _ in 0..count {
        let id = claim(store, keyed("acme", &OperationId::now().to_string(), "r")).await;
        assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
    }
}

async fn assert_refuses_writes(store: &Store, message: &str) {
    let refused = store.operations().claim(keyed("acme", &OperationId::now().to_string(), "r")).await;
    assert!(refused.as_ref().is_err_and(|error| error.message().contains(message)), "{refused:?}");
    let unready = store.ready().await;
    assert!(unready.as_ref().is_err_and(|error| error.message().contains(message)), "{unready:?}");
}

async fn a_missing_or_empty_database_beside_its_key_is_refused() {
    let bed = Bed::file();
    drop(open(&bed).await);
    for empties in [false, true] {
        match empties {
            false => fs::remove_file(bed.path()).expect("removed"),
            true => fs::write(bed.path(), "").expect("emptied"),
        }
        for _ in 0..2 {
            let message = refusal(&bed).await;
            assert!(message.contains("is missing or empty, but its key"), "{message}");
            assert!(message.contains("restore") && message.contains("to begin with an empty store"), "{message}");
        }
        fs::remove_file(beside(&bed, ".key")).expect("removed");
        let store = open(&bed).await;
        assert_eq!(store.ready().await, Ok(()));
    }
}

async fn a_failed_first_start_leaves_no_key() {
    let bed = Bed::file();
    // SQLite cannot make its log where a folder has its name.
    fs::create_dir(beside(&bed, "-wal")).expect("a folder");
    assert!(bed.try_open("").await.is_err());
    assert!(!beside(&bed, ".key").exists());
    fs::remove_dir(beside(&bed, "-wal")).expect("removed");
    fs::write(bed.path(), "").expect("emptied");
    drop(open(&bed).await);
}

async fn a_file_without_the_log_that_it_needs_is_refused() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    // As after `kill -9`.
    let alone = copy(&bed, &["", ".key"]);
    for log in ["missing", "empty"] {
        if log == "empty" {
            fs::write(beside(&alone, "-wal"), "").expect("an empty log");
        }
        let message = refusal(&alone).await;
        assert!(message.contains("did not close it") && message.contains("-wal is missing"), "{message}");
        assert!(message.contains("put the log back, or restore"), "{message}");
    }
    let whole = copy(&bed, &["", ".key", "-wal"]);
    assert!(is_known(&open(&whole).await, "k").await);
    // The operator accepts the loss.
    fs::remove_file(beside(&alone, "-wal")).expect("removed");
    Connection::open(alone.path()).expect("the file").pragma_update(None, "user_version", 0).expect("a version");
    drop(open(&alone).await);
}

async fn a_file_needs_its_log_after_every_checkpoint() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let before = fs::metadata(bed.path()).expect("the file").len();
    for _ in 0..4 {
        write(&store, 60).await;
        assert!(refusal(&copy(&bed, &["", ".key"])).await.contains("did not close it"));
    }
    let after = fs::metadata(bed.path()).expect("the file").len();
    assert!(after > before, "the log was moved into the file at least once");
    claim(&store, keyed("acme", "k", "r")).await;
    assert!(is_known(&open(&copy(&bed, &["", ".key", "-wal"])).await, "k").await);
}

/// SQLite would delete the log.
async fn an_empty_file_beside_a_log_is_refused() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let emptied = copy(&bed, &["", ".key", "-wal"]);
    fs::write(emptied.path(), "").expect("emptied");
    let message = refusal(&emptied).await;
    assert!(message.contains("is missing or empty, but its log"), "{message}");
    assert!(fs::metadata(beside(&emptied, "-wal")).is_ok_and(|log| log.len() > 0), "the log is still there");
}

async fn a_store_that_was_closed_is_one_complete_file() {
    let bed = Bed::file();
    for number in 0..3 {
        let store = open(&bed).await;
        write(&store, 100 * number).await;
        claim(&store, keyed("acme", &format!("k{number}"), "r")).await;
        drop(store);
        assert!(!beside(&bed, "-wal").exists());
        let copied = copy(&bed, &["", ".key"]);
        let copied = (open(&copied).await, copied);
        for known in 0..=number {
            assert!(is_known(&copied.0, &format!("k{known}")).await);
        }
    }
}

async fn a_copy_that_sqlite_makes_is_complete() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let backup = copy(&bed, &[".key"]);
    let running = Connection::open(bed.path()).expect("the file");
    running.execute("VACUUM INTO ?1", [backup.path().to_str()]).expect("a copy");
    assert!(is_known(&open(&backup).await, "k").await);
    drop(running);
    assert_eq!(store.ready().await, Ok(()));
    assert!(is_known(&store, "k").await);
}

async fn a_removed_file_refuses_writes_until_it_is_back() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let away = beside(&bed, ".away");
    fs::rename(bed.path(), &away).expect("moved");
    assert_refuses_writes(&store, "was removed while the gateway was running").await;
    assert!(!bed.path().exists(), "no empty file takes its place");
    fs::rename(&away, bed.path()).expect("moved back");
    assert_eq!(store.ready().await, Ok(()));
    claim(&store, keyed("acme", "k2", "r")).await;
    drop(store);
    assert!(is_known(&open(&bed).await, "k2").await);
}

/// Over a folder lies the same folder, which cannot be written: as a system mounts a disk after an error.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn over(folder: &Path) -> Option<Self> {
        let mount = |options: &str, places: &[&Path]| {
            let status = Command::new("mount").args(["-o", options]).args(places).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        if !mount("bind", &[folder, folder]) {
            return None;
        }
        let read_only = Self(folder.to_owned());
        mount("remount,bind,ro", &[folder]).then_some(read_only)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// It needs the right to mount, which only root has. For others it is ignored.
fn a_filesystem_that_becomes_read_only() -> Trial {
    let name = "damage::a_filesystem_that_becomes_read_only_refuses_writes_until_it_can_be_written";
    let folder = tempfile::tempdir().expect("a folder");
    if ReadOnly::over(folder.path()).is_none() {
        return Trial::test(format!("{name} (mounts are not allowed)"), || Ok(())).with_ignored_flag(true);
    }
    trial(name, || async {
        let bed = Bed::file();
        let path = bed.path();
        let folder = path.parent().expect("a folder");
        let store = open(&bed).await;
        claim(&store, keyed("acme", "k", "r")).await;
        let read_only = ReadOnly::over(folder).expect("a mount");
        // The open files can still be written here, so it is the look at the filesystem that notices it.
        assert!(store.ready().await.is_err_and(|error| error.message().contains("is read-only")));
        assert_refuses_writes(&store, "is read-only").await;
        assert!(is_known(&store, "k").await, "what was stored is still answered");
        drop(read_only);
        assert_eq!(store.ready().await, Ok(()));
        write(&store, 1).await;
        drop(store);
        let read_only = ReadOnly::over(folder).expect("a mount");
        let refused = bed.try_open("").await.map(drop);
        assert!(
            refused.as_ref().is_err_and(|error| error.message().contains("its filesystem is read-only")),
            "{refused:?}"
        );
        drop(read_only);
        assert!(is_known(&open(&bed).await, "k").await);
    })
}

async fn a_removed_log_refuses_writes() {
    let bed = Bed::file();
    let store = open(&bed).await;
    fs::remove_file(beside(&bed, "-wal")).expect("removed");
    assert_refuses_writes(&store, "was removed while the gateway was running").await;
}

async fn a_truncated_log_refuses_writes_until_a_restart() {
    let bed = Bed::file();
    let store = open(&bed).await;
    write(&store, 5).await;
    File::options().write(true).open(beside(&bed, "-wal")).expect("the log").set_len(0).expect("truncated");
    assert_refuses_writes(&store, "was truncated while the gateway was running").await;
}

async fn a_replaced_file_refuses_writes() {
    let bed = Bed::file();
    let store = open(&bed).await;
    let other = beside(&bed, ".other");
    fs::copy(bed.path(), &other).expect("a copy");
    fs::rename(&other, bed.path()).expect("replaced");
    assert_refuses_writes(&store, "was replaced while the gateway was running").await;
}

fn overwrite(path: &Path, from: u64) {
    let file = File::options().write(true).open(path).expect("the file");
    let length = usize::try_from(file.metadata().expect("its length").len() - from).expect("a small file");
    file.write_all_at(&vec![0x5A; length], from).expect("overwritten");
    // Not in the same tick of the filesystem's clock as the last write of the store.
    file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
}

async fn a_damaged_file_refuses_writes_until_a_restart() {
    for from in [0, 4096] {
        let bed = Bed::file();
        let store = open(&bed).await;
        write(&store, 20).await;
        drop(store);
        let store = open(&bed).await;
        let whole = copy(&bed, &["", ".key", "-wal"]);
        overwrite(&bed.path(), from);
        assert_refuses_writes(&store, "is damaged: stop the gateway, restore the newest backup").await;
        // The bytes are back, but what was written meanwhile is not known.
        fs::write(bed.path(), fs::read(whole.path()).expect("the copy")).expect("written");
        assert_refuses_writes(&store, "is damaged").await;
        drop(store);
        drop(open(&bed).await);
    }
}

async fn a_change_of_another_program_that_damages_nothing_is_accepted() {
    let bed = Bed::file();
    let store = open(&bed).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let checkpoint = |file: &Connection| {
        file.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).expect("a checkpoint");
    };
    checkpoint(&Connection::open(bed.path()).expect("the file"));
    assert_eq!(store.ready().await, Ok(()));
    let later = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    File::options().write(true).open(bed.path()).expect("the file").set_times(later).expect("a time");
    claim(&store, keyed("acme", "k2", "r")).await;
    assert_eq!(store.ready().await, Ok(()));
}
