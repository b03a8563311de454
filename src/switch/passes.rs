//! Passes and copies: a pass walks both sides (`walks`); then every customer is copied who was not copied yet; then marks are
//! copied until the next pass is due. It goes on until the switch is completed.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use passerelle_providers::{
    model::Field,
    switch::{Decision, FindingCode},
};
use tokio::time::Instant;

use super::{
    context::{Context, Copied, Order, Pair, Stalled, Task},
    control::Control,
    copy::copy_one,
    doubts::undecided,
    driver::Done,
    ending::STALE,
    planner::with_finding,
    progress::{Loaded, Phase, Progress, encoded},
    rowless,
    view::Outcome,
};
use crate::store::{KnownCustomer, RecordChange, RecordRow, Switch, SwitchChange, SwitchState};

/// The customers of one chunk of copies.
pub(super) const CHUNK: usize = 64;
/// The rows that are pinned with one statement.
pub(super) const PINNED: usize = 512;
/// The time after which customers are tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// The time between the end of a pass and the next one.
const PASS_PAUSE: Duration = Duration::from_mins(1);

/// Does one step of a switch that is run.
pub(super) async fn step(context: &Context, control: &Control, loaded: &Loaded) -> Result<Done, Stalled> {
    let work = Work::new(context, control, loaded);
    if loaded.settings.undo {
        return work.undo().await;
    }
    if loaded.settings.stale && loaded.switch.state == SwitchState::Copied {
        work.follow_stale().await?;
    }
    match loaded.progress.phase {
        Phase::Targets | Phase::Sources | Phase::Rows => work.rows().await,
        Phase::Others => work.others().await,
        Phase::Absent => work.absent().await,
        Phase::Copies => work.copies().await,
        Phase::Marks => work.marks().await,
    }
}

/// The two sides of a switch.
pub(super) fn pair(context: &Context, loaded: &Loaded) -> Pair {
    let Switch { id, merchant, from, to, .. } = &loaded.switch;
    let gateway = context.gateway.load();
    let reference = gateway.connection(merchant, to).and_then(|(merchant, _)| merchant.reference.clone());
    let [switch_id, merchant, from, to] = [id, merchant, from, to].map(String::clone);
    Pair { switch_id, merchant, from, to, reference }
}

/// Repairs the records that this switch has created for these customers: what differs there is overwritten. Returns whether
/// there were any. Records that it has linked stay as they are.
pub(super) async fn repair(
    context: &Context,
    control: &Control,
    loaded: &Loaded,
    public_ids: &[String],
) -> Result<bool, Stalled> {
    let work = Work { task: Task::Repair, ..Work::new(context, control, loaded) };
    let repaired = work.copy_named(public_ids, |record| !is_of_earlier_switch(record) && is_repaired(record)).await?;
    work.keep_missing().await?;
    Ok(repaired > 0)
}

/// The work on a switch that is run.
pub(super) struct Work<'w> {
    pub(super) context: &'w Context,
    pub(super) control: &'w Control,
    pub(super) loaded: &'w Loaded,
    /// The customers that their home does not find.
    pub(super) missing: Mutex<BTreeSet<String>>,
    pub(super) task: Task,
}

impl<'w> Work<'w> {
    fn new(context: &'w Context, control: &'w Control, loaded: &'w Loaded) -> Self {
        Self { context, control, loaded, missing: Mutex::new(loaded.progress.missing.clone()), task: Task::Copy }
    }
}

impl Work<'_> {
    pub(super) fn progress(&self) -> &Progress {
        &self.loaded.progress
    }

    /// Copies the customers with these ids whose record is wanted. Returns how many they were.
    pub(super) async fn copy_named(
        &self,
        public_ids: &[String],
        is_wanted: fn(&RecordRow) -> bool,
    ) -> Result<u64, Stalled> {
        let mut records = Vec::new();
        for public_id in public_ids {
            let record = self.context.store.switches().record(&self.loaded.switch.id, public_id).await?;
            records.extend(record.filter(is_wanted));
        }
        self.copy_all(records).await
    }

    /// The connection that is active in this state.
    pub(super) fn active(&self) -> &str {
        let switch = &self.loaded.switch;
        if switch.state == SwitchState::Switched { &switch.to } else { &switch.from }
    }

    pub(super) async fn store(&self, next: Option<Progress>, records: Vec<RecordChange>) -> Result<Done, Stalled> {
        if next.is_some() && self.has_vanished().await? {
            return self.stop_vanished().await;
        }
        let next = next.map(|next| Progress { missing: self.missing(), ..next });
        let next = next.as_ref().map(encoded).transpose()?;
        let is_held = self.context.store.switches().store_page(&self.loaded.switch.id, next, records).await?;
        Ok(if is_held { Done::More } else { Done::LeaseLost })
    }

    /// Copies a chunk of the customers who were not copied yet.
    async fn copies(&self) -> Result<Done, Stalled> {
        let (switch, progress, log) = (&self.loaded.switch, self.progress(), self.context.store.switches());
        let pending = Outcome::Pending.as_str();
        let records = log.records(&switch.id, Some(pending), progress.after.as_deref(), CHUNK).await?;
        let waits = records.is_empty() && !self.has_only_missing().await?;
        if waits && progress.after.is_some() {
            // Customers before this place may have come in the meantime, or could not be copied yet. The others must not
            // wait for them.
            self.copy_marks(false).await?;
            self.follow().await?;
            self.control.pause(AGAIN).await;
            return self.store(Some(Progress { after: None, ..progress.clone() }), Vec::new()).await;
        }
        if records.is_empty() {
            let due = crate::clock::now().as_millisecond().saturating_add(millis(PASS_PAUSE));
            let next = Progress { phase: Phase::Marks, after: None, next_pass_at: due, ..progress.clone() };
            match self.settle_missing(next).await? {
                Done::More => {}
                ended => return Ok(ended),
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
    pub(super) async fn copy_all(&self, mut records: Vec<RecordRow>) -> Result<u64, Stalled> {
        let missing = self.missing();
        records.retain(|record| !missing.contains(&record.public_id));
        let mut waiting = records.into_iter();
        let mut running: FuturesUnordered<_> = waiting
            .by_ref()
            .take(self.context.at_once(&self.loaded.switch))
            .map(|one| self.copy(one).boxed())
            .collect();
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
            // The planner has read the whole list of the target. Most providers find no customer by phone without that.
            candidates: record.candidates.as_deref().and_then(|ids| serde_json::from_str(ids).ok()),
            rivals: match record
                .code
                .as_deref()
                .and_then(|code| FindingCode::ALL.iter().find(|known| known.as_str() == code))
            {
                Some(FindingCode::SharedMatch) => vec![Field::Email, Field::Phone, Field::Metadata],
                Some(FindingCode::UniqueValueTaken) if record.planned.as_deref() == Some("needs_decision") => {
                    vec![Field::Email]
                }
                _ => Vec::new(),
            },
            task: self.task,
        };
        let mut copied = copy_one(self.context, &pair(self.context, self.loaded), &record.public_id, &order).await?;
        let has_no_row = copied == Copied::of(Outcome::Pending);
        if has_no_row {
            copied = rowless::find(self.context, &pair(self.context, self.loaded), &record).await?;
        }
        self.control.progressed();
        if copied.outcome == Outcome::Gone && !has_no_row {
            self.misses(&record.public_id);
            return Ok(true);
        }
        self.store(None, vec![change_of(&record, copied)]).await?;
        Ok(true)
    }

    /// Copies marks, lets customers follow the active connection, and begins the next pass when it is due.
    async fn marks(&self) -> Result<Done, Stalled> {
        let (switch, progress, store) = (&self.loaded.switch, self.progress(), &self.context.store);
        let runs = self.loaded.settings.runs;
        let is_due = runs != progress.runs || crate::clock::now().as_millisecond() >= progress.next_pass_at;
        self.copy_marks(is_due).await?;
        match self.keep_missing().await? {
            Done::More => {}
            ended => return Ok(ended),
        }
        let pending = store.switches().records(&switch.id, Some("pending"), None, 1).await?;
        self.follow().await?;
        if !pending.is_empty() && !self.has_only_missing().await? {
            return self.store(Some(Progress { phase: Phase::Copies, ..progress.clone() }), Vec::new()).await;
        }
        if is_due {
            return self.store(Some(progress.of_pass(progress.pass + 1, runs)), Vec::new()).await;
        }
        let doubtful = store.switches().records(&switch.id, Some(Outcome::InDoubt.as_str()), None, CHUNK).await?;
        match undecided(self.context, switch, &doubtful).await? {
            Some(undecided) if !doubtful.is_empty() => Err(undecided),
            _ => Ok(Done::Idle),
        }
    }

    /// The records of customers. One without a record gets one.
    pub(super) async fn known(
        &self,
        customers: Vec<KnownCustomer>,
        is_wanted: impl Fn(&RecordRow, &KnownCustomer) -> bool,
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
            records.extend(found.filter(|record| is_wanted(record, &customer)));
        }
        Ok(records)
    }
}

/// Whether a mark of a customer with this outcome is copied. The others wait for a person.
pub(super) fn is_copied_again(record: &RecordRow) -> bool {
    !matches!(
        Outcome::parse(&record.outcome),
        Some(Outcome::Refused | Outcome::NeedsDecision | Outcome::Left | Outcome::Gone | Outcome::InDoubt)
    )
}

/// Whether the record at the target is that of an earlier switch.
pub(super) fn is_of_earlier_switch(record: &RecordRow) -> bool {
    record.planned.as_deref() == Some(Outcome::AlreadyLinked.as_str())
}

/// Whether a repair may be about this customer.
fn is_repaired(record: &RecordRow) -> bool {
    let codes = [FindingCode::FieldConflict, FindingCode::CopyMissing].map(FindingCode::as_str);
    let is_conflict = record.code.as_deref().is_some_and(|code| codes.contains(&code));
    match Outcome::parse(&record.outcome) {
        Some(Outcome::Created) => true,
        Some(Outcome::NeedsDecision) => is_conflict && record.decision.is_none(),
        _ => false,
    }
}

/// Whether a customer waits for a person because of something that a write may have mended.
pub(super) fn is_open(record: &RecordRow) -> bool {
    let waits = matches!(Outcome::parse(&record.outcome), Some(Outcome::Refused | Outcome::NeedsDecision));
    waits && record.code.as_deref() != Some(STALE)
}

pub(super) fn changed(public_id: &str, outcome: Outcome) -> RecordChange {
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
        // An earlier switch has made or matched the record.
        (_, Outcome::Created | Outcome::Linked) if is_of_earlier_switch(record) => Outcome::AlreadyLinked,
        (_, now) => now,
    };
    // It is named until it has moved.
    let is_busy = record.code.as_deref() == Some(FindingCode::WrittenTooOften.as_str());
    let stays_named = is_busy && copied.finding.is_none() && copied.is_of_tail && !copied.has_moved;
    let (code, level, detail) = match stays_named {
        true => (record.code.clone(), record.level.clone(), record.detail.clone()),
        false => (None, None, None),
    };
    let change = RecordChange {
        source_id: copied.source_id,
        target_id: copied.target_id,
        code,
        level,
        detail,
        decided: Some(record.decision.clone().unwrap_or_default()),
        ..changed(&record.public_id, outcome)
    };
    with_finding(change, copied.finding.as_ref())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
