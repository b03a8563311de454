//! The store in PostgreSQL, for several replicas. Each replica has one task that writes in groups over one connection
//! (`writer`), and a few connections that read. Work that runs alone is serialized over all replicas by a lock on the
//! end of the audit chain (`session`). All replicas use the database's clock. `server` connects and migrates.

mod server;
mod session;
mod writer;

use std::{fmt, time::Duration};

use deadpool_postgres::{Object, Pool};
use secrecy::SecretString;
use tokio::{sync::mpsc, time::timeout};

use self::{
    server::{Server, migrate},
    session::{Entry, PostgresSession, silent, unreachable},
    writer::write_groups,
};
use super::{Database, Group, Job, QUEUE, Statements, enqueue};
use crate::store::{error::StoreError, settings::Clock};

/// How long a group may take, waiting for other replicas included.
const TIMEOUT: Duration = Duration::from_millis(900);
/// After this time a transaction takes no further job of its group. Far from the database a whole group takes longer than
/// [`TIMEOUT`], and would fail again and again.
const PIECE: Duration = Duration::from_millis(200);
/// How long the migration of the schema may take, waiting for other replicas included.
const MIGRATION: Duration = Duration::from_mins(1);
/// Connections that read.
const READERS: usize = 4;

/// An open PostgreSQL store.
pub(in crate::store) struct Postgres {
    jobs: mpsc::Sender<Box<dyn Job>>,
    readers: Pool,
    statements: Statements,
    /// The clock of a test.
    clock: Option<Clock>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Postgres")
    }
}

impl Postgres {
    /// Connects, and migrates the schema.
    pub(in crate::store) async fn open(url: &SecretString, clock: Option<Clock>) -> Result<Self, StoreError> {
        let server = Server::of(url)?;
        let (writer, readers) = (server.pool(1)?, server.pool(READERS)?);
        timeout(MIGRATION, migrate(&writer)).await.map_err(|_| silent())??;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let statements = Statements::default();
        tokio::spawn(write_groups(writer, clock.clone(), statements.clone(), waiting));
        Ok(Self { jobs, readers, statements, clock })
    }

    /// Opens a database that a gateway may be using, to read it only.
    pub(in crate::store) fn open_read_only(url: &SecretString) -> Result<Self, StoreError> {
        // No task receives jobs that write.
        let (jobs, _) = mpsc::channel(1);
        let readers = Server::of(url)?.pool(READERS)?;
        Ok(Self { jobs, readers, statements: Statements::default(), clock: None })
    }
}

impl Database for Postgres {
    fn statements(&self) -> &Statements {
        &self.statements
    }

    fn write(&self, job: Box<dyn Job>) {
        enqueue(&self.jobs, job);
    }

    fn read(&self, mut job: Box<dyn Job>) {
        let (readers, statements) = (self.readers.clone(), self.statements.clone());
        // The clock of this process: a read decides nothing by it that a write does not decide again by the database's.
        let now = self.clock.as_ref().map_or_else(crate::clock::now, |clock| clock()).as_millisecond();
        tokio::spawn(async move {
            let read = async {
                let client = readers.get().await.map_err(|error| unreachable(&error))?;
                let mut session = PostgresSession::new(&client, Entry::Beside, &statements);
                let mut group = Group { now, head: None };
                let read = timeout(TIMEOUT, job.perform(&mut session, &mut group)).await;
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
