//! Operations: every write with its outcome, so that none is sent twice. [`OperationLog`] is their handle; it seals and
//! fingerprints on this side of the database.
//!
//! `claims`, `ends`, `takeovers` and `reaping` say what is done to the rows, `reading` reads them, `rows` is what stands
//! in one. `record` has the words in which the rest of the program asks and is answered.

mod claims;
#[cfg(test)]
mod costs;
mod ends;
mod reading;
mod reaping;
mod record;
mod rows;
mod takeovers;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

pub use record::{Adopted, Answer, Claim, End, NewOperation, Reaped, Record, Resend, State};

use self::{claims::Found, reading::ReadOperations, rows::Stored};
use super::{
    audit::Event,
    database::{Database, PATIENCE, Work, closed, job, read, silent, write},
    error::StoreError,
    lease::Lease,
    opened::Opened,
    operation_id::OperationId,
    sealed::{ANSWER, COMMAND, SealedColumn},
};

/// The writes that a store keeps. Clones share one store.
#[derive(Clone)]
pub struct OperationLog {
    store: Arc<Opened>,
}

impl fmt::Debug for OperationLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OperationLog").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl OperationLog {
    pub(super) fn of(store: &Arc<Opened>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// Claims a write before it is sent. Only [`Claim::New`] may be sent, by whoever got it.
    pub async fn claim(&self, new: NewOperation) -> Result<Claim, StoreError> {
        let row = new.id.to_string();
        let command = self.store.keyring.seal(COMMAND.at(&row), &new.command)?;
        let work = claims::MakeClaim {
            terms: Arc::clone(&self.store.terms),
            id: new.id,
            key_hash: new.key.as_deref().map(|key| self.store.hashes.key(&new.merchant, key)),
            joins: new.joins,
            fingerprint: self.store.hashes.fingerprint(&new.merchant, &new.request),
            merchant: new.merchant,
            connection: new.connection,
            operation: new.operation,
            customer: new.customer,
            command,
            inserted: Arc::default(),
        };
        let found = self.claimed(new.id, work).await?;
        Ok(match found {
            Found::Nothing => Claim::New { attempt: 1 },
            Found::InFlight(stored) => Claim::InFlight(self.opened(stored)?),
            Found::Unknown(stored) => Claim::Unknown(self.opened(stored)?),
            Found::Finished(stored) => Claim::Finished(self.opened(stored)?),
            Found::Reused => Claim::Reused,
            Found::Expired(stored) => Claim::Expired(self.opened(stored)?),
            Found::Erased(stored) => Claim::Erased(self.opened(stored)?),
        })
    }

    /// Makes a claim. One that becomes durable only when nobody waits for it any more, or may be durable though the
    /// database did not say so, is taken back: whoever asked was told that nothing is sent.
    async fn claimed(&self, id: OperationId, work: claims::MakeClaim) -> Result<Found, StoreError> {
        let inserted = Arc::clone(&work.inserted);
        let (job, mut answer) = job(work);
        self.store.database.write(job);
        let (refusal, late) = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(Ok(Ok(found))) => return Ok(found),
            Ok(Ok(Err(error))) => (error, None),
            Ok(Err(_)) => (closed(), None),
            Err(_) => (silent(), Some(answer)),
        };
        let log = self.clone();
        tokio::spawn(async move {
            if let Some(answer) = late {
                let _ = answer.await;
            }
            if inserted.load(Ordering::Relaxed) {
                log.take_back(id).await;
            }
        });
        Err(refusal)
    }

    async fn take_back(&self, id: OperationId) {
        const EVERY: Duration = Duration::from_millis(500);
        // Then somebody else takes it over.
        let gives_up = Instant::now() + self.store.terms.lease;
        while let Err(error) = self.finish(id, 1, End::NotSent).await {
            if Instant::now() > gives_up {
                tracing::warn!(operation.id = %id, "a claim cannot be taken back: {error}");
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Tells how an attempt ended. `false`: a newer attempt has taken over, and nothing was changed. After
    /// an error it may be told again.
    pub async fn finish(&self, id: OperationId, attempt: u32, end: End) -> Result<bool, StoreError> {
        self.end(id, attempt, end, false).await
    }

    /// The same of a write without a key that nobody waits for any more: the next request that is the same, if it
    /// comes soon, is whoever asked first, and gets the answer.
    pub async fn finish_unheard(&self, id: OperationId, attempt: u32, end: End) -> Result<bool, StoreError> {
        self.end(id, attempt, end, true).await
    }

    /// Says that somebody has heard a write's end after all.
    pub async fn hear(&self, id: OperationId) -> Result<(), StoreError> {
        self.write(ends::Hear { id, is_heard: true }).await
    }

    /// Says that nobody has heard it yet: whoever the claim told it to had gone before.
    pub async fn unhear(&self, id: OperationId) -> Result<(), StoreError> {
        self.write(ends::Hear { id, is_heard: false }).await
    }

    async fn end(&self, id: OperationId, attempt: u32, end: End, unheard: bool) -> Result<bool, StoreError> {
        let (event, customer, reconcile_after, answer) = match end {
            End::Done { customer, answer } => (Event::Done, customer, None, Some(answer)),
            End::Failed { answer } => (Event::Failed, None, None, Some(answer)),
            End::Unknown { reconcile_after: Some(after), answer } => (Event::Unknown, None, Some(after), Some(answer)),
            End::Unknown { reconcile_after: None, answer } => (Event::Held, None, None, Some(answer)),
            End::NotSent => (Event::NotSent, None, None, None),
        };
        let row = id.to_string();
        let sealed = answer.as_ref().map(|answer| self.store.keyring.seal(ANSWER.at(&row), &answer.to_bytes()));
        self.write(ends::Finish {
            id,
            attempt,
            event,
            customer,
            reconcile_after: reconcile_after.map(Timestamp::as_millisecond),
            status: answer.map(|answer| answer.status),
            answer: sealed.transpose()?,
            unheard,
        })
        .await
    }

    /// A lease on whatever is claimed or taken over from now on. Nothing may be sent that is not sent before its end.
    pub fn lease(&self) -> Lease {
        Lease::begin(Instant::now(), &self.store.signs)
    }

    /// How often a sign of life is due: two may fail before a lease has run out.
    pub fn renewal(&self) -> Duration {
        self.store.terms.lease / 3
    }

    /// A sign of life for all that this process is at work on. An attempt that lasts longer than
    /// [`LONGEST_ATTEMPT`] gets none any more.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        self.write(takeovers::Renew { terms: Arc::clone(&self.store.terms) }).await?;
        self.store.signs.given(asked, Instant::now());
        Ok(())
    }

    /// Whether leases of this process may have run out since its last sign of life.
    pub fn is_renewal_overdue(&self) -> bool {
        self.store.signs.are_overdue(Instant::now())
    }

    /// Notes that an attempt is about to send its write once more. Only [`Resend::Noted`] may be sent.
    pub async fn send_again(&self, id: OperationId, attempt: u32) -> Result<Resend, StoreError> {
        self.write(takeovers::SendAgain { terms: Arc::clone(&self.store.terms), id, attempt }).await
    }

    /// Says that a customer is what came of a create, unless it is another's: by a mark that is certain, by content
    /// only once no other one with the same is being sent.
    pub async fn adopt(
        &self,
        id: OperationId,
        attempt: u32,
        customer: &str,
        is_marked: bool,
    ) -> Result<Adopted, StoreError> {
        self.write(takeovers::Adopt { id, attempt, customer: customer.to_owned(), is_marked }).await
    }

    /// Takes over what was being sent by somebody who gave no sign of life, and what is unknown and due to
    /// be looked up. Each is a new attempt of this process; older ones are fenced off. Not while
    /// [`OperationLog::is_renewal_overdue`], or a process that stood still would take its own work from itself.
    pub async fn take_over(&self, limit: usize) -> Result<Vec<Record>, StoreError> {
        let taken = self.write(takeovers::TakeOver { terms: Arc::clone(&self.store.terms), only: None, limit }).await?;
        taken.into_iter().map(|stored| self.opened(stored)).collect()
    }

    /// Takes over one write, even before it is due to be looked up, and even if it is held. `None` where
    /// somebody is at work on it, or its outcome is known.
    pub async fn take_over_one(&self, id: OperationId) -> Result<Option<Record>, StoreError> {
        let only = takeovers::TakeOver { terms: Arc::clone(&self.store.terms), only: Some(id), limit: 1 };
        self.write(only).await?.pop().map(|stored| self.opened(stored)).transpose()
    }

    /// One write of a merchant.
    pub async fn get(&self, merchant: &str, id: OperationId) -> Result<Option<Record>, StoreError> {
        let work =
            ReadOperations { merchant: Some(merchant.to_owned()), id: Some(id), limit: 1, ..ReadOperations::default() };
        read(&*self.store.database, work).await?.pop().map(|stored| self.opened(stored)).transpose()
    }

    /// Writes, the newest first; `after` goes on behind one.
    pub async fn list(
        &self,
        merchant: Option<&str>,
        state: Option<State>,
        after: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let work = ReadOperations { merchant: merchant.map(str::to_owned), id: None, state, after, limit };
        read(&*self.store.database, work).await?.into_iter().map(|stored| self.opened(stored)).collect()
    }

    /// Takes away what has outlived its time: answers first, tombstones later, what is unknown never.
    pub async fn reap(&self) -> Result<Reaped, StoreError> {
        let mut all = Reaped::default();
        loop {
            // A handful at a time: writes go between.
            let some = self.write(reaping::Reap { terms: Arc::clone(&self.store.terms) }).await?;
            if some == Reaped::default() {
                return Ok(all);
            }
            all.answers += some.answers;
            all.tombstones += some.tombstones;
        }
    }

    async fn write<W: Work>(&self, work: W) -> Result<W::Done, StoreError> {
        write(&*self.store.database, work).await
    }

    fn opened(&self, mut stored: Stored) -> Result<Record, StoreError> {
        let row = stored.id.to_string();
        let open = |column: &SealedColumn, sealed: Option<Vec<u8>>| {
            sealed.map(|sealed| self.store.keyring.open(column.at(&row), &sealed).map(Bytes::from)).transpose()
        };
        let unreadable = || StoreError::Damaged(format!("the answer of {row} cannot be read"));
        let command = open(&COMMAND, stored.command.take())?;
        let answer = open(&ANSWER, stored.answer.take())?;
        let answer = answer.map(|bytes| Answer::from_bytes(bytes).ok_or_else(unreadable)).transpose()?;
        Ok(stored.record(command, answer))
    }
}

/// Writes, the newest first, without their sealed parts.
pub(super) async fn list_unopened(
    database: &dyn Database,
    merchant: Option<&str>,
    state: Option<State>,
    after: Option<OperationId>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let work = ReadOperations { merchant: merchant.map(str::to_owned), id: None, state, after, limit };
    Ok(read(database, work).await?.into_iter().map(|stored| stored.record(None, None)).collect())
}
