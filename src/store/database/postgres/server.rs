//! Connections to a PostgreSQL server, and the migration of its schema.

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    TIMEOUT,
    session::{failure, unreachable},
};
use crate::{store::error::StoreError, tls};

mod embedded {
    refinery::embed_migrations!("src/store/migrations/postgres");
}

/// The oldest PostgreSQL that this is tested with.
const OLDEST: i64 = 150_000;
/// Keeps replicas that start together from changing the schema at once.
const MIGRATING: &str = "SELECT pg_advisory_lock(7011946257)";
/// The time limits of every session. The server ends a session whose gateway is stopped inside a transaction,
/// because its locks would block the other replicas.
const SESSION: &str = "SET statement_timeout = 900; SET lock_timeout = 800; \
                       SET idle_in_transaction_session_timeout = 2000";

/// How to connect to a server.
pub(super) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Server {
    pub(super) fn of(url: &SecretString) -> Result<Self, StoreError> {
        let mut config: Config = url.expose_secret().parse().map_err(|_| {
            // The parser's message may repeat a password.
            let message =
                "`store.url` is not valid; write it as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=require";
            StoreError::Settings(message.to_owned())
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(TIMEOUT);
        }
        config.tcp_user_timeout(2 * TIMEOUT).application_name("passerelle");
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

    pub(super) fn pool(&self, size: usize) -> Result<Pool, StoreError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), recycling),
            None => Manager::from_config(self.config.clone(), NoTls, recycling),
        };
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move {
                // The time limits of the pool do not count for its hooks.
                match timeout(TIMEOUT, client.batch_execute(SESSION)).await {
                    Ok(prepared) => prepared.map_err(HookError::Backend),
                    Err(_) => Err(HookError::message("the database does not answer")),
                }
            })
        });
        Pool::builder(manager)
            .max_size(size)
            .timeouts(Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) })
            .runtime(Runtime::Tokio1)
            .post_create(session)
            .build()
            .map_err(|error| StoreError::Settings(format!("no connection to the store can be made: {error}")))
    }
}

/// Certificates are checked against those that the system trusts; `SSL_CERT_FILE` names others.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let config = tls::with_system_roots()
        .map_err(|wrong| StoreError::Settings(format!("TLS cannot be used for the store: {wrong}")))?;
    Ok(MakeRustlsConnect::new(config))
}

pub(super) async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    // This connection is used for nothing else. Closing it releases the advisory lock, and its time limits are its own.
    let mut client = Object::take(pool.get().await.map_err(|error| unreachable(&error))?);
    let show = async |name: &str| -> Result<String, StoreError> {
        let row = client.query_one(&format!("SHOW {name}"), &[]).await.map_err(|error| failure(&error))?;
        row.try_get(0).map_err(|error| failure(&error))
    };
    if show("server_version_num").await?.parse::<i64>().is_ok_and(|version| version < OLDEST) {
        return Err(StoreError::Settings("the store needs PostgreSQL 15 or newer".to_owned()));
    }
    if show("synchronous_commit").await? == "off" {
        let message =
            "PostgreSQL acknowledges before it is durable: set synchronous_commit to on for the store's database";
        return Err(StoreError::Settings(message.to_owned()));
    }
    client.batch_execute("RESET statement_timeout; RESET lock_timeout").await.map_err(|error| failure(&error))?;
    client.batch_execute(MIGRATING).await.map_err(|error| failure(&error))?;
    // An older version runs on a newer schema, because migrations only add. Grouped, each is applied with its record.
    let runner = embedded::migrations::runner().set_abort_missing(false).set_grouped(true);
    runner.run_async(&mut *client).await.map(|_| ()).map_err(|error| {
        StoreError::Damaged(format!(
            "the schema of the store cannot be migrated to this version, and was not changed: {error}. Start the version \
             that wrote it, or restore a backup"
        ))
    })
}
