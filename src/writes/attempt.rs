//! One attempt at a write. The first attempt sends the write for a client's request (`mod.rs`). Every later attempt
//! takes the write over and reconciles it (`recovery.rs`): a worker starts it when the write is due, or a client starts
//! it when it repeats its request.

use jiff::Timestamp;
use passerelle_providers::{
    api::view::Receipt,
    engine::{
        Conditions, Planned,
        existing::{self, AnsweredBefore, Person},
    },
    model::{Command, Created, Error, Kind, LossPolicy, Written},
};
use tokio::time::Instant;

use super::{
    EndedWrite, NewWrite, Surface, WriteAnswer,
    in_flight::{ClientPresence, InFlightWrite},
    lease_guard::LeaseGuard,
    new_write::{marker_of, plan},
};
use crate::{
    execution::{Exchange, ProviderTransport},
    merchant::{Connection, Merchant},
    store::{Carried, Contacts, ContactsOf, Lease, OperationId, OperationLog},
    upstream::Sender,
};

/// The time that an attempt has. The caller must make it before the claim or the takeover of the write, because the
/// lease counts from then on. So the lease never lasts longer by the clock of this process than by the database's.
#[derive(Clone)]
pub(super) struct AttemptTime {
    /// After this, the attempt waits for no answer any more.
    pub(super) deadline: Instant,
    /// While the lease lasts, no other attempt can take the write over. After the lease, this attempt sends nothing.
    pub(super) lease: Lease,
}

impl AttemptTime {
    pub(super) fn transport<'o>(&self, attempt: &Attempt<'o>, contacts: &'o Contacts) -> ProviderTransport<'o> {
        ProviderTransport::new(attempt.connection, attempt.command.operation(), self.deadline)
            .knowing(contacts, attempt.merchant)
            .sent_by(if attempt.is_copy { Sender::Gateway } else { Sender::Client })
            .showing_exchanges(attempt.surface.shows_exchanges())
            .under(self.lease.clone())
    }
}

/// One attempt at a write, with everything that it needs.
pub(super) struct Attempt<'o> {
    pub(super) id: OperationId,
    /// The number of the attempt. The store accepts an end only from the newest one.
    pub(super) number: u32,
    pub(super) merchant: &'o Merchant,
    pub(super) connection: &'o Connection,
    pub(super) command: &'o Command,
    pub(super) conditions: Conditions,
    pub(super) surface: &'o dyn Surface,
    pub(super) is_keyed: bool,
    /// Whether it is a write of the copier.
    pub(super) is_copy: bool,
    /// When the first attempt may have sent the write first.
    pub(super) first_sent_at: Timestamp,
    /// When to reconcile next, if this attempt leaves the outcome unknown. `None`: one `visibility_lag` after its end,
    /// because this attempt sends the write, and the provider then has to show it.
    pub(super) next_reconcile_at: Option<Timestamp>,
    pub(super) waiters: Waiters<'o>,
    /// `None` where nothing is claimed.
    pub(super) lease: Option<&'o LeaseGuard>,
}

/// The clients that wait for the answer to a write.
#[derive(Clone, Copy)]
pub(super) struct Waiters<'o> {
    /// The client for whose request this attempt runs. An attempt of the worker has none.
    pub(super) client: &'o ClientPresence,
    /// The write, which other clients may have joined.
    pub(super) in_flight_write: &'o InFlightWrite,
}

impl Waiters<'_> {
    /// Whether at least one client still waits.
    pub(super) fn are_waiting(&self) -> bool {
        self.client.strong_count() > 0 || self.in_flight_write.has_waiter()
    }
}

impl<'o> Attempt<'o> {
    pub(super) fn of(
        write: &'o NewWrite,
        id: OperationId,
        number: u32,
        conditions: Conditions,
        waiters: Waiters<'o>,
    ) -> Self {
        Self {
            id,
            number,
            merchant: &write.merchant,
            connection: &write.connection,
            command: &write.command,
            conditions,
            surface: &*write.surface,
            is_keyed: write.is_keyed,
            is_copy: write.home.as_ref().is_some_and(|home| home.is_copy),
            first_sent_at: crate::clock::now(),
            next_reconcile_at: None,
            waiters,
            lease: None,
        }
    }

    /// The idempotency marker that this create was sent with, if any.
    pub(super) fn marker(&self) -> Option<String> {
        marker_of(self.connection, self.command, self.is_keyed, self.id, self.surface)
    }

    /// Whether it is the create of a copy.
    pub(super) fn is_copied_create(&self) -> bool {
        self.is_copy && matches!(self.command, Command::Create(_))
    }

    /// The plan for sending the write again.
    pub(super) fn plan(&self) -> Result<Planned, Error> {
        plan(self.connection, self.command, self.marker().as_deref(), self.conditions)
    }

    /// The result that reconciliation found, compared with what the command asked for. Its report is the one that the
    /// answer to the write would have had.
    pub(super) async fn compared(&self, transport: &ProviderTransport<'_>, found: Written) -> Written {
        // The loss policy applied before the write was sent. What it would have refused was lost.
        let on_loss = match self.conditions.on_loss {
            LossPolicy::Reject => LossPolicy::Drop,
            on_loss => on_loss,
        };
        let conditions = Conditions { on_loss, ..self.conditions };
        match plan(self.connection, self.command, self.marker().as_deref(), conditions) {
            Ok(planned) => planned.compare(transport, found).await,
            Err(_) => found,
        }
    }

    /// The store of carried fields, if the write may change some: not of a copy, whose customer lives elsewhere. A write that was sent under this policy keeps its
    /// fields also after the merchant's configuration has changed.
    pub(super) fn carried<'c>(&'c self, store: &'c Carried) -> Option<&'c Carried> {
        let carries = self.conditions.on_loss == LossPolicy::Carry;
        self.merchant.carried.as_ref().or_else(|| carries.then_some(store)).filter(|_| !self.is_copy)
    }

    /// Whether this is a deletion that an earlier attempt may have sent already.
    pub(super) fn repeats_deletion(&self) -> bool {
        self.number > 1 && matches!(self.command, Command::Delete(_))
    }

    /// The result of a create, where the provider may have answered a record that existed before.
    pub(super) fn judged(&self, written: Written, answered_before: &AnsweredBefore) -> Result<Written, Error> {
        match (self.command, written) {
            (Command::Create(create), Written::Created(created)) => {
                let manifest = self.connection.manifest;
                existing::judge(created, create, manifest, self.first_sent_at, answered_before).map(Written::Created)
            }
            (_, written) => Ok(written),
        }
    }

    /// The result of a create that is answered with the outcome of another create. If that create was answered with another
    /// person, the result is an error, also where the provider's answer repeats what this create sent.
    pub(super) async fn judged_as_shared(&self, store: &OperationLog, written: Written) -> Result<Written, Error> {
        let Written::Created(Created { customer, .. }) = &written else { return Ok(written) };
        let of = ContactsOf { merchant: &self.merchant.name, connection: &self.connection.name };
        let other = store.find_other_create(self.id, of, customer.id_at_provider()).await.map_err(|error| {
            tracing::error!(operation.id = %self.id, "a create cannot be compared with an earlier one: {error}");
            Error::new(Kind::Interrupted, "the store cannot show whose record the provider answered").after(true, false)
        })?;
        let answer = other.and_then(|other| other.answer);
        let person = answer.and_then(|answer| Person::in_answer(&answer.body));
        self.judged(written, &person.map_or(AnsweredBefore::Unknown, AnsweredBefore::As))
    }

    /// Whether the customer is the match that a distinct create asked for, and not what the provider answered to a create.
    pub(super) fn is_match(&self, created: &Created) -> bool {
        created.existing && matches!(self.command, Command::Create(create) if create.distinct)
    }

    /// Encodes the answer to the client.
    pub(super) fn write_answer(&self, result: &Result<Written, Error>, exchanges: Option<&[Exchange]>) -> WriteAnswer {
        self.write_answer_with(result, &[], exchanges)
    }

    /// The same with the receipts of a deletion.
    pub(super) fn write_answer_with(
        &self,
        result: &Result<Written, Error>,
        receipts: &[Receipt],
        exchanges: Option<&[Exchange]>,
    ) -> WriteAnswer {
        let Self { id, merchant, connection, command, .. } = *self;
        let (answer, failure) = self.surface.write_answer(&EndedWrite {
            id,
            merchant,
            connection,
            command,
            result: result.as_ref(),
            receipts,
            exchanges,
        });
        WriteAnswer { id, answer, failure, is_replay: false }
    }

    /// The answer where the write may have happened, and the gateway does not know or could not record it.
    pub(super) fn unknown_answer(&self, detail: &'static str) -> WriteAnswer {
        self.write_answer(&Err(Error::new(Kind::Interrupted, detail).after(true, false)), None)
    }

    /// When to reconcile, if this attempt leaves the outcome unknown.
    pub(super) fn time_to_reconcile(&self) -> Option<Timestamp> {
        self.next_reconcile_at.or_else(|| crate::clock::now().checked_add(self.connection.visibility_lag).ok())
    }
}
