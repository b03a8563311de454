//! The store in one SQLite file: a thread that writes in groups and one that reads (`lane`), a lock that keeps other
//! processes out (`file`), the write-ahead log (`log`), notes outside the database that show what a file lacks (`log_note`,
//! `newest`), checks that the file is still there (`guard`), and copies (`backup`). What is acknowledged has been through `fsync`.

mod backup;
mod file;
mod guard;
mod lane;
mod log;
mod log_note;
mod newest;
mod places;
mod session;
#[cfg(feature = "simulation")]
pub(in crate::store) mod simulated;

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, fs::File, num::NonZeroUsize, path::Path, sync::Arc, thread, time::Duration};

use jiff::Timestamp;
use refinery::error::Kind;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::runtime::Handle;

use self::{
    file::unusable,
    guard::{Guard, log_of},
    lane::{Lane, Short, read_alone, write_groups},
    log::Checkpoints,
    log_note::Note,
    session::failure,
};
use super::{Condition, Database, Job, Statements};
use crate::store::{error::StoreError, settings::Clock};

pub use self::backup::Copied;
pub(in crate::store) use self::backup::copy;
pub(in crate::store) use self::file::{Reserved, reserve, with_ending};
pub use self::newest::{Newest, Older};
pub(in crate::store) use self::session::SqliteSession;
#[cfg(test)]
pub(in crate::store) use self::session::ready;

mod embedded {
    refinery::embed_migrations!("src/store/migrations/sqlite");
}

/// The most connections for reads on the thread of the caller. Each has a cache of its own.
const MOST_SHORT: usize = 4;

/// An open SQLite store.
pub(in crate::store) struct Sqlite {
    /// Read a few rows on the thread of the caller. They are closed first, like the reader.
    short: Option<Short>,
    /// A store in memory has but one connection. The reader is closed before the writer, which then removes the log.
    reader: Option<Lane>,
    writer: Lane,
    /// A store in memory has no file.
    guard: Option<Arc<Guard>>,
    statements: Statements,
    /// The lock on the file. It is the last field, so that it is dropped after the threads have ended.
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
        let job = match &self.short {
            Some(short) if job.is_short() => match short.read(job) {
                Some(job) => job,
                None => return,
            },
            _ => job,
        };
        self.reader.as_ref().unwrap_or(&self.writer).send(job);
    }

    fn statements(&self) -> &Statements {
        &self.statements
    }

    fn condition(&self, is_failing: bool) -> Condition {
        self.guard.as_ref().map_or(Condition::Fine, |guard| guard.condition(is_failing))
    }
}

impl Sqlite {
    /// Opens a reserved file and brings it up to date.
    pub(in crate::store) fn open(reserved: Reserved, clock: Option<Clock>) -> Result<Self, StoreError> {
        let path = reserved.path.clone();
        Self::open_reserved(reserved, clock).map_err(|error| error.of_file(&path))
    }

    fn open_reserved(reserved: Reserved, clock: Option<Clock>) -> Result<Self, StoreError> {
        let connect = || {
            let connection = Connection::open(&reserved.path).map_err(|error| failure(&error))?;
            prepare(&connection).map_err(|error| failure(&error))?;
            Ok::<_, StoreError>(connection)
        };
        let mut connection = connect()?;
        // Before anything is written: what is refused stays as it is.
        refuse_foreign(&connection)?;
        let newest = reserved.newest(&connection)?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(|error| failure(&error))?;
        if mode != "wal" {
            let message = "its filesystem does not allow a write-ahead log: use a local disk, or set `store.url` to \
                           postgres://…";
            return Err(StoreError::Settings(message.to_owned()));
        }
        migrate(&mut connection)?;
        let connect_reader = || {
            let reader = connect()?;
            reader.pragma_update(None, "query_only", true).map_err(|error| failure(&error))?;
            Ok::<_, StoreError>(reader)
        };
        let at_once = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_SHORT);
        let shorts = (0..at_once).map(|_| connect_reader()).collect::<Result<Vec<_>, _>>()?;
        let reader = connect_reader()?;
        let page_size = connection.pragma_query_value(None, "page_size", |row| row.get(0));
        let page_size = page_size.map_err(|error| failure(&error))?;
        let note = Note::of(&log_of(&reserved.path), &reserved.lock, page_size, newest);
        let note = note.map_err(|error| unusable(&reserved.path, &error))?;
        let checkpoints = Checkpoints::begin(&mut connection, note).map_err(|error| failure(&error))?;
        let guard = Arc::new(Guard::of(&reserved.path)?);
        let clock = clock.unwrap_or_else(system);
        let (reading, writing) = ((Clock::clone(&clock), Arc::clone(&guard)), (clock, Arc::clone(&guard)));
        let statements = Statements::default();
        let session = |connection| SqliteSession(connection, statements.clone());
        let (reader, connection) = (session(reader), session(connection));
        let shorts = shorts.into_iter().map(session).collect();
        let callers = Handle::try_current().ok();
        Ok(Self {
            short: Some(Short::of(shorts, &reading.0, &guard)),
            reader: Some(Lane::start("store-reader", move |jobs| {
                read_alone(reader, &reading.0, Some(&reading.1), jobs);
            })?),
            writer: Lane::start("store-writer", move |jobs| {
                write_groups(connection, &writing.0, Some((checkpoints, &writing.1)), callers.as_ref(), jobs);
            })?,
            guard: Some(guard),
            statements,
            _lock: Some(reserved.lock),
        })
    }

    /// Opens a file to read it only, while another process may write it.
    pub(in crate::store) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let connection = connect_read_only(path)?;
        let statements = Statements::default();
        let session = SqliteSession(connection, statements.clone());
        let lane = Lane::start("store-reader", move |jobs| read_alone(session, &system(), None, jobs))?;
        Ok(Self { short: None, reader: None, writer: lane, guard: None, statements, _lock: None })
    }

    /// Opens a store in memory, which is lost with the process.
    pub(in crate::store) fn memory(clock: Option<Clock>) -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(|error| failure(&error))?;
        keep_plans(&connection).map_err(|error| failure(&error))?;
        migrate(&mut connection)?;
        let clock = clock.unwrap_or_else(system);
        let statements = Statements::default();
        let session = SqliteSession(connection, statements.clone());
        let callers = Handle::try_current().ok();
        let writer =
            Lane::start("store-writer", move |jobs| write_groups(session, &clock, None, callers.as_ref(), jobs))?;
        Ok(Self { short: None, reader: None, writer, guard: None, statements, _lock: None })
    }
}

/// Opens an existing file to read it only.
fn connect_read_only(path: &Path) -> Result<Connection, StoreError> {
    if !path.is_file() {
        return Err(StoreError::Settings(format!("there is no store at {} yet", path.display())));
    }
    let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let opened = opened.and_then(|connection| connection.busy_timeout(Duration::from_secs(5)).map(|()| connection));
    opened.map_err(|error| failure(&error).of_file(path))
}

fn system() -> Clock {
    Clock::from(Arc::new(crate::clock::now) as Arc<dyn Fn() -> Timestamp + Send + Sync>)
}

/// Plans every statement once, whatever its parameters will be. Otherwise those that could use a partial index are
/// planned anew for every execution, which costs more than all the rest of a claim.
pub(in crate::store) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // SQLite would build a temporary table of the permitted words for every row that is written. They come from enums.
    connection.pragma_update(None, "ignore_check_constraints", true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// A store in memory without a thread, and a count of the steps that its virtual machine has taken.
#[cfg(test)]
pub(in crate::store) fn counted() -> (SqliteSession, Arc<AtomicU64>) {
    let mut connection = Connection::open_in_memory().expect("a database");
    keep_plans(&connection).expect("settings");
    migrate(&mut connection).expect("its form");
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let step = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    connection.progress_handler(1, Some(step)).expect("a count");
    (SqliteSession(connection, Statements::default()), steps)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // SQLite would also move a log whose newest header says that the file needs it, and then remove the log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // A claim whose request was sent must survive a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What was deleted is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Where plain fsync does not reach the disk (macOS); nothing elsewhere.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", log::LARGEST)
}

/// Refuses a database that another program has made.
fn refuse_foreign(connection: &Connection) -> Result<(), StoreError> {
    let select = "SELECT count(*) > 0 AND NOT max(name = 'refinery_schema_history') FROM sqlite_schema";
    let is_foreign: Option<bool> =
        connection.query_row(select, [], |row| row.get(0)).map_err(|error| failure(&error))?;
    match is_foreign {
        Some(true) => Err(StoreError::Settings(
            "it is the database of another program: set `store.url` to the file of the gateway, or to a new one"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

pub(in crate::store) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // An older version runs on a newer schema, because migrations only add. Grouped, each is applied with its record.
    let runner = embedded::migrations::runner().set_abort_missing(false).set_grouped(true);
    runner.run(connection).map(|_| ()).map_err(|error| match error.kind() {
        Kind::Connection(_, cause)
            if let Some(cause) = cause.downcast_ref()
                && is_about_the_file(cause) =>
        {
            failure(cause)
        }
        _ => StoreError::Damaged(format!(
            "its schema cannot be migrated to this version, and was not changed: {error}. Start the version that wrote \
             it, or restore a backup"
        )),
    })
}

fn is_about_the_file(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure};
    let code = error.sqlite_error_code();
    matches!(code, Some(DatabaseCorrupt | DiskFull | NotADatabase | ReadOnly | SystemIoFailure))
}
