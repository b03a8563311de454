//! The store in PostgreSQL, for several replicas: a task that writes in groups over one connection, and a
//! few connections that read. Every transaction locks the end of the audit chain first, so that there is
//! one writer at a time over all replicas, and everything is judged by the database's clock.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::BytesMut;
use deadpool_postgres::{
    Hook, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use futures_util::future::try_join;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::mpsc, task::yield_now, time::timeout};
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode},
    error::SqlState,
    types::{IsNull, ToSql, Type, to_sql_checked},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    StoreError,
    audit::Head,
    database::{Cell, Database, GROUP, Group, Job, QUEUE, Row, Session, Value, closed, no_form, overloaded},
    ledger,
    settings::Clock,
};
use crate::tls;

mod embedded {
    refinery::embed_migrations!("src/store/migrations/postgres");
}

/// How long a group may take, waiting for other replicas included.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long bringing the database up to date may take, waiting for other replicas included.
const MIGRATION: Duration = Duration::from_mins(1);
/// Connections that read.
const READERS: usize = 4;
/// The oldest PostgreSQL that this is tested with.
const OLDEST: i64 = 150_000;
/// Keeps replicas that start together from changing the schema at once.
const MIGRATING: &str = "SELECT pg_advisory_lock(7011946257)";
/// What every session is given. The server ends a session whose gateway stands still inside a transaction,
/// because it would hold up all others.
const SESSION: &str = "SET statement_timeout = 900; SET lock_timeout = 800; \
                       SET idle_in_transaction_session_timeout = 2000";
/// The end of the chain, locked, and the time.
const LOCK: &str = "SELECT sequence, hash, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) \
                    FROM chain WHERE one = 1 FOR UPDATE";

/// An open PostgreSQL store.
pub(super) struct Postgres {
    jobs: mpsc::Sender<Box<dyn Job>>,
    readers: Pool,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Postgres")
    }
}

impl Postgres {
    /// Connects, and brings the database up to date.
    pub(super) async fn open(url: &SecretString, clock: Option<Clock>) -> Result<Self, StoreError> {
        let server = Server::of(url)?;
        let (writer, readers) = (server.pool(1)?, server.pool(READERS)?);
        timeout(MIGRATION, migrate(&writer)).await.map_err(|_| silent())??;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write_groups(writer, clock, waiting));
        Ok(Self { jobs, readers })
    }

    /// Looks at a database that a gateway may be serving, and changes nothing in it.
    pub(super) fn look_at(url: &SecretString) -> Result<Self, StoreError> {
        // Nobody takes jobs that write.
        let (jobs, _) = mpsc::channel(1);
        Ok(Self { jobs, readers: Server::of(url)?.pool(READERS)? })
    }
}

/// How a server is reached.
struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Server {
    fn of(url: &SecretString) -> Result<Self, StoreError> {
        let mut config: Config = url.expose_secret().parse().map_err(|_| {
            // The parser's words may repeat a password.
            let told = "`store.url` cannot be read: postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=require";
            StoreError::Settings(told.to_owned())
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        config.tcp_user_timeout(2 * PATIENCE).application_name("passerelle");
        let is_remote = config.get_hosts().iter().any(|host| match host {
            Host::Tcp(name) => !matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            #[cfg(unix)]
            Host::Unix(_) => false,
        });
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(tls()?),
            _ if is_remote => {
                tracing::warn!("the store's database is reached without TLS: add ?sslmode=require to `store.url`");
                None
            }
            _ => None,
        };
        Ok(Self { config, tls })
    }

    fn pool(&self, size: usize) -> Result<Pool, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), recycling),
            None => Manager::from_config(self.config.clone(), NoTls, recycling),
        };
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(deadpool_postgres::HookError::Backend) })
        });
        Pool::builder(manager)
            .max_size(size)
            .timeouts(Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) })
            .runtime(Runtime::Tokio1)
            .post_create(session)
            .build()
            .map_err(|error| StoreError::Settings(format!("no connections to the store: {error}")))
    }
}

impl Database for Postgres {
    fn write(&self, job: Box<dyn Job>) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(job)) => job.settle(Err(overloaded())),
            Err(mpsc::error::TrySendError::Closed(job)) => job.settle(Err(closed())),
        }
    }

    fn read(&self, mut job: Box<dyn Job>) {
        let readers = self.readers.clone();
        tokio::spawn(async move {
            let read = async {
                let client = readers.get().await.map_err(|error| unreachable_database(&error))?;
                let mut session = PostgresSession { client: &client, fatal: false };
                let mut group = Group { now: 0, head: Head::BEGINNING };
                let read = timeout(PATIENCE, job.perform(&mut session, &mut group)).await;
                if !matches!(read, Ok(Ok(()))) {
                    drop(Object::take(client));
                }
                read.unwrap_or_else(|_| Err(silent()))
            };
            let result = read.await;
            job.settle(result);
        });
    }
}

/// Certificates are checked against those that the system trusts; `SSL_CERT_FILE` names others.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let config =
        tls::with_system_roots().map_err(|wrong| StoreError::Settings(format!("no TLS for the store: {wrong}")))?;
    Ok(MakeRustlsConnect::new(config))
}

async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    // This connection is not used again: closing it gives the lock back, and the time it may take is its own.
    let mut client = Object::take(pool.get().await.map_err(|error| unreachable_database(&error))?);
    let show = async |name: &str| -> Result<String, StoreError> {
        let row = client.query_one(&format!("SHOW {name}"), &[]).await.map_err(|error| told(&error))?;
        row.try_get(0).map_err(|error| told(&error))
    };
    if show("server_version_num").await?.parse::<i64>().is_ok_and(|version| version < OLDEST) {
        return Err(StoreError::Settings("the store needs PostgreSQL 15 or newer".to_owned()));
    }
    if show("synchronous_commit").await? == "off" {
        let told =
            "PostgreSQL acknowledges before it is durable: set synchronous_commit to on for the store's database";
        return Err(StoreError::Settings(told.to_owned()));
    }
    client.batch_execute("RESET statement_timeout; RESET lock_timeout").await.map_err(|error| told(&error))?;
    client.batch_execute(MIGRATING).await.map_err(|error| told(&error))?;
    // An older version runs on a newer schema: changes only add.
    let runner = embedded::migrations::runner().set_abort_missing(false);
    runner.run_async(&mut *client).await.map(|_| ()).map_err(|error| {
        StoreError::Damaged(format!("the store could not be brought to the form of this version: {error}"))
    })
}

async fn write_groups(pool: Pool, clock: Option<Clock>, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut busy = false;
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        if busy {
            // Whoever was just answered may already have the next question.
            yield_now().await;
        }
        while group.len() < GROUP {
            let Ok(job) = jobs.try_recv() else { break };
            group.push(job);
        }
        busy = group.len() > 1;
        group.retain(|job| !job.abandoned());
        if let Err(error) = write_group(&pool, clock.as_ref(), group).await {
            tracing::error!(%error, "the store could not write");
            // Nobody who waits already should wait for another failure.
            while let Ok(job) = jobs.try_recv() {
                job.settle(Err(error.clone()));
            }
        }
    }
}

/// Runs a group in one transaction, or one by one if a statement failed: a failure ends the transaction of
/// all. An error means that the database is not there.
async fn write_group(pool: &Pool, clock: Option<&Clock>, mut group: Vec<Box<dyn Job>>) -> Result<(), StoreError> {
    let (mut result, mut fatal) = attempt(pool, clock, &mut group).await;
    if group.len() == 1 || fatal || result.is_ok() {
        for job in group {
            job.settle(result.clone());
        }
        return if fatal { result } else { Ok(()) };
    }
    for job in group {
        let mut alone = [job];
        if !fatal {
            (result, fatal) = attempt(pool, clock, &mut alone).await;
        }
        let [job] = alone;
        job.settle(result.clone());
    }
    if fatal { result } else { Ok(()) }
}

/// One transaction, and whether its failure was the database's.
async fn attempt(pool: &Pool, clock: Option<&Clock>, jobs: &mut [Box<dyn Job>]) -> (Result<(), StoreError>, bool) {
    let client = match pool.get().await {
        Ok(client) => client,
        Err(error) => return (Err(unreachable_database(&error)), true),
    };
    let mut session = PostgresSession { client: &client, fatal: false };
    let result = timeout(PATIENCE, commit(&mut session, clock, jobs)).await;
    let fatal = session.fatal || result.is_err();
    let result = result.unwrap_or_else(|_| Err(silent()));
    if result.is_err() {
        // In what state it is, is not known: it is closed, which rolls back.
        drop(Object::take(client));
    }
    (result, fatal)
}

async fn commit(
    session: &mut PostgresSession<'_>,
    clock: Option<&Clock>,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    let mut rows = session.begin().await?;
    let gone = || StoreError::Damaged("the end of the audit chain is missing from the database".to_owned());
    let row = rows.first_mut().ok_or_else(gone)?;
    let head = ledger::read_head(row)?;
    let database_time = row.integer()?;
    let mut group = Group { now: clock.map_or(database_time, |clock| clock().as_millisecond()), head };
    for job in jobs {
        job.perform(session, &mut group).await?;
    }
    session.end(&head, &group.head).await
}

struct PostgresSession<'c> {
    client: &'c Object,
    /// Whether it was the database that failed, not a statement.
    fatal: bool,
}

impl PostgresSession<'_> {
    /// Begins and locks in one journey.
    async fn begin(&mut self) -> Result<Vec<Row>, StoreError> {
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
    async fn end(&mut self, before: &Head, after: &Head) -> Result<(), StoreError> {
        let ended = async {
            if before == after {
                return self.client.batch_execute("COMMIT").await;
            }
            let values = ledger::head_values(after);
            let moving = self.client.prepare_cached(&spelled(ledger::MOVE_HEAD)).await?;
            let values = parameters(&values);
            try_join(self.client.execute(&moving, &values), self.client.batch_execute("COMMIT")).await.map(|_| ())
        };
        let ended = ended.await;
        ended.map_err(|error| self.failed(&error))
    }

    fn failed(&mut self, error: &tokio_postgres::Error) -> StoreError {
        self.fatal |= is_fatal(error);
        told(error)
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

fn silent() -> StoreError {
    StoreError::Unavailable("the store's PostgreSQL does not answer".to_owned())
}

fn unreachable_database(error: &PoolError) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => overloaded(),
        PoolError::Timeout(_) => silent(),
        PoolError::Backend(error) | PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
            told(error)
        }
        _ => StoreError::Unavailable("the store's PostgreSQL cannot be reached".to_owned()),
    }
}

/// PostgreSQL's message, without its details, which may repeat values.
fn told(error: &tokio_postgres::Error) -> StoreError {
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
