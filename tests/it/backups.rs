//! `passerelle store` as a process: backups beside a gateway that serves writes, and restored stores.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use assert_cmd::Command;
use http::Method;
use passerelle::store::OperationId;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::{Answer, Gateway},
    terminal::{err, out},
};

/// A folder with a configuration and its store.
struct StoreFolder {
    folder: TempDir,
}

impl StoreFolder {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(place.path("passerelle.toml"), place.configuration()).expect("a configuration");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configuration(&self) -> String {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{}\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
             region = \"SN\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\nsandbox = true\n",
            self.path("store.db").display()
        )
    }

    async fn serve(&self) -> Gateway {
        Gateway::start(&self.configuration()).await.with_key("sk_acme")
    }

    /// Runs a command about this store. It must not block the gateway of this process.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("PASSERELLE_CONFIG", self.path("passerelle.toml")).args(arguments);
        tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends")
    }

    async fn back_up(&self, name: &str) -> Output {
        self.run(&["store", "backup", "--out", self.path(name).to_str().expect("a path")]).await
    }

    /// Runs a command once the gateway of this process, which has stopped, has closed its store.
    async fn when_free(&self, arguments: &[&str]) -> Output {
        let begun = Instant::now();
        loop {
            let output = self.run(arguments).await;
            if !err(&output).contains("is in use by another process") {
                return output;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "the store is closed");
        }
    }

    /// Puts a backup in the place of the store, as docs/operating.md says.
    fn restore(&self, backup: &Path) {
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(self.path(&format!("store.db{ending}")));
        }
        std::fs::copy(backup, self.path("store.db")).expect("restored");
    }

    /// Whatever is in the folder, but the configuration and the files of the store.
    fn others(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).expect("the folder");
        let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with("store.db") && name != "passerelle.toml").collect()
    }
}

async fn create(gateway: &Gateway, key: &str) -> Answer {
    let body = json!({ "name": "Awa Diop", "email": format!("{key}@example.com") });
    let request = gateway.request(Method::POST, "/v1/customers").header("idempotency-key", key);
    gateway.send(request.header("content-type", "application/json").body(body.to_string())).await
}

fn assert_replayed(again: &Answer, first: &Answer) {
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    assert_eq!(again.text, first.text);
}

/// The keys of writes that were answered, and their answers.
type Answered = Arc<Mutex<Vec<(String, Arc<Answer>)>>>;

/// A backup has every write that was answered before it began, whatever is written meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_writes_has_all_that_was_answered_before() {
    let place = StoreFolder::new();
    let gateway = Arc::new(place.serve().await);
    let answered = Answered::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (gateway, answered, is_over) = (Arc::clone(&gateway), Arc::clone(&answered), Arc::clone(&is_over));
            tokio::spawn(async move {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("w{writer}-{number}");
                    let answer = create(&gateway, &key).await;
                    assert_eq!(answer.status, 201, "{}", answer.text);
                    answered.lock().expect("no panic").push((key, Arc::new(answer)));
                }
            })
        })
        .collect();
    let count = || answered.lock().expect("no panic").len();
    let until = async |least: usize| {
        let begun = Instant::now();
        while count() < least {
            assert!(begun.elapsed() < Duration::from_mins(1), "writes are answered");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut backups = Vec::new();
    for name in ["first.db", "second.db"] {
        until(count() + 20).await;
        let before = count();
        let made = place.back_up(name).await;
        assert!(made.status.success(), "{}", err(&made));
        backups.push((name, before, made));
        // The writer was not blocked, and is not blocked now.
        until(count() + 5).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no panic");
    }
    for (name, before, made) in backups {
        let path = place.path(name);
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let printed = out(&made);
        for line in ["is complete and was checked", "operations        ", "newest operation  ", "hash "] {
            assert!(printed.contains(line), "{printed}");
        }
        assert!(printed.contains(&format!("{} bytes", std::fs::metadata(&path).expect("a file").len())), "{printed}");
        // A second gateway on the copy knows them all.
        let second = StoreFolder::new();
        second.restore(&path);
        std::fs::copy(place.path("store.db.key"), second.path("store.db.key")).expect("the key");
        let gateway = second.serve().await;
        let answered: Vec<_> = answered.lock().expect("no panic")[..before].to_vec();
        for (key, first) in &answered {
            assert_replayed(&create(&gateway, key).await, first);
        }
        gateway.stop().await;
        let verified = second.run(&["audit", "verify"]).await;
        assert!(verified.status.success() && out(&verified).contains("none missing"), "{}", err(&verified));
    }
    assert_eq!(place.others().len(), 2, "{:?}", place.others());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_complete_file_and_is_described_as_json() {
    let place = StoreFolder::new();
    let gateway = place.serve().await;
    let mut last = String::new();
    for key in ["a", "b", "c"] {
        last = create(&gateway, key).await.header("x-operation-id").to_owned();
    }
    let path = place.path("copy.db");
    let path = path.to_str().expect("a path");
    let made = place.run(&["store", "backup", "--out", path, "--json"]).await;
    let described: Value = serde_json::from_str(&out(&made)).expect("JSON");
    assert_eq!(described["file"], path);
    assert_eq!(described["operations"], 3);
    assert_eq!(described["newest_operation"]["id"], last);
    assert_eq!(described["audit"]["sequence"], 6);
    gateway.stop().await;

    let copy = Connection::open(path).expect("the copy");
    let text = |pragma: &str| copy.query_row(pragma, [], |row| row.get::<_, String>(0)).expect("a value");
    assert_eq!((text("PRAGMA journal_mode").as_str(), text("PRAGMA integrity_check").as_str()), ("delete", "ok"));
    let newest: (String, Vec<u8>) = copy
        .query_row("SELECT (SELECT max(id) FROM operations), hash FROM chain", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a row");
    let hash = data_encoding::HEXLOWER.encode(&newest.1);
    assert!(
        described["audit"]["hash"] == hash && newest.0.parse::<OperationId>().is_ok_and(|id| id.to_string() == last)
    );
    // Without a gateway it is the same.
    assert!(place.back_up("later.db").await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_overwrites_nothing_and_leaves_nothing_behind_if_it_fails() {
    let place = StoreFolder::new();
    let missing = place.back_up("copy.db").await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("there is no store at"), "{}", err(&missing));
    let gateway = place.serve().await;
    create(&gateway, "a").await;

    std::fs::write(place.path("copy.db"), "mine").expect("a file");
    let refused = place.back_up("copy.db").await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("copy.db exists already: choose another name"), "{}", err(&refused));
    assert_eq!(std::fs::read_to_string(place.path("copy.db")).expect("a file"), "mine");
    std::fs::remove_file(place.path("copy.db")).expect("removed");

    let refused = place.back_up("missing/copy.db").await;
    assert!(err(&refused).contains("missing does not exist: make it, or choose another one"), "{}", err(&refused));

    // A disk without space for the copy. The gateway has its own files already.
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" store backup --out \"$1\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).arg(Command::cargo_bin("passerelle").expect("the binary").get_program());
    command.arg(place.path("copy.db")).env_clear().env("PASSERELLE_CONFIG", place.path("passerelle.toml"));
    let full = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends");
    assert_eq!(full.status.code(), Some(1), "{}", out(&full));
    let folder = place.folder.path().display().to_string();
    assert!(err(&full).contains(&format!("the copy cannot be made in {folder}")), "{}", err(&full));
    assert_eq!(place.others(), Vec::<String>::new());
    assert_eq!(create(&gateway, "b").await.status, 201);
}

/// PostgreSQL has its own program. Nothing is called, and no password is shown.
#[tokio::test]
async fn a_backup_of_postgresql_names_the_command_to_run() {
    let place = StoreFolder::new();
    let text = format!(
        "[store]\nurl = \"postgres://gateway:hunter2@db.internal/store\"\nkey = \"{}\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\nsandbox = true\n",
        "0a".repeat(32)
    );
    std::fs::write(place.path("passerelle.toml"), text).expect("a configuration");
    let refused = place.back_up("copy.dump").await;
    assert_eq!(refused.status.code(), Some(1));
    let message = err(&refused);
    assert!(message.contains("pg_dump --format=custom --file='") && message.contains("/copy.dump'"), "{message}");
    assert!(message.contains("'postgres://gateway@db.internal/store'") && !message.contains("hunter2"), "{message}");
    let refused = place.run(&["store", "accept-restore", "--yes"]).await;
    assert!(err(&refused).contains("nothing has to be accepted"), "{}", err(&refused));
}

/// The steps of docs/operating.md: the gateway refuses the old copy, the operator looks, accepts, and starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_old_store_is_refused_until_the_operator_accepts_it() {
    let place = StoreFolder::new();
    let gateway = place.serve().await;
    let before = create(&gateway, "before").await;
    assert!(place.back_up("copy.db").await.status.success());
    create(&gateway, "since").await;
    let in_use = place.run(&["store", "accept-restore", "--yes"]).await;
    assert!(err(&in_use).contains("is in use by another process"), "{}", err(&in_use));
    gateway.stop().await;
    let newest = place.when_free(&["store", "accept-restore", "--yes"]).await;
    assert!(newest.status.success() && out(&newest).contains("nothing is to be accepted"), "{}", err(&newest));

    place.restore(&place.path("copy.db"));
    let refused = place.run(&["serve"]).await;
    assert_eq!(refused.status.code(), Some(1));
    for part in
        ["it is older than what was written here: audit record 4", "record is 2", "passerelle store accept-restore"]
    {
        assert!(err(&refused).contains(part), "{part}: {}", err(&refused));
    }
    let looked = place.run(&["store", "accept-restore"]).await;
    assert_eq!(looked.status.code(), Some(1));
    for part in ["2 audit records are missing", "idempotency keys", "the ids and contacts of customers"] {
        assert!(out(&looked).contains(part), "{part}: {}", out(&looked));
    }
    assert!(err(&looked).contains("passerelle store accept-restore --yes"), "{}", err(&looked));
    assert_eq!(place.run(&["serve"]).await.status.code(), Some(1), "a look accepts nothing");

    let accepted = place.run(&["store", "accept-restore", "--yes", "--json"]).await;
    assert!(accepted.status.success(), "{}", err(&accepted));
    let described: Value = serde_json::from_str(&out(&accepted)).expect("JSON");
    assert_eq!((&described["accepted"], &described["stopped_switches"]), (&json!(true), &json!([])));
    assert_eq!((&described["noted"]["sequence"], &described["found"]["sequence"]), (&json!(4), &json!(2)));
    let gateway = place.serve().await;
    assert_replayed(&create(&gateway, "before").await, &before);
    let audit = out(&place.run(&["audit"]).await);
    let last = audit.lines().nth(2).unwrap_or_default();
    assert!(
        last.contains("\"operation\":\"store.accept_restore\"") && last.contains("\"by\":\"command line\""),
        "{audit}"
    );
    assert!(place.run(&["audit", "verify"]).await.status.success());
}
