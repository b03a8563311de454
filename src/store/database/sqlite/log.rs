//! The write-ahead log beside the file of an SQLite store (`-wal`). What was committed since the last checkpoint is in
//! the log alone, so the file without its log lacks writes, and looks complete all the same.
//!
//! That is why the file says by itself whether it needs its log, in the `user_version` of its header. While the store
//! is open, the header in the file is [`NEEDS_LOG`], and the newest header in the log is [`COMPLETE`]. A copy that
//! SQLite makes (`.backup`, `VACUUM INTO`) contains what is in the log, and is complete. A copy of the file alone needs
//! its log. Every checkpoint keeps it so: it moves a header with [`NEEDS_LOG`] into the file. When the store is closed,
//! the whole log is moved, also [`COMPLETE`].

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use rusqlite::{Connection, hooks::Wal};

use super::{guard::Guard, log_note::Note};

/// The `user_version` of a file that lacks nothing. Earlier versions left it so.
const COMPLETE: i32 = 0;
/// The `user_version` of a file that lacks what is in its log.
const NEEDS_LOG: i32 = 1;

/// SQLite shortens a longer log to this length, in bytes, when it begins it anew.
pub(super) const LARGEST: u32 = 64 << 20;

/// How many pages the log has before it is moved into the file, as by SQLite's default.
const PAGES: i32 = 1000;

/// When the writer moves its log into the file.
pub(super) struct Checkpoints {
    /// The pages in the log after the last commit.
    logged: Arc<AtomicI32>,
    due_at: i32,
    note: Arc<Note>,
}

impl Checkpoints {
    /// Begins the writes of a connection: SQLite makes no checkpoints of its own any more, and each commit is noted.
    pub(super) fn begin(connection: &mut Connection, note: Note) -> rusqlite::Result<Self> {
        let logged = Arc::new(AtomicI32::new(0));
        let note = Arc::new(note);
        let (counted, noting) = (Arc::clone(&logged), Arc::clone(&note));
        connection.wal_hook(Some(move |_: &mut Wal, pages: i32| {
            counted.store(pages, Ordering::Relaxed);
            // The commit is durable also without its note. An older note is still true.
            let _ = noting.commit(pages.unsigned_abs());
            Ok(())
        }))?;
        checkpoint(connection, None)?;
        Ok(Self { logged, due_at: PAGES, note })
    }

    /// What each commit notes outside the database.
    pub(super) fn note(&self) -> &Arc<Note> {
        &self.note
    }

    /// Whether the log is long enough to be moved into the file. Ask after each transaction.
    pub(super) fn are_due(&self) -> bool {
        self.logged.load(Ordering::Relaxed) >= self.due_at
    }

    /// Moves the log into the file.
    pub(super) fn run(&mut self, connection: &Connection, guard: &Guard) -> rusqlite::Result<()> {
        let moved = checkpoint(connection, Some(guard)).map(|_| ());
        // A reader or a full disk can prevent it. Then the log grows, and the next try is not at the next commit.
        self.due_at = self.logged.load(Ordering::Relaxed).saturating_add(PAGES);
        moved
    }
}

/// Moves the whole log into the file, before the connection is closed. `false`: another program reads, so the log stays.
///
/// A process can be killed between two pages. So all others come first, and the header that says [`COMPLETE`] last.
pub(super) fn end(connection: &Connection, guard: &Guard) -> rusqlite::Result<bool> {
    let is_moved = checkpoint(connection, Some(guard))? && guard.check_unchanged().is_ok();
    Ok(is_moved && moves(connection, "PRAGMA wal_checkpoint(TRUNCATE)")?)
}

/// Moves what is in the log into the file. `false`: not all of it. If another program has changed the file since the last
/// transaction began, nothing is moved: the next transaction looks at its contents first.
fn checkpoint(connection: &Connection, guard: Option<&Guard>) -> rusqlite::Result<bool> {
    connection.pragma_update(None, "user_version", NEEDS_LOG)?;
    let moved = match guard {
        Some(guard) if guard.check_unchanged().is_err() => Ok(false),
        _ => {
            let moved = moves(connection, "PRAGMA wal_checkpoint(PASSIVE)");
            if let Some(guard) = guard {
                guard.settle();
            }
            moved
        }
    };
    connection.pragma_update(None, "user_version", COMPLETE)?;
    moved
}

fn moves(connection: &Connection, checkpoint: &str) -> rusqlite::Result<bool> {
    connection.query_row(checkpoint, [], |row| {
        let (is_busy, logged, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!is_busy && logged == moved)
    })
}

/// Whether a connection sees everything that was committed, as far as the newest header says.
pub(super) fn is_complete(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).map(|version| version == COMPLETE)
}

/// Whether a file says that it needs its log. Only before SQLite opens it: closing a file releases SQLite's locks.
pub(super) fn is_needed_by(file: &File) -> std::io::Result<bool> {
    Ok(header(file)?.get(60..64) == Some(&NEEDS_LOG.to_be_bytes()[..]))
}

/// Whether a file has the header of an SQLite database. Only before SQLite opens it.
pub(super) fn begins_as_a_database(file: &File) -> std::io::Result<bool> {
    Ok(header(file)?.starts_with(b"SQLite format 3\0"))
}

fn header(mut file: &File) -> std::io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(100);
    file.seek(SeekFrom::Start(0))?;
    file.take(100).read_to_end(&mut header)?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;

    #[test]
    fn no_log_is_moved_into_a_file_that_another_program_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passerelle.db");
        let connection = Connection::open(&path).expect("a database");
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE notes (text TEXT)").expect("a table");
        let guard = Guard::of(&path).expect("a guard");
        let bytes = fs::read(&path).expect("the file");
        let file = File::options().write(true).open(&path).expect("the file");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        assert_eq!(checkpoint(&connection, Some(&guard)), Ok(false));
        assert_eq!(end(&connection, &guard), Ok(false));
        assert_eq!(fs::read(&path).expect("the file"), bytes);
        guard.check(&connection).expect("its contents are valid");
        assert_eq!(checkpoint(&connection, Some(&guard)), Ok(true));
        assert_ne!(fs::read(&path).expect("the file"), bytes);
        assert_eq!(guard.check_unchanged(), Ok(()), "the gateway itself has changed it");
    }
}
