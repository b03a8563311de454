//! The background workers: one renews the leases of this process, one reconciles writes whose outcome is unknown or
//! whose process died, one deletes old answers. `serve` starts them. [`Writes::reconcile`] also runs when a client
//! repeats a request whose outcome is unknown.
//!
//! To reconcile is to ask the provider whether the write happened. What must hold:
//!
//! - Only the attempt that has taken the write over reconciles it, and it has a lease before it asks.
//! - If the provider shows a write, it happened. If the provider does not show it, the gateway counts it as not
//!   executed only after the provider has had time to show it ([`ReconcilePhase`]).
//! - Before an attempt sends a write again, `OperationLog::send_again` notes that durably. It refuses if a newer write
//!   to the same customer would be undone.
//! - A create *adopts* the customer that the gateway found for it. Before the customer becomes the outcome of the
//!   create, `OperationLog::adopt` makes sure that no other create made that customer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use passerelle_providers::{
    engine::{
        carry,
        reconcile::{self, Found},
    },
    model::{
        Command, Created, Error, Kind, Written,
        manifest::{Dedupe, ListCoverage},
    },
};
use tokio::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    Attempt, AttemptTime, ClientPresence, End, LeaseGuard, Record, StoredWrite, Waiters, WriteAnswer, Writes,
    ends::finish_later,
    reconcile_phase::{RECONCILES_BEFORE_GIVING_UP, ReconcilePhase},
};
use crate::{
    config::OnAmbiguous,
    execution::{self, ProviderTransport},
    store::{Adopted, Resend, State, StoredAnswer},
    workers::keep_running,
};

/// How often the worker asks the store which writes are due.
const RECONCILE_INTERVAL: Duration = Duration::from_millis(500);
/// How long a worker waits after the database failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);
const REAP_INTERVAL: Duration = Duration::from_mins(10);

/// How many writes the worker reconciles at once.
const MAX_CONCURRENT_RECONCILES: usize = 16;

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Writes {
    /// Runs the workers. It never ends.
    pub async fn run_workers(self: &Arc<Self>) {
        // The workers run concurrently. If a renewal had to wait for other work, a slow database would let leases run
        // out.
        tokio::join!(
            keep_running("leases", || self.renew_leases()),
            keep_running("reconciliation", || self.reconcile_due_writes()),
            keep_running("old answers", || self.reap_old_answers()),
        );
    }

    async fn renew_leases(&self) {
        let mut ticks = every(self.store.renewal());
        loop {
            ticks.tick().await;
            if let Err(error) = self.store.renew().await {
                tracing::warn!("the leases of writes in flight cannot be renewed: {error}");
                ticks.reset_after(PAUSE_AFTER_FAILURE.min(self.store.renewal()));
            }
        }
    }

    async fn reconcile_due_writes(self: &Arc<Self>) {
        let mut ticks = every(RECONCILE_INTERVAL);
        let mut running = JoinSet::new();
        loop {
            ticks.tick().await;
            while running.try_join_next().is_some() {}
            // A process that was stopped for a while must first renew its leases. Otherwise it would take over its own
            // writes, whose tasks still run.
            if self.store.is_renewal_overdue() {
                continue;
            }
            let free = MAX_CONCURRENT_RECONCILES.saturating_sub(running.len());
            // The lease counts from here, so this comes before the takeover.
            let time = self.attempt_time(self.gateway.load().deadline);
            let Ok(records) = self.store.take_over(free).await else {
                ticks.reset_after(PAUSE_AFTER_FAILURE);
                continue;
            };
            for record in records {
                let (this, time, lease) = (Arc::clone(self), time.clone(), self.lease_of(&record));
                running.spawn(async move { this.reconcile_alone(record, lease, &time).await });
            }
        }
    }

    async fn reap_old_answers(&self) {
        let mut ticks = every(REAP_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.store.reap().await {
                tracing::warn!("old answers cannot be deleted: {error}");
            }
        }
    }

    /// The lease on a write that this process has just taken over.
    pub(super) fn lease_of(&self, taken: &Record) -> LeaseGuard {
        LeaseGuard::new(&self.store, taken.id, taken.attempt)
    }

    /// Reconciles a write that this process has just taken over: asks the provider whether the write happened. If
    /// not, this sends the write again where that is allowed. `None`: the write is now held for an operator.
    pub(super) async fn reconcile(
        &self,
        record: Record,
        lease: LeaseGuard,
        time: &AttemptTime,
        client: &ClientPresence,
    ) -> Option<WriteAnswer> {
        // This registers the write without its content. So a client can join it only by its id, after the claim of that
        // client has found it.
        let in_flight_write = self.in_flight.register(record.id, None);
        let gateway = self.gateway.load_full();
        let found = gateway.connection(&record.merchant, &record.connection);
        let Some((merchant, connection)) = found else {
            self.hold_for_operator(&record, &lease, None, "its connection is not in the configuration any more").await;
            return None;
        };
        let document = record.command.clone().unwrap_or_default();
        let Some(stored_write) = StoredWrite::read(&document, merchant, connection, self.find_surface) else {
            self.hold_for_operator(&record, &lease, None, "this version cannot read its stored command").await;
            return None;
        };
        let phase = ReconcilePhase::of(&record, connection);
        let attempt = Attempt {
            id: record.id,
            number: record.attempt,
            merchant,
            connection,
            command: &stored_write.command,
            conditions: stored_write.surface.conditions(connection),
            surface: &*stored_write.surface,
            is_keyed: record.keyed,
            is_copy: record.is_copy,
            first_sent_at: record.created_at,
            next_reconcile_at: phase.next_reconcile_at(&record, connection),
            waiters: Waiters { client, in_flight_write: &in_flight_write },
            lease: Some(&lease),
        };
        let transport = time.transport(&attempt, &self.contacts);
        let marker = attempt.marker();
        let outcome = reconcile::find_outcome(
            &connection.provider,
            &transport,
            attempt.command,
            attempt.first_sent_at,
            marker.as_deref(),
        )
        .await;
        // The first attempt only sent the write. Every later attempt reconciles it, and may send it again.
        let gives_up = phase == ReconcilePhase::Exhausted && attempt.number > RECONCILES_BEFORE_GIVING_UP;
        let outcome = match outcome {
            // The provider's list is too long to search. Where sending again does no harm, the attempt needs no search.
            Err(error) if error.kind == Kind::ScanBound && attempt.may_be_sent_again(false) => Ok(Found::NotHappened),
            outcome => outcome,
        };
        let answer = match self.adopt_created(&attempt, &transport, outcome).await {
            Ok(Found::Happened(written)) => {
                let written = attempt.compared(&transport, *written).await;
                self.conclude(&attempt, Ok(written), transport.exchanges()).await
            }
            // The provider may have made the record and not show it yet. If the gateway counted the copy as not executed, it would
            // lose the link between the record and its customer.
            Ok(Found::NotHappened) if attempt.is_copied_create() && !gives_up => {
                self.leave_unknown(&attempt, "the provider does not show the copy yet").await
            }
            // The next copy of the customer reads it again, and is claimed against its version and its home.
            Ok(Found::NotHappened) if attempt.is_copy && attempt.may_be_sent_again(gives_up) => {
                let error = Error::new(Kind::Rejected, "the provider did not execute the copy");
                self.conclude(&attempt, Err(error), transport.exchanges()).await
            }
            Ok(Found::NotHappened) if attempt.may_be_sent_again(gives_up) => {
                match self.store.send_again(record.id, record.attempt).await {
                    Ok(Resend::Noted) => {
                        let planned = attempt.plan();
                        self.send(Attempt { next_reconcile_at: None, ..attempt }, None, planned, time).await
                    }
                    Ok(Resend::Overtaken) => {
                        let why = "a newer write changed the same customer, and sending this one again would undo it";
                        self.hold_for_operator(&record, &lease, Some(&attempt), why).await;
                        return None;
                    }
                    Ok(Resend::Moved) if gives_up => self.give_up_elsewhere(&attempt).await,
                    Ok(Resend::Lost | Resend::Moved) | Err(_) => {
                        self.leave_unknown(&attempt, "the write could not be sent once more").await
                    }
                }
            }
            Ok(Found::NotHappened) if gives_up && attempt.is_create_elsewhere().await => {
                self.give_up_elsewhere(&attempt).await
            }
            Ok(Found::NotHappened) if gives_up => {
                self.hold_for_operator(&record, &lease, Some(&attempt), "the provider shows no trace of it").await;
                return None;
            }
            Ok(Found::Unclear) if gives_up => {
                let why = "it removes a part of a name, and the provider's record does not show whether that happened";
                self.hold_for_operator(&record, &lease, Some(&attempt), why).await;
                return None;
            }
            Ok(Found::Several) => {
                let why = "several customers at the provider could be the one that it made";
                self.hold_for_operator(&record, &lease, Some(&attempt), why).await;
                return None;
            }
            // A customer that does not exist at the provider cannot have been changed.
            Err(error) if error.kind == Kind::NotFound && !matches!(attempt.command, Command::Create(_)) => {
                self.conclude(&attempt, Err(error), transport.exchanges()).await
            }
            Ok(Found::NotHappened | Found::Unclear) | Err(_) => {
                self.leave_unknown(&attempt, "the provider does not show yet whether the write happened").await
            }
        };
        drop(transport);
        self.deliver(in_flight_write, &answer).await;
        Some(answer)
    }

    /// Records that this create made the customer that the provider shows. If another create made that customer, this
    /// changes the outcome.
    ///
    /// In two cases this records nothing: the create only matched the customer, or the provider's creates are of class
    /// `unique`. In both cases one customer can rightly be the outcome of two creates.
    async fn adopt_created(
        &self,
        attempt: &Attempt<'_>,
        transport: &ProviderTransport<'_>,
        outcome: Result<Found, Error>,
    ) -> Result<Found, Error> {
        let outcome = outcome?;
        if let (Command::Create(create), Found::Happened(written)) = (attempt.command, &outcome)
            && let Written::Created(Created { customer, existing: false }) = &**written
            && attempt.dedupe() != Some(Dedupe::Unique)
        {
            let has_marker = attempt.marker().is_some();
            return match self.store.adopt(attempt.id, attempt.number, customer.id_at_provider(), has_marker).await {
                Ok(Adopted::Own) => Ok(outcome),
                // Another create made the customer, so this create did not happen. Or another attempt has taken this
                // write over. Then the store accepts nothing more from this attempt, so its outcome does not matter.
                Ok(Adopted::Refused) if create.distinct => {
                    reconcile::find_match(&attempt.connection.provider, transport, create).await
                }
                Ok(Adopted::Refused) => Ok(Found::NotHappened),
                Ok(Adopted::Open) | Err(_) => {
                    Err(Error::new(Kind::Overloaded, "it is not known yet which create made a customer"))
                }
            };
        }
        Ok(outcome)
    }

    /// Ends a write that the provider does not show, at a connection where it is not sent again: its customer lives elsewhere
    /// now, or new customers are created elsewhere. The claim is released, and the key is free.
    async fn give_up_elsewhere(&self, attempt: &Attempt<'_>) -> WriteAnswer {
        let detail = "the write did not happen at the connection that it was sent to, and the merchant is served by \
                      another one now; send it again";
        let answer = attempt.write_answer(&Err(Error::new(Kind::Overloaded, detail)), None);
        let stored = self.store_end(attempt, answer, End::NotSent, false).await;
        stored.unwrap_or_else(|| attempt.unknown_answer(detail))
    }

    /// Holds a write: stores that its outcome is unknown, without a time to reconcile. The workers do not reconcile the
    /// write any more. If a client repeats its request, the gateway reconciles the write once.
    async fn hold_for_operator(
        &self,
        record: &Record,
        lease: &LeaseGuard,
        attempt: Option<&Attempt<'_>>,
        why: &'static str,
    ) {
        // A client may repeat the request of a held write as often as it likes, and the log says once that it is held.
        if record.state != State::Unknown || record.reconcile_after.is_some() {
            tracing::warn!(operation.id = %record.id, merchant = record.merchant, connection = record.connection, "a write is held for an operator, because its outcome is unknown: {why}");
        }
        let unknown = || attempt.map(|attempt| attempt.unknown_answer(why).answer);
        let without_surface = StoredAnswer { status: 504, headers: Vec::new(), body: Bytes::new() };
        let answer = record.answer.clone().or_else(unknown).unwrap_or(without_surface);
        let end = End::Unknown { reconcile_after: None, answer };
        let finished = self.store.finish(record.id, record.attempt, end.clone()).await;
        lease.end();
        if let Err(error) = finished {
            tracing::warn!(operation.id = %record.id, "the store cannot keep yet that a write is held: {error}");
            tokio::spawn(finish_later(self.store.clone(), record.id, record.attempt, end, true, false));
        }
    }
}

impl Attempt<'_> {
    /// Whether this is a create at a connection that is not active any more, whose lists would show its customer. It is
    /// reconciled and never sent again.
    async fn is_create_elsewhere(&self) -> bool {
        let is_shown = self.connection.manifest.lists.is_complete();
        let is_create = matches!(self.command, Command::Create(_)) && !self.is_copy;
        if !is_create || !is_shown || self.merchant.middleware.is_none() {
            return false;
        }
        execution::active(self.merchant).await.is_ok_and(|active| active.name != self.connection.name)
    }

    /// What prevents a second execution of this write, according to the provider's manifest.
    fn dedupe(&self) -> Option<Dedupe> {
        let operation = self.command.operation();
        // Only the gateway keeps it, so a repetition sets the same value.
        let is_kept = carry::keeps_block(self.connection.manifest, operation, self.conditions.on_loss);
        if is_kept { Some(Dedupe::Id) } else { self.connection.manifest.dedupe(operation) }
    }

    /// Whether this attempt may send the write again, after the provider did not show it.
    fn may_be_sent_again(&self, gives_up: bool) -> bool {
        let (policy, lists) = (self.connection.on_ambiguous, self.connection.manifest.lists);
        self.dedupe().is_some_and(|class| allows_sending_again(class, gives_up, policy, lists))
    }
}

/// Whether the gateway may send a write of this class again. That does no harm if the provider executes the write only
/// once, or if a second execution has the same result. Otherwise the operator's setting must allow it, and the gateway
/// must have given up the search. Where the provider's lists do not show every customer, a search without a trace proves
/// nothing, so nothing allows it.
fn allows_sending_again(class: Dedupe, gives_up: bool, on_ambiguous: OnAmbiguous, lists: ListCoverage) -> bool {
    match class {
        Dedupe::Key | Dedupe::Id | Dedupe::Unique => true,
        Dedupe::Search => gives_up && on_ambiguous == OnAmbiguous::ResendAfterLag && lists.is_complete(),
        Dedupe::Nothing => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dedupe_class_decides_whether_a_write_is_sent_again() {
        use OnAmbiguous::{Hold, ResendAfterLag};
        for (class, always, when_configured) in [
            (Dedupe::Key, true, true),
            (Dedupe::Id, true, true),
            (Dedupe::Unique, true, true),
            (Dedupe::Search, false, true),
            (Dedupe::Nothing, false, false),
        ] {
            for (gives_up, policy) in [(false, Hold), (true, Hold), (false, ResendAfterLag)] {
                let allows = allows_sending_again(class, gives_up, policy, ListCoverage::All);
                assert_eq!(allows, always, "{class:?}, {gives_up}, {policy:?}");
            }
            let allows = |lists| allows_sending_again(class, true, ResendAfterLag, lists);
            assert_eq!(allows(ListCoverage::All), when_configured, "{class:?}");
            assert_eq!(
                allows(ListCoverage::Only("some")),
                always,
                "{class:?}: absence from such a list proves nothing"
            );
        }
    }
}
