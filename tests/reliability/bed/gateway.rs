//! A gateway in a process of its own, alone or beside a replica.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::Trial;
use passerelle::{
    config,
    store::{Inspection, OperationId, Record, Settings, State, Store},
};
use rustix::process::{Resource, Rlimit, Signal};
use tempfile::TempDir;

use super::{Twin, process::Process};
use crate::cluster;

/// What a gateway is configured with, beside its twin.
#[derive(Clone)]
pub(crate) struct Setup {
    /// More keys of the connection.
    pub(crate) connection: String,
    /// More keys of `[store]`.
    pub(crate) store: String,
    /// More keys of `[server]`.
    pub(crate) server: String,
    /// The address at which the vendor is reached, where it is not the twin's own.
    pub(crate) vendor: Option<String>,
    /// The URL of a PostgreSQL database, where the store is not a file of the gateway's own.
    pub(crate) database: Option<String>,
}

impl Setup {
    pub(crate) fn of(connection: &str) -> Self {
        Self {
            connection: connection.to_owned(),
            store: String::new(),
            server: String::new(),
            vendor: None,
            database: None,
        }
    }
}

/// How many gateways there are, and where they keep their writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fleet {
    /// One, with an SQLite file.
    Alone,
    /// Two that share a PostgreSQL database.
    Replicas,
}

impl Fleet {
    pub(crate) fn before(self, twin: &Twin, setup: &Setup) -> Vec<Arc<Gateway>> {
        match self {
            Self::Alone => vec![Gateway::before(twin, setup)],
            Self::Replicas => Gateway::replicas(twin, setup, cluster::shared_database()),
        }
    }

    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Alone => "one gateway",
            Self::Replicas => "two gateways on one PostgreSQL",
        }
    }

    /// The trial, listed as ignored where it cannot be run.
    pub(crate) fn or_ignored(self, trial: Trial) -> Trial {
        match self {
            Self::Alone => trial,
            Self::Replicas => cluster::or_ignored(trial),
        }
    }
}

/// A gateway's folder, its configuration, and the process that is alive now.
pub(crate) struct Gateway {
    folder: TempDir,
    /// Whether its store is a file of its own.
    has_file: bool,
    process: Mutex<Option<Process>>,
    address: Mutex<String>,
}

impl Gateway {
    pub(crate) fn before(twin: &Twin, setup: &Setup) -> Arc<Self> {
        let credential = match twin.provider {
            "lomi" => "api_key",
            "modempay" | "bitnob" => "secret_key",
            _ => "public_key",
        };
        // On a real disk, because `/tmp` may be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        std::fs::create_dir(folder.path().join("store")).expect("a folder");
        let place = match &setup.database {
            Some(url) => format!("url = \"{url}\"\nkey = \"{}\"", "0a".repeat(32)),
            None => format!("url = \"sqlite:{}\"", folder.path().join("store/passerelle.db").display()),
        };
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{}\n[store]\n{place}\n{}\n[outbound]\nallow_insecure = true\n\
             [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\n\
             [merchants.acme.connections.main]\nprovider = \"{}\"\nbase_url = \"{}\"\n\
             credentials = {{ {credential} = \"any\" }}\n{}\n",
            setup.server,
            setup.store,
            twin.provider,
            twin.url(setup.vendor.as_deref()),
            setup.connection,
        );
        std::fs::write(folder.path().join("passerelle.toml"), text).expect("a configuration");
        let gateway = Arc::new(Self {
            folder,
            has_file: setup.database.is_none(),
            process: Mutex::default(),
            address: Mutex::default(),
        });
        gateway.start();
        gateway
    }

    /// Two gateways that share a database.
    pub(crate) fn replicas(twin: &Twin, setup: &Setup, database: String) -> Vec<Arc<Self>> {
        let setup = Setup { database: Some(database), ..setup.clone() };
        (0..2).map(|_| Self::before(twin, &setup)).collect()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("passerelle.toml")
    }

    /// The file of the store.
    pub(crate) fn store_file(&self) -> PathBuf {
        self.folder.path().join("store/passerelle.db")
    }

    /// Where the gateway is, or was.
    pub(crate) fn address(&self) -> String {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a process: it must come up, whatever the last one left behind.
    pub(crate) fn start(&self) {
        let arguments = ["serve", "--config", &self.config().display().to_string()].map(str::to_owned);
        let (process, address) =
            Process::start(&arguments, "serving on http://").unwrap_or_else(|words| panic!("no gateway:\n{words}"));
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        *self.alive() = Some(process);
    }

    fn alive(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.alive().take() {
            process.kill();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.alive().as_ref().expect("a gateway").signal(signal);
    }

    /// Stops the gateway as an operator does, and waits for its end.
    pub(crate) fn stop(&self) {
        let mut process = self.alive().take().expect("a gateway");
        process.signal(Signal::TERM);
        assert!(process.child.wait().expect("its end").success());
    }

    /// Fills the disk of the gateway, or empties it: no file may be written beyond a size.
    pub(crate) fn fill_disk(&self, is_full: bool) {
        let process = self.alive();
        let id = process.as_ref().expect("a gateway").id();
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: if is_full { Some(1) } else { maximum }, maximum };
        rustix::process::prlimit(Some(id), Resource::Fsize, limit).expect("a limit");
    }

    fn store_settings(&self) -> Settings {
        let loaded = config::load(Some(&self.config())).expect("a configuration");
        Settings::from(loaded.config.store.as_ref()).expect("settings")
    }

    /// Whether a write is in a state, as another process sees the store of a gateway that is alive.
    pub(crate) async fn shows(&self, state: State) -> bool {
        let store = Inspection::open(&self.store_settings()).expect("a look");
        // Somebody else may be writing just now.
        store.operations(None, Some(state), None, 1).await.is_ok_and(|writes| !writes.is_empty())
    }

    /// The store, once the gateway is dead.
    pub(crate) async fn store(&self) -> Store {
        self.kill();
        Store::open(&self.store_settings()).await.expect("a store")
    }

    /// Kills the gateway, and reads everything that it kept. The audit chain must be whole, and the database too.
    pub(crate) async fn kept(&self) -> BTreeMap<OperationId, Record> {
        let store = self.store().await;
        store.audit().verify().await.expect("read").expect("an unbroken audit chain");
        let mut kept = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store.operations().list(Some("acme"), None, after, 500).await.expect("read");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            kept.extend(page.into_iter().map(|record| (record.id, record)));
        }
        drop(store);
        if self.has_file {
            let file = rusqlite::Connection::open(self.store_file()).expect("the file");
            let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
            assert_eq!(verdict, "ok");
        }
        kept
    }
}
