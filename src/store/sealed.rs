//! The list of sealed columns, and sealing all of them anew after a change of the key. A new sealed column is one more
//! line in [`SEALED`]: a test walks through every column of bytes in the schema, and names the one that a new key does
//! not reach.

use async_trait::async_trait;

use super::{
    database::{
        Database, Group, Session, Work, read,
        values::{Value, limited},
        write,
    },
    error::StoreError,
    keyring::{Keyring, Place},
};

/// How many values are sealed anew at a time.
const PAGE: usize = 200;

/// A column that holds sealed bytes, or nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SealedColumn {
    table: &'static str,
    /// The column of texts that is the table's primary key. A sealed value is bound to it.
    key: &'static str,
    column: &'static str,
}

/// The store's own secret.
pub(super) static META: SealedColumn = SealedColumn { table: "meta", key: "name", column: "value" };
/// The command of a write, until its outcome is known.
pub(super) static COMMAND: SealedColumn = SealedColumn { table: "operations", key: "id", column: "command" };
/// The answer to a write.
pub(super) static ANSWER: SealedColumn = SealedColumn { table: "operations", key: "id", column: "answer" };

/// Every column that holds sealed bytes.
static SEALED: [&SealedColumn; 3] = [&META, &COMMAND, &ANSWER];

impl SealedColumn {
    /// The place of the value of one row.
    pub(super) const fn at<'a>(&self, row: &'a str) -> Place<'a> {
        Place { table: self.table, column: self.column, row }
    }
}

/// Seals anew what an older key sealed, and returns how many values that were.
pub(super) async fn reseal(database: &dyn Database, keyring: &Keyring) -> Result<u64, StoreError> {
    let mut count = 0;
    for column in SEALED {
        let mut after = String::new();
        loop {
            let page = read(database, ReadSealed { column, after: after.clone(), limit: PAGE }).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (row, old) in page {
                if let Some(new) = keyring.reseal(column.at(&row), &old)? {
                    write(database, ReplaceSealed { column, row, old, new }).await?;
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

/// The sealed values of a column with their keys, in the order of the keys.
struct ReadSealed {
    column: &'static SealedColumn,
    after: String,
    limit: usize,
}

#[async_trait]
impl Work for ReadSealed {
    type Done = Vec<(String, Vec<u8>)>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let SealedColumn { table, key, column } = self.column;
        let select = format!(
            "SELECT {key}, {column} FROM {table} WHERE {key} > ?1 AND {column} IS NOT NULL ORDER BY {key} LIMIT ?2"
        );
        let rows = session.rows(&select, &[Value::Text(&self.after), Value::Integer(limited(self.limit))]).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.bytes()?))).collect()
    }
}

/// Replaces a sealed value, if it is still what was read.
struct ReplaceSealed {
    column: &'static SealedColumn,
    row: String,
    old: Vec<u8>,
    new: Vec<u8>,
}

#[async_trait]
impl Work for ReplaceSealed {
    type Done = ();

    /// One statement, which replaces the value only where it is still the one that was read.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let SealedColumn { table, key, column } = self.column;
        let update = format!("UPDATE {table} SET {column} = ?3 WHERE {key} = ?1 AND {column} = ?2");
        let values = [Value::Text(&self.row), Value::Bytes(&self.old), Value::Bytes(&self.new)];
        session.execute(&update, &values).await.map(|_| ())
    }
}
