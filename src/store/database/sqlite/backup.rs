//! Copies an SQLite store into another file, also while a gateway writes it.
//!
//! SQLite's online backup copies page by page. `VACUUM INTO` would build every table and index anew, in one statement that
//! cannot say how far it is. The connection that reads stays in one read transaction, so all pages are of one state, although
//! the gateway commits meanwhile. Without it, SQLite would begin the copy anew after each commit of another process. A
//! reader does not block the writer; only the log is not begun anew until the copy is complete.

use std::{ffi::c_int, fs::File, path::Path, thread, time::Duration};

use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _,
    backup::{Backup, StepResult},
};

use super::{
    connect_read_only,
    file::beside,
    log,
    newest::{Newest, Older},
    session::failure,
};
use crate::store::{database::not_migrated, error::StoreError};

/// The pages that are copied between two looks at whether to go on: 2 MiB.
const STEP: c_int = 512;
/// How often a copy begins anew because the gateway is moving its log, which takes a moment.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What a copy contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The number of its operations.
    pub operations: u64,
    /// The newest one: its id, and when it was claimed, in milliseconds since 1970.
    pub newest_operation: Option<(String, i64)>,
    /// The newest audit record.
    pub newest_record: Option<Newest>,
}

/// Copies the store `from` into the empty file `to`, checks the copy, and describes it. It calls `progress` with the
/// number of copied pages and of all pages. If `progress` returns `false`, the copy is incomplete, and this returns `None`.
pub(in crate::store) fn copy(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Option<Copied>, StoreError> {
    let source = connect_read_only(from)?;
    // Before the store is read: the gateway may note further records from then on.
    let noted = File::open(beside(from, "lock")).and_then(|lock| Newest::noted(&lock)).unwrap_or_default();
    let unreadable = |error: rusqlite::Error| failure(&error).of_file(from);
    begin(&source).map_err(|error| error.of_file(from))?;
    let older = noted.map(|noted| Older::of(&source, noted)).transpose().map_err(unreadable)?.flatten();
    if let Some(older) = older {
        let message = format!("{}. A backup of it would lack the same", older.explanation());
        return Err(StoreError::Damaged(message).of_file(from));
    }
    let unwritable = |error: rusqlite::Error| unwritable(&error, to);
    let mut target = Connection::open(to).map_err(unwritable)?;
    // A copy that fails is removed, so nothing needs to be undone; its caller syncs the one that succeeds.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(unwritable)?;
    if !copy_pages(&source, &mut target, progress).map_err(unwritable)? {
        return Ok(None);
    }
    drop(source);
    // One file without a log.
    target.execute_batch("PRAGMA journal_mode = DELETE").map_err(unwritable)?;
    let verdict: String =
        target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(|error| failure(&error))?;
    if verdict != "ok" {
        let message = "its copy is not valid, so its file is damaged, or the disk of the copy is: check the disks, and \
                       restore the newest backup if the gateway refuses writes";
        return Err(StoreError::Damaged(message.to_owned()).of_file(from));
    }
    describe(&target).map(Some).map_err(|error| failure(&error))
}

/// Begins the read transaction. A file that needs its log and lacks it would be taken for a complete one.
fn begin(source: &Connection) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        source.execute_batch("BEGIN").map_err(|error| failure(&error))?;
        if log::is_complete(source).map_err(|error| failure(&error))? {
            let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('operations', 'audit', 'chain')";
            let tables: i64 = source.query_row(tables, [], |row| row.get(0)).map_err(|error| failure(&error))?;
            return if tables == 3 { Ok(()) } else { Err(not_migrated()) };
        }
        source.execute_batch("ROLLBACK").map_err(|error| failure(&error))?;
        thread::sleep(PAUSE);
    }
    Err(StoreError::Damaged(
        "the last process that wrote it ended in the middle, or its -wal is missing: start the gateway on it first, which \
         says what it lacks"
            .to_owned(),
    ))
}

/// Copies all pages. `false`: the caller has interrupted it.
fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> rusqlite::Result<bool> {
    let backup = Backup::new(source, target)?;
    loop {
        let step = backup.step(STEP)?;
        let reached = backup.progress();
        let [all, remaining] = [reached.pagecount, reached.remaining].map(|pages| u64::from(pages.unsigned_abs()));
        if !progress(all.saturating_sub(remaining), all) {
            return Ok(false);
        }
        match step {
            StepResult::Done => return Ok(true),
            StepResult::More => {}
            // Another program holds a lock for a moment.
            _ => thread::sleep(PAUSE),
        }
    }
}

fn describe(copy: &Connection) -> rusqlite::Result<Copied> {
    let operations: i64 = copy.query_row("SELECT count(*) FROM operations", [], |row| row.get(0))?;
    // Ids begin with their time.
    let newest = "SELECT id, created_at FROM operations ORDER BY id DESC LIMIT 1";
    let newest_operation = copy.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let newest_record = Newest::of(copy)?;
    Ok(Copied { operations: operations.cast_unsigned(), newest_operation, newest_record })
}

fn unwritable(error: &rusqlite::Error, to: &Path) -> StoreError {
    let folder = to.parent().unwrap_or(to).display();
    StoreError::Unavailable(match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("the disk of {folder} is full: free space, or choose another disk"),
        _ => format!("the copy cannot be made in {folder}: {error}"),
    })
}
