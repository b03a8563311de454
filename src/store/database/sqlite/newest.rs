//! The newest audit record that was written here, in a note outside the database. A database without this record is an older
//! copy: it does not know the writes since, and a client that repeats one of them would cause a second effect. So the store
//! does not open it until an operator has accepted that.
//!
//! The note is in the lock file, behind the one about the log, and the writer writes both at once: after each commit, before
//! the commit is acknowledged. It is not synced, so after a loss of power it is at most too old. An old note asks for less.

use std::{fs::File, io, path::Path};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    file::beside,
    log_note::LogEnd,
    places::{part, read_twice},
};
use crate::store::{
    database::head::{Head, hash_of},
    error::StoreError,
};

/// Where the note begins in the lock file. Earlier versions write the one before it alone.
pub(super) const PLACE: u64 = 2 * LogEnd::LENGTH as u64;

/// An audit record that was the newest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its place and its hash.
    pub head: Head,
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
}

impl Newest {
    pub(super) const LENGTH: usize = 48;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.head.sequence.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.at.to_be_bytes());
        bytes[16..].copy_from_slice(&self.head.hash);
        bytes
    }

    /// Reads the note in a lock file. A torn one counts as none.
    pub(super) fn noted(lock: &File) -> io::Result<Option<Self>> {
        let Some(note) = read_twice::<{ Self::LENGTH }>(lock, PLACE)? else { return Ok(None) };
        let head = Head { sequence: u64::from_be_bytes(part(&note, 0)), hash: part(&note, 16) };
        Ok(Some(Self { head, at: i64::from_be_bytes(part(&note, 8)) }).filter(|newest| newest.head.sequence > 0))
    }

    /// The newest record of a database. `None`: it has none, or no tables yet.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('audit', 'chain')";
        if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? < 2 {
            return Ok(None);
        }
        let select = "SELECT chain.sequence, chain.hash, coalesce(audit.at, 0) FROM chain \
                      LEFT JOIN audit ON audit.sequence = chain.sequence WHERE chain.one = 1 AND chain.sequence > 0";
        let newest = connection.query_row(select, [], |row| {
            let (sequence, hash): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            Ok(Self { head: Head { sequence: sequence.cast_unsigned(), hash: hash_of(&hash) }, at: row.get(2)? })
        });
        newest.optional()
    }

    /// When it was written.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millisecond(self.at).unwrap_or_default()
    }
}

/// A database that lacks the newest audit record that was written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older {
    /// The record that was written here.
    pub noted: Newest,
    /// The newest one of the database.
    pub found: Option<Newest>,
}

impl Older {
    /// Compares a database with the record that was written here. `None`: it has the record.
    pub(super) fn of(connection: &Connection, noted: Newest) -> rusqlite::Result<Option<Self>> {
        let found = Newest::of(connection)?;
        let mut hash = None;
        if found.is_some_and(|found| found.head.sequence >= noted.head.sequence) {
            let select = "SELECT hash FROM audit WHERE sequence = ?1";
            let sequence = noted.head.sequence.cast_signed();
            let read: Option<Vec<u8>> = connection.query_row(select, [sequence], |row| row.get(0)).optional()?;
            hash = read.map(|read| hash_of(&read));
        }
        Ok((hash != Some(noted.head.hash)).then_some(Self { noted, found }))
    }

    /// How many records it lacks. `None`: it has others instead.
    pub fn missing(&self) -> Option<u64> {
        let found = self.found.map_or(0, |found| found.head.sequence);
        self.noted.head.sequence.checked_sub(found).filter(|missing| *missing > 0)
    }

    /// What is the case, for people.
    pub fn explanation(&self) -> String {
        let Self { noted, found } = self;
        let written = format!("audit record {} of {} was written here", noted.head.sequence, noted.time());
        match found {
            Some(found) if found.head.sequence >= noted.head.sequence => format!(
                "it is not the store that was here, or it was written elsewhere since: {written}, and its record {} is \
                 another one",
                noted.head.sequence
            ),
            Some(found) => format!(
                "it is older than what was written here: {written}, and its newest record is {} of {}",
                found.head.sequence,
                found.time()
            ),
            None => format!("it is older than what was written here: {written}, and it has no record"),
        }
    }

    /// Why such a database is not opened. A new one takes the place of a database that is missing or empty.
    pub(super) fn refusal(&self, path: &Path, is_new: bool) -> StoreError {
        if is_new {
            return StoreError::Damaged(format!(
                "it is missing or empty, but audit record {} of {} was written here: restore it from your backup, or \
                 remove {} to begin with an empty store",
                self.noted.head.sequence,
                self.noted.time(),
                beside(path, "lock").display()
            ));
        }
        StoreError::Damaged(format!(
            "{}. It does not know the writes since: a client that repeats one of them would cause a second effect. \
             Restore the newest copy that you have. If this is the newest one, `passerelle store accept-restore` shows what \
             is lost and accepts it (docs/operating.md, \"Backup and restore\")",
            self.explanation()
        ))
    }
}
