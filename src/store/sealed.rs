//! The list of sealed columns, and sealing all of them anew after a change of the key. A new sealed column is one more
//! line in [`SEALED`]: a test walks through every column of bytes in the schema, and names the one that a new key does
//! not reach.

use std::ops::RangeInclusive;

use async_trait::async_trait;

use super::{
    database::{
        Database, Group, Session, Work, read,
        values::{Row, Value, limited},
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
    /// The columns of texts that are the table's primary key. A sealed value is bound to them.
    key: &'static [&'static str],
    column: &'static str,
}

/// The store's own secret.
pub(super) static META: SealedColumn = SealedColumn { table: "meta", key: &["name"], column: "value" };
/// The command of a write, until its outcome is known.
pub(super) static COMMAND: SealedColumn = SealedColumn { table: "operations", key: &["id"], column: "command" };
/// The answer to a write.
pub(super) static ANSWER: SealedColumn = SealedColumn { table: "operations", key: &["id"], column: "answer" };

/// What the gateway keeps of a customer.
pub(super) static CARRIED: SealedColumn =
    SealedColumn { table: "carried", key: &["merchant", "public_id", "field"], column: "value" };

/// The answer to a signed request, while its client may send it again.
pub(super) static SIGNATURE_ANSWER: SealedColumn =
    SealedColumn { table: "signatures", key: &["hash"], column: "answer" };

/// Every column that holds sealed bytes.
static SEALED: [&SealedColumn; 5] = [&META, &COMMAND, &ANSWER, &CARRIED, &SIGNATURE_ANSWER];

impl SealedColumn {
    /// The place of the value of one row: the columns of its key, one a line.
    pub(super) const fn at<'a>(&self, row: &'a str) -> Place<'a> {
        Place { table: self.table, column: self.column, row }
    }
}

/// Seals anew what an older key sealed, and returns how many values that were.
pub(super) async fn reseal(database: &dyn Database, keyring: &Keyring) -> Result<u64, StoreError> {
    let mut count = 0;
    for column in SEALED {
        let mut after = vec![String::new(); column.key.len()];
        loop {
            let page = read(database, ReadSealed { column, after: after.clone(), limit: PAGE }).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (row, old) in page {
                if let Some(new) = keyring.reseal(column.at(&row.join("\n")), &old)? {
                    write(database, ReplaceSealed { column, row, old, new }).await?;
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

/// The parameters of a statement with these numbers.
fn placed(numbers: RangeInclusive<usize>) -> String {
    numbers.map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

/// The sealed values of a column with their keys, in the order of the keys.
struct ReadSealed {
    column: &'static SealedColumn,
    after: Vec<String>,
    limit: usize,
}

#[async_trait]
impl Work for ReadSealed {
    type Done = Vec<(Vec<String>, Vec<u8>)>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let SealedColumn { table, key, column } = self.column;
        let (count, after) = (key.len(), placed(1..=key.len()));
        let key = key.join(", ");
        let select = format!(
            "SELECT {key}, {column} FROM {table} WHERE ({key}) > ({after}) AND {column} IS NOT NULL ORDER BY {key} \
             LIMIT ?{}",
            count + 1
        );
        let mut values: Vec<Value<'_>> = self.after.iter().map(|text| Value::Text(text)).collect();
        values.push(Value::Integer(limited(self.limit)));
        let rows = session.rows(&select, &values).await?;
        let read = |mut row: Row| {
            let key: Result<Vec<String>, StoreError> = (0..count).map(|_| row.text()).collect();
            Ok((key?, row.bytes()?))
        };
        rows.into_iter().map(read).collect()
    }
}

/// Replaces a sealed value, if it is still what was read.
struct ReplaceSealed {
    column: &'static SealedColumn,
    row: Vec<String>,
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
        let (key, row) = (key.join(", "), placed(3..=key.len() + 2));
        let update = format!("UPDATE {table} SET {column} = ?2 WHERE ({key}) = ({row}) AND {column} = ?1");
        let mut values = vec![Value::Bytes(&self.old), Value::Bytes(&self.new)];
        values.extend(self.row.iter().map(|text| Value::Text(text)));
        session.execute(&update, &values).await.map(|_| ())
    }
}
