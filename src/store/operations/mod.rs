//! Operations: every write with its outcome, so that no write is sent twice. [`OperationLog`] is their handle. It seals
//! and hashes before anything reaches the database.
//!
//! The life of an operation, and the file that has each step:
//!
//! 1. A process **claims** it before it sends (`claims`). The row is durable before the request leaves. If the same
//!    write was claimed before, the claim finds that row instead, by its key or by its content.
//! 2. While the process waits for the provider, it **renews** its lease (`takeovers`, and `lease.rs` beside this
//!    folder).
//! 3. The process **finishes** the attempt (`ends`): done, failed, unknown, or not sent.
//! 4. If the lease runs out, or the outcome is unknown and due, a process **takes it over** (`takeovers`). That
//!    raises the number of the attempt. Every later change names its attempt, so an older attempt cannot change the row
//!    any more. The new attempt reconciles: it asks the provider what happened.
//! 5. When it is old, a process **reaps** (deletes) its answer and later its row (`reaping`). A row without its answer
//!    is a *tombstone*.
//!
//! `copies` has the key space of copies of customers. `duplicates` says which row is that of the same write, `reading` reads
//! rows, `unfinished` finds open creates by their contacts, `rows` decodes one, `unanswered` undoes claims and takeovers whose
//! caller got an error, `record` has the types of the public interface. A process is called `worker` in the columns
//! and in `Terms`, which has the settings of the store. Work *runs alone* if no other such work of any replica runs between its
//! statements. Which steps run alone, and what that guarantees, is in the module comment of `database`.

mod claims;
mod copies;
#[cfg(test)]
mod costs;
mod duplicates;
mod earlier;
mod ends;
mod open;
mod reading;
mod reaping;
mod record;
mod rows;
mod takeovers;
mod unanswered;
mod unfinished;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

pub use open::OpenCount;
pub use record::{
    Adopted, Claim, CopyOf, CreatedContacts, EarlierContents, End, Finished, NewOperation, Reaped, Record, Resend,
    State, StoredAnswer,
};

pub(super) use self::reading::{HasOperations, list_unopened};
use self::{
    duplicates::{FindDuplicate, Found, Identity},
    reading::ReadOperations,
    rows::Stored,
};
use super::{
    audit::Event,
    carried::CarriedChanges,
    contacts::{ContactChanges, ContactsOf},
    database::{Work, read, write},
    error::StoreError,
    ids::folded,
    lease::Lease,
    opened::Opened,
    operation_id::OperationId,
    sealed::{ANSWER, COMMAND, SealedColumn},
};

/// The operations that a store keeps. Clones share one store.
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

    /// Claims a write, durably, before the caller sends it. Only the caller that gets [`Claim::New`] may send.
    ///
    /// After the store could not write, a new write is refused until the store is ready again, also where the claim
    /// itself would fit: `/readyz` and the writes say the same. A repetition is answered all the same.
    pub async fn claim(&self, new: NewOperation) -> Result<Claim, StoreError> {
        if self.store.is_failing() {
            if let Some(earlier) = self.find_duplicate(&new).await? {
                return Ok(earlier);
            }
            self.store.admit().await?;
        }
        let row = new.id.to_string();
        let command = self.store.keyring.seal(COMMAND.at(&row), &new.command)?;
        let contacts = new.contacts.hashes(&self.store.hashes, &new.merchant);
        let work = claims::MakeClaim {
            identity: self.identity(&new),
            id: new.id,
            connection: new.connection,
            operation: new.operation,
            customer: match &new.home {
                Some(_) => new.customer.as_deref().map(folded),
                None => new.customer,
            },
            key_name: new.key_name,
            command,
            home: new.home,
            contacts,
            inserted: Arc::default(),
        };
        let found = self.claim_or_release(new.id, work).await?;
        Ok(self.claimed(found)?.unwrap_or(Claim::New { attempt: 1 }))
    }

    /// Finds the write that a request repeats, as a claim would, but claims nothing. `None`: a claim would be new.
    pub async fn find_duplicate(&self, new: &NewOperation) -> Result<Option<Claim>, StoreError> {
        let found = self.write(FindDuplicate(self.identity(new))).await?;
        self.claimed(found)
    }

    fn identity(&self, new: &NewOperation) -> Identity {
        Identity::of(new, &self.store.terms, &self.store.hashes, self.store.joins_earlier())
    }

    fn claimed(&self, found: Found) -> Result<Option<Claim>, StoreError> {
        Ok(Some(match found {
            Found::Nothing => return Ok(None),
            Found::InFlight(stored) => Claim::InFlight(self.opened(stored)?),
            Found::Unknown(stored) => Claim::Unknown(self.opened(stored)?),
            Found::Finished(stored) => Claim::Finished(self.opened(stored)?),
            Found::Reused(id) => Claim::Reused(id),
            Found::Expired(stored) => Claim::Expired(self.opened(stored)?),
            Found::Erased(stored) => Claim::Erased(self.opened(stored)?),
            Found::Moved => Claim::Moved,
        }))
    }

    /// Keeps how an attempt ended. `false`: a newer attempt has taken the operation over, and nothing was changed.
    /// After an error the caller may call it again with the same end.
    pub async fn finish(&self, id: OperationId, attempt: u32, end: End) -> Result<bool, StoreError> {
        Ok(self.end(id, attempt, end, false, false).await? == Finished::Stored)
    }

    /// The same for the end of a create that was answered with its customer. Nothing is stored if the customer is the outcome
    /// of another create already, unless it was deleted since. Of two creates that end at the same time, one gets
    /// [`Finished::Shared`].
    pub async fn finish_created(
        &self,
        id: OperationId,
        attempt: u32,
        end: End,
        is_undelivered: bool,
    ) -> Result<Finished, StoreError> {
        self.end(id, attempt, end, is_undelivered, true).await
    }

    /// The newest create, other than `id`, whose outcome is this customer. `None` if there is none, and if the customer was
    /// updated through the gateway since.
    pub async fn find_other_create(
        &self,
        id: OperationId,
        of: ContactsOf<'_>,
        customer: &str,
    ) -> Result<Option<Record>, StoreError> {
        let (merchant, connection) = (of.merchant.to_owned(), of.connection.to_owned());
        let work = earlier::FindOtherCreate { id, merchant, connection, customer: customer.to_owned() };
        read(&*self.store.database, work).await?.map(|stored| self.opened(stored)).transpose()
    }

    /// The same for a write without a key whose client disconnected before the answer: the store keeps the answer as
    /// undelivered. Such a client sends its request again. So the next request with the same content gets this answer,
    /// if it comes soon.
    pub async fn finish_undelivered(&self, id: OperationId, attempt: u32, end: End) -> Result<bool, StoreError> {
        Ok(self.end(id, attempt, end, true, false).await? == Finished::Stored)
    }

    /// Notes that a client got the answer after all, although it was kept as undelivered.
    pub async fn mark_delivered(&self, id: OperationId) -> Result<(), StoreError> {
        self.write(ends::MarkDelivered { id, is_delivered: true }).await
    }

    /// Notes that the answer is undelivered again: a claim found it and counted it as delivered, but the client of that
    /// claim was gone by then.
    pub async fn mark_undelivered(&self, id: OperationId) -> Result<(), StoreError> {
        self.write(ends::MarkDelivered { id, is_delivered: false }).await
    }

    async fn end(
        &self,
        id: OperationId,
        attempt: u32,
        end: End,
        is_undelivered: bool,
        refuses_shared: bool,
    ) -> Result<Finished, StoreError> {
        let (mut contact_changes, mut carried) = (ContactChanges::default(), CarriedChanges::default());
        let makes_record = matches!(end, End::Copied { .. });
        let (event, customer, reconcile_after, answer) = match end {
            End::Done { customer, contacts, carried: changes, answer } => {
                (contact_changes, carried) = (contacts, changes);
                (Event::Done, customer, None, Some(answer))
            }
            End::Copied { provider_id, answer } => (Event::Done, Some(provider_id), None, Some(answer)),
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
            contacts: contact_changes,
            carried: (!carried.is_empty()).then(|| (Arc::clone(&self.store.keyring), carried)),
            reconcile_after: reconcile_after.map(Timestamp::as_millisecond),
            status: answer.map(|answer| answer.status),
            answer: sealed.transpose()?,
            is_undelivered,
            refuses_shared,
            makes_record,
        })
        .await
    }

    /// A lease on every operation that the caller claims or takes over after this. The caller must begin it before the
    /// claim or the takeover, and must not send after [`Lease::send_until`].
    pub fn lease(&self) -> Lease {
        Lease::begin(Instant::now(), &self.store.renewals)
    }

    /// How often the process has to renew its leases: two renewals may fail before a lease has run out.
    pub fn renewal(&self) -> Duration {
        self.store.terms.lease / 3
    }

    /// Renews the leases of this process on all of its operations. The lease of an attempt that lasts longer than
    /// [`LONGEST_ATTEMPT`](super::lease::LONGEST_ATTEMPT) is not renewed any more.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        self.write(takeovers::Renew { terms: Arc::clone(&self.store.terms) }).await?;
        self.store.renewals.renewed(asked, Instant::now());
        Ok(())
    }

    /// Whether leases of this process may have run out since its last renewal.
    pub fn is_renewal_overdue(&self) -> bool {
        self.store.renewals.are_overdue(Instant::now())
    }

    /// Notes, durably, that an attempt is about to send its write again. Only after [`Resend::Noted`] may it send.
    pub async fn send_again(&self, id: OperationId, attempt: u32) -> Result<Resend, StoreError> {
        self.write(takeovers::SendAgain { terms: Arc::clone(&self.store.terms), id, attempt }).await
    }

    /// Records that a create made a customer that was found at the provider, unless another create made it. Where the
    /// customer was found by its idempotency marker, that is certain. Where it was found by its content, another create
    /// with the same content must not be in flight.
    pub async fn adopt(
        &self,
        id: OperationId,
        attempt: u32,
        customer: &str,
        has_marker: bool,
    ) -> Result<Adopted, StoreError> {
        self.write(takeovers::Adopt { id, attempt, customer: customer.to_owned(), has_marker }).await
    }

    /// One operation of a merchant.
    pub async fn get(&self, merchant: &str, id: OperationId) -> Result<Option<Record>, StoreError> {
        let work =
            ReadOperations { merchant: Some(merchant.to_owned()), id: Some(id), limit: 1, ..ReadOperations::default() };
        read(&*self.store.database, work).await?.pop().map(|stored| self.opened(stored)).transpose()
    }

    /// Operations, the newest first; with `after`, those older than that one.
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

    /// Deletes what is older than its lifetime: answers first, whole rows later. Operations with an unknown outcome are
    /// never deleted.
    pub async fn reap(&self) -> Result<Reaped, StoreError> {
        let mut all = Reaped::default();
        loop {
            // A limited number at a time, so that other work can run between.
            let some = self.write(reaping::Reap { terms: Arc::clone(&self.store.terms) }).await?;
            if some == Reaped::default() {
                return Ok(all);
            }
            all.answers += some.answers;
            all.tombstones += some.tombstones;
        }
    }

    async fn write<W: Work>(&self, work: W) -> Result<W::Done, StoreError> {
        let result = write(&*self.store.database, work).await;
        if let Err(error) = &result {
            self.store.note_failure(error);
        }
        result
    }

    fn opened(&self, mut stored: Stored) -> Result<Record, StoreError> {
        let row = stored.id.to_string();
        let open = |column: &SealedColumn, sealed: Option<Vec<u8>>| {
            sealed.map(|sealed| self.store.keyring.open(column.at(&row), &sealed).map(Bytes::from)).transpose()
        };
        let unreadable = || StoreError::Damaged(format!("the answer of {row} cannot be read"));
        let command = open(&COMMAND, stored.command.take())?;
        let answer = open(&ANSWER, stored.answer.take())?;
        let answer = answer.map(|bytes| StoredAnswer::from_bytes(bytes).ok_or_else(unreadable)).transpose()?;
        Ok(stored.record(command, answer))
    }
}
