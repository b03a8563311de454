//! The store in one SQLite file: a thread that writes in groups, one that reads, and a lock that keeps
//! other processes out. What is acknowledged has been through `fsync`.

#[cfg(test)]
mod costs;

use std::{
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Mutex,
    thread::{self, JoinHandle},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, ffi, types::ValueRef};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    StoreError,
    database::{Cell, Database, GROUP, Group, Job, QUEUE, Row, Session, Value, closed, no_form, overloaded},
    ledger,
    settings::Clock,
};

mod embedded {
    refinery::embed_migrations!("src/store/migrations/sqlite");
}

/// For how long a group waits for company once there is some: about what a commit costs.
const COMPANY: Duration = Duration::from_micros(300);

/// An open SQLite store.
pub(super) struct Sqlite {
    writer: Lane,
    /// A store in memory has but one connection.
    reader: Option<Lane>,
    /// Held for as long as the threads are at work: fields are dropped in this order.
    _lock: Option<File>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sqlite")
    }
}

impl Database for Sqlite {
    fn write(&self, job: Box<dyn Job>) {
        self.writer.send(job);
    }

    fn read(&self, job: Box<dyn Job>) {
        self.reader.as_ref().unwrap_or(&self.writer).send(job);
    }
}

/// A file that this process alone may use, before it is opened.
pub(super) struct Reserved {
    path: PathBuf,
    lock: File,
    /// Whether there is no data yet.
    pub(super) is_new: bool,
}

impl Reserved {
    /// Where the key of the file is kept, unless it is configured.
    pub(super) fn key_path(&self) -> PathBuf {
        beside(&self.path, "key")
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Checks that a file can be used, and keeps other processes from it.
pub(super) fn reserve(path: &Path) -> Result<Reserved, StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let shown = path.display();
    if !folder.is_dir() {
        let told = format!("the folder of the store {shown} does not exist: make it, or set `store.url`");
        return Err(StoreError::Settings(told));
    }
    if path.is_dir() {
        return Err(StoreError::Settings(format!("the store {shown} is a folder: `store.url` names a file")));
    }
    refuse_network(folder, path)?;
    let unusable = |file: &Path, error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
            std::io::ErrorKind::ReadOnlyFilesystem => "its filesystem is read-only".to_owned(),
            _ => error.to_string(),
        };
        let told = format!("the store cannot be kept in {}: {why}; see `store.url`", file.display());
        StoreError::Settings(told)
    };
    let open = |file: &Path| {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // SQLite gives its other files the mode of this one.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(file).map_err(|error| unusable(file, error))
    };
    // A lock of its own: closing any handle of the database would release SQLite's locks on it.
    let lock = open(&beside(path, "lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let told = format!(
                "the store {shown} is in use by another process: one gateway a file; for several replicas set \
                 `store.url` to postgres://…"
            );
            return Err(StoreError::Locked(told));
        }
        Err(TryLockError::Error(error)) => return Err(unusable(path, error)),
    }
    let length = open(path)?.metadata().map_err(|error| unusable(path, error))?.len();
    // Also a log that was not moved into the file yet is data.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let is_new = length == 0 && fs::metadata(log).map_or(0, |log| log.len()) == 0;
    Ok(Reserved { path: path.to_owned(), lock, is_new })
}

/// SQLite's log needs memory that is shared and locks that hold, which network filesystems do not give.
#[cfg(target_os = "linux")]
fn refuse_network(folder: &Path, path: &Path) -> Result<(), StoreError> {
    // The numbers of statfs(2), whose type differs between architectures.
    const NETWORKS: [(u64, &str); 8] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFE53_4D42, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0x00C3_6400, "Ceph"),
        (0x0102_1997, "9p"),
        (0x5346_414F, "AFS"),
        (0x0BD0_0BD0, "Lustre"),
    ];
    let Ok(found) = rustix::fs::statfs(folder) else { return Ok(()) };
    #[expect(clippy::cast_sign_loss, reason = "the number is compared bit by bit")]
    let number = found.f_type as u64 & 0xFFFF_FFFF;
    match NETWORKS.iter().find(|(known, _)| *known == number) {
        None => Ok(()),
        Some((_, name)) => Err(StoreError::Settings(format!(
            "the store {} is on a network filesystem ({name}), where SQLite is not safe: use a local disk, or \
             set `store.url` to postgres://…",
            path.display()
        ))),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_network(_: &Path, _: &Path) -> Result<(), StoreError> {
    Ok(())
}

impl Sqlite {
    /// Opens a reserved file and brings it up to date.
    pub(super) fn open(reserved: Reserved, clock: Option<Clock>) -> Result<Self, StoreError> {
        let connect = || {
            let connection = Connection::open(&reserved.path).map_err(|error| told(&error))?;
            prepare(&connection).map_err(|error| told(&error))?;
            Ok::<_, StoreError>(connection)
        };
        let mut connection = connect()?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(|error| told(&error))?;
        if mode != "wal" {
            let told = format!("the filesystem of {} does not allow a write-ahead log", reserved.path.display());
            return Err(StoreError::Settings(told));
        }
        migrate(&mut connection)?;
        let reader = connect()?;
        reader.pragma_update(None, "query_only", true).map_err(|error| told(&error))?;
        let clock = clock.unwrap_or_else(system);
        Ok(Self {
            writer: Lane::start("store-writer", connection, Clock::clone(&clock), write_groups)?,
            reader: Some(Lane::start("store-reader", reader, clock, read_alone)?),
            _lock: Some(reserved.lock),
        })
    }

    /// Opens a file that another process may be writing, to look at it.
    pub(super) fn look_at(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Settings(format!("there is no store at {} yet", path.display())));
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = connection.map_err(|error| told(&error))?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(|error| told(&error))?;
        let lane = Lane::start("store-reader", connection, system(), read_alone)?;
        Ok(Self { writer: lane, reader: None, _lock: None })
    }

    /// Opens a store that goes with the process.
    pub(super) fn memory(clock: Option<Clock>) -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(|error| told(&error))?;
        keep_plans(&connection).map_err(|error| told(&error))?;
        migrate(&mut connection)?;
        let clock = clock.unwrap_or_else(system);
        let writer = Lane::start("store-writer", connection, clock, write_groups)?;
        Ok(Self { writer, reader: None, _lock: None })
    }
}

fn system() -> Clock {
    Clock::from(std::sync::Arc::new(Timestamp::now) as std::sync::Arc<dyn Fn() -> Timestamp + Send + Sync>)
}

/// Plans every statement once, whatever its parameters will be. Otherwise those that could use a partial index are
/// planned anew for every execution, which costs more than all the rest of a claim.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // A claim whose request went out must survive a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What was deleted is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Where plain fsync does not reach the disk (macOS); nothing elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // An older version runs on a newer schema: changes only add.
    let runner = embedded::migrations::runner().set_abort_missing(false);
    runner.run(connection).map(|_| ()).map_err(|error| {
        StoreError::Damaged(format!("the store could not be brought to the form of this version: {error}"))
    })
}

/// A thread with a connection, and the jobs that wait for it.
struct Lane {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type Jobs = mpsc::Receiver<Box<dyn Job>>;

impl Lane {
    fn start(
        name: &str,
        connection: Connection,
        clock: Clock,
        work: fn(Connection, Clock, Jobs),
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(connection, clock, waiting));
        let thread = thread.map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    fn send(&self, job: Box<dyn Job>) {
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            None | Some(Ok(())) => {}
            Some(Err(TrySendError::Full(job))) => job.settle(Err(overloaded())),
            Some(Err(TrySendError::Closed(job))) => job.settle(Err(closed())),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // What waits is done first; then the connection is closed, and the lock may go.
        self.jobs = None;
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        let _ = thread.map(JoinHandle::join);
    }
}

fn read_alone(connection: Connection, clock: Clock, mut jobs: Jobs) {
    let mut session = SqliteSession(connection);
    while let Some(mut job) = jobs.blocking_recv() {
        let mut group = Group { now: clock().as_millisecond(), head: super::audit::Head::BEGINNING };
        let result = ready(job.perform(&mut session, &mut group));
        job.settle(result);
    }
}

fn write_groups(connection: Connection, clock: Clock, mut jobs: Jobs) {
    let mut session = SqliteSession(connection);
    let mut broken: Option<StoreError> = None;
    let mut busy = false;
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        gather(&mut group, &mut jobs, busy);
        busy = group.len() > 1;
        if let Some(error) = &broken {
            for job in group {
                job.settle(Err(error.clone()));
            }
            continue;
        }
        group.retain(|job| !job.abandoned());
        let mut outcomes = Vec::new();
        let committed = commit(&mut session, &clock, &mut group, &mut outcomes);
        if let Err(failure) = &committed {
            if !session.0.is_autocommit() {
                let _ = session.0.execute_batch("ROLLBACK");
            }
            tracing::error!(error = %failure.error, "the store could not write");
            if failure.lasting {
                broken = Some(StoreError::Unavailable(
                    "the disk of the store failed to make data durable: check it, then restart the gateway".to_owned(),
                ));
            }
        }
        let committed = committed.map_err(|failure| failure.error);
        outcomes.resize(group.len(), Ok(()));
        for (job, outcome) in group.into_iter().zip(outcomes) {
            job.settle(committed.clone().and(outcome));
        }
    }
    if broken.is_none() {
        // A tidy end: the next start finds one file and nothing to recover.
        let _ = session.0.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Adds what waits; while the store is busy, for a moment also what is about to come.
fn gather(group: &mut Vec<Box<dyn Job>>, jobs: &mut Jobs, busy: bool) {
    let until = std::time::Instant::now() + COMPANY;
    while group.len() < GROUP {
        match jobs.try_recv() {
            Ok(job) => group.push(job),
            Err(_) if busy && std::time::Instant::now() < until => thread::sleep(COMPANY / 6),
            Err(_) => break,
        }
    }
}

/// Why a whole group failed.
struct Failure {
    error: StoreError,
    /// Whether trying again would only be hope: what the disk holds is not known any more.
    lasting: bool,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code);
        let lasting = matches!(code, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC));
        Self { error: told(&error), lasting }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, lasting: false }
    }
}

/// Runs a group in one transaction, each job in a savepoint: the failure of one is its own.
fn commit(
    session: &mut SqliteSession,
    clock: &Clock,
    jobs: &mut [Box<dyn Job>],
    outcomes: &mut Vec<Result<(), StoreError>>,
) -> Result<(), Failure> {
    session.0.execute_batch("BEGIN IMMEDIATE")?;
    let gone = || StoreError::Damaged("the end of the audit chain is missing from the database".to_owned());
    let head = ledger::read_head(ready(session.rows(ledger::HEAD, &[]))?.first_mut().ok_or_else(gone)?)?;
    let mut group = Group { now: clock().as_millisecond(), head };
    for job in jobs {
        let before = group;
        session.run("SAVEPOINT job")?;
        let outcome = ready(job.perform(session, &mut group));
        if outcome.is_err() {
            // A full disk ends the whole transaction.
            if session.0.is_autocommit() {
                outcome?;
            } else {
                session.run("ROLLBACK TO job")?;
                group = before;
                outcomes.push(outcome);
                session.run("RELEASE job")?;
                continue;
            }
        }
        session.run("RELEASE job")?;
        outcomes.push(Ok(()));
    }
    if group.head != head {
        ready(session.execute(ledger::MOVE_HEAD, &ledger::head_values(&group.head)))?;
    }
    session.0.execute_batch("COMMIT")?;
    Ok(())
}

/// Statements on this connection never wait, so their futures are ready when they are made.
fn ready<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    future.now_or_never().unwrap_or_else(|| Err(closed()))
}

struct SqliteSession(Connection);

impl SqliteSession {
    fn run(&self, statement: &str) -> rusqlite::Result<usize> {
        self.0.prepare_cached(statement)?.execute([])
    }

    fn read(&self, statement: &str, values: &[Value<'_>]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|column| row.get_ref(column).map(cell));
            found.push(Row::new(cells.collect::<rusqlite::Result<_>>()?));
        }
        Ok(found)
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.read(statement, values).map_err(|error| told(&error))
    }

    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let changed = self
            .0
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(values)));
        changed.map(|changed| changed as u64).map_err(|error| told(&error))
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Integer(integer) => Cell::Integer(integer),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Null | ValueRef::Real(_) => Cell::Null,
    }
}

/// SQLite's own words hold no values, but they need company.
fn told(error: &rusqlite::Error) -> StoreError {
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk of the store is full".to_owned(),
        Some(ErrorCode::ReadOnly) => "the store cannot be written: its file or filesystem is read-only".to_owned(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return StoreError::Damaged("the file of the store is no SQLite database, or a damaged one".to_owned());
        }
        _ => {
            let told = error.to_string();
            if told.contains("no such table") || told.contains("no such column") {
                return no_form();
            }
            format!("the store's database failed: {told}")
        }
    };
    StoreError::Unavailable(what)
}
