//! The threads of an SQLite store. Each has a connection of its own and does one job after the other; the one that
//! writes commits what waits together, in groups.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, config::DbConfig, ffi};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    guard::Guard,
    log::{self, Checkpoints},
    log_note::Note,
    newest::Newest,
    session::{SqliteSession, failure, ready},
};
use crate::store::{
    database::{GROUP, Group, Job, QUEUE, enqueue, head},
    error::StoreError,
    settings::Clock,
};

/// How long the writer waits at most for as many jobs as it committed last: as long as a commit takes on a slow disk.
const GATHERING: Duration = Duration::from_millis(1);

/// A thread with a connection, and the jobs that wait for it.
pub(super) struct Lane {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(super) type Jobs = mpsc::Receiver<Box<dyn Job>>;

impl Lane {
    pub(super) fn start(name: &str, work: impl FnOnce(Jobs) + Send + 'static) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(waiting));
        let thread = thread.map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn send(&self, job: Box<dyn Job>) {
        if let Some(jobs) = &self.jobs {
            enqueue(jobs, job);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // What waits is done first; then the connection is closed, and the lock may go.
        self.jobs = None;
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        let _ = thread.map(JoinHandle::join);
    }
}

/// A store in a file has a guard, one in memory and one that is inspected have none.
pub(super) fn read_alone(mut session: SqliteSession, clock: &Clock, guard: Option<&Guard>, mut jobs: Jobs) {
    while let Some(job) = jobs.blocking_recv() {
        read_one(&mut session, clock, guard, job);
    }
}

fn read_one(session: &mut SqliteSession, clock: &Clock, guard: Option<&Guard>, mut job: Box<dyn Job>) {
    let mut group = Group { now: clock().as_millisecond(), head: None };
    let result = ready(job.perform(session, &mut group));
    if let (Some(guard), Err(error)) = (guard, &result) {
        guard.judge(error);
    }
    job.settle(result);
}

/// Connections for reads of a few rows, on the thread of the caller.
pub(super) struct Short {
    /// One for each thread that may read at the same time.
    sessions: Vec<Mutex<SqliteSession>>,
    clock: Clock,
    guard: Arc<Guard>,
}

impl Short {
    pub(super) fn of(sessions: Vec<SqliteSession>, clock: &Clock, guard: &Arc<Guard>) -> Self {
        let sessions = sessions.into_iter().map(Mutex::new).collect();
        Self { sessions, clock: Clock::clone(clock), guard: Arc::clone(guard) }
    }

    /// Executes a job now. While other threads use all connections, it returns the job: no caller waits here.
    pub(super) fn read(&self, job: Box<dyn Job>) -> Option<Box<dyn Job>> {
        let Some(mut session) = self.sessions.iter().find_map(|session| session.try_lock().ok()) else {
            return Some(job);
        };
        read_one(&mut session, &self.clock, Some(&self.guard), job);
        None
    }
}

/// A store in memory has no file. `callers` is the runtime that the store was opened in, if there is one.
pub(super) fn write_groups(
    mut session: SqliteSession,
    clock: &Clock,
    file: Option<(Checkpoints, &Guard)>,
    callers: Option<&Handle>,
    mut jobs: Jobs,
) {
    let (mut checkpoints, guard) = file.unzip();
    let note = checkpoints.as_ref().map(|checkpoints| Arc::clone(checkpoints.note()));
    let note = note.as_deref();
    let mut last_size = 1;
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        gather(&mut group, &mut jobs, last_size);
        last_size = group.len();
        if let Some(Err(error)) = guard.map(|guard| guard.check(&session.0)) {
            for job in group {
                job.settle(Err(error.clone()));
            }
            continue;
        }
        group.retain(|job| !job.abandoned());
        match transact(&mut session, clock, (guard, note), &mut group) {
            // A job that fails must not fail the others, so each now has a transaction of its own. That is rare. A
            // savepoint around each job would copy every page that the job changes.
            Err(failure) if failure.is_of_job && group.len() > 1 => {
                for job in group {
                    let mut alone = [job];
                    let result = transact(&mut session, clock, (guard, note), &mut alone);
                    let [job] = alone;
                    job.settle(result.map_err(|failure| failure.error));
                }
            }
            result => settle(group, result.map_err(|failure| failure.error), callers),
        }
        if let (Some(checkpoints), Some(guard)) = (&mut checkpoints, guard)
            && checkpoints.are_due()
            && guard.broken().is_none()
            && let Err(error) = checkpoints.run(&session.0, guard)
        {
            LaneError::from(error).note(Some(guard));
        }
    }
    if let Some(guard) = guard {
        close(&session.0, guard);
    }
}

/// Gives the result of a transaction to all of its callers. Those of a group are woken by one task of their runtime: from
/// this thread, each would interrupt the work of the runtime again, which costs a tenth of a create.
fn settle(group: Vec<Box<dyn Job>>, result: Result<(), StoreError>, callers: Option<&Handle>) {
    let callers = callers.filter(|_| group.len() > 1);
    let settled = Settled { group, result };
    match callers {
        Some(callers) => drop(callers.spawn(async move { drop(settled) })),
        None => drop(settled),
    }
}

/// A group of jobs whose transaction has ended. Dropping it sends the result to their callers. A runtime that has ended drops the
/// task at once, and the callers in another runtime still receive the result.
struct Settled {
    group: Vec<Box<dyn Job>>,
    result: Result<(), StoreError>,
}

impl Drop for Settled {
    fn drop(&mut self) {
        for job in self.group.drain(..) {
            job.settle(self.result.clone());
        }
    }
}

/// Moves the log into the file, so that the next start finds one file. Where that is not possible, the log stays.
fn close(connection: &Connection, guard: &Guard) {
    if guard.check(connection).is_ok() && log::end(connection, guard).unwrap_or(false) {
        // The log is empty now, and SQLite removes it.
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
    }
}

/// Adds the waiting jobs to a group. If they are fewer than in the group before, it also waits a moment for further jobs:
/// the clients whose writes were committed last usually send the next ones now.
fn gather(group: &mut Vec<Box<dyn Job>>, jobs: &mut Jobs, last_size: usize) {
    let until = Instant::now() + GATHERING;
    while group.len() < GROUP {
        match jobs.try_recv() {
            Ok(job) => group.push(job),
            Err(_) if group.len() < last_size && Instant::now() < until => thread::sleep(GATHERING / 8),
            Err(_) => break,
        }
    }
}

/// Why a transaction failed.
struct LaneError {
    error: StoreError,
    /// Whether only the work of a job failed.
    is_of_job: bool,
    /// Whether the writer must not try again: after a failed sync, it is not known what is on the disk.
    lasting: bool,
}

impl LaneError {
    /// Logs it, and stops all writes if none may be tried again.
    fn note(&self, guard: Option<&Guard>) {
        tracing::error!(error = %self.error, "the store could not write");
        let Some(guard) = guard else { return };
        guard.judge(&self.error);
        if self.lasting {
            guard.stop(StoreError::Unavailable(
                "the disk of the store failed to make data durable: check it, then restart the gateway".to_owned(),
            ));
        }
    }
}

impl From<rusqlite::Error> for LaneError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code);
        let lasting = matches!(code, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC));
        Self { error: failure(&error), is_of_job: false, lasting }
    }
}

impl From<StoreError> for LaneError {
    fn from(error: StoreError) -> Self {
        Self { error, is_of_job: false, lasting: false }
    }
}

/// Runs jobs in one transaction. If it fails, it is rolled back, and the guard is asked what that means for the file.
fn transact(
    session: &mut SqliteSession,
    clock: &Clock,
    (guard, note): (Option<&Guard>, Option<&Note>),
    jobs: &mut [Box<dyn Job>],
) -> Result<(), LaneError> {
    let began = Instant::now();
    let committed = commit(session, clock, (guard, note), jobs);
    if committed.is_ok() {
        session.1.record_group(jobs.len(), began);
    }
    committed.inspect_err(|failure| {
        if !session.0.is_autocommit() {
            let _ = session.run("ROLLBACK");
        }
        if !failure.is_of_job {
            failure.note(guard);
        } else if let Some(guard) = guard {
            guard.judge(&failure.error);
        }
    })
}

fn commit(
    session: &mut SqliteSession,
    clock: &Clock,
    (guard, note): (Option<&Guard>, Option<&Note>),
    jobs: &mut [Box<dyn Job>],
) -> Result<(), LaneError> {
    session.run("BEGIN IMMEDIATE")?;
    let mut row = session.read(head::READ, &[]).map_err(|error| failure(&error))?;
    let head = head::read(row.first_mut().ok_or_else(head::missing)?)?;
    let mut group = Group { now: clock().as_millisecond(), head: Some(head) };
    for job in jobs {
        ready(job.perform(session, &mut group)).map_err(|error| {
            // A full disk ends the whole transaction.
            LaneError { error, is_of_job: !session.0.is_autocommit(), lasting: false }
        })?;
    }
    let moved = group.head.filter(|moved| *moved != head);
    if let Some(moved) = &moved {
        session.change(head::MOVE, &head::values(moved)).map_err(|error| failure(&error))?;
    }
    // A statement may have read a damaged page. What it read must not be committed.
    guard.map_or(Ok(()), Guard::check_unchanged)?;
    let Some(moved) = moved else {
        session.run("COMMIT")?;
        return Ok(());
    };
    // The commit itself writes the note, after it is durable.
    let before = note.and_then(|note| note.set_newest(Some(Newest { head: moved, at: group.now })));
    session.run("COMMIT").inspect_err(|_| {
        note.map(|note| note.set_newest(before));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use async_trait::async_trait;

    use super::*;
    use crate::store::database::Session;

    /// A job that sends the thread that settled it, and the result that it got, to the test.
    struct RecordedJob(Sender<(thread::ThreadId, Result<(), StoreError>)>);

    #[async_trait]
    impl Job for RecordedJob {
        fn runs_alone(&self) -> bool {
            true
        }

        fn is_short(&self) -> bool {
            false
        }

        async fn perform(&mut self, _: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
            Ok(())
        }

        fn abandoned(&self) -> bool {
            false
        }

        fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
            self.0.send((thread::current().id(), committed)).expect("the test receives it");
        }
    }

    #[test]
    fn the_callers_of_a_group_are_woken_on_their_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let here = thread::current().id();
        let settled_by = |size: usize, callers: Option<&Handle>| {
            let (sender, receiver) = channel();
            let group = (0..size).map(|_| Box::new(RecordedJob(sender.clone())) as Box<dyn Job>).collect();
            drop(sender);
            let callers = callers.cloned();
            let writer =
                thread::spawn(move || settle(group, Err(StoreError::Unavailable("full".to_owned())), callers.as_ref()));
            writer.join().expect("settled");
            // The runtime has this thread alone.
            runtime.block_on(tokio::task::yield_now());
            let results: Vec<_> = receiver.into_iter().collect();
            assert_eq!(results.len(), size);
            assert!(results.iter().all(|(_, result)| result.is_err()));
            results.iter().filter(|(thread, _)| *thread == here).count()
        };
        assert_eq!(settled_by(3, Some(runtime.handle())), 3);
        assert_eq!(settled_by(1, Some(runtime.handle())), 0, "one is woken at once");
        assert_eq!(settled_by(3, None), 0);
    }

    #[test]
    fn the_callers_of_a_group_receive_the_result_after_the_runtime_of_the_store_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let ended = runtime.handle().clone();
        let (sender, receiver) = channel();
        let group = || (0..3).map(|_| Box::new(RecordedJob(sender.clone())) as Box<dyn Job>).collect();
        settle(group(), Ok(()), Some(&ended));
        drop(runtime);
        assert_eq!(receiver.try_iter().filter(|(_, result)| result.is_ok()).count(), 3, "the task had not begun");
        settle(group(), Ok(()), Some(&ended));
        assert_eq!(receiver.try_iter().filter(|(_, result)| result.is_ok()).count(), 3, "no task can begin");
    }
}
