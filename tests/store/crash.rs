//! What the store has after `kill -9`, and what it does when the disk is full or cannot sync. The test binary starts itself again as the
//! process that is killed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use passerelle::store::{Claim, OperationId, State, Store, StoreError};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use rustix::process::{Resource, Rlimit};

use crate::{
    bed::{Bed, claim, done_with, key, keyed},
    damage,
    trial::trial,
};

/// The task of a child process, and the URL of its database.
const CHILD: &str = "STORE_TEST_CHILD";
const URL: &str = "STORE_TEST_URL";
/// How large its files may be while it starts.
const SPACE: &str = "STORE_TEST_SPACE";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("crash::acknowledged_writes_survive_kill_9".to_owned(), acknowledged_writes_survive_kill_9),
        trial(
            "crash::a_full_disk_refuses_writes_until_there_is_room".to_owned(),
            a_full_disk_refuses_writes_until_there_is_room,
        ),
        trial("crash::a_start_without_space_loses_nothing".to_owned(), a_start_without_space_loses_nothing),
        trial(
            "crash::a_first_start_without_space_can_be_repeated".to_owned(),
            a_first_start_without_space_can_be_repeated,
        ),
        a_disk_that_cannot_sync(),
        a_kill_at_any_write(),
        a_kill_at_any_write_of_the_first_start(),
    ]
}

pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the task of a child process, instead of the tests.
pub(crate) fn child() {
    let mut bed = Bed::memory();
    bed.url = std::env::var(URL).expect("a URL");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        if let Ok(space) = std::env::var(SPACE) {
            limit(Some(space.parse().expect("a number")));
            return match bed.try_open("").await {
                Err(error) => print(error.message()),
                Ok(_) => panic!("the start needs more space"),
            };
        }
        if std::env::var(CHILD).as_deref() == Ok("first start") {
            return close(damage::open(&bed).await).await;
        }
        let store = bed.open().await;
        match std::env::var(CHILD).as_deref() {
            Ok("load") => load(&store).await,
            Ok("sync") => sync(&store).await,
            Ok("close") => close(store).await,
            Ok("fill and ask") => fill(&store, true).await,
            _ => fill(&store, false).await,
        }
    });
}

fn start(bed: &Bed, task: &str) -> Child {
    command(bed, task).spawn().expect("a child")
}

fn command(bed: &Bed, task: &str) -> Command {
    // A process that exceeds its limit of the size of files gets a signal, which the child ignores.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\""]).arg(std::env::current_exe().expect("this test"));
    command.env(CHILD, task).env(URL, &bed.url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

fn print(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}").expect("printed");
    out.flush().expect("printed");
}

/// Claims and finishes until it is killed, and prints what was acknowledged.
async fn load(store: &Store) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..u32::MAX {
                    let new = keyed("acme", &OperationId::now().to_string(), "r");
                    let id = new.id;
                    assert_eq!(store.operations().claim(new).await, Ok(Claim::New { attempt: 1 }));
                    print(&format!("claimed {id}"));
                    assert_eq!(store.operations().finish(id, 1, done_with(500)).await, Ok(true));
                    print(&format!("finished {id}"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn acknowledged_writes_survive_kill_9() {
    let bed = Bed::file();
    // A database that is just being made cannot be checked by a reader.
    drop(bed.open().await);
    let mut lines: Vec<String> = Vec::new();
    for round in 0..12u64 {
        let mut child = start(&bed, "load");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        child.kill().expect("killed");
        child.wait().expect("dead");
        lines.extend(reader.join().expect("its output"));
        check(&bed.path());
    }
    let store = bed.open().await;
    let mut claimed = 0;
    for line in &lines {
        // The last line may have been cut.
        let Some((word, id)) = line.split_once(' ') else { continue };
        let Ok(id) = id.parse() else { continue };
        let record =
            store.operations().get("acme", id).await.expect("read").unwrap_or_else(|| panic!("{line} is lost"));
        if word == "finished" {
            assert_eq!(record.state, State::Done, "{line}");
        } else {
            claimed += 1;
        }
    }
    assert!(claimed > 20, "{claimed} claims are too few for this test");
    store.audit().verify().await.expect("read").expect("an unbroken chain");
}

/// Checks the file. A connection that may write would move the log into the file, which is the task of the next process.
fn check(path: &Path) {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the file");
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(verdict, "ok");
}

fn limit(size: Option<u64>) {
    let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
    rustix::process::setrlimit(Resource::Fsize, Rlimit { current: size.or(maximum), maximum }).expect("a limit");
}

/// Writes until the disk is full, then gets more space, and writes again. With `asks_first`, it first asks whether the
/// store is ready.
async fn fill(store: &Store, asks_first: bool) {
    let begin = Instant::now();
    let mut claimed = vec![claim(store, keyed("acme", "earlier", "r")).await];
    limit(Some(300_000));
    let error = loop {
        assert!(begin.elapsed() < Duration::from_mins(1), "the disk is never full");
        let new = keyed("acme", &OperationId::now().to_string(), &"r".repeat(5000));
        let id = new.id;
        match store.operations().claim(new).await {
            Ok(Claim::New { .. }) => claimed.push(id),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // The disk is still full, so writes are still refused. Reads still work.
    for _ in 0..5 {
        let refused = store.operations().claim(keyed("acme", &OperationId::now().to_string(), &"r".repeat(5000))).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    let unready = store.ready().await;
    assert!(matches!(&unready, Err(StoreError::Unavailable(message)) if message.contains("full")), "{unready:?}");
    let first = claimed.first().copied().expect("a claim was stored");
    assert!(matches!(store.operations().get("acme", first).await, Ok(Some(_))));
    // There is space for a claim, but less than the store needs to be ready. Both must say the same.
    limit(Some(700_000));
    for _ in 0..3 {
        let unready = store.ready().await;
        assert!(matches!(&unready, Err(StoreError::Unavailable(message)) if message.contains("full")), "{unready:?}");
        let refused = store.operations().claim(keyed("acme", &OperationId::now().to_string(), "r")).await;
        assert!(matches!(&refused, Err(StoreError::Unavailable(message)) if message.contains("full")), "{refused:?}");
        let repeated = store.operations().claim(keyed("acme", "earlier", "r")).await;
        assert!(matches!(&repeated, Ok(Claim::InFlight(_))), "{repeated:?}");
    }
    limit(None);
    if asks_first {
        assert_eq!(store.ready().await, Ok(()), "there is room again");
    }
    // Otherwise the writes themselves ask, but not each of them.
    loop {
        let new = keyed("acme", &OperationId::now().to_string(), "r");
        let id = new.id;
        match store.operations().claim(new).await {
            Ok(Claim::New { .. }) => break claimed.push(id),
            refused => assert!(!asks_first && begin.elapsed() < Duration::from_mins(1), "{refused:?}"),
        }
    }
    for _ in 0..5 {
        let new = keyed("acme", &OperationId::now().to_string(), "r");
        claimed.push(new.id);
        assert_eq!(store.operations().claim(new).await, Ok(Claim::New { attempt: 1 }));
        assert_eq!(store.ready().await, Ok(()));
    }
    for id in &claimed {
        assert!(matches!(store.operations().get("acme", *id).await, Ok(Some(_))), "{id} is lost");
    }
    let head = store.audit().verify().await.expect("read").expect("an unbroken chain");
    assert_eq!(head.sequence, claimed.len() as u64, "a refused claim leaves no record");
    print("recovered");
}

async fn a_full_disk_refuses_writes_until_there_is_room() {
    for task in ["fill", "fill and ask"] {
        let bed = Bed::file();
        let child = start(&bed, task);
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{task}: {}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "recovered");
        check(&bed.path());
    }
}

/// Writes until the disk fails to sync. From then on the store refuses every write.
async fn sync(store: &Store) {
    let claim = async || store.operations().claim(keyed("acme", &OperationId::now().to_string(), "r")).await;
    let mut claimed = 0u64;
    while let Ok(Claim::New { .. }) = claim().await {
        claimed += 1;
        assert!(claimed < 1000, "the disk never fails");
    }
    for _ in 0..3 {
        match claim().await {
            Err(StoreError::Unavailable(message)) => assert!(message.contains("restart the gateway"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(store.operations().list(None, None, None, 1).await, Ok(records) if records.len() == 1));
    print(&claimed.to_string());
}

/// The output of a start that cannot make any file longer than `space`.
fn failed_start(bed: &Bed, space: u64) -> String {
    let output = command(bed, "start").env(SPACE, space.to_string()).output().expect("its end");
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The process before was killed in the middle of a checkpoint: the newest header in the log says that the file needs
/// its log.
async fn a_start_without_space_loses_nothing() {
    let bed = Bed::file();
    let store = damage::open(&bed).await;
    damage::write(&store, 40).await;
    claim(&store, keyed("acme", "k", "r")).await;
    let killed = damage::copy(&bed, &["", ".key", ".lock", "-wal"]);
    let other = Connection::open(killed.path()).expect("the file");
    other.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    other.pragma_update(None, "user_version", 1).expect("a version");
    drop(other);
    let log = std::fs::metadata(damage::beside(&killed, "-wal")).expect("the log").len();
    assert!(log > 2 * std::fs::metadata(bed.path()).expect("the file").len(), "the file has enough space");
    let message = failed_start(&killed, log);
    assert!(message.contains("store"), "{message}");
    assert!(damage::is_known(&damage::open(&killed).await, "k").await);
}

async fn a_first_start_without_space_can_be_repeated() {
    for space in [0, 4096, 20_000, 60_000] {
        let bed = Bed::file();
        failed_start(&bed, space);
        damage::write(&damage::open(&bed).await, 1).await;
    }
}

/// Claims one write and closes the store.
async fn close(store: Store) {
    claim(&store, keyed("acme", "k", "r")).await;
    print("claimed");
}

/// `strace` with the fault that it injects.
fn strace(calls: &str, fault: &str) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:{fault}")]);
    command
}

/// A trial that needs `strace`. Where it is not installed or not allowed, the trial is ignored.
fn with_strace<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial {
    let is_here = strace("fsync", "error=EIO:when=60").arg("true").stderr(Stdio::null()).status();
    match is_here.is_ok_and(|status| status.success()) {
        true => trial(name.to_owned(), test),
        false => {
            Trial::test(format!("{name} (strace is not installed, or not allowed)"), || Ok(())).with_ignored_flag(true)
        }
    }
}

/// After a failed sync, it is not known what is on the disk.
fn a_disk_that_cannot_sync() -> Trial {
    with_strace("crash::a_disk_that_cannot_sync_stops_all_writes", || async {
        let bed = Bed::file();
        let mut command = strace("fsync,fdatasync", "error=EIO:when=60");
        command.arg(std::env::current_exe().expect("this test"));
        let output = command.env(CHILD, "sync").env(URL, &bed.url).stderr(Stdio::inherit()).output().expect("its end");
        assert!(output.status.success(), "{}", output.status);
        let claimed: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        check(&bed.path());
        let store = bed.open().await;
        let head = store.audit().verify().await.expect("read").expect("an unbroken chain");
        // The claim whose sync failed may be on the disk or not. All claims before it must be there.
        assert!(head.sequence == claimed || head.sequence == claimed + 1, "{} of {claimed}", head.sequence);
    })
}

/// What a process has printed that is killed at its `number`th change of a file.
fn killed_at(bed: &Bed, task: &str, number: usize) -> Output {
    let mut command = strace("write,pwrite64,ftruncate,rename", &format!("signal=KILL:when={number}"));
    command.arg(std::env::current_exe().expect("this test")).env(CHILD, task).env(URL, &bed.url);
    command.stderr(Stdio::null()).output().expect("its end")
}

/// A first start can be repeated, wherever it ended.
fn a_kill_at_any_write_of_the_first_start() -> Trial {
    with_strace("crash::a_kill_at_any_write_of_the_first_start_can_be_repeated", || async {
        // Not at each of them: there are many alike.
        for number in (1..).step_by(3) {
            assert!(number < 1000, "the process never ends");
            let bed = Bed::file();
            let is_complete = killed_at(&bed, "first start", number).status.success();
            damage::write(&damage::open(&bed).await, 1).await;
            if is_complete {
                break;
            }
        }
    })
}

/// From its start to its end, also in the checkpoints. Without its log, the file is refused or lacks nothing.
fn a_kill_at_any_write() -> Trial {
    with_strace("crash::a_kill_at_any_write_hides_no_lost_write", || async {
        let template = Bed::file();
        damage::write(&template.open().await, 5).await;
        for number in 1.. {
            assert!(number < 500, "the process never ends");
            let bed = damage::copy(&template, &[""]);
            let output = killed_at(&bed, "close", number);
            let is_claimed = !output.stdout.is_empty();
            let log = damage::beside(&bed, "-wal");
            if log.exists() {
                let without_log = damage::copy(&bed, &["", ".lock"]);
                match without_log.try_open(&format!("key = \"{}\"", key('1'))).await {
                    Ok(store) => assert!(!is_claimed || damage::is_known(&store, "k").await, "write {number}"),
                    Err(error) => assert!(error.message().contains("its log"), "{error}"),
                }
            }
            assert!(damage::is_known(&bed.open().await, "k").await || !is_claimed, "write {number}");
            if output.status.success() {
                assert!(!log.exists() && is_claimed);
                break;
            }
        }
    })
}
