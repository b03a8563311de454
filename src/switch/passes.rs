//! Passes and copies: a pass walks the list of the active connection and writes the rows of the customers that it shows; then
//! every customer is copied who was not copied yet; then marks are copied until the next pass is due. It goes on until the
//! switch is completed.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use passerelle_providers::{
    model::Field,
    switch::{Decision, FindingCode},
};
use tokio::time::Instant;

use super::{
    context::{Context, Copied, Order, Pair, Stalled},
    control::Control,
    copy::copy_one,
    driver::Done,
    planner::with_finding,
    progress::{Loaded, Phase, Place, Progress, encoded},
    provider::{Contacts, configured, page},
    view::Outcome,
};
use crate::store::{KnownCustomer, RecordChange, RecordRow, Switch, SwitchChange, SwitchState};

/// The customers of one chunk of copies.
const CHUNK: usize = 64;
/// How many customers are copied at once.
const AT_ONCE: usize = 8;
/// The rows that are pinned with one statement.
const PINNED: usize = 512;
/// The time after which customers are tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// The time between the end of a pass and the next one.
const PASS_PAUSE: Duration = Duration::from_mins(1);
/// How long other processes may take until they know that the merchant has a routing row.
const LEARNING: Duration = Duration::from_secs(3);

/// Does one step of a switch that is run.
pub(super) async fn step(context: &Context, control: &Control, loaded: &Loaded) -> Result<Done, Stalled> {
    let work = Work { context, control, loaded };
    match loaded.progress.phase {
        Phase::Targets | Phase::Sources | Phase::Rows => work.rows().await,
        Phase::Copies => work.copies().await,
        Phase::Marks => work.marks().await,
    }
}

/// The two sides of a switch.
pub(super) fn pair(loaded: &Loaded) -> Pair {
    let Switch { id, merchant, from, to, .. } = &loaded.switch;
    let [switch_id, merchant, from, to] = [id, merchant, from, to].map(String::clone);
    Pair { switch_id, merchant, from, to, reference: None }
}

/// Copies customers again whose other side differs. What other hands have written there is not overwritten.
pub(super) async fn copy_again(
    context: &Context,
    control: &Control,
    loaded: &Loaded,
    public_ids: &[String],
) -> Result<(), Stalled> {
    let mut records = Vec::new();
    for public_id in public_ids {
        let record = context.store.switches().record(&loaded.switch.id, public_id).await?;
        records.extend(record.filter(|record| is_copied_again(&record.outcome)));
    }
    Work { context, control, loaded }.copy_all(records).await.map(|_| ())
}

struct Work<'w> {
    context: &'w Context,
    control: &'w Control,
    loaded: &'w Loaded,
}

impl Work<'_> {
    fn progress(&self) -> &Progress {
        &self.loaded.progress
    }

    /// The connection that is active in this state.
    fn active(&self) -> &str {
        let switch = &self.loaded.switch;
        if switch.state == SwitchState::Switched { &switch.to } else { &switch.from }
    }

    /// Writes the rows of one page of the active connection's list.
    async fn rows(&self) -> Result<Done, Stalled> {
        let (switch, progress, store) = (&self.loaded.switch, self.progress(), &self.context.store);
        if progress.pass == 1 && progress.place.is_none() {
            // Claims of a process that does not know the routing row yet pin no customer.
            if !store.switches().is_exclusive() {
                self.control.pause(LEARNING).await;
            }
            let mut after = None;
            loop {
                after = store.ids().pin(&switch.merchant, after.as_deref(), PINNED).await?;
                self.control.progressed();
                if after.is_none() {
                    break;
                }
            }
        }
        if self.control.must_end() {
            return Ok(Done::Ended);
        }
        let (_, connection) = configured(self.context, &switch.merchant, self.active())?;
        let read = page(self.context, &connection, progress.place.as_ref()).await?;
        self.control.progressed();
        let contacts: Vec<Contacts> = read.items.iter().map(Contacts::of).collect();
        let shown: Vec<_> = read.items.iter().zip(&contacts).map(|(one, contacts)| contacts.record(one)).collect();
        let adopted = store.ids().adopt(&switch.merchant, self.active(), &shown).await?;
        let is_from = self.active() == switch.from;
        let records = read.items.iter().zip(adopted).filter(|(_, adopted)| !adopted.is_tombstoned);
        let records = records.map(|(customer, adopted)| {
            let own = Some(customer.id_at_provider().to_string());
            let (source_id, target_id) = if is_from { (own, None) } else { (None, own) };
            let seen_in = Some(progress.pass);
            RecordChange { public_id: adopted.public_id, source_id, target_id, seen_in, ..RecordChange::default() }
        });
        let records: Vec<RecordChange> = records.collect();
        let place = read.next.as_ref().map(Place::of);
        let phase = if place.is_some() { Phase::Rows } else { Phase::Copies };
        let next = Progress { phase, place, after: None, ..progress.clone() };
        self.control.turn(self.loaded.settings.interval()).await;
        self.store(Some(next), records).await
    }

    async fn store(&self, next: Option<Progress>, records: Vec<RecordChange>) -> Result<Done, Stalled> {
        let next = next.as_ref().map(encoded).transpose()?;
        let is_held = self.context.store.switches().store_page(&self.loaded.switch.id, next, records).await?;
        Ok(if is_held { Done::More } else { Done::LeaseLost })
    }

    /// Copies a chunk of the customers who were not copied yet.
    async fn copies(&self) -> Result<Done, Stalled> {
        let (switch, progress, log) = (&self.loaded.switch, self.progress(), self.context.store.switches());
        let pending = Outcome::Pending.as_str();
        let records = log.records(&switch.id, Some(pending), progress.after.as_deref(), CHUNK).await?;
        if records.is_empty() && progress.after.is_some() {
            // Customers before this place may have come in the meantime, or could not be copied yet.
            self.control.pause(AGAIN).await;
            return self.store(Some(Progress { after: None, ..progress.clone() }), Vec::new()).await;
        }
        if records.is_empty() {
            let due = Timestamp::now().as_millisecond().saturating_add(millis(PASS_PAUSE));
            let next = Progress { phase: Phase::Marks, after: None, next_pass_at: due, ..progress.clone() };
            if self.store(Some(next), Vec::new()).await? == Done::LeaseLost {
                return Ok(Done::LeaseLost);
            }
            if switch.state != SwitchState::Copying {
                return Ok(Done::More);
            }
            let change = SwitchChange { state: Some(SwitchState::Copied), ..SwitchChange::default() };
            log.change(switch, true, change).await?;
            return Ok(Done::Ended);
        }
        let (selected, left): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| {
            let ids = [Some(record.public_id.as_str()), record.source_id.as_deref(), record.target_id.as_deref()];
            self.loaded.settings.selects(&ids)
        });
        let left: Vec<_> = left.into_iter().map(|record| changed(&record.public_id, Outcome::Left)).collect();
        if !left.is_empty() && self.store(None, left).await? == Done::LeaseLost {
            return Ok(Done::LeaseLost);
        }
        let room = self.loaded.settings.first.map(|first| first.saturating_sub(progress.copied));
        let room = room.and_then(|room| usize::try_from(room).ok()).unwrap_or(CHUNK);
        let selected: Vec<RecordRow> = selected.into_iter().take(room).collect();
        let (begun, count) = (Instant::now(), selected.len());
        let after = selected.last().map(|last| last.public_id.clone());
        let copied = self.copy_all(selected).await?;
        #[expect(clippy::cast_precision_loss, reason = "a chunk is small")]
        let per_second = count as f64 / begun.elapsed().as_secs_f64().max(0.001);
        let total = progress.copied.saturating_add(copied);
        let next = Progress { after: after.or(progress.after.clone()), copied: total, per_second, ..progress.clone() };
        let done = self.store(Some(next), Vec::new()).await?;
        let has_enough = self.loaded.settings.first.is_some_and(|first| total >= first);
        if has_enough && done == Done::More {
            let change = SwitchChange { is_stopped: Some(true), ..SwitchChange::default() };
            log.change(switch, true, change).await?;
            return Ok(Done::Ended);
        }
        Ok(done)
    }

    /// Copies customers, some of them at once. Each result is stored before the next chunk begins.
    async fn copy_all(&self, records: Vec<RecordRow>) -> Result<u64, Stalled> {
        let mut waiting = records.into_iter();
        let mut running: FuturesUnordered<_> =
            waiting.by_ref().take(AT_ONCE).map(|one| self.copy(one).boxed()).collect();
        let (mut copied, mut stalled) = (0, None);
        while let Some(result) = running.next().await {
            match result {
                Ok(was_copied) => copied += u64::from(was_copied),
                Err(reason) => stalled = Some(reason),
            }
            // After a stall, what is in flight ends, and nothing else begins.
            if stalled.is_none()
                && let Some(record) = waiting.next()
            {
                running.push(self.copy(record).boxed());
            }
        }
        if let Some(stalled) = stalled {
            return Err(stalled);
        }
        Ok(copied)
    }

    /// Copies one customer. Returns whether it was its turn.
    async fn copy(&self, record: RecordRow) -> Result<bool, Stalled> {
        if !self.control.turn(self.loaded.settings.interval()).await {
            return Ok(false);
        }
        let order = Order {
            decision: record.decision.as_deref().and_then(Decision::parse),
            // The planner has read the whole list of the target. Most providers find nobody by phone without that.
            candidates: record.candidates.as_deref().and_then(|ids| serde_json::from_str(ids).ok()),
            rivals: match record.code.as_deref() == Some(FindingCode::SharedMatch.as_str()) {
                true => vec![Field::Email, Field::Phone],
                false => Vec::new(),
            },
        };
        let copied = copy_one(self.context, &pair(self.loaded), &record.public_id, &order).await?;
        self.control.progressed();
        self.store(None, vec![change_of(&record, copied)]).await?;
        Ok(true)
    }

    /// Copies what was written since it was copied, lets customers follow the active connection, and begins the next pass when
    /// it is due.
    async fn marks(&self) -> Result<Done, Stalled> {
        let (switch, progress, store) = (&self.loaded.switch, self.progress(), &self.context.store);
        let marked = store.ids().marked(&switch.merchant, None, CHUNK).await?;
        let mut work = self.known(marked, |record| is_copied_again(&record.outcome)).await?;
        let doubtful = store.switches().records(&switch.id, Some(Outcome::InDoubt.as_str()), None, CHUNK).await?;
        work.extend(doubtful);
        let has_pending = !store.switches().records(&switch.id, Some("pending"), None, 1).await?.is_empty();
        let is_due = Timestamp::now().as_millisecond() >= progress.next_pass_at;
        if !work.is_empty() {
            self.copy_all(work).await?;
        }
        self.follow().await?;
        if has_pending {
            return self
                .store(Some(Progress { phase: Phase::Copies, after: None, ..progress.clone() }), Vec::new())
                .await;
        }
        if is_due {
            return self.store(Some(progress.of_pass(progress.pass + 1)), Vec::new()).await;
        }
        Ok(Done::Idle)
    }

    /// The records of customers. One without a record gets one.
    async fn known(
        &self,
        customers: Vec<KnownCustomer>,
        is_wanted: impl Fn(&RecordRow) -> bool,
    ) -> Result<Vec<RecordRow>, Stalled> {
        let (switch, log) = (&self.loaded.switch, self.context.store.switches());
        let mut records = Vec::new();
        for customer in customers {
            let mut found = log.record(&switch.id, &customer.public_id).await?;
            if found.is_none() {
                let ids = [&switch.from, &switch.to].map(|side| customer.id_at(side).map(str::to_owned));
                let [source_id, target_id] = ids;
                let public_id = customer.public_id.clone();
                let new = RecordChange { public_id, source_id, target_id, ..RecordChange::default() };
                self.store(None, vec![new]).await?;
                found = log.record(&switch.id, &customer.public_id).await?;
            }
            records.extend(found.filter(&is_wanted));
        }
        Ok(records)
    }

    /// Removes the pins of customers who are copied. Before the cutover that changes nothing.
    async fn follow(&self) -> Result<(), Stalled> {
        let (switch, ids) = (&self.loaded.switch, self.context.store.ids());
        for home in [&switch.from, &switch.to] {
            let (_, connection) = configured(self.context, &switch.merchant, home)?;
            let mut after: Option<String> = None;
            loop {
                let pinned = ids.pinned_to(&switch.merchant, home, after.as_deref(), PINNED).await?;
                for customer in &pinned {
                    let is_at_both = [&switch.from, &switch.to].iter().all(|side| customer.id_at(side).is_some());
                    if is_at_both && !customer.is_marked() && !customer.is_tombstoned() {
                        let lag = connection.visibility_lag;
                        ids.unpin(&switch.merchant, &customer.public_id, lag, customer.version).await?;
                    }
                    if self.control.must_end() {
                        return Ok(());
                    }
                }
                self.control.progressed();
                after = pinned.last().map(|last| last.public_id.clone());
                if pinned.len() < PINNED {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether a mark of a customer with this outcome is copied. The others wait for a person.
fn is_copied_again(outcome: &str) -> bool {
    !matches!(
        Outcome::parse(outcome),
        Some(Outcome::Refused | Outcome::NeedsDecision | Outcome::Left | Outcome::Gone | Outcome::InDoubt)
    )
}

fn changed(public_id: &str, outcome: Outcome) -> RecordChange {
    RecordChange {
        public_id: public_id.to_owned(),
        outcome: Some(outcome.as_str().to_owned()),
        ..RecordChange::default()
    }
}

/// What a copy changes in the record of its customer. A customer that this switch has created or linked stays so.
fn change_of(record: &RecordRow, copied: Copied) -> RecordChange {
    let before = Outcome::parse(&record.outcome);
    let outcome = match (before, copied.outcome) {
        (Some(before @ (Outcome::Created | Outcome::Linked)), Outcome::AlreadyLinked) => before,
        (_, now) => now,
    };
    let change = RecordChange {
        source_id: copied.source_id,
        target_id: copied.target_id,
        ..changed(&record.public_id, outcome)
    };
    with_finding(change, copied.finding.as_ref())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
