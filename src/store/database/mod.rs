//! The interface of a database: one writer, which runs jobs in groups and commits each group in one transaction, and
//! readers. The folders beside this one have the SQL of the jobs, once for both databases, as [`Work`] over a
//! [`Session`]. This folder knows none of their tables, except the end of the audit chain.
//!
//! `sqlite` and `postgres` run the jobs. `values` are parameters and rows, `lists` puts many rows into one statement, `head` is
//! the end of the audit chain.
//!
//! # Which work runs alone
//!
//! Each replica has one writer, which runs one transaction after the other. Work of one replica is therefore never
//! concurrent with other work that writes of the same replica. On SQLite there is only one replica.
//!
//! On PostgreSQL the writers of several replicas are concurrent. Each piece of [`Work`] declares what it needs there,
//! by [`Work::RUNS_ALONE`]:
//!
//! - **`true`**: the writer first locks the row of `chain` (`SELECT … FOR UPDATE`), and holds it until the commit. At
//!   any time one replica holds it, so that no two pieces of such work are concurrent. Work that adds audit records
//!   must declare it, because a record carries the hash of the one before. So must work that reads rows, decides by
//!   what it read, and writes other rows: without the lock two replicas could both decide by the state before.
//! - **`false`**: the writer does not lock the row of `chain` and does not wait for the replica that holds it. Such
//!   work must be correct while any other work changes the same rows. At READ COMMITTED that is so where one `UPDATE`
//!   or `DELETE` makes each decision: PostgreSQL waits for a row that another transaction has changed, and then tests
//!   the `WHERE` of the statement again on the new row. Work that runs alone must in turn expect that such a statement
//!   commits between two of its own.
//!
//! Work with `false` can lock several rows. Two replicas could therefore wait for each other's rows. To end that, a
//! transaction of such work waits at most 0.1 s for a row. Then it is rolled back and executed again, alone. The
//! transaction that runs alone may wait eight times as long, so it is not the one that is rolled back.
//!
//! A replica executes the work with `false` of a group first, and the work with `true` after it, in two transactions.

pub(in crate::store) mod head;
pub(in crate::store) mod lists;
pub(in crate::store) mod postgres;
pub(in crate::store) mod sqlite;
pub(in crate::store) mod values;

use std::{
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use self::{
    head::Head,
    values::{Row, Value},
};
use super::error::StoreError;
use crate::metrics::{Access, JobTime, StoreSeries};

/// How long a caller waits for the store. After that the store counts as unavailable.
pub(in crate::store) const TIMEOUT: Duration = Duration::from_secs(5);
/// The most jobs of one transaction.
pub(in crate::store) const GROUP: usize = 64;
/// The most jobs that wait. More would not be answered in time.
pub(in crate::store) const QUEUE: usize = 32_768;

/// A database that is open.
pub(in crate::store) trait Database: fmt::Debug + Send + Sync {
    /// Queues a job that writes. It is settled when its transaction is durable, or has failed.
    fn write(&self, job: Box<dyn Job>);

    /// Queues a job that only reads.
    fn read(&self, job: Box<dyn Job>);

    /// The statements that were executed for jobs, in this process.
    fn statements(&self) -> &Statements;

    /// What can be said about writes without writing. With `is_failing`, a write has failed before.
    fn condition(&self, is_failing: bool) -> Condition {
        if is_failing { Condition::Suspect } else { Condition::Fine }
    }
}

/// Counts the statements that sessions execute for jobs, and has the series that jobs are recorded in. Clones share one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Statements(Arc<(AtomicU64, OnceLock<StoreSeries>)>);

impl Statements {
    fn add_one(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(in crate::store) fn total(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Records jobs from now on.
    pub(in crate::store) fn record_in(&self, series: StoreSeries) {
        // A process has one store and one set of metrics.
        let _ = self.0.1.set(series);
    }

    fn begin(&self, access: Access) -> Option<JobTime<'_>> {
        Some(self.0.1.get()?.begin(access))
    }

    /// Records a transaction that committed this many jobs.
    fn record_group(&self, jobs: usize, began: Instant) {
        if let Some(series) = self.0.1.get() {
            series.record_group(jobs, began.elapsed());
        }
    }
}

/// Whether a database can write.
#[derive(Debug)]
pub(in crate::store) enum Condition {
    /// Nothing speaks against it.
    Fine,
    /// Only a write can show it.
    Suspect,
    /// It cannot.
    Obstacle(StoreError),
}

/// An open transaction. Parameters are written `?1`, `?2`, ….
#[async_trait]
pub(in crate::store) trait Session: Send {
    /// Executes a statement that returns rows.
    async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError>;

    /// Executes a statement, and returns how many rows it changed.
    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError>;
}

/// What the jobs of one transaction share: the time, and the end of the audit chain.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Group {
    /// Now, in milliseconds since 1970.
    pub(in crate::store) now: i64,
    /// The last audit record so far. Only work that runs alone has it.
    pub(in crate::store) head: Option<Head>,
}

/// A piece of work: what one call does in a transaction. Work that shares a transaction runs one after the other.
#[async_trait]
pub(in crate::store) trait Work: Send + Sync + 'static {
    /// Its result.
    type Done: Send + 'static;

    /// Whether it is never concurrent with other work that declares `true`, in any replica. See the module comment.
    const RUNS_ALONE: bool;

    /// Whether the writer skips it where its caller has stopped waiting.
    const ONLY_IF_AWAITED: bool = false;

    /// Whether it reads a few rows by an index. SQLite then executes it on the thread of its caller if it can: handing it to
    /// another thread and back costs several times as much.
    fn is_short(&self) -> bool {
        false
    }

    /// Executes it. After a transaction that failed, the writer may execute it again from the beginning.
    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Self::Done, StoreError>;
}

/// Work together with its caller, without the types of the work.
#[async_trait]
pub(in crate::store) trait Job: Send {
    /// Whether the work runs alone.
    fn runs_alone(&self) -> bool;

    /// Whether the work reads a few rows.
    fn is_short(&self) -> bool;

    /// Executes the work and keeps its result until the transaction has ended.
    async fn perform(&mut self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError>;

    /// Whether its caller has stopped waiting, and the writer is to skip it.
    fn abandoned(&self) -> bool;

    /// Sends the result to the caller: that of the work if the transaction was committed.
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Pending<W: Work> {
    work: W,
    done: Option<W::Done>,
    reply: oneshot::Sender<Result<W::Done, StoreError>>,
    /// It is dropped with the job: when the job has ended, or was skipped.
    _end: Option<oneshot::Sender<Infallible>>,
}

/// Receives the result of a job.
type Answered<T> = oneshot::Receiver<Result<T, StoreError>>;

/// A job of some work, and the receiver of its result. `end` is dropped with the job.
fn job<W: Work>(work: W, end: Option<oneshot::Sender<Infallible>>) -> (Box<dyn Job>, Answered<W::Done>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { work, done: None, reply, _end: end }), answer)
}

#[async_trait]
impl<W: Work> Job for Pending<W> {
    async fn perform(&mut self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        // Work that runs beside others sees no head, also where its neighbours in the group run alone.
        let mut shown = Group { head: group.head.filter(|_| W::RUNS_ALONE), ..*group };
        // A panic must not end the thread or task that writes, because all later writes would fail.
        let performed = AssertUnwindSafe(self.work.perform(session, &mut shown)).catch_unwind().await;
        self.done = Some(performed.unwrap_or_else(|_| Err(panicked()))?);
        if W::RUNS_ALONE {
            group.head = shown.head;
        }
        Ok(())
    }

    fn runs_alone(&self) -> bool {
        W::RUNS_ALONE
    }

    fn is_short(&self) -> bool {
        self.work.is_short()
    }

    fn abandoned(&self) -> bool {
        W::ONLY_IF_AWAITED && self.reply.is_closed()
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        // The caller may have stopped waiting.
        let _ = reply.send(committed.and_then(|()| done.ok_or_else(closed)));
    }
}

/// Executes work that writes, and waits until it is durable.
pub(in crate::store) async fn write<W: Work>(database: &dyn Database, work: W) -> Result<W::Done, StoreError> {
    execute(database, work, None).await
}

/// Like [`write()`]. If the caller gets an error, the work may be durable all the same, because the database was too slow, or its
/// answer to the commit was lost. If the caller drops this future, no task uses the result of the work. In both cases `undo` runs in
/// the background, after the work has ended or was skipped.
pub(in crate::store) async fn write_or_undo<W: Work>(
    database: &dyn Database,
    work: W,
    undo: impl Future<Output = ()> + Send + 'static,
) -> Result<W::Done, StoreError> {
    let (end, ended) = oneshot::channel();
    let mut undo = Undo(Some(async move {
        let _ = ended.await;
        undo.await;
    }));
    let result = execute(database, work, Some(end)).await;
    if result.is_ok() {
        undo.0 = None;
    }
    result
}

/// Runs a future in the background when it is dropped, unless `write_or_undo` has removed the future.
struct Undo<F: Future<Output = ()> + Send + 'static>(Option<F>);

impl<F: Future<Output = ()> + Send + 'static> Drop for Undo<F> {
    fn drop(&mut self) {
        // A runtime that shuts down does not execute this. Its process is about to end, and its leases run out.
        if let (Some(undo), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(undo);
        }
    }
}

async fn execute<W: Work>(
    database: &dyn Database,
    work: W,
    end: Option<oneshot::Sender<Infallible>>,
) -> Result<W::Done, StoreError> {
    let (job, answer) = job(work, end);
    let time = database.statements().begin(Access::Write);
    database.write(job);
    settled(answer, time).await
}

/// Executes work that only reads.
pub(in crate::store) async fn read<W: Work>(database: &dyn Database, work: W) -> Result<W::Done, StoreError> {
    let (job, answer) = job(work, None);
    let time = database.statements().begin(Access::Read);
    database.read(job);
    settled(answer, time).await
}

async fn settled<T>(answer: Answered<T>, time: Option<JobTime<'_>>) -> Result<T, StoreError> {
    let result = match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(closed()),
        Err(_) => Err(silent()),
    };
    if let (Err(_), Some(time)) = (&result, time) {
        time.count_failure();
    }
    result
}

/// The database has not answered in time.
pub(in crate::store) fn silent() -> StoreError {
    StoreError::Unavailable("the store's database does not answer".to_owned())
}

/// Gives a job to the task that writes. A job that finds no place fails at once.
pub(in crate::store) fn enqueue(jobs: &mpsc::Sender<Box<dyn Job>>, job: Box<dyn Job>) {
    match jobs.try_send(job) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(job)) => job.settle(Err(overloaded())),
        Err(mpsc::error::TrySendError::Closed(job)) => job.settle(Err(closed())),
    }
}

/// The work itself is wrong. The transaction is rolled back.
fn panicked() -> StoreError {
    let message = "the work of the store panicked: this is a mistake in the gateway, please report it";
    StoreError::Unavailable(message.to_owned())
}

/// The store is being closed, or its writer is gone.
pub(in crate::store) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// An inspection finds a database that no gateway of this version has migrated yet.
pub(in crate::store) fn not_migrated() -> StoreError {
    StoreError::Settings(
        "the database does not have the schema of this version: start the gateway on it once".to_owned(),
    )
}

/// More jobs wait than can be answered in time.
pub(in crate::store) fn overloaded() -> StoreError {
    StoreError::Unavailable("more writes are waiting for the store than it can take".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{sqlite::Sqlite, *};

    /// Makes a table, and then panics if it has to.
    struct MakeTable {
        statement: &'static str,
        panics: bool,
    }

    #[async_trait]
    impl Work for MakeTable {
        type Done = ();
        const RUNS_ALONE: bool = true;

        async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
            session.execute(self.statement, &[]).await?;
            assert!(!self.panics, "on purpose");
            Ok(())
        }
    }

    struct Tables;

    #[async_trait]
    impl Work for Tables {
        type Done = usize;
        const RUNS_ALONE: bool = false;

        async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<usize, StoreError> {
            let select = "SELECT name FROM sqlite_schema WHERE name IN ('before', 'lost', 'after')";
            session.rows(select, &[]).await.map(|rows| rows.len())
        }
    }

    #[tokio::test]
    async fn work_that_panics_is_rolled_back_and_stops_no_other_work() {
        let database = Sqlite::memory(None).expect("a store");
        let make = |statement, panics| write(&database, MakeTable { statement, panics });
        let (before, lost, after) = tokio::join!(
            make("CREATE TABLE before (id)", false),
            make("CREATE TABLE lost (id)", true),
            make("CREATE TABLE after (id)", false)
        );
        assert_eq!((before, after), (Ok(()), Ok(())));
        assert_eq!(lost, Err(panicked()));
        assert_eq!(read(&database, Tables).await, Ok(2));
    }
}
