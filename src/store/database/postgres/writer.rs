//! The one task of a replica that writes. It takes jobs from the queue in groups, and runs each group to its commit
//! before it takes the next.

use std::sync::{Mutex, PoisonError};

use deadpool_postgres::{Object, Pool};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    PIECE, TIMEOUT,
    session::{Entry, PostgresSession, silent, unreachable},
};
use crate::store::{
    database::{
        GROUP, Group, Job, Statements,
        head::{self, Head},
    },
    error::StoreError,
    settings::Clock,
};

/// How the writer runs transactions.
struct Writer {
    pool: Pool,
    clock: Option<Clock>,
    statements: Statements,
    /// The end of the chain that this process has seen last. A transaction that locks the chain is refused where the database
    /// ends earlier. Others do not read its end.
    seen: Mutex<Head>,
}

impl Writer {
    fn seen(&self) -> Head {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_seen(&self, head: Head) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}

pub(super) async fn write_groups(
    pool: Pool,
    clock: Option<Clock>,
    statements: Statements,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
) {
    let writer = Writer { pool, clock, statements, seen: Mutex::new(Head::BEGINNING) };
    let mut busy = false;
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        if busy {
            // Callers that were just answered may have their next job ready.
            yield_now().await;
        }
        while group.len() < GROUP {
            let Ok(job) = jobs.try_recv() else { break };
            group.push(job);
        }
        busy = group.len() > 1;
        group.retain(|job| !job.abandoned());
        if let Err(error) = write_group(&writer, group).await {
            tracing::error!(%error, "the store could not write");
            // The jobs that wait already fail now, and not each after a time-out of its own.
            while let Ok(job) = jobs.try_recv() {
                job.settle(Err(error.clone()));
            }
        }
    }
}

/// Runs a group in two transactions: first what runs beside the work of other replicas, then what runs alone, so that
/// the former does not wait for the lock of the latter. An error means that the database is unreachable.
async fn write_group(writer: &Writer, group: Vec<Box<dyn Job>>) -> Result<(), StoreError> {
    let (alone, beside): (Vec<_>, Vec<_>) = group.into_iter().partition(|job| job.runs_alone());
    let mut result = Ok(());
    for (jobs, entry) in [(beside, Entry::Beside), (alone, Entry::Alone)] {
        match &result {
            Ok(()) => result = write_jobs(writer, jobs, entry).await,
            Err(error) => jobs.into_iter().for_each(|job| job.settle(Err(error.clone()))),
        }
    }
    result
}

/// Runs jobs in one transaction, or in several if that takes long, or one by one if a statement failed: a failure ends the
/// transaction of all.
async fn write_jobs(writer: &Writer, mut jobs: Vec<Box<dyn Job>>, entry: Entry) -> Result<(), StoreError> {
    while !jobs.is_empty() {
        let mut attempt = Attempt::of(writer, &mut jobs, entry).await;
        if attempt.result.is_ok() {
            jobs.drain(..attempt.performed).for_each(|job| job.settle(Ok(())));
            continue;
        }
        if jobs.len() == 1 || attempt.is_fatal {
            jobs.drain(..).for_each(|job| job.settle(attempt.result.clone()));
        }
        for job in jobs.drain(..) {
            let mut single = [job];
            if !attempt.is_fatal {
                attempt = Attempt::of(writer, &mut single, entry).await;
            }
            let [job] = single;
            job.settle(attempt.result.clone());
        }
        if attempt.is_fatal {
            return attempt.result;
        }
    }
    Ok(())
}

/// One transaction, as it went.
struct Attempt {
    result: Result<(), StoreError>,
    /// How many of the jobs were executed, from the first on.
    performed: usize,
    /// Whether its failure was the database's.
    is_fatal: bool,
    /// Whether it gave up because another transaction held a row for too long.
    has_yielded: bool,
}

impl Attempt {
    /// Runs jobs in a transaction, and those that have to yield once more, alone.
    async fn of(writer: &Writer, jobs: &mut [Box<dyn Job>], entry: Entry) -> Self {
        let attempt = Self::once(writer, jobs, entry).await;
        match attempt.has_yielded {
            true => Self::once(writer, jobs, Entry::Alone).await,
            false => attempt,
        }
    }

    async fn once(writer: &Writer, jobs: &mut [Box<dyn Job>], entry: Entry) -> Self {
        let client = match writer.pool.get().await {
            Ok(client) => client,
            Err(error) => {
                return Self { result: Err(unreachable(&error)), performed: 0, is_fatal: true, has_yielded: false };
            }
        };
        let mut session = PostgresSession::new(&client, entry, &writer.statements);
        let began = std::time::Instant::now();
        let result = timeout(TIMEOUT, commit(&mut session, writer, jobs)).await;
        let has_yielded = session.has_yielded;
        let is_fatal = !has_yielded && (session.is_fatal || result.is_err());
        let result = result.unwrap_or_else(|_| Err(silent()));
        let performed = *result.as_ref().unwrap_or(&0);
        if result.is_ok() {
            writer.statements.record_group(performed, began);
        }
        if result.is_err() {
            // In what state it is, is not known: it is closed, which rolls back.
            drop(Object::take(client));
        }
        Self { result: result.map(|_| ()), performed, is_fatal, has_yielded }
    }
}

/// Executes jobs and commits. Returns how many it executed: not the last ones, if that takes long.
async fn commit(
    session: &mut PostgresSession<'_>,
    writer: &Writer,
    jobs: &mut [Box<dyn Job>],
) -> Result<usize, StoreError> {
    let (now, head) = session.begin().await?;
    if let Some(head) = head {
        head::refuse_older(writer.seen(), head).inspect_err(|_| session.is_fatal = true)?;
        writer.has_seen(head);
    }
    let began = Instant::now();
    let mut group = Group { now: writer.clock.as_ref().map_or(now, |clock| clock().as_millisecond()), head };
    let mut performed = 0;
    for job in jobs {
        job.perform(session, &mut group).await?;
        performed += 1;
        if began.elapsed() >= PIECE {
            break;
        }
    }
    let moved = group.head.filter(|moved| Some(*moved) != head);
    session.end(moved).await?;
    if let Some(moved) = moved {
        writer.has_seen(moved);
    }
    Ok(performed)
}
