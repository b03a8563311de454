//! Whether the file of an open store is still what the store opened. The checks cost a few system calls, and never open
//! the file: closing it would release SQLite's locks on it.

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use rusqlite::Connection;

use super::{
    file::{beside, with_ending},
    log,
    session::{damaged, failure},
};
use crate::store::{database::Condition, error::StoreError};

/// With less space than this, the next transaction may fail.
const LEAST_SPACE: u64 = 64 << 10;
/// How much space there must be before writes are accepted again, after one has failed.
const ROOM: usize = 1 << 20;
/// A larger file is not checked as a whole when another program has changed it: that would stop all writes meanwhile.
const LARGEST_CHECK: u64 = 64 << 20;

/// The file and its log, as they were when the store was opened.
pub(super) struct Guard {
    path: PathBuf,
    log: PathBuf,
    file_identity: Identity,
    log_identity: Identity,
    /// The greatest length of the log so far, up to [`log::LARGEST`]. While the store is open, SQLite makes it no shorter.
    log_length: AtomicU64,
    /// When the file was written last, and its length, as far as the writer knows.
    seen: Mutex<Option<Stamp>>,
    /// Why nothing is written any more until a restart.
    broken: Mutex<Option<StoreError>>,
}

type Identity = (u64, u64);
type Stamp = (SystemTime, u64);

impl Guard {
    /// The guard of a file that SQLite has opened.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let log = log_of(path);
        let known = |path: &Path| fs::metadata(path).map(|found| identity(&found)).map_err(|error| lost(path, &error));
        let guard = Self {
            file_identity: known(path)?,
            log_identity: known(&log)?,
            log_length: AtomicU64::default(),
            path: path.to_owned(),
            log,
            seen: Mutex::default(),
            broken: Mutex::default(),
        };
        guard.settle();
        Ok(guard)
    }

    /// Why nothing is written any more until a restart.
    pub(super) fn broken(&self) -> Option<StoreError> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that nothing may be written any more until a restart.
    pub(super) fn stop(&self, why: StoreError) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// Stops all writes if an error means that the file is damaged.
    pub(super) fn judge(&self, error: &StoreError) {
        if *error == damaged() {
            self.stop(damaged());
        }
    }

    /// Checks before a transaction that it would reach the file. If another program has changed the file, its contents
    /// are checked too.
    pub(super) fn check(&self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        let file = self.present()?;
        if self.seen() == stamp(&file) {
            return Ok(());
        }
        // What the connection remembers of the file may not be there any more.
        connection.release_memory().map_err(|error| failure(&error))?;
        if file.len() <= LARGEST_CHECK {
            let verdict: Result<String, _> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
            let is_whole = verdict.map_err(|error| failure(&error)).map(|verdict| verdict == "ok");
            if is_whole.unwrap_or(false) {
                tracing::warn!("another program has changed the file of the store; its contents are still valid");
            } else {
                self.stop(damaged());
                return Err(damaged());
            }
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp(&file);
        Ok(())
    }

    /// Checks, without reading the file, that no other program has changed it since the check before the transaction.
    pub(super) fn check_unchanged(&self) -> Result<(), StoreError> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        if self.seen() == stamp(&self.present()?) {
            return Ok(());
        }
        // The next check looks at the contents, also if the file has its old time again by then.
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Err(StoreError::Unavailable(
            "another program changed the file of the store during a transaction, which was rolled back".to_owned(),
        ))
    }

    /// Notes that the writer itself has changed the file.
    pub(super) fn settle(&self) {
        let found = fs::metadata(&self.path).ok().as_ref().and_then(stamp);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// What can be said about writes without writing. With `is_failing`, a write has failed before.
    pub(super) fn condition(&self, is_failing: bool) -> Condition {
        match self.obstacle(is_failing) {
            Err(obstacle) => Condition::Obstacle(obstacle),
            Ok(found) if is_failing || self.seen() != stamp(&found) => Condition::Suspect,
            Ok(_) => Condition::Fine,
        }
    }

    fn obstacle(&self, is_failing: bool) -> Result<Metadata, StoreError> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        let found = self.present()?;
        has_space(&self.path)?;
        if is_failing {
            self.has_room()?;
        }
        Ok(found)
    }

    fn seen(&self) -> Option<Stamp> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, if it and its log are the ones that were opened.
    fn present(&self) -> Result<Metadata, StoreError> {
        let same = |path: &Path, known: Identity| {
            let found = fs::metadata(path).map_err(|error| lost(path, &error))?;
            if identity(&found) == known { Ok(found) } else { Err(gone(path, "replaced")) }
        };
        // It is read first: another thread may note the length of a log that has grown since this thread looked.
        let known = self.log_length.load(Ordering::Relaxed);
        let length = same(&self.log, self.log_identity)?.len().min(log::LARGEST.into());
        self.log_length.fetch_max(length, Ordering::Relaxed);
        if length < known {
            // Writes that were answered may be lost.
            let truncated = gone(&self.log, "truncated");
            self.stop(truncated.clone());
            return Err(truncated);
        }
        same(&self.path, self.file_identity)
    }

    /// Whether a file beside the store can grow. It is removed at once.
    fn has_room(&self) -> Result<(), StoreError> {
        let path = beside(&self.path, "room");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(&vec![0; ROOM]));
        let _ = fs::remove_file(&path);
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
                return read_only();
            }
            StoreError::Unavailable(format!("the disk of the store is full, or cannot be written: {error}; free space"))
        })
    }
}

/// The path of SQLite's log.
pub(super) fn log_of(path: &Path) -> PathBuf {
    with_ending(path, "-wal")
}

fn stamp(found: &Metadata) -> Option<Stamp> {
    Some((found.modified().ok()?, found.len()))
}

#[cfg(unix)]
fn identity(found: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    (0, 0)
}

fn lost(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => gone(path, "removed"),
        _ => StoreError::Unavailable(format!("the store file {} cannot be reached: {error}", path.display())),
    }
}

fn gone(path: &Path, what: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "the store file {} was {what} while the gateway was running: stop the gateway, restore the newest backup, and \
         start it again",
        path.display()
    ))
}

fn read_only() -> StoreError {
    StoreError::Unavailable("the filesystem of the store is read-only: mount it for writing".to_owned())
}

#[cfg(unix)]
fn has_space(path: &Path) -> Result<(), StoreError> {
    use rustix::fs::StatVfsMountFlags;
    let Ok(found) = rustix::fs::statvfs(path) else { return Ok(()) };
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(read_only());
    }
    if found.f_blocks > 0 && found.f_bavail.saturating_mul(found.f_frsize) < LEAST_SPACE {
        return Err(StoreError::Unavailable("the disk of the store is full: free space".to_owned()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn has_space(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt as _};

    use async_trait::async_trait;

    use super::*;
    use crate::store::database::{
        Group, Session, Work,
        sqlite::{Sqlite, reserve},
        write,
    };

    /// Executes a statement. Another program damages the file after the transaction has begun.
    struct Write {
        statement: &'static str,
        damage: Option<(PathBuf, u64)>,
    }

    #[async_trait]
    impl Work for Write {
        type Done = u64;
        const RUNS_ALONE: bool = true;

        async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<u64, StoreError> {
            if let Some((path, at)) = &self.damage {
                overwrite(path, *at, b"Z");
            }
            session.execute(self.statement, &[]).await
        }
    }

    async fn execute(store: &Sqlite, statement: &'static str) -> Result<u64, StoreError> {
        write(store, Write { statement, damage: None }).await
    }

    fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(path).expect("the file");
        file.write_all_at(bytes, at).expect("it is overwritten");
        // Not in the same tick of the filesystem's clock as the last write of the store.
        file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
    }

    #[tokio::test]
    async fn what_a_transaction_reads_from_a_damaged_file_is_not_written_into_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passerelle.db");
        let open = || Sqlite::open(reserve(&path).expect("it is free"), None).expect("a store");
        let store = open();
        execute(&store, "CREATE TABLE notes (text TEXT, length INTEGER)").await.expect("a table");
        let text = "INSERT INTO notes (text) VALUES (replace(hex(zeroblob(20000)), '0', 'a'))";
        assert_eq!(execute(&store, text).await, Ok(1));
        // The text is in the file now, and in no memory.
        drop(store);
        let store = open();
        let bytes = fs::read(&path).expect("the file");
        let at = bytes.windows(64).rposition(|bytes| bytes == [b'a'; 64]).expect("the text");
        let damage = Some((path.clone(), u64::try_from(at).expect("a place")));
        let longer = "UPDATE notes SET length = length(text)";
        let refused = write(&store, Write { statement: longer, damage }).await.expect_err("the file has changed");
        assert!(refused.message().contains("rolled back"), "{refused:?}");
        // The operator repairs the file.
        overwrite(&path, u64::try_from(at).expect("a place"), b"a");
        assert_eq!(execute(&store, longer).await, Ok(1));
        drop(store);
        let is_whole = Connection::open(&path)
            .and_then(|file| file.query_row("SELECT instr(text, 'Z') = 0 FROM notes", [], |row| row.get(0)));
        assert_eq!(is_whole, Ok(true));
    }
}
