//! The task that writes.

use deadpool_postgres::{Object, Pool};
use tokio::{sync::mpsc, task::yield_now, time::timeout};

use super::{
    PATIENCE,
    session::{PostgresSession, silent, unreachable},
};
use crate::store::{
    database::{GROUP, Group, Job, head},
    error::StoreError,
    settings::Clock,
};

pub(super) async fn write_groups(pool: Pool, clock: Option<Clock>, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
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
        Err(error) => return (Err(unreachable(&error)), true),
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
    let mut row = rows.pop();
    let head = head::read(row.as_mut())?;
    let database_time = row.map(|mut row| row.integer()).transpose()?.unwrap_or_default();
    let mut group = Group { now: clock.map_or(database_time, |clock| clock().as_millisecond()), head };
    for job in jobs {
        job.perform(session, &mut group).await?;
    }
    session.end(&head, &group.head).await
}
