//! Work that follows a command: what `abandon --undo` deletes (R20), and who follows `rollback --accept stale` (R16). Both go
//! on where they were when a process ends, because the command is stored with the switch.

use std::time::Duration;

use super::{
    context::{Stalled, Task},
    doubts::undecided,
    driver::Done,
    matching::{index, is_unique_at},
    passes::{CHUNK, PINNED, Work, is_of_earlier_switch},
    progress::{Phase, Place, Progress},
    provider::{configured, page},
    view::{Level, Outcome},
};
use crate::store::{RecordChange, RecordRow, SwitchChange, SwitchState};

/// The time after which copies in doubt are looked at again.
const AGAIN: Duration = Duration::from_millis(200);
/// The code of a customer who follows a rollback without its last writes.
pub(super) const STALE: &str = "stale";

impl Work<'_> {
    /// Deletes the records of a chunk of customers that this switch has created. When there are no more, the switch ends.
    pub(super) async fn undo(self) -> Result<Done, Stalled> {
        let work = Work { task: Task::Undo, ..self };
        let (switch, progress) = (&work.loaded.switch, work.progress());
        if progress.phase == Phase::Targets {
            return work.list_target().await;
        }
        let log = work.context.store.switches();
        let records = log.records(&switch.id, None, progress.undone.as_deref(), CHUNK).await?;
        let undone = records.last().map(|last| last.public_id.clone());
        let created = records.into_iter().filter(|record| may_have_created(record) && !is_of_earlier_switch(record));
        work.copy_all(created.collect()).await?;
        if work.control.must_end() {
            return Ok(Done::Ended);
        }
        if undone.is_some() {
            return work.store(Some(Progress { undone, ..progress.clone() }), Vec::new()).await;
        }
        let doubtful = log.records(&switch.id, Some(Outcome::InDoubt.as_str()), None, CHUNK).await?;
        if !doubtful.is_empty()
            && let Some(undecided) = undecided(work.context, switch, &doubtful).await?
        {
            return Err(undecided);
        }
        // A create whose outcome is unknown may have made a record. And what was decided meanwhile has its turn.
        let pending = log.records(&switch.id, Some(Outcome::Pending.as_str()), None, CHUNK).await?;
        let missing = work.missing();
        let is_decided = |record: &RecordRow| record.decision.is_some() && !missing.contains(&record.public_id);
        if !doubtful.is_empty() || pending.iter().any(is_decided) {
            work.control.pause(AGAIN).await;
            return work.store(Some(Progress { undone: None, ..progress.clone() }), Vec::new()).await;
        }
        work.context.store.ids().end_switch(&switch.merchant, &switch.id, switch.epoch).await?;
        log.forget_details(&switch.id).await?;
        let change = SwitchChange { state: Some(SwitchState::Abandoned), ..SwitchChange::default() };
        log.change(switch, true, change).await?;
        Ok(Done::Ended)
    }

    /// Reads a page of the target's list into the index, where only the list says which records are the account's own.
    async fn list_target(&self) -> Result<Done, Stalled> {
        let (switch, progress) = (&self.loaded.switch, self.progress());
        let (merchant, target) = configured(self.context, &switch.merchant, &switch.to)?;
        let mut place = None;
        if is_unique_at(&target) {
            let read = page(self.context, &target, progress.place.as_ref()).await?;
            self.control.progressed();
            if !index(self.context, &merchant, switch, progress, &read.items).await? {
                return Ok(Done::LeaseLost);
            }
            place = read.next.as_ref().map(Place::of);
        }
        let phase = if place.is_some() { Phase::Targets } else { Phase::Copies };
        self.control.turn(self.loaded.settings.interval()).await;
        self.store(Some(Progress { phase, place, ..progress.clone() }), Vec::new()).await
    }

    /// Lets customers follow a rollback whose last writes were not copied back, and lists them.
    pub(super) async fn follow_stale(&self) -> Result<(), Stalled> {
        let switch = &self.loaded.switch;
        let listed = RecordChange {
            outcome: Some(Outcome::NeedsDecision.as_str().to_owned()),
            code: Some(STALE.to_owned()),
            level: Some(Level::Action.as_str().to_owned()),
            detail: Some(format!(
                "the rollback was accepted without the last writes at `{}`; the customer is as `{}` last knew it",
                switch.to, switch.from
            )),
            ..RecordChange::default()
        };
        loop {
            let count = self.context.store.switches().unpin_stale(switch, PINNED, listed.clone()).await?;
            if count == 0 || self.control.must_end() {
                return Ok(());
            }
            tracing::warn!(switch = switch.id, count, "customers follow the rollback without their last writes");
        }
    }
}

/// Whether this switch may have created a record for the customer.
fn may_have_created(record: &RecordRow) -> bool {
    !matches!(Outcome::parse(&record.outcome), Some(Outcome::Linked | Outcome::AlreadyLinked | Outcome::Deleted))
}
