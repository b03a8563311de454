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

use super::{Twin, disk::Disk, process::Process};
use crate::cluster;

/// The settings of a gateway that differ between tests.
#[derive(Clone)]
pub(crate) struct Setup {
    /// More keys of the connection.
    pub(crate) connection: String,
    /// More keys of `[store]`.
    pub(crate) store: String,
    /// More keys of `[server]`.
    pub(crate) server: String,
    /// More keys of `[outbound]`.
    pub(crate) outbound: String,
    /// The address of a relay to the vendor. `None` is the address of the twin itself.
    pub(crate) vendor: Option<String>,
    /// The URL of a PostgreSQL database. `None` is an SQLite file of this gateway.
    pub(crate) database: Option<String>,
    /// More tables, behind those of the merchant.
    pub(crate) tables: String,
    /// Whether the folder of the store is on a disk of its own.
    pub(crate) own_disk: bool,
}

impl Setup {
    pub(crate) fn of(connection: &str) -> Self {
        Self {
            connection: connection.to_owned(),
            store: String::new(),
            server: String::new(),
            outbound: String::new(),
            vendor: None,
            database: None,
            tables: String::new(),
            own_disk: false,
        }
    }
}

/// How many gateways a test starts, and which store they have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fleet {
    /// One gateway, with an SQLite file.
    Alone,
    /// Two gateways that share a PostgreSQL database.
    Replicas,
}

impl Fleet {
    pub(crate) fn start_for(self, twin: &Twin, setup: &Setup) -> Vec<Arc<Gateway>> {
        match self {
            Self::Alone => vec![Gateway::start_for(twin, setup)],
            Self::Replicas => Gateway::replicas(twin, setup, cluster::shared_database()),
        }
    }

    pub(crate) const fn description(self) -> &'static str {
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

/// A gateway: its folder with the configuration and the store, and its current process.
pub(crate) struct Gateway {
    // Fields are dropped in this order: the process ends, then the disk is unmounted, then the folder is removed.
    process: Mutex<Option<Process>>,
    disk: Option<Disk>,
    folder: TempDir,
    /// Whether its store is an SQLite file.
    has_file: bool,
    address: Mutex<String>,
}

impl Gateway {
    pub(crate) fn start_for(twin: &Twin, setup: &Setup) -> Arc<Self> {
        // On a real disk, because `/tmp` may be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let store = folder.path().join("store");
        std::fs::create_dir(&store).expect("a folder");
        let mounted = || Disk::mount(&folder.path().join("disk"), &store).expect("checked before");
        let disk = setup.own_disk.then(mounted);
        let place = match &setup.database {
            Some(url) => format!("url = \"{url}\"\nkey = \"{}\"", "0a".repeat(32)),
            None => format!("url = \"sqlite:{}\"", store.join("passerelle.db").display()),
        };
        // The tests wait a minute for a provider that is back, and its short time-outs pass on a busy machine too. So the
        // pauses of breakers are short. Other tests use the processors as well, which is no overload of this gateway.
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\noverload_wait = \"5m\"\n{}\n[store]\n{place}\n{}\n[outbound]\nallow_insecure = true\n{}\n\
             [outbound.breaker]\npause = \"100ms\"\nmax_pause = \"500ms\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\n\
             {}{}",
            setup.server,
            setup.store,
            setup.outbound,
            twin.connection("main", setup.vendor.as_deref(), &setup.connection),
            setup.tables,
        );
        std::fs::write(folder.path().join("passerelle.toml"), text).expect("a configuration");
        let gateway = Arc::new(Self {
            process: Mutex::default(),
            disk,
            folder,
            has_file: setup.database.is_none(),
            address: Mutex::default(),
        });
        gateway.start();
        gateway
    }

    /// Two gateways that share a database.
    pub(crate) fn replicas(twin: &Twin, setup: &Setup, database: String) -> Vec<Arc<Self>> {
        let setup = Setup { database: Some(database), ..setup.clone() };
        (0..2).map(|_| Self::start_for(twin, &setup)).collect()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("passerelle.toml")
    }

    /// The file of the store.
    pub(crate) fn store_file(&self) -> PathBuf {
        self.folder.path().join("store/passerelle.db")
    }

    /// The disk that the store has for itself.
    pub(super) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("a gateway with a disk of its own")
    }

    /// The address of the current process, or of the last one.
    pub(crate) fn address(&self) -> String {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The address of the operator's listener of the current process.
    pub(crate) fn operator_address(&self) -> String {
        self.current().as_ref().expect("a gateway").address_after("serving the operator on http://")
    }

    /// The address of the operator's listener of the current process, once it serves.
    pub(crate) fn operator_address_if_served(&self) -> Option<String> {
        let stderr = self.current().as_ref()?.stderr();
        let (_, rest) = stderr.split_once("serving the operator on http://")?;
        Some(rest.split(['"', ',', '\n']).next().unwrap_or_default().trim().to_owned())
    }

    /// Starts a process. It must serve, whatever state the last process left in the store.
    pub(crate) fn start(&self) {
        let arguments = ["serve", "--config", &self.config().display().to_string()].map(str::to_owned);
        let (process, address) =
            Process::start(&arguments, "serving on http://").unwrap_or_else(|stderr| panic!("no gateway:\n{stderr}"));
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        *self.current() = Some(process);
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last lines that the current process has logged.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let stderr = self.current().as_ref().map(Process::stderr).unwrap_or_default();
        let lines: Vec<_> = stderr.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// The most memory that the current process had so far, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let id = self.current().as_ref().expect("a gateway").id();
        let status = std::fs::read_to_string(format!("/proc/{}/status", id.as_raw_nonzero())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// The processor time that the current process has used, in ticks of the system.
    pub(crate) fn processor_time(&self) -> u64 {
        let id = self.current().as_ref().expect("a gateway").id();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).expect("a status");
        // The name of the program, in brackets, may have spaces.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.current().take() {
            process.kill();
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.current().as_ref().expect("a gateway").signal(signal);
    }

    /// Stops the gateway with SIGTERM, as an operator does, and waits until it has ended.
    pub(crate) fn stop(&self) {
        let mut process = self.current().take().expect("a gateway");
        process.signal(Signal::TERM);
        assert!(process.child.wait().expect("the process ends").success());
    }

    /// Simulates a full disk, or ends that: the process may not write any file beyond a size.
    pub(crate) fn fill_disk(&self, is_full: bool) {
        let process = self.current();
        let id = process.as_ref().expect("a gateway").id();
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: if is_full { Some(1) } else { maximum }, maximum };
        rustix::process::prlimit(Some(id), Resource::Fsize, limit).expect("a limit");
    }

    fn store_settings(&self) -> Settings {
        let loaded = config::load(Some(&self.config())).expect("a configuration");
        Settings::of(&loaded).expect("settings")
    }

    /// Whether a write is in this state. Reads the store as another process, while the gateway runs.
    pub(crate) async fn has_write_in(&self, state: State) -> bool {
        let store = Inspection::open(&self.store_settings()).expect("the store can be read");
        // The read may fail because the gateway writes at the same time.
        store.operations(None, Some(state), None, 1).await.is_ok_and(|writes| !writes.is_empty())
    }

    /// Kills the gateway, and opens its store.
    pub(crate) async fn store(&self) -> Store {
        self.kill();
        Store::open(&self.store_settings()).await.expect("a store")
    }

    /// Kills the gateway, and reads all records of its store. The audit chain and the database must be intact.
    pub(crate) async fn records(&self) -> BTreeMap<OperationId, Record> {
        let store = self.store().await;
        store.audit().verify().await.expect("read").expect("an unbroken audit chain");
        let mut records = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store.operations().list(Some("acme"), None, after, 500).await.expect("read");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            records.extend(page.into_iter().map(|record| (record.id, record)));
        }
        drop(store);
        if self.has_file {
            let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let file = rusqlite::Connection::open_with_flags(self.store_file(), read_only).expect("the file");
            let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
            assert_eq!(verdict, "ok");
        }
        records
    }
}
