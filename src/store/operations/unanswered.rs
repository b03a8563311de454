//! Claims and takeovers whose caller got an error, but which may be durable all the same: the database was too slow, or its
//! answer to the commit was lost. No task of this process executes such an attempt, and yet the process would renew its lease,
//! so no other process could take the operation over for [`LONGEST_ATTEMPT`]. This undoes them in the background.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
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

/// The attempts that a takeover has begun. The transaction may still fail afterwards, or the database may not answer its commit.
pub(super) type Begun = Arc<Mutex<Vec<(OperationId, u32)>>>;

impl OperationLog {
    /// Makes a claim. The caller that gets an error answers its client that nothing is sent. If the claim is durable all the
    /// same, it is released: the key is free again, and no worker reconciles the write for nothing.
    pub(super) async fn claim_or_release(&self, id: OperationId, work: MakeClaim) -> Result<Found, StoreError> {
        let (log, inserted) = (self.clone(), Arc::clone(&work.inserted));
        let release = async move {
            if inserted.load(Ordering::Relaxed) {
                let what = "a claim whose write was not sent cannot be released";
                let release = || {
                    let log = log.clone();
                    async move { log.finish(id, 1, End::NotSent).await.map(|_| ()) }
                };
                until_stored(what, release).await;
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
        let (log, terms, begun) = (self.clone(), Arc::clone(&self.store.terms), Begun::default());
        let work = TakeOver { terms: Arc::clone(&terms), only, limit, begun: Arc::clone(&begun) };
        let give_back = async move {
            let attempts = std::mem::take(&mut *begun.lock().unwrap_or_else(PoisonError::into_inner));
            if !attempts.is_empty() {
                let what = "operations that were taken over for no task cannot be given back";
                let give_back = || {
                    let (log, work) = (log.clone(), GiveBack { terms: Arc::clone(&terms), attempts: attempts.clone() });
                    async move { log.write(work).await }
                };
                until_stored(what, give_back).await;
            }
        };
        let taken = write_or_undo(&*self.store.database, work, give_back).await;
        taken.inspect_err(|error| self.store.note_failure(error))
    }
}

/// Tries until the store keeps it, or until the process does not renew the lease any more.
async fn until_stored<F: Future<Output = Result<(), StoreError>>>(what: &str, keep: impl Fn() -> F) {
    const EVERY: Duration = Duration::from_millis(500);
    let gives_up = Instant::now() + LONGEST_ATTEMPT;
    while let Err(error) = keep().await {
        if Instant::now() > gives_up {
            tracing::warn!("{what}: {error}");
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Gives attempts back that no task executes: any process can take their operations over at once.
struct GiveBack {
    terms: Arc<Terms>,
    attempts: Vec<(OperationId, u32)>,
}

#[async_trait]
impl Work for GiveBack {
    type Done = ();

    /// The takeover may not have ended yet at the server. Work that runs alone comes after it.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        for (id, attempt) in &self.attempts {
            let update = "UPDATE operations SET worker = NULL, leased_at = NULL, lease_until = NULL \
                          WHERE id = ?1 AND attempt = ?2 AND worker = ?3 AND state IN ('sending', 'unknown')";
            let id = id.to_string();
            let values = [Value::Text(&id), Value::Integer((*attempt).into()), Value::Text(&self.terms.worker)];
            session.execute(update, &values).await?;
        }
        Ok(())
    }
}
