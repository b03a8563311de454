//! What goes on without anybody waiting: leases are renewed, writes whose outcome is not known are looked for,
//! those that a dead process left behind are taken up, and what is too old is taken away.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use passerelle_providers::{
    engine::reconcile::{self, Found},
    model::{Command, Created, Error, Kind, Written, manifest::Dedupe},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{AttemptTime, End, Operation, Record, StoredWrite, Waiters, WriteAnswer, Writes};
use crate::{
    config::OnAmbiguous,
    execution::ProviderTransport,
    merchant::Connection,
    store::{Adopted, KeptAnswer, Resend, State},
};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a database that failed is left alone.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
const REAP_EVERY: Duration = Duration::from_mins(10);

/// How many writes are looked for at once.
const MOST_AT_ONCE: usize = 16;

/// After so many looks that found nothing, and as many times as long as the provider may take to show what was
/// written, a create did not happen as far as anybody can tell.
const LOOKS: u32 = 3;

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Writes {
    /// Watches over all writes until the handle is dropped or aborted.
    pub fn run_in_background(self: &Arc<Self>) -> JoinHandle<()> {
        tokio::spawn(Arc::clone(self).watch())
    }

    async fn watch(self: Arc<Self>) {
        // Side by side: a sign of life must not wait for a database that is slow at something else.
        tokio::join!(self.renew_leases(), self.reconcile_due_writes(), self.reap_old_answers());
    }

    async fn renew_leases(&self) {
        let mut renew = every(self.store.renewal());
        loop {
            renew.tick().await;
            if let Err(error) = self.store.renew().await {
                tracing::warn!("the leases of writes under way cannot be renewed: {error}");
                renew.reset_after(AFTER_FAILURE.min(self.store.renewal()));
            }
        }
    }

    async fn reconcile_due_writes(self: &Arc<Self>) {
        let mut look = every(LOOK_EVERY);
        let mut looking = JoinSet::new();
        loop {
            look.tick().await;
            while looking.try_join_next().is_some() {}
            if self.store.is_renewal_overdue() {
                continue;
            }
            let free = MOST_AT_ONCE.saturating_sub(looking.len());
            let time = self.time(self.gateway.load().deadline);
            let Ok(records) = self.store.take_over(free).await else {
                look.reset_after(AFTER_FAILURE);
                continue;
            };
            for record in records {
                let (this, time) = (Arc::clone(self), time.clone());
                looking.spawn(async move { this.resume(record, &time, &Weak::new()).await });
            }
        }
    }

    async fn reap_old_answers(&self) {
        let mut reap = every(REAP_EVERY);
        loop {
            reap.tick().await;
            if let Err(error) = self.store.reap().await {
                tracing::warn!("old answers cannot be taken away: {error}");
            }
        }
    }

    /// Goes on with a write that this process has taken over: looks whether it happened, and does what is allowed
    /// if it did not. `None` where it stays for a person.
    pub(super) async fn resume(&self, record: Record, time: &AttemptTime, client: &Weak<()>) -> Option<WriteAnswer> {
        let in_flight_write = self.in_flight.begin(record.id, None);
        let gateway = self.gateway.load_full();
        let found = gateway.connection(&record.merchant, &record.connection);
        let Some((merchant, connection)) = found else {
            self.hold(&record, None, "its connection is not configured any more").await;
            return None;
        };
        let document = record.command.clone().unwrap_or_default();
        let Some(stored_write) = StoredWrite::read(&document, merchant, connection, self.surfaces) else {
            self.hold(&record, None, "what was stored_write of it cannot be read").await;
            return None;
        };
        let progress = Progress::of(&record, connection);
        let operation = Operation {
            id: record.id,
            attempt: record.attempt,
            merchant,
            connection,
            command: &stored_write.command,
            conditions: stored_write.surface.conditions(connection),
            surface: &*stored_write.surface,
            is_keyed: record.keyed,
            due: progress.next_look(&record, connection),
            waiters: Waiters { client, in_flight_write: &in_flight_write },
        };
        let transport = time.transport(&operation);
        let marker = operation.marker();
        let asked_at = record.created_at;
        let outcome =
            reconcile::find_outcome(&connection.provider, &transport, operation.command, asked_at, marker.as_deref())
                .await;
        let is_over = progress == Progress::Over && operation.attempt > LOOKS;
        let outcome = match outcome {
            // Where it is no matter whether it is sent again, nobody need be found first.
            Err(error) if error.kind == Kind::ScanBound && operation.may_be_sent_again(false) => Ok(Found::DidNot),
            outcome => outcome,
        };
        let told = match self.own(&operation, &transport, outcome).await {
            Ok(Found::Happened(written)) => self.conclude(&operation, Ok(*written), transport.exchanges()).await,
            Ok(Found::DidNot) if operation.may_be_sent_again(is_over) => {
                match self.store.send_again(record.id, record.attempt).await {
                    Ok(Resend::Noted) => {
                        let planned = operation.plan();
                        self.attempt(Operation { due: None, ..operation }, planned, time).await
                    }
                    Ok(Resend::Overtaken) => {
                        let why = "the customer was changed again since, and that is not undone";
                        self.hold(&record, Some(&operation), why).await;
                        return None;
                    }
                    Ok(Resend::Lost) | Err(_) => self.wait(&operation, "it could not be sent once more").await,
                }
            }
            Ok(Found::DidNot) if is_over => {
                self.hold(&record, Some(&operation), "the provider shows no trace of it").await;
                return None;
            }
            Ok(Found::Several) => {
                self.hold(&record, Some(&operation), "several customers could be what came of it").await;
                return None;
            }
            // Customers that are not there cannot have been changed.
            Err(error) if error.kind == Kind::NotFound && !matches!(operation.command, Command::Create(_)) => {
                self.conclude(&operation, Err(error), transport.exchanges()).await
            }
            Ok(Found::DidNot) | Err(_) => self.wait(&operation, "the provider does not show yet what came of it").await,
        };
        self.end(in_flight_write, &told).await;
        Some(told)
    }

    /// What was found, unless it is known to be what came of another create with the same content. One customer may
    /// well come of two creates where the provider keeps something unique, or where one has matched the other's.
    async fn own(
        &self,
        operation: &Operation<'_>,
        transport: &ProviderTransport<'_>,
        outcome: Result<Found, Error>,
    ) -> Result<Found, Error> {
        let outcome = outcome?;
        if let (Command::Create(create), Found::Happened(written)) = (operation.command, &outcome)
            && let Written::Created(Created { customer, existing: false }) = &**written
            && operation.dedupe() != Some(Dedupe::Unique)
        {
            let is_marked = operation.marker().is_some();
            return match self.store.adopt(operation.id, operation.attempt, customer.id_at_provider(), is_marked).await {
                Ok(Adopted::Own) => Ok(outcome),
                Ok(Adopted::Anothers) if create.distinct => {
                    reconcile::matched(&operation.connection.provider, transport, create).await
                }
                Ok(Adopted::Anothers) => Ok(Found::DidNot),
                Ok(Adopted::Open) | Err(_) => {
                    Err(Error::new(Kind::Overloaded, "whose a customer is cannot be told now"))
                }
            };
        }
        Ok(outcome)
    }

    /// Leaves a write to a person.
    async fn hold(&self, record: &Record, operation: Option<&Operation<'_>>, why: &'static str) {
        tracing::warn!(operation.id = %record.id, merchant = record.merchant, connection = record.connection, "the outcome of a write stays unknown: {why}");
        let told = || operation.map(|operation| operation.unrecorded(why).answer);
        let nothing = KeptAnswer { status: 504, headers: Vec::new(), body: Bytes::new() };
        let answer = record.answer.clone().or_else(told).unwrap_or(nothing);
        let end = End::Unknown { reconcile_after: None, answer };
        if let Err(error) = self.store.finish(record.id, record.attempt, end).await {
            tracing::warn!(operation.id = %record.id, "what is known of a write cannot be kept: {error}");
        }
    }
}

/// How much time the provider has had to show what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Less than it may take. Somebody asks again, which is answered with what is there to be seen, and decides
    /// nothing: clients may ask as often as they like.
    Early,
    /// As long as it may take since the last attempt ended, or somebody is to look for the first time.
    Due,
    /// So long that what it does not show did not happen.
    Over,
}

impl Progress {
    fn of(record: &Record, connection: &Connection) -> Self {
        let now = Timestamp::now();
        let shown = record.sent_at.checked_add(connection.visibility_lag.saturating_mul(LOOKS));
        let is_shown = shown.is_ok_and(|shown| shown <= now);
        match (record.state, record.reconcile_after) {
            (State::Unknown, Some(after)) if after > now => Self::Early,
            (State::Unknown, _) if is_shown => Self::Over,
            _ => Self::Due,
        }
    }

    /// When to look again if this look finds nothing: later each time, whoever else looks between.
    fn next_look(self, record: &Record, connection: &Connection) -> Option<Timestamp> {
        const LONGEST: Duration = Duration::from_mins(5);
        if self == Self::Early {
            return record.reconcile_after;
        }
        let (now, lag) = (Timestamp::now(), connection.visibility_lag);
        let passed = Duration::try_from(now.duration_since(record.sent_at)).unwrap_or_default();
        now.checked_add((passed / 2).clamp(lag, LONGEST.max(lag))).ok()
    }
}

impl Operation<'_> {
    fn dedupe(&self) -> Option<Dedupe> {
        self.connection.manifest.dedupe(self.command.operation())
    }

    /// Whether sending it once more can do no harm, or is what the operator chose.
    fn may_be_sent_again(&self, is_over: bool) -> bool {
        self.dedupe().is_some_and(|class| may_be_sent_again(class, is_over, self.connection.on_ambiguous))
    }
}

fn may_be_sent_again(class: Dedupe, is_over: bool, on_ambiguous: OnAmbiguous) -> bool {
    match class {
        Dedupe::Key | Dedupe::Id | Dedupe::Unique => true,
        Dedupe::Search => is_over && on_ambiguous == OnAmbiguous::ResendAfterLag,
        Dedupe::Nothing => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_decides_what_is_sent_again() {
        use OnAmbiguous::{Hold, ResendAfterLag};
        for (class, always, resends_after_lag) in [
            (Dedupe::Key, true, true),
            (Dedupe::Id, true, true),
            (Dedupe::Unique, true, true),
            (Dedupe::Search, false, true),
            (Dedupe::Nothing, false, false),
        ] {
            for (is_over, policy) in [(false, Hold), (true, Hold), (false, ResendAfterLag)] {
                assert_eq!(may_be_sent_again(class, is_over, policy), always, "{class:?}, {is_over}, {policy:?}");
            }
            assert_eq!(may_be_sent_again(class, true, ResendAfterLag), resends_after_lag, "{class:?}");
        }
    }
}
