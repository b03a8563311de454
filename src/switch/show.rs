//! A switch and its records as the operator sees them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    progress::Loaded,
    view::{
        BlockedBy, BlockedCode, Difference, Level, Marks, Outcome, Rate, Reason, RecordCounts, SwitchObject,
        SwitchRecord, SwitchRecordObject, SwitchState as Shown, SwitchView, WayBack,
    },
};
use crate::store::{IdCounts, KnownCustomer, RecordCount, RecordRow, Routing, SwitchState};

/// The word of a state.
pub(super) const fn shown_state(state: SwitchState) -> Shown {
    match state {
        SwitchState::Planning => Shown::Planning,
        SwitchState::Planned => Shown::Planned,
        SwitchState::Failed => Shown::Failed,
        SwitchState::Copying => Shown::Copying,
        SwitchState::Copied => Shown::Copied,
        SwitchState::Switched => Shown::Switched,
        SwitchState::Completed => Shown::Completed,
        SwitchState::Abandoned => Shown::Abandoned,
    }
}

/// A time of the store.
pub(super) fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

/// Before `run` the plan is shown: nothing has become of a customer but what was decided, or waits for a decision.
pub(super) const fn shows_plan(state: SwitchState) -> bool {
    matches!(state, SwitchState::Planning | SwitchState::Planned | SwitchState::Failed)
}

pub(super) fn counts(state: SwitchState, rows: &[RecordCount]) -> RecordCounts {
    let mut counts = RecordCounts::default();
    for row in rows {
        let word = match &row.planned {
            Some(planned) if shows_plan(state) && row.outcome == Outcome::Pending.as_str() => planned,
            _ => &row.outcome,
        };
        let place = match Outcome::parse(word).unwrap_or(Outcome::Pending) {
            Outcome::Pending => &mut counts.pending,
            Outcome::Created => &mut counts.created,
            Outcome::Linked => &mut counts.linked,
            Outcome::AlreadyLinked => &mut counts.already_linked,
            Outcome::Refused => &mut counts.refused,
            Outcome::NeedsDecision => &mut counts.needs_decision,
            Outcome::InDoubt => &mut counts.in_doubt,
            Outcome::Left => &mut counts.left,
            Outcome::Deleted => &mut counts.deleted,
            Outcome::Gone => &mut counts.gone,
        };
        *place += row.count;
        counts.total += row.count;
    }
    counts
}

/// The switch, from what the store has.
pub(super) fn view(
    loaded: &Loaded,
    rows: &[RecordCount],
    ids: &IdCounts,
    way_back: Option<Result<(), Reason>>,
) -> SwitchView {
    let Loaded { switch, settings, progress, verification, forecast, .. } = loaded;
    let records = counts(switch.state, rows);
    let sides = [&switch.from, &switch.to];
    let pinned: BTreeMap<String, u64> = match shows_plan(switch.state) {
        true => BTreeMap::new(),
        false => sides.iter().map(|side| ((*side).clone(), ids.pinned.get(*side).copied().unwrap_or(0))).collect(),
    };
    let marks = match shows_plan(switch.state) || !switch.state.is_open() {
        true => Marks::default(),
        false => Marks { pending: ids.marked, oldest_at: ids.oldest_mark.filter(|at| *at > 0).map(time) },
    };
    let is_sending = switch.state == SwitchState::Copying && !switch.is_stopped;
    // Before one in a hundred is copied, the rate says nothing about the rest.
    let is_known = progress.per_second > 0.0 && records.pending.saturating_mul(100) <= records.total.saturating_mul(99);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let eta = (is_sending && is_known)
        .then(|| std::time::Duration::from_secs_f64((records.pending as f64 / progress.per_second).min(1e9)).as_secs());
    let planned = if progress.forecast.is_empty() { &forecast.there } else { &progress.forecast };
    let back = if progress.back.is_empty() { &forecast.back } else { &progress.back };
    let (open, reason) = match way_back {
        Some(Ok(())) => (true, None),
        Some(Err(reason)) => (false, Some(reason.detail)),
        None => (false, Some("the switch is not open".to_owned())),
    };
    let shown_forecast = if forecast.there.is_empty() { planned } else { &forecast.there };
    SwitchView {
        object: SwitchObject::Switch,
        id: switch.id.clone(),
        merchant: switch.merchant.clone(),
        from: switch.from.clone(),
        to: switch.to.clone(),
        state: shown_state(switch.state),
        epoch: switch.epoch,
        notices: settings.notices.clone(),
        blocked_by: blocked_by(loaded, &records, ids),
        next: next(loaded, &records),
        progress_at: Some(time(switch.progress_at)),
        eta_seconds: eta,
        records,
        pinned,
        staying: if shows_plan(switch.state) { 0 } else { ids.staying },
        marks,
        rate: Rate { limit: settings.rate.clone(), per_second: progress.per_second },
        forecast: shown_forecast.clone(),
        verified: verification.as_ref().map(|verification| verification.shown.clone()),
        way_back: WayBack {
            open,
            reason,
            forecast: if forecast.back.is_empty() { back } else { &forecast.back }.clone(),
        },
    }
}

fn blocked_by(loaded: &Loaded, records: &RecordCounts, ids: &IdCounts) -> Option<BlockedBy> {
    let switch = &loaded.switch;
    if !switch.state.has_work() {
        return None;
    }
    let since = time(switch.progress_at);
    if switch.is_stopped {
        let detail =
            format!("the operator has stopped the switch; `passerelle switch run {}` goes on", switch.merchant);
        let stall = loaded.blocked_by.clone().filter(|blocked| blocked.code == BlockedCode::SourceVanished);
        return Some(stall.unwrap_or(BlockedBy { code: BlockedCode::Stopped, detail, since }));
    }
    if let Some(blocked_by) = &loaded.blocked_by {
        return Some(blocked_by.clone());
    }
    // The mark of a customer who waits for a person is copied after that person.
    let held_back = records.needs_decision + records.refused + records.left + records.gone;
    let is_waiting = switch.state != SwitchState::Planning
        && !loaded.settings.undo
        && records.pending == 0
        && ids.marked <= held_back;
    (is_waiting && records.needs_decision > 0).then(|| BlockedBy {
        code: BlockedCode::DecisionNeeded,
        detail: format!(
            "{} customers need a decision; `passerelle switch errors {} --out errors.csv` lists them",
            records.needs_decision, switch.merchant
        ),
        since,
    })
}

/// The next command to type.
fn next(loaded: &Loaded, records: &RecordCounts) -> Option<String> {
    let merchant = &loaded.switch.merchant;
    let is_verified = loaded
        .verification
        .as_ref()
        .is_some_and(|verification| verification.is_whole() && verification.shown.differences() == 0);
    let needs_decision = loaded.blocked_by.as_ref().is_some_and(|blocked| blocked.code == BlockedCode::DecisionNeeded);
    let command = match loaded.switch.state {
        state if state.has_work() && loaded.switch.is_stopped => "run",
        state if state.has_work() && needs_decision => {
            return Some(format!("passerelle switch errors {merchant} --out errors.csv"));
        }
        SwitchState::Planned => "run",
        SwitchState::Planning | SwitchState::Copying => "status",
        SwitchState::Copied | SwitchState::Switched if records.needs_decision > 0 => {
            return Some(format!("passerelle switch errors {merchant} --out errors.csv"));
        }
        SwitchState::Copied if is_verified => "cutover",
        SwitchState::Copied => "verify",
        SwitchState::Switched => "complete",
        SwitchState::Failed | SwitchState::Completed | SwitchState::Abandoned => return None,
    };
    Some(format!("passerelle switch {command} {merchant}"))
}

/// A record, with the customer's row if there is one.
pub(super) fn record(
    state: SwitchState,
    row: RecordRow,
    customer: Option<&KnownCustomer>,
    routing: Option<&Routing>,
) -> SwitchRecord {
    let word = match &row.planned {
        Some(planned) if shows_plan(state) && row.outcome == Outcome::Pending.as_str() => planned,
        _ => &row.outcome,
    };
    let differences: Vec<Difference> =
        row.differences.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let home = match (customer, routing) {
        (Some(customer), Some(routing)) => Some(customer.home(routing).to_owned()),
        _ => None,
    };
    SwitchRecord {
        object: SwitchRecordObject::SwitchRecord,
        outcome: Outcome::parse(word).unwrap_or(Outcome::Pending),
        public_id: Some(row.public_id),
        source_id: row.source_id,
        target_id: row.target_id,
        home,
        code: row.code,
        level: row.level.as_deref().and_then(Level::parse),
        field: row.field,
        detail: row.detail,
        differences,
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        updated_at: time(row.updated_at),
    }
}
