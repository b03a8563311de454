//! A connection in a transaction as a [`Session`], and PostgreSQL's failures in words.

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
        Session, head,
        head::Head,
        no_form, overloaded,
        values::{Cell, Row, Value},
    },
    error::StoreError,
};

/// The end of the chain, locked, and the time.
const LOCK: &str = "SELECT sequence, hash, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) \
                    FROM chain WHERE one = 1 FOR UPDATE";

pub(super) struct PostgresSession<'c> {
    pub(super) client: &'c Object,
    /// Whether it was the database that failed, not a statement.
    pub(super) fatal: bool,
}

impl PostgresSession<'_> {
    /// Begins and locks in one journey.
    pub(super) async fn begin(&mut self) -> Result<Vec<Row>, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
        let began = async {
            let lock = self.client.prepare_cached(LOCK).await?;
            let ((), rows) = try_join(self.client.batch_execute(begin), self.client.query(&lock, &[])).await?;
            rows.iter().map(read).collect()
        };
        let began: Result<Vec<Row>, _> = began.await;
        began.map_err(|error| self.failed(&error))
    }

    /// Moves the end of the chain and commits in one journey. If moving it fails, the commit rolls back.
    pub(super) async fn end(&mut self, before: &Head, after: &Head) -> Result<(), StoreError> {
        let ended = async {
            if before == after {
                return self.client.batch_execute("COMMIT").await;
            }
            let values = head::values(after);
            let moving = self.client.prepare_cached(&spelled(head::MOVE)).await?;
            let values = parameters(&values);
            try_join(self.client.execute(&moving, &values), self.client.batch_execute("COMMIT")).await.map(|_| ())
        };
        let ended = ended.await;
        ended.map_err(|error| self.failed(&error))
    }

    fn failed(&mut self, error: &tokio_postgres::Error) -> StoreError {
        self.fatal |= is_fatal(error);
        failure(error)
    }
}

/// Whether an error says that the database is not there, cannot write, or has no time.
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
        let rows = async {
            let statement = self.client.prepare_cached(&spelled(statement)).await?;
            let rows = self.client.query(&statement, &parameters(values)).await?;
            rows.iter().map(read).collect()
        };
        let rows: Result<Vec<Row>, _> = rows.await;
        rows.map_err(|error| self.failed(&error))
    }

    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
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
        None => StoreError::Unavailable(format!("the store's PostgreSQL cannot be reached: {error}")),
        Some(refused) if *refused.code() == SqlState::INVALID_PASSWORD => {
            StoreError::Unavailable("PostgreSQL refuses the user or the password of `store.url`".to_owned())
        }
        Some(refused) if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN].contains(refused.code()) => no_form(),
        Some(refused) => {
            let (message, code) = (refused.message(), refused.code().code());
            StoreError::Unavailable(format!("the store's PostgreSQL failed: {message} ({code})"))
        }
    }
}
