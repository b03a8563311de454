//! A connection as a [`Session`], and SQLite's failures in words.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use rusqlite::{Connection, ErrorCode, types::ValueRef};

use crate::store::{
    database::{
        Session, Statements, closed, not_migrated,
        values::{Cell, Row, Value},
    },
    error::StoreError,
};

/// Statements on this connection never wait, so their futures are ready when they are made.
pub(in crate::store) fn ready<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    future.now_or_never().unwrap_or_else(|| Err(closed()))
}

/// A connection, in a transaction or not.
pub(in crate::store) struct SqliteSession(pub(in crate::store) Connection, pub(in crate::store) Statements);

impl SqliteSession {
    pub(super) fn run(&self, statement: &str) -> rusqlite::Result<usize> {
        self.0.prepare_cached(statement)?.execute([])
    }

    pub(super) fn change(&self, statement: &str, values: &[Value<'_>]) -> rusqlite::Result<u64> {
        let changed = self.0.prepare_cached(statement)?.execute(rusqlite::params_from_iter(values))?;
        Ok(changed as u64)
    }

    pub(super) fn read(&self, statement: &str, values: &[Value<'_>]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            // A loop, because to collect results costs twice as much for rows of many columns.
            let mut cells = Vec::with_capacity(columns);
            for column in 0..columns {
                cells.push(cell(row.get_ref(column)?));
            }
            found.push(Row::new(cells));
        }
        Ok(found)
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.1.add_one();
        self.read(statement, values).map_err(|error| failure(&error))
    }

    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.1.add_one();
        self.change(statement, values).map_err(|error| failure(&error))
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
        ValueRef::Text(text) => Cell::Text(match str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(text).into_owned(),
        }),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Null | ValueRef::Real(_) => Cell::Null,
    }
}

/// The file does not have the form of a database.
pub(super) fn damaged() -> StoreError {
    StoreError::Damaged(
        "the file of the store is not an SQLite database, or is damaged: stop the gateway, restore the newest backup \
         beside its key (remove the -wal and the -shm first), and start it again"
            .to_owned(),
    )
}

/// A message for the operator. SQLite's own message contains no values.
pub(super) fn failure(error: &rusqlite::Error) -> StoreError {
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk of the store is full: free space".to_owned(),
        Some(ErrorCode::ReadOnly) => "the store cannot be written: its file or filesystem is read-only".to_owned(),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => format!(
            "{error}: check the disk of the store; the file, its -wal and its -shm must be files that the user of the \
             gateway may read and write, in a folder where that user may make files"
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => return damaged(),
        _ => {
            let message = error.to_string();
            if message.contains("no such table") || message.contains("no such column") {
                return not_migrated();
            }
            format!("the store's database failed: {message}")
        }
    };
    StoreError::Unavailable(what)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_database_of_another_version_is_told_from_one_that_failed() {
        let database = Connection::open_in_memory().expect("a database");
        database
            .execute_batch("CREATE TABLE writes (id TEXT UNIQUE); INSERT INTO writes VALUES ('1')")
            .expect("a table");
        let failed = |statement| failure(&database.execute_batch(statement).expect_err("a failure"));
        assert_eq!(failed("SELECT id FROM customers"), not_migrated());
        assert_eq!(failed("SELECT merchant FROM writes"), not_migrated());
        let StoreError::Unavailable(why) = failed("INSERT INTO writes VALUES ('1')") else { panic!("another error") };
        assert!(why.contains("UNIQUE constraint failed"), "{why}");
    }
}
