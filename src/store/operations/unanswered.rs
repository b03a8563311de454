//! Claims and takeovers whose caller got an error or has stopped waiting, but which may be durable all the same: the database was too
//! slow, or its answer to the commit was lost. No task of this process executes such an attempt, and yet the process would renew its lease,
//! so no other process could take the operation over for [`LONGEST_ATTEMPT`]. This undoes them in the background.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    OperationLog,
    claims::MakeClaim,
    duplicates::Found,
    record::{End, Record},
    rows::Stored,
    takeovers::TakeOver,
};
use crate::store::{
    database::{Group, Session, Work, values::Value, write_or_undo},
    error::StoreError,
    lease::LONGEST_ATTEMPT,
    operation_id::OperationId,
    terms::Terms,
};

/// An attempt, and when this process got the lease on it, in milliseconds since 1970. A takeover that was rolled back, and a later
/// one of the same process, have the same number and different times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leased {
    pub(super) id: OperationId,
    pub(super) attempt: u32,
    /// `None`: at any time, because a task has executed the attempt.
    pub(super) since: Option<i64>,
}

/// The attempts that a takeover has begun. Its transaction may still fail, or the database may not answer the commit.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<Mutex<Vec<Leased>>>);

impl Begun {
    fn attempts(&self) -> MutexGuard<'_, Vec<Leased>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        self.attempts().clear();
    }

    pub(super) fn add(&self, attempt: Leased) {
        self.attempts().push(attempt);
    }
}

impl OperationLog {
    /// Makes a claim. The caller that gets an error answers its client that nothing is sent. If the claim is durable all the
    /// same, it is released: the key is free again, and no worker reconciles the write for nothing.
    pub(super) async fn claim_or_release(&self, id: OperationId, work: MakeClaim) -> Result<Found, StoreError> {
        let (log, inserted) = (self.clone(), Arc::clone(&work.inserted));
        let release = async move {
            if inserted.load(Ordering::Relaxed) {
                let release = || {
                    let log = log.clone();
                    async move { log.finish(id, 1, End::NotSent).await.map(|_| ()) }
                };
                let lease = log.store.terms.lease;
                if let Err(error) = until_stored(lease, release).await {
                    tracing::warn!(operation.id = %id, "a claim whose write was not sent cannot be released: {error}");
                }
            }
        };
        let claimed = write_or_undo(&*self.store.database, work, release).await;
        claimed.inspect_err(|error| self.store.note_failure(error))
    }

    /// Takes over operations whose lease has run out, and operations whose outcome is unknown and which are due to be
    /// reconciled. Each gets a new attempt, of this process. If an older attempt finishes later, that changes nothing.
    ///
    /// The caller must not call it while [`OperationLog::is_renewal_overdue`]. A process that was stopped for a while
    /// would take over its own operations, while its own tasks still execute them.
    pub async fn take_over(&self, limit: usize) -> Result<Vec<Record>, StoreError> {
        let taken = self.take_over_or_give_back(None, limit).await?;
        // One that cannot be read must not stop the others.
        let read = |stored: Stored| {
            let id = stored.id;
            let unreadable =
                |error: &StoreError| tracing::error!(operation.id = %id, "it cannot be reconciled: {error}");
            self.opened(stored).inspect_err(unreadable).ok()
        };
        Ok(taken.into_iter().filter_map(read).collect())
    }

    /// Takes over one operation, even before it is due to be reconciled, and even if it is held. `None` where another
    /// attempt has a lease on it, or its outcome is known.
    pub async fn take_over_one(&self, id: OperationId) -> Result<Option<Record>, StoreError> {
        let mut taken = self.take_over_or_give_back(Some(id), 1).await?;
        taken.pop().map(|stored| self.opened(stored)).transpose()
    }

    async fn take_over_or_give_back(&self, only: Option<OperationId>, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let (log, begun) = (self.clone(), Begun::default());
        let work = TakeOver { terms: Arc::clone(&self.store.terms), only, limit, begun: begun.clone() };
        let give_back = async move {
            let attempts = std::mem::take(&mut *begun.attempts());
            log.give_all_back(attempts).await;
        };
        let taken = write_or_undo(&*self.store.database, work, give_back).await;
        taken.inspect_err(|error| self.store.note_failure(error))
    }

    /// Ends the lease on an attempt that a task has executed, and whose end the store does not get. Any process can take the operation
    /// over then. It returns when the store has kept that, or when the lease has run out by itself.
    pub async fn give_back(&self, id: OperationId, attempt: u32) {
        self.give_all_back(vec![Leased { id, attempt, since: None }]).await;
    }

    async fn give_all_back(&self, attempts: Vec<Leased>) {
        if attempts.is_empty() {
            return;
        }
        let give_back = || {
            let (log, terms) = (self.clone(), Arc::clone(&self.store.terms));
            let work = GiveBack { terms, attempts: attempts.clone() };
            async move { log.write(work).await }
        };
        if let Err(error) = until_stored(self.store.terms.lease, give_back).await {
            let ids: Vec<_> = attempts.iter().map(|attempt| attempt.id.to_string()).collect();
            tracing::warn!(
                operation.ids = ids.join(", "),
                "operations that no task executes cannot be given back: {error}"
            );
        }
    }
}

/// Tries until the store keeps it, or until leases that this process has now have run out.
async fn until_stored<F>(lease: Duration, keep: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    const EVERY: Duration = Duration::from_millis(500);
    let gives_up = Instant::now() + LONGEST_ATTEMPT + lease;
    loop {
        match keep().await {
            Err(_) if Instant::now() < gives_up => tokio::time::sleep(EVERY).await,
            kept => return kept,
        }
    }
}

/// Gives attempts back that no task executes: any process can take their operations over at once.
struct GiveBack {
    terms: Arc<Terms>,
    attempts: Vec<Leased>,
}

#[async_trait]
impl Work for GiveBack {
    type Done = ();

    /// The takeover may not have ended yet at the server. Work that runs alone comes after it.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        for Leased { id, attempt, since } in &self.attempts {
            // Renewals do not change `leased_at`. An attempt that was executed may have sent the write until now: the time that the
            // provider has to show it counts from now on.
            let update = "UPDATE operations SET worker = NULL, leased_at = NULL, lease_until = NULL, \
                          sent_at = CASE WHEN CAST(?4 AS BIGINT) IS NULL THEN ?5 ELSE sent_at END \
                          WHERE id = ?1 AND attempt = ?2 AND worker = ?3 AND state IN ('sending', 'unknown') \
                          AND leased_at = coalesce(CAST(?4 AS BIGINT), leased_at)";
            let id = id.to_string();
            let values = [
                Value::Text(&id),
                Value::Integer((*attempt).into()),
                Value::Text(&self.terms.worker),
                since.map_or(Value::Null, Value::Integer),
                Value::Integer(group.now),
            ];
            session.execute(update, &values).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::{
        head::Head,
        sqlite::{SqliteSession, counted, ready},
    };

    fn execute(session: &mut SqliteSession, statement: &str, id: &str) -> u64 {
        ready(session.execute(statement, &[Value::Text(id)])).expect("executed")
    }

    /// The takeover at 1 was rolled back, and the one at 2, of the same process and with the same number, was not.
    #[test]
    fn only_the_lease_of_the_lost_takeover_is_ended() {
        let (mut session, _) = counted();
        let terms = Arc::new(Terms::tested());
        let id = OperationId::now();
        let insert = "INSERT INTO operations (id, merchant, connection, operation, fingerprint, state, attempt, created_at, \
                      sent_at, worker, leased_at, lease_until, command) \
                      VALUES (?1, 'acme', 'main', 'create', x'00', 'sending', 2, 0, 0, 'this', 2, 30002, x'00')";
        execute(&mut session, insert, &id.to_string());
        let leased =
            "UPDATE operations SET attempt = attempt WHERE id = ?1 AND worker = 'this' AND lease_until = 30002";
        for (attempt, since, remains) in [(2, Some(1), 1), (1, Some(2), 1), (2, Some(2), 0)] {
            let work = GiveBack { terms: Arc::clone(&terms), attempts: vec![Leased { id, attempt, since }] };
            let mut group = Group { now: 3, head: Some(Head::BEGINNING) };
            ready(work.perform(&mut session, &mut group)).expect("executed");
            assert_eq!(execute(&mut session, leased, &id.to_string()), remains, "attempt {attempt} since {since:?}");
        }
    }
}
