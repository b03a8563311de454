//! What each command checks and changes. Every command that changes a switch carries the state and the epoch that it was
//! decided on.

use passerelle_providers::{engine::carry, model::Field};

use super::{
    Switches,
    gates::{self, Evidence},
    notices, planner,
    progress::{Facts, Loaded, Phase, Progress, Settings, Verification, encoded, parse_rate},
    provider::configured,
    service::{Accepted, Decided, Decision, PlanOptions, Refused, RefusedKind, RunOptions, VerifyOptions},
    show::shown_state,
    steps,
    view::{DecisionKind, Outcome, Reason, SwitchView},
};
use crate::store::{NewSwitch, Routing, Step, StoreError, Switch, SwitchChange, SwitchState};

/// The most ids of `only` and `except`.
const MOST_NAMED: usize = 10_000;
/// The most decisions that are stored at once.
const DECISIONS: usize = 500;

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!("a command of a switch was refused: {error}");
        Self::new(RefusedKind::StoreUnavailable, "the gateway's store cannot be used now; try again")
    }
}

pub(super) fn refused(kind: RefusedKind, detail: impl Into<String>) -> Refused {
    Refused::new(kind, detail)
}

pub(super) fn changed(switch: &Switch) -> Refused {
    let state = shown_state(switch.state).as_str();
    let detail = format!(
        "the switch is `{state}` in epoch {} by now, which is not what this command was decided on: look at its status",
        switch.epoch
    );
    refused(RefusedKind::Changed, detail)
}

/// The gate is closed.
pub(super) fn closed(command: &str, reasons: Vec<Reason>) -> Result<(), Refused> {
    if reasons.is_empty() {
        return Ok(());
    }
    let detail = format!("`{command}` is not possible now, and nothing was changed");
    Err(refused(RefusedKind::NotAllowed, detail).because(reasons))
}

impl Switches {
    /// The switch, if it is as the command was decided on and the step is possible. Returns the state after the step.
    pub(super) async fn decided(
        &self,
        id: &str,
        decided: Decided,
        step: Option<Step>,
    ) -> Result<(Loaded, SwitchState), Refused> {
        let loaded = self.settled(id).await?;
        let switch = &loaded.switch;
        if shown_state(switch.state) != decided.state || switch.epoch != decided.epoch {
            return Err(changed(switch));
        }
        let Some(step) = step else {
            let state = switch.state;
            return Ok((loaded, state));
        };
        let Some(after) = switch.state.after(step) else {
            return Err(refused(RefusedKind::NotAllowed, steps::wrong_state(switch, step)));
        };
        Ok((loaded, after))
    }

    /// Changes the switch, if it is still as it was read.
    pub(super) async fn change(&self, loaded: &Loaded, change: SwitchChange) -> Result<SwitchView, Refused> {
        let switch = &loaded.switch;
        if !self.context.store.switches().change(switch, false, change).await? {
            return Err(changed(&self.settled(&switch.id).await?.switch));
        }
        self.has_work.notify_one();
        self.view(&switch.id).await
    }

    pub(super) async fn make_plan(
        &self,
        merchant: &str,
        options: PlanOptions,
        has_file: bool,
    ) -> Result<SwitchView, Refused> {
        let PlanOptions { to, sample, idempotency_key } = options;
        let gateway = self.context.gateway.load_full();
        let (configured_merchant, target) = gateway.connection(merchant, &to).ok_or_else(|| {
            let detail = format!("there is no connection `{to}` of a merchant `{merchant}` in the configuration");
            refused(RefusedKind::NotFound, detail)
        })?;
        let (log, ids) = (self.context.store.switches(), self.context.store.ids());
        if let (Some(key), Some(newest)) = (&idempotency_key, log.of_merchant(merchant).await?) {
            let newest = Loaded::try_from(newest)?;
            if newest.settings.key.as_ref() == Some(key) {
                let detail = "the idempotency key belongs to a plan with another target";
                return match newest.switch.to == to {
                    true => self.view(&newest.switch.id).await,
                    false => Err(refused(RefusedKind::KeyReused, detail)),
                };
            }
        }
        let routing = ids.resolve(merchant, None).await?.map(|resolved| resolved.routing);
        let epoch = routing.as_ref().map_or(0, |routing| routing.epoch);
        let from = routing.map_or_else(|| configured_merchant.active.name.clone(), |routing| routing.connection);
        if from == to {
            return Err(refused(RefusedKind::Invalid, format!("`{to}` is the active connection already")));
        }
        let source = gateway.connection(merchant, &from).ok_or_else(|| {
            refused(
                RefusedKind::NotAllowed,
                format!("the active connection `{from}` is not in the configuration: add it"),
            )
        })?;
        if source.1.livemode != target.livemode {
            let detail = format!("one of `{from}` and `{to}` has live records, and the other one test records");
            let reason = Reason { code: "mode_mismatch".to_owned(), detail: detail.clone() };
            return Err(refused(RefusedKind::NotAllowed, detail).because(vec![reason]));
        }
        let settings = encoded(&Settings {
            key: idempotency_key,
            has_file,
            sample,
            sides: [source.1, target].map(|side| Facts::of(side)).into(),
            notices: notices::of(source.1, target, has_file),
            ..Settings::default()
        })?;
        let progress = encoded(&Progress::default())?;
        let merchant = merchant.to_owned();
        match log.open(NewSwitch { merchant, from, to, epoch, settings, progress, is_stopped: has_file }).await? {
            Ok(switch) => {
                self.has_work.notify_one();
                self.view(&switch.id).await
            }
            Err(open) => {
                let state = shown_state(open.state).as_str();
                let detail =
                    format!("the switch {} of this merchant is `{state}`: complete or abandon it first", open.id);
                Err(refused(RefusedKind::NotAllowed, detail))
            }
        }
    }

    /// Goes on with a plan whose file is read.
    pub(super) async fn go_on(&self, id: &str) -> Result<SwitchView, Refused> {
        let loaded = self.settled(id).await?;
        self.change(&loaded, SwitchChange { is_stopped: Some(false), ..SwitchChange::default() }).await
    }

    pub(super) async fn begin(&self, id: &str, options: RunOptions, decided: Decided) -> Result<SwitchView, Refused> {
        let (loaded, after) = self.decided(id, decided, Some(Step::Run)).await?;
        let named = [&options.only, &options.except].into_iter().flatten().map(Vec::len).sum::<usize>();
        if named > MOST_NAMED {
            return Err(refused(
                RefusedKind::Invalid,
                format!("`only` and `except` name at most {MOST_NAMED} customers"),
            ));
        }
        let Loaded { switch, settings, progress, .. } = &loaded;
        let RunOptions { first, only, except } = options;
        let settings = Settings { first, only, except, runs: settings.runs + 1, ..settings.clone() };
        let mut next = Progress { copied: 0, ..progress.clone() };
        let mut epoch = switch.epoch;
        if switch.state == SwitchState::Planned {
            epoch = self.open_routing(switch).await?.epoch;
            next = Progress { forecast: Vec::new(), back: Vec::new(), ..next.of_pass(1, settings.runs) };
        }
        let change = SwitchChange {
            state: Some(after),
            epoch: Some(epoch),
            settings: Some(encoded(&settings)?),
            progress: Some(encoded(&next)?),
            is_stopped: Some(false),
            blocked_by: Some(None),
            ..SwitchChange::default()
        };
        self.change(&loaded, change).await
    }

    /// Opens the switch in the merchant's routing row. The plan must be made of what is configured now.
    async fn open_routing(&self, switch: &Switch) -> Result<Routing, Refused> {
        let side = |name: &str| {
            configured(&self.context, &switch.merchant, name)
                .map_err(|stalled| refused(RefusedKind::NotAllowed, stalled.detail))
        };
        let hash = planner::hash(&side(&switch.from)?, &side(&switch.to)?);
        if switch.plan_hash.as_ref() != Some(&hash) {
            let detail = "the connections, the region or the rules are not those of the plan any more: plan again";
            let reason = Reason { code: "plan_changed".to_owned(), detail: detail.to_owned() };
            return Err(refused(RefusedKind::NotAllowed, detail).because(vec![reason]));
        }
        let ids = self.context.store.ids();
        let routing = ids.begin(&switch.merchant, &switch.from, &switch.id, &switch.to).await?;
        let is_open = routing.open.as_ref().is_some_and(|open| open.id == switch.id);
        if !is_open || routing.connection != switch.from {
            let detail = format!("the active connection is `{}` by now: plan again", routing.connection);
            return Err(refused(RefusedKind::Changed, detail));
        }
        self.learn_routing().await?;
        Ok(routing)
    }

    pub(super) async fn end_sending(&self, id: &str) -> Result<SwitchView, Refused> {
        let loaded = self.settled(id).await?;
        if !loaded.switch.state.has_work() {
            return self.view(id).await;
        }
        self.change(&loaded, SwitchChange { is_stopped: Some(true), ..SwitchChange::default() }).await
    }

    pub(super) async fn limit(&self, id: &str, limit: Option<String>) -> Result<SwitchView, Refused> {
        if let Some(limit) = &limit
            && parse_rate(limit).is_none()
        {
            let detail = "a rate is a number of customers in a period, such as `60/min`, `5/s` or `1000/hour`";
            return Err(refused(RefusedKind::Invalid, detail));
        }
        let loaded = self.settled(id).await?;
        let settings = encoded(&Settings { rate: limit, ..loaded.settings.clone() })?;
        self.change(&loaded, SwitchChange { settings: Some(settings), ..SwitchChange::default() }).await
    }

    pub(super) async fn activate(&self, merchant: &str, connection: &str) -> Result<u64, Refused> {
        if self.context.gateway.load().connection(merchant, connection).is_none() {
            let detail =
                format!("there is no connection `{connection}` of a merchant `{merchant}` in the configuration");
            return Err(refused(RefusedKind::NotFound, detail));
        }
        let newest = self.context.store.switches().of_merchant(merchant).await?;
        let above = newest.as_ref().map_or(0, |switch| switch.epoch);
        let routing = self.context.store.ids().activate(merchant, connection, above).await?.ok_or_else(|| {
            let detail = "this merchant never ran a switch: edit `active` in the configuration file, and reload";
            refused(RefusedKind::NotAllowed, detail)
        })?;
        tracing::warn!(merchant, connection, epoch = routing.epoch, "the operator has set the active connection");
        if let Some(switch) = newest.filter(|switch| switch.state.is_open()) {
            self.settled(&switch.id).await?;
        }
        Ok(routing.epoch)
    }

    pub(super) async fn take_decisions(
        &self,
        id: &str,
        decisions: Vec<Decision>,
        decided: Decided,
    ) -> Result<SwitchView, Refused> {
        let (loaded, _) = self.decided(id, decided, None).await?;
        let log = self.context.store.switches();
        let mut unknown = Vec::new();
        let mut texts = Vec::new();
        for Decision { public_id, decision, link_id } in decisions {
            let text = match (decision, link_id) {
                (DecisionKind::Link, Some(id)) => format!("link {id}"),
                (DecisionKind::Link, None) => {
                    let detail =
                        format!("the decision `link` about {public_id} does not say with which record: add `link_id`");
                    return Err(refused(RefusedKind::Invalid, detail));
                }
                (kind, _) => kind.as_str().to_owned(),
            };
            if log.record(id, &public_id).await?.is_none() {
                unknown.push(public_id.clone());
            }
            texts.push((public_id, text));
        }
        if !unknown.is_empty() {
            let reasons = unknown.iter().take(20).map(|public_id| Reason {
                code: "record_unknown".to_owned(),
                detail: format!("the switch has no record `{public_id}`"),
            });
            let detail = format!("{} of the decisions name no record of the switch; none was taken", unknown.len());
            return Err(refused(RefusedKind::Invalid, detail).because(reasons.collect()));
        }
        let doubts = self.doubts(&loaded.switch, &texts).await?;
        let copies_more = texts.iter().any(|(_, text)| text != DecisionKind::Leave.as_str());
        if let (true, Some(verification)) = (copies_more, &loaded.verification) {
            self.outdate(&loaded.switch, verification).await?;
        }
        for chunk in texts.chunks(DECISIONS) {
            log.decide(id, chunk.to_vec()).await?;
        }
        self.end_doubts(&loaded.switch, doubts).await?;
        self.has_work.notify_one();
        self.view(&loaded.switch.id).await
    }

    /// Notes that the operator takes decisions after which the worker copies customers that the verification did not compare.
    async fn outdate(&self, switch: &Switch, verification: &Verification) -> Result<(), Refused> {
        let verified = Some(encoded(&Verification { outdated: true, ..verification.clone() })?);
        let change = SwitchChange { verified, ..SwitchChange::default() };
        match self.context.store.switches().change(switch, false, change).await? {
            true => Ok(()),
            false => Err(changed(switch)),
        }
    }

    /// Whether the operator took a decision that the worker has not followed yet.
    async fn has_pending_decisions(&self, id: &str) -> Result<bool, Refused> {
        let pending = Outcome::Pending.as_str();
        let waiting = self.context.store.switches().records(id, Some(pending), None, DECISIONS).await?;
        Ok(waiting.iter().any(|record| record.decision.is_some()))
    }

    pub(super) async fn begin_verify(
        &self,
        id: &str,
        options: VerifyOptions,
        decided: Decided,
    ) -> Result<SwitchView, Refused> {
        let (loaded, state) = self.decided(id, decided, None).await?;
        if !matches!(state, SwitchState::Copied | SwitchState::Switched) {
            return Err(refused(RefusedKind::NotAllowed, "only what is copied can be verified: wait for `copied`"));
        }
        if loaded.settings.undo {
            return Err(refused(RefusedKind::NotAllowed, "the switch is being abandoned: what it created is deleted"));
        }
        let VerifyOptions { sample, ids_only, repair } = options;
        let goes_on = loaded.verification.as_ref().is_some_and(|verification| {
            let same = (verification.sample, verification.ids_only, verification.repair) == (sample, ids_only, repair);
            !verification.shown.complete && same
        });
        let pass = loaded.progress.pass;
        let outdated = self.has_pending_decisions(id).await?;
        let begun = Verification { sample, ids_only, repair, pass, outdated, ..Verification::default() };
        let verified = if goes_on { None } else { Some(encoded(&begun)?) };
        self.change(&loaded, SwitchChange { verified, is_stopped: Some(false), ..SwitchChange::default() }).await
    }

    /// Deletes in the background what the switch has created at the target. The switch is abandoned when that is done.
    pub(super) async fn begin_undo(
        &self,
        id: &str,
        accepted: &Accepted,
        decided: Decided,
    ) -> Result<SwitchView, Refused> {
        let (loaded, _) = self.decided(id, decided, Some(Step::Abandon)).await?;
        if !matches!(loaded.switch.state, SwitchState::Copying | SwitchState::Copied) {
            // Nothing has been written yet.
            return self.end(id, Step::Abandon, accepted, decided).await;
        }
        let evidence = Evidence::of(&self.context, &loaded).await?;
        closed("abandon", gates::abandon(&loaded, &evidence, accepted))?;
        let settings = encoded(&Settings { undo: true, ..loaded.settings.clone() })?;
        let progress = Progress { phase: Phase::Targets, place: None, undone: None, ..loaded.progress.clone() };
        let change = SwitchChange {
            settings: Some(settings),
            progress: Some(encoded(&progress)?),
            is_stopped: Some(false),
            blocked_by: Some(None),
            ..SwitchChange::default()
        };
        self.change(&loaded, change).await
    }

    /// Forgets what the gateway kept for the former connection where the new one holds the field itself (R28).
    async fn forget_held(&self, switch: &Switch) -> Result<(), Refused> {
        let gateway = self.context.gateway.load_full();
        let Some((merchant, connection)) = gateway.connection(&switch.merchant, &switch.to) else { return Ok(()) };
        let Some(carried) = &merchant.carried else { return Ok(()) };
        let is_held = |field: &Field| carry::is_held(*field, true, connection.manifest);
        let fields: Vec<Field> = Field::ALL.into_iter().filter(is_held).collect();
        Ok(carried.forget_held(&switch.merchant, &switch.to, &fields).await?)
    }

    pub(super) async fn end(
        &self,
        id: &str,
        step: Step,
        accepted: &Accepted,
        decided: Decided,
    ) -> Result<SwitchView, Refused> {
        let (loaded, after) = self.decided(id, decided, Some(step)).await?;
        let switch = &loaded.switch;
        let evidence = Evidence::of(&self.context, &loaded).await?;
        match step {
            Step::Complete => closed("complete", gates::complete(&loaded, &evidence, accepted))?,
            _ => closed("abandon", gates::abandon(&loaded, &evidence, accepted))?,
        }
        let ids = self.context.store.ids();
        let routing = ids.resolve(&switch.merchant, None).await?.map(|resolved| resolved.routing);
        let is_open = routing.is_some_and(|routing| routing.open.is_some_and(|open| open.id == switch.id));
        if is_open && !ids.end_switch(&switch.merchant, &switch.id, switch.epoch).await? {
            return Err(changed(switch));
        }
        if step == Step::Complete {
            self.forget_held(switch).await?;
        }
        // Before the state changes: if the process ends in between, the command is repeated.
        self.context.store.switches().forget_details(&switch.id).await?;
        let settings = Some(encoded(&Settings { only: None, except: None, ..loaded.settings.clone() })?);
        self.change(&loaded, SwitchChange { state: Some(after), settings, ..SwitchChange::default() }).await
    }
}
