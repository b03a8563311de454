//! What goes on without anybody waiting: leases are renewed, writes whose outcome is not known are looked for,
//! those that a dead process left behind are taken up, and what is too old is taken away.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use passerelle_providers::{
    error::{Error, Kind},
    manifest::Dedupe,
    model::Command,
    reconcile::{self, Found},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{End, Operation, Record, Remembered, Told, Writes};
use crate::{config::OnAmbiguous, line::Line, store::Answer};

const LOOK_EVERY: Duration = Duration::from_millis(500);
const RENEW_EVERY: Duration = Duration::from_secs(10);
const REAP_EVERY: Duration = Duration::from_mins(10);

/// How many writes are looked for at once.
const MOST_AT_ONCE: usize = 16;

/// After so many looks that found nothing, a create did not happen as far as anybody can tell.
const LOOKS: u32 = 3;

impl Writes {
    /// Watches over all writes until the handle is dropped or aborted.
    pub fn watch_over(self: &Arc<Self>) -> JoinHandle<()> {
        tokio::spawn(Arc::clone(self).watch())
    }

    async fn watch(self: Arc<Self>) {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut look, mut renew, mut reap) = (every(LOOK_EVERY), every(RENEW_EVERY), every(REAP_EVERY));
        let mut looking = JoinSet::new();
        loop {
            tokio::select! {
                _ = look.tick() => {
                    while looking.try_join_next().is_some() {}
                    let free = MOST_AT_ONCE.saturating_sub(looking.len());
                    let Ok(records) = self.store.take_over(free).await else { continue };
                    for record in records {
                        let this = Arc::clone(&self);
                        looking.spawn(async move {
                            let ends = Instant::now() + this.gateway.load().deadline;
                            this.resume(record, ends).await;
                        });
                    }
                }
                _ = renew.tick() => if let Err(error) = self.store.renew().await {
                    tracing::warn!("the leases of writes under way cannot be renewed: {error}");
                },
                _ = reap.tick() => if let Err(error) = self.store.reap().await {
                    tracing::warn!("old answers cannot be taken away: {error}");
                },
            }
        }
    }

    /// Goes on with a write that this process has taken over: looks whether it happened, and does what is allowed
    /// if it did not. `None` where it stays for a person.
    pub(super) async fn resume(&self, record: Record, ends: Instant) -> Option<Told> {
        let begun = self.underway.begin(record.id);
        let gateway = self.gateway.load_full();
        let found = gateway.connection(&record.merchant, &record.connection);
        let Some((merchant, connection)) = found else {
            self.hold(&record, None, "its connection is not configured any more").await;
            return None;
        };
        let document = record.command.clone().unwrap_or_default();
        let Some(remembered) = Remembered::read(&document, merchant, connection, self.surfaces) else {
            self.hold(&record, None, "what was remembered of it cannot be read").await;
            return None;
        };
        let operation = Operation {
            id: record.id,
            attempt: record.attempt,
            merchant,
            connection,
            command: &remembered.command,
            on_loss: remembered.on_loss,
            surface: &*remembered.surface,
            is_keyed: record.keyed,
        };
        let line = Line::new(connection, ends, operation.surface.shows_exchanges());
        let mark = operation.mark();
        let provider = &*connection.provider;
        let looked = reconcile::look(provider, &line, operation.command, record.sent_at, mark.as_deref()).await;
        let told = match looked {
            Ok(Found::Happened(reply)) => self.conclude(&operation, &Ok(*reply), line.exchanges()).await,
            Ok(Found::DidNot) if may_be_sent_again(&operation) => self.attempt(operation, ends).await,
            Ok(Found::DidNot) if operation.attempt > LOOKS => {
                self.hold(&record, Some(&operation), "the provider shows no trace of it").await;
                return None;
            }
            Ok(Found::Several) => {
                self.hold(&record, Some(&operation), "several customers could be what came of it").await;
                return None;
            }
            // Customers that are not there cannot have been changed.
            Err(error) if error.kind == Kind::NotFound && !matches!(operation.command, Command::Create(_)) => {
                self.conclude(&operation, &Err(error), line.exchanges()).await
            }
            Ok(Found::DidNot) | Err(_) => {
                let unknown = Error::new(Kind::Interrupted, "the provider does not show yet what came of it");
                self.conclude(&operation, &Err(unknown.after(true, false)), None).await
            }
        };
        begun.end(&told);
        Some(told)
    }

    /// Leaves a write to a person.
    async fn hold(&self, record: &Record, operation: Option<&Operation<'_>>, why: &'static str) {
        tracing::warn!(operation.id = %record.id, merchant = record.merchant, connection = record.connection, "the outcome of a write stays unknown: {why}");
        let told = || operation.map(|operation| operation.unrecorded(why).answer);
        let nothing = Answer { status: 504, headers: Vec::new(), body: Bytes::new() };
        let answer = record.answer.clone().or_else(told).unwrap_or(nothing);
        let end = End::Unknown { reconcile_after: None, answer };
        if let Err(error) = self.store.finish(record.id, record.attempt, end).await {
            tracing::warn!(operation.id = %record.id, "what is known of a write cannot be kept: {error}");
        }
    }
}

/// Whether sending a write once more can do no harm, or is what the operator chose.
fn may_be_sent_again(operation: &Operation<'_>) -> bool {
    let Command::Create(_) = operation.command else { return true };
    match operation.connection.manifest.dedupe {
        Dedupe::Key | Dedupe::ClientId | Dedupe::Unique => true,
        Dedupe::Search => operation.attempt > LOOKS && operation.connection.on_ambiguous == OnAmbiguous::ResendAfterLag,
        Dedupe::Nothing => false,
    }
}
