//! The database of a simulation (`tests/simulation`): one SQLite database in memory for several replicas, without threads. A
//! simulation decides how long each transaction takes, and what becomes of it.
//!
//! As on SQLite, the jobs of a group are one transaction, and no two transactions are concurrent. As on PostgreSQL, several
//! replicas write. What only concurrent transactions of PostgreSQL can cause is not simulated.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{
    keep_plans, migrate,
    session::{SqliteSession, failure, ready},
};
use crate::{
    clock,
    store::{
        database::{
            Database, GROUP, Group, Job, QUEUE, Session, Statements, enqueue, head,
            values::{Row, Value},
        },
        error::StoreError,
    },
};

/// What becomes of the transactions of one process.
#[async_trait]
pub trait StoreFaults: fmt::Debug + Send + Sync {
    /// Waits as long as a transaction takes to reach the database, and says what becomes of it.
    async fn before(&self, writes: bool) -> Fate;

    /// Waits as long as the answer of the database takes.
    async fn after(&self, writes: bool);

    /// The statement that is executed in place of another one: a mistake in the gateway that a simulation must find.
    fn statement<'s>(&self, statement: &'s str) -> Cow<'s, str> {
        Cow::Borrowed(statement)
    }

    /// Whether the transaction is kept that is about to be committed. Otherwise the process gets the same answer, and the
    /// database has lost it.
    fn keeps(&self) -> bool {
        true
    }
}

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is committed, and the process gets the answer.
    Committed,
    /// The database cannot be reached. Nothing is changed.
    Refused,
    /// It is committed, and the process gets an error in place of the answer.
    AnswerLost,
}

/// A database for all replicas of a simulation. Clones are one.
#[derive(Clone)]
pub struct SimulatedDatabase {
    session: Arc<Mutex<SqliteSession>>,
    /// The latest time of a transaction: the clock of a database never goes back.
    latest: Arc<AtomicI64>,
    pub(in crate::store) is_exclusive: bool,
}

impl fmt::Debug for SimulatedDatabase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimulatedDatabase")
    }
}

impl SimulatedDatabase {
    /// An empty database. With `is_exclusive`, only one process at a time uses it, as a file of SQLite.
    pub fn new(is_exclusive: bool) -> Result<Self, StoreError> {
        // To migrate a schema takes longer than a run.
        static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
        let empty = if let Some(empty) = EMPTY.get() {
            empty
        } else {
            let mut connection = Connection::open_in_memory().map_err(|error| failure(&error))?;
            migrate(&mut connection)?;
            let empty = connection.serialize("main").map_err(|error| failure(&error))?.to_vec();
            EMPTY.get_or_init(|| empty)
        };
        let mut connection = Connection::open_in_memory().map_err(|error| failure(&error))?;
        connection
            .deserialize_read_exact("main", &empty[..], empty.len(), false)
            .and_then(|()| keep_plans(&connection))
            .map_err(|error| failure(&error))?;
        let session = Arc::new(Mutex::new(SqliteSession(connection, Statements::default())));
        Ok(Self { session, latest: Arc::default(), is_exclusive })
    }

    /// The database as one process sees it. Its writer is a task of the current runtime.
    pub(in crate::store) fn open(&self, faults: Arc<dyn StoreFaults>) -> SimulatedReplica {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write_groups(self.clone(), Arc::clone(&faults), waiting));
        SimulatedReplica { database: self.clone(), faults, jobs, statements: Statements::default() }
    }

    /// Now, by the clock of the database.
    fn now(&self) -> i64 {
        let now = clock::now().as_millisecond();
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Executes jobs in one transaction.
    fn transact(&self, faults: &dyn StoreFaults, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut replaced = Replaced { session: &mut session, faults };
        let committed = commit(&mut replaced, self.now(), jobs);
        if !session.0.is_autocommit() {
            session.run("ROLLBACK").map_err(|error| failure(&error))?;
        }
        committed
    }
}

fn commit(session: &mut Replaced<'_>, now: i64, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let run = |session: &Replaced<'_>, statement| session.session.run(statement).map_err(|error| failure(&error));
    run(session, "BEGIN IMMEDIATE")?;
    let mut row = ready(session.rows(head::READ, &[]))?;
    let head = head::read(row.first_mut().ok_or_else(head::missing)?)?;
    let mut group = Group { now, head: Some(head) };
    for job in jobs {
        ready(job.perform(session, &mut group))?;
    }
    if let Some(moved) = group.head.filter(|moved| *moved != head) {
        ready(session.execute(head::MOVE, &head::values(&moved)))?;
    }
    if session.faults.keeps() {
        run(session, "COMMIT")?;
    }
    Ok(())
}

/// A session whose statements the simulation may replace.
struct Replaced<'s> {
    session: &'s mut SqliteSession,
    faults: &'s dyn StoreFaults,
}

#[async_trait]
impl Session for Replaced<'_> {
    async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.session.rows(&self.faults.statement(statement), values).await
    }

    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.session.execute(&self.faults.statement(statement), values).await
    }
}

/// The database as one process sees it.
pub(in crate::store) struct SimulatedReplica {
    database: SimulatedDatabase,
    faults: Arc<dyn StoreFaults>,
    jobs: mpsc::Sender<Box<dyn Job>>,
    statements: Statements,
}

impl fmt::Debug for SimulatedReplica {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimulatedReplica")
    }
}

impl Database for SimulatedReplica {
    fn write(&self, job: Box<dyn Job>) {
        enqueue(&self.jobs, job);
    }

    fn read(&self, mut job: Box<dyn Job>) {
        let (database, faults) = (self.database.clone(), Arc::clone(&self.faults));
        tokio::spawn(async move {
            let result = match faults.before(false).await {
                Fate::Committed => {
                    let mut session = database.session.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut group = Group { now: clock::now().as_millisecond(), head: None };
                    ready(job.perform(&mut *session, &mut group))
                }
                Fate::Refused | Fate::AnswerLost => Err(unreachable()),
            };
            faults.after(false).await;
            job.settle(result);
        });
    }

    fn statements(&self) -> &Statements {
        &self.statements
    }
}

/// The one task of a process that writes: one group of jobs after the other.
async fn write_groups(
    database: SimulatedDatabase,
    faults: Arc<dyn StoreFaults>,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
) {
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        while group.len() < GROUP {
            let Ok(job) = jobs.try_recv() else { break };
            group.push(job);
        }
        group.retain(|job| !job.abandoned());
        let fate = faults.before(true).await;
        let results: Vec<_> = match fate {
            Fate::Refused => group.iter().map(|_| Err(unreachable())).collect(),
            // A job that fails must not fail the others.
            _ => match database.transact(&*faults, &mut group) {
                Err(_) if group.len() > 1 => {
                    group.chunks_mut(1).map(|alone| database.transact(&*faults, alone)).collect()
                }
                result => group.iter().map(|_| result.clone()).collect(),
            },
        };
        faults.after(true).await;
        for (job, result) in group.into_iter().zip(results) {
            job.settle(if fate == Fate::AnswerLost { Err(unreachable()) } else { result });
        }
    }
}

fn unreachable() -> StoreError {
    StoreError::Unavailable("the database of the simulation cannot be reached".to_owned())
}
