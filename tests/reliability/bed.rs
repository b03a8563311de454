//! A gateway and a twin as processes, and what they leave behind: the twin's log and the gateway's store.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use passerelle::{
    config,
    store::{Inspection, OperationId, Record, Settings, State, Store},
    twin::{
        faults::Named,
        log::{self, Applied, Entry, Received},
    },
};
use passerelle_providers::{kit::server::base_path, model::Operation, vendor};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};
use tempfile::TempDir;

use crate::cluster;

/// How long anything may take that is only waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A size: small, or with `RELIABILITY=full` what docs/reliability.md promises.
pub(crate) fn sized<T>(small: T, full: T) -> T {
    match std::env::var("RELIABILITY").is_ok_and(|size| size == "full") {
        true => full,
        false => small,
    }
}

/// Numbers that are the same in every run (SplitMix64).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(salt: u64) -> Self {
        let seed = std::env::var("RELIABILITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ salt)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let one = usize::try_from(self.below(of.len() as u64)).expect("a place");
        &of[one]
    }

    pub(crate) fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// Asks again and again until there is an answer, or patience ends.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let ends = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < ends, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A child that does not outlive its test, and what it says.
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the program, and waits for the line that tells its address behind a phrase.
    fn start(arguments: &[String], phrase: &'static str) -> Result<(Self, String), String> {
        // A limit of the size of files, which is how a disk fills up here, ends a process by signal, unless that
        // is ignored.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_passerelle")]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("PASSERELLE_CONFIG").env("PASSERELLE_LOG", "warn,passerelle::command=info");
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("its words"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sender, address) = std::sync::mpsc::channel();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once(phrase) {
                    let end = rest.find(['"', ',']).unwrap_or(rest.len());
                    let _ = sender.send(rest[..end].trim().to_owned());
                }
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let process = Self { child, lines };
        match address.recv_timeout(PATIENCE) {
            Ok(address) => Ok((process, address)),
            Err(_) => Err(process.words()),
        }
    }

    fn words(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    fn id(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process")
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.id(), signal).expect("it takes signals");
        if signal == Signal::STOP {
            // Some of its threads may go on for a while.
            rustix::process::waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("it stops");
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        match std::thread::panicking() {
            true => eprintln!("what a process said before:\n{}", self.words()),
            false => assert!(!self.words().contains("panicked"), "a panic:\n{}", self.words()),
        }
    }
}

/// A vendor in a process of its own.
pub(crate) struct Twin {
    provider: &'static str,
    process: Process,
    address: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Twin {
    pub(crate) fn start(provider: &'static str, faults: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (plan, log) = (folder.path().join("faults.toml"), folder.path().join("log"));
        std::fs::write(&plan, faults).expect("a plan");
        let (process, address) = Self::process(provider, &plan, &log, "127.0.0.1:0");
        Self { provider, process, address, log, _folder: folder }
    }

    fn process(provider: &str, plan: &Path, log: &Path, listen: &str) -> (Process, String) {
        let (plan, log) = (plan.display().to_string(), log.display().to_string());
        let arguments =
            ["twin", "--provider", provider, "--faults", &plan, "--log", &log, "--listen", listen].map(str::to_owned);
        let (process, url) = Process::start(&arguments, " is served on http://").expect("a twin");
        (process, url.split('/').next().unwrap_or_default().to_owned())
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The vendor's URL, at its own address or another one.
    fn url(&self, address: Option<&str>) -> String {
        let vendor = vendor(self.provider).expect("a vendor");
        format!("http://{}{}", address.unwrap_or(&self.address), base_path(vendor.manifests[0]))
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        log::read(&self.log).expect("a log")
    }

    /// The customers that were made, by the digest of their e-mail address.
    pub(crate) fn created(&self) -> HashMap<String, Vec<Applied>> {
        let mut made: HashMap<String, Vec<Applied>> = HashMap::new();
        for effect in log::effects(&self.log()).filter(|effect| effect.operation == Named(Operation::Create)) {
            made.entry(effect.email_hash.clone().unwrap_or_default()).or_default().push(effect.clone());
        }
        made
    }

    /// The creates that were asked for.
    pub(crate) fn asked(&self) -> Vec<Received> {
        let log = self.log();
        log::requests(&log).filter(|request| request.operation == Some(Named(Operation::Create))).cloned().collect()
    }

    /// Stops and continues the vendor.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// How many requests of any kind came.
    pub(crate) fn requests(&self) -> usize {
        log::requests(&self.log()).count()
    }
}

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

/// Kills all gateways of a store, and reads everything that they kept.
pub(crate) async fn kept_by(gateways: &[Arc<Gateway>]) -> BTreeMap<OperationId, Record> {
    for gateway in gateways {
        gateway.kill();
    }
    gateways[0].kept().await
}

/// How many writes are in each state.
pub(crate) fn count(kept: &BTreeMap<OperationId, Record>, state: State) -> usize {
    kept.values().filter(|record| record.state == state).count()
}

/// Every effect has a record, every record that is done has its effect, and no two records share a customer.
pub(crate) fn agree(twin: &Twin, kept: &BTreeMap<OperationId, Record>) {
    let made = twin.created();
    let made: Vec<&Applied> = made.values().flatten().collect();
    let mut owners: HashMap<&str, OperationId> = HashMap::new();
    for record in kept.values().filter(|record| record.state == State::Done && record.operation == "create") {
        let customer = record.customer.as_deref().expect("whom it made");
        assert!(made.iter().any(|effect| effect.customer == customer), "{}: {customer} was never made", record.id);
        let other = owners.insert(customer, record.id);
        assert_eq!(other, None, "{customer} is what came of two writes, the other one is {}", record.id);
    }
    let unknown = count(kept, State::Unknown);
    let orphans = made.iter().filter(|effect| !owners.contains_key(effect.customer.as_str())).count();
    assert!(orphans <= unknown, "{orphans} customers were made, and only {unknown} outcomes are unknown");
    assert_eq!(count(kept, State::Sending), 0, "a write is neither finished nor unknown");
}
