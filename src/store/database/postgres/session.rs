//! A connection in a transaction as a [`Session`], and PostgreSQL's failures in words.

use std::error::Error as _;

use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::{HookError, Object, PoolError, TimeoutType};
use futures_util::future::try_join;
use tokio_postgres::{
    error::SqlState,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use crate::store::{
    database::{
        Session, Statements, head,
        head::Head,
        not_migrated, overloaded,
        values::{Cell, Row, Value},
    },
    error::StoreError,
};

/// The time, and the end of the chain, locked.
const LOCK: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT), sequence, hash \
                    FROM chain WHERE one = 1 FOR UPDATE";
/// The time alone.
const TIME: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// How a transaction goes together with those of other replicas. See [`crate::store::database`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It locks the end of the chain, and waits for that.
    Alone,
    /// It does not, and gives up where it would wait for a row for longer than a tenth of a second.
    Beside,
}

impl Entry {
    const fn begin(self) -> &'static str {
        match self {
            Self::Alone => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            // Much less than the `lock_timeout` of the session, which is that of a transaction that runs alone.
            Self::Beside => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = 100",
        }
    }
}

pub(super) struct PostgresSession<'c> {
    client: &'c Object,
    entry: Entry,
    statements: &'c Statements,
    /// Whether it was the database that failed, not a statement.
    pub(super) is_fatal: bool,
    /// Whether it gave up, to be done again alone.
    pub(super) has_yielded: bool,
}

impl<'c> PostgresSession<'c> {
    pub(super) const fn new(client: &'c Object, entry: Entry, statements: &'c Statements) -> Self {
        Self { client, entry, statements, is_fatal: false, has_yielded: false }
    }

    /// Begins, and locks where it must, in one journey. Answers the time of the database, and the end of the chain
    /// where it is locked.
    pub(super) async fn begin(&mut self) -> Result<(i64, Option<Head>), StoreError> {
        let first = match self.entry {
            Entry::Alone => LOCK,
            Entry::Beside => TIME,
        };
        let began = async {
            let first = self.client.prepare_cached(first).await?;
            let begin = self.client.batch_execute(self.entry.begin());
            let ((), rows) = try_join(begin, self.client.query(&first, &[])).await?;
            rows.iter().map(read).collect()
        };
        let began: Result<Vec<Row>, _> = began.await;
        let mut row = began.map_err(|error| self.failed(&error))?.pop().ok_or_else(head::missing)?;
        let now = row.integer()?;
        let head = match self.entry {
            Entry::Alone => Some(head::read(&mut row)?),
            Entry::Beside => None,
        };
        Ok((now, head))
    }

    /// Moves the end of the chain, where it was moved, and commits in one journey. If moving it fails, the commit rolls
    /// back.
    pub(super) async fn end(&mut self, moved: Option<Head>) -> Result<(), StoreError> {
        let ended = async {
            let Some(moved) = moved else { return self.client.batch_execute("COMMIT").await };
            let values = head::values(&moved);
            let moving = self.client.prepare_cached(&spelled(head::MOVE)).await?;
            let values = parameters(&values);
            try_join(self.client.execute(&moving, &values), self.client.batch_execute("COMMIT")).await.map(|_| ())
        };
        let ended = ended.await;
        ended.map_err(|error| self.failed(&error))
    }

    fn failed(&mut self, error: &tokio_postgres::Error) -> StoreError {
        let is_locked = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
        match error.code() {
            Some(code) if self.entry == Entry::Beside && is_locked.contains(code) => self.has_yielded = true,
            _ => self.is_fatal |= is_fatal(error),
        }
        failure(error)
    }
}

/// Whether an error means that the database is unreachable, cannot write, or is too slow. After another error only the
/// statement is wrong.
fn is_fatal(error: &tokio_postgres::Error) -> bool {
    const CLASSES: [&str; 6] = ["08", "25", "53", "55", "57", "58"];
    match error.code() {
        None => true,
        Some(code) => CLASSES.iter().any(|class| code.code().starts_with(class)),
    }
}

#[async_trait]
impl Session for PostgresSession<'_> {
    async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.statements.add_one();
        let rows = async {
            let statement = self.client.prepare_cached(&spelled(statement)).await?;
            let rows = self.client.query(&statement, &parameters(values)).await?;
            rows.iter().map(read).collect()
        };
        let rows: Result<Vec<Row>, _> = rows.await;
        rows.map_err(|error| self.failed(&error))
    }

    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.statements.add_one();
        let changed = async {
            let statement = self.client.prepare_cached(&spelled(statement)).await?;
            self.client.execute(&statement, &parameters(values)).await
        };
        let changed = changed.await;
        changed.map_err(|error| self.failed(&error))
    }
}

/// A statement as PostgreSQL spells parameters.
fn spelled(statement: &str) -> String {
    statement.replace('?', "$")
}

fn parameters<'v>(values: &'v [Value<'v>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn read(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let cell = |(at, column): (usize, &tokio_postgres::Column)| {
        let cell = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(at)?.map(Cell::Integer),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Cell::Bytes),
            _ => row.try_get::<_, Option<String>>(at)?.map(Cell::Text),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    Ok(Row::new(row.columns().iter().enumerate().map(cell).collect::<Result<_, tokio_postgres::Error>>()?))
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(integer) => integer.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

pub(super) fn silent() -> StoreError {
    StoreError::Unavailable("the store's PostgreSQL does not answer".to_owned())
}

pub(super) fn unreachable(error: &PoolError) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => overloaded(),
        PoolError::Timeout(_) => silent(),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => failure(error),
        _ => StoreError::Unavailable("the store's PostgreSQL cannot be reached".to_owned()),
    }
}

/// PostgreSQL's message, without its details, which may repeat values.
pub(super) fn failure(error: &tokio_postgres::Error) -> StoreError {
    match error.as_db_error() {
        None => StoreError::Unavailable(format!(
            "the store's PostgreSQL cannot be reached: {error}{}; check the host and the port in `store.url`",
            error.source().map(|cause| format!(": {cause}")).unwrap_or_default()
        )),
        Some(refused) if *refused.code() == SqlState::INVALID_PASSWORD => {
            StoreError::Unavailable("PostgreSQL refuses the user or the password of `store.url`".to_owned())
        }
        Some(refused) if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN].contains(refused.code()) => {
            not_migrated()
        }
        Some(refused) => {
            let (message, code) = (refused.message(), refused.code().code());
            StoreError::Unavailable(format!("the store's PostgreSQL failed: {message} ({code})"))
        }
    }
}
