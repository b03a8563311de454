//! Switches in memory: a state machine that makes one step whenever a switch is read.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use passerelle::switch::{
    service::{Decided, Refused, RefusedKind, Sample, Tried},
    view::{
        ForecastEntry, Level, Marks, Outcome, Rate, RecordCounts, Step, SwitchObject, SwitchRecord, SwitchRecordObject,
        SwitchState, SwitchView, WayBack,
    },
};

mod service;

const AT: &str = "2026-01-02T03:04:05Z";
/// How many customers the merchant has.
const CUSTOMERS: usize = 40;
/// How many records a step treats.
const STEP: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Memory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    switches: Vec<OneSwitch>,
    /// How often each command arrived, and with which options.
    log: Vec<String>,
    is_failing: bool,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct OneSwitch {
    view: SwitchView,
    key: Option<String>,
    records: Vec<SwitchRecord>,
    limit: usize,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no panic while it was locked")
    }

    /// What arrived.
    pub(super) fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Changes a switch as another operator would, or the gateway itself.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut SwitchView)) {
        let mut kept = self.lock();
        change(&mut kept.find(id).expect("a switch").view);
    }

    /// Shows these samples in every plan.
    pub(super) fn show(&self, samples: Vec<Sample>) {
        self.lock().samples = samples;
    }

    /// Adds a record with these texts.
    pub(super) fn add(&self, id: &str, record: SwitchRecord) {
        let mut kept = self.lock();
        let found = kept.find(id).expect("a switch");
        found.records.push(record);
        found.count();
    }

    /// From now on, reading records fails after this many.
    pub(super) fn fail(&self) {
        self.lock().is_failing = true;
    }
}

/// A record with an outcome and nothing else.
pub(super) fn record(place: usize, outcome: Outcome) -> SwitchRecord {
    SwitchRecord {
        object: SwitchRecordObject::SwitchRecord,
        public_id: Some(format!("cus_{place:04}")),
        source_id: Some(format!("cus_{place:04}")),
        target_id: None,
        home: Some("main".to_owned()),
        outcome,
        code: None,
        level: None,
        field: None,
        detail: None,
        differences: Vec::new(),
        attempts: 0,
        updated_at: AT.to_owned(),
    }
}

fn forecast(field: &str, [held, kept, transformed, carried, lost]: [u64; 5], rule: Option<&str>) -> ForecastEntry {
    let rule = rule.map(str::to_owned);
    ForecastEntry { field: field.to_owned(), held, kept, transformed, derived: 0, carried, lost, rule }
}

impl Kept {
    fn find(&mut self, id: &str) -> Result<&mut OneSwitch, Refused> {
        let missing = || Refused::new(RefusedKind::NotFound, format!("there is no switch `{id}`"));
        self.switches.iter_mut().find(|kept| kept.view.id == id).ok_or_else(missing)
    }

    /// A switch that a command changes: it must be as the command was decided on, and in one of these states.
    fn decided(&mut self, id: &str, decided: Decided, states: &[SwitchState]) -> Result<&mut OneSwitch, Refused> {
        let kept = self.find(id)?;
        let view = &kept.view;
        if (decided.state, decided.epoch) != (view.state, view.epoch) {
            let detail = format!("the switch is {} in epoch {} now", view.state.as_str(), view.epoch);
            return Err(Refused::new(RefusedKind::Changed, detail));
        }
        if !states.contains(&view.state) {
            let detail = format!("a switch that is {} does not take this command", view.state.as_str());
            return Err(Refused::new(RefusedKind::NotAllowed, detail));
        }
        Ok(kept)
    }
}

impl OneSwitch {
    fn new(id: String, merchant: &str, to: &str, key: Option<String>, customers: usize) -> Self {
        let mut records: Vec<SwitchRecord> = (0..customers).map(|place| record(place, Outcome::Pending)).collect();
        for (place, outcome, code, field) in [
            (3, Outcome::NeedsDecision, "several_matches", "email"),
            (7, Outcome::NeedsDecision, "name_differs", "name"),
            (9, Outcome::Refused, "last_name_required", "last_name"),
        ] {
            let Some(record) = records.get_mut(place) else { continue };
            record.outcome = outcome;
            record.code = Some(code.to_owned());
            record.level = Some(Level::Action);
            record.field = Some(field.to_owned());
            record.detail = Some("the target needs a last name, and this customer has one name".to_owned());
            if outcome == Outcome::NeedsDecision {
                record.detail = Some("records of the target match, and it is not clear which one is meant".to_owned());
            }
        }
        let view = SwitchView {
            object: SwitchObject::Switch,
            id,
            merchant: merchant.to_owned(),
            from: "main".to_owned(),
            to: to.to_owned(),
            state: SwitchState::Planning,
            epoch: 0,
            notices: Vec::new(),
            blocked_by: None,
            next: Some(format!("passerelle switch status {merchant}")),
            progress_at: Some(AT.to_owned()),
            eta_seconds: None,
            records: RecordCounts::default(),
            pinned: BTreeMap::new(),
            staying: 0,
            marks: Marks::default(),
            rate: Rate { limit: None, per_second: 0.0 },
            forecast: vec![
                forecast("name", [40, 39, 0, 0, 1], None),
                forecast("address.city", [30, 0, 0, 30, 0], Some("bitnob has no address")),
                forecast("phone", [40, 4, 36, 0, 0], Some("dial code and number apart")),
            ],
            verified: None,
            way_back: WayBack { open: true, reason: None, forecast: vec![forecast("name", [40, 40, 0, 0, 0], None)] },
        };
        let mut kept = Self { view, key, records, limit: usize::MAX };
        kept.count();
        kept
    }

    fn count(&mut self) {
        let of = |outcome| u64::try_from(self.records.iter().filter(|record| record.outcome == outcome).count());
        let of = |outcome| of(outcome).unwrap_or_default();
        self.view.records = RecordCounts {
            total: u64::try_from(self.records.len()).unwrap_or_default(),
            pending: of(Outcome::Pending),
            created: of(Outcome::Created),
            linked: of(Outcome::Linked),
            already_linked: of(Outcome::AlreadyLinked),
            refused: of(Outcome::Refused),
            needs_decision: of(Outcome::NeedsDecision),
            in_doubt: of(Outcome::InDoubt),
            left: of(Outcome::Left),
            deleted: of(Outcome::Deleted),
            gone: of(Outcome::Gone),
        };
    }

    /// One step of what goes on in the background.
    fn step(&mut self) {
        let merchant = self.view.merchant.clone();
        let next = |command: &str| Some(format!("passerelle switch {command} {merchant}"));
        if self.view.blocked_by.as_ref().is_some_and(|blocked| blocked.code.needs_a_person()) {
            return;
        }
        if let Some(verified) = self.view.verified.as_mut().filter(|verified| !verified.complete) {
            verified.checked = (verified.checked + 16).min(self.view.records.created);
            verified.equal = verified.checked;
            verified.complete = verified.checked == self.view.records.created;
            if verified.complete {
                self.view.next = next("cutover");
            }
            return;
        }
        match self.view.state {
            SwitchState::Planning => {
                self.view.state = SwitchState::Planned;
                self.view.next = next("run");
            }
            SwitchState::Copying => {
                let pending = self.records.iter_mut().filter(|record| record.outcome == Outcome::Pending);
                for record in pending.take(STEP.min(self.limit)) {
                    record.outcome = Outcome::Created;
                    record.target_id = record.public_id.as_ref().map(|id| format!("new-{id}"));
                    record.attempts = 1;
                }
                self.count();
                if self.view.records.pending == 0 {
                    self.view.state = SwitchState::Copied;
                    self.view.next = next("verify");
                }
            }
            SwitchState::Switched | SwitchState::Copied => {
                let active = if self.view.state == SwitchState::Switched { &self.view.to } else { &self.view.from };
                if let Some(tail) = self.view.pinned.iter_mut().find(|(name, _)| *name != active) {
                    *tail.1 = tail.1.saturating_sub(16);
                }
            }
            _ => {}
        }
    }
}

fn steps_of(command: &Tried) -> Vec<Step> {
    let step =
        |code: &str, detail: &str, reversible| Step { code: code.to_owned(), detail: detail.to_owned(), reversible };
    match command {
        Tried::Run(_) => vec![
            step("pin", "write a row for every customer of main, and pin it there", true),
            step("copy", "copy every customer to new", true),
        ],
        Tried::Cutover(_) => vec![
            step("gate", "check the conditions of the cutover", true),
            step("flip", "make new the active connection", true),
        ],
        Tried::Rollback(_) => vec![step("flip", "make main the active connection", true)],
        Tried::Complete(_) => vec![step("complete", "end copying back, for ever", false)],
        Tried::Abandon { undo, .. } => vec![step("abandon", "end the switch", !undo)],
    }
}
