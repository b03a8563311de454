//! What `--dry-run` says is what the command then does (5.1): in the audit, in the routing row, and in the homes of customers.

use std::collections::BTreeMap;

use passerelle::{
    store::{AuditRecord, Event},
    switch::{
        acting_as,
        service::{RunOptions, SwitchService, Tried, VerifyOptions},
        view::{SwitchState, SwitchView},
    },
};
use reqwest::StatusCode;
use serde_json::Value;

use super::{
    bed::{Bed, person},
    merchant::{codes_of, decided, to_new},
};

/// What can be seen of a switch from outside.
#[derive(Debug, PartialEq, Eq)]
struct Outside {
    audited: Vec<u64>,
    is_open: bool,
    epoch: Option<u64>,
    has_ended: bool,
    /// The homes of the customers who have a row.
    homes: BTreeMap<String, String>,
}

struct Stage {
    bed: Bed,
    switch: SwitchView,
}

impl Stage {
    /// A planned switch of customers that another gateway has created, so that no write proves the way back.
    async fn planned() -> Self {
        let bed = Bed::start("modempay", "notchpay", "").await;
        let elsewhere = bed.old.looked_at().await;
        for number in 0..3 {
            let created = elsewhere.post("/v1/customers", person(number)).await;
            assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        }
        let planned = bed.gateway.switches().plan("acme", to_new(), None).await.expect("a plan");
        let switch = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
        Self { bed, switch }
    }

    async fn copied() -> Self {
        let stage = Self::planned().await;
        stage.bed.run(&stage.switch).await;
        stage.bed.wait(&stage.switch.id, "the copies", super::merchant::is_copied).await;
        stage
    }

    async fn now(&self) -> SwitchView {
        self.bed.gateway.switches().get(&self.switch.id).await.expect("a switch")
    }

    async fn audit(&self) -> Vec<AuditRecord> {
        self.bed.gateway.app().store.audit().records(0, 1000).await.expect("the audit")
    }

    async fn outside(&self) -> Outside {
        let routing =
            self.bed.gateway.ids().resolve("acme", None).await.expect("read").map(|resolved| resolved.routing);
        let customers = match &routing {
            Some(_) => self.bed.customers().await,
            None => Vec::new(),
        };
        let homes = customers.into_iter().filter_map(|customer| {
            let home = customer.home(routing.as_ref()?).to_owned();
            Some((customer.public_id, home))
        });
        Outside {
            audited: self.audit().await.iter().map(|record| record.sequence).collect(),
            is_open: routing.as_ref().is_some_and(|routing| routing.open.is_some()),
            epoch: routing.as_ref().map(|routing| routing.epoch),
            has_ended: matches!(self.now().await.state, SwitchState::Completed | SwitchState::Abandoned),
            homes: homes.collect(),
        }
    }

    /// The steps that the dry run names. It changes nothing.
    async fn dry(&self, command: Tried) -> Vec<String> {
        let before = self.outside().await;
        let switches = self.bed.gateway.switches();
        let steps = switches.steps(&self.switch.id, command, decided(&self.now().await)).await.expect("steps");
        assert!(steps.refused.is_empty(), "{steps:?}");
        assert_eq!(self.outside().await, before, "a dry run changes nothing");
        steps.steps.into_iter().map(|step| step.code).collect()
    }

    /// The steps that were taken since.
    async fn taken(&self, before: &Outside) -> Vec<&'static str> {
        let (after, audit) = (self.outside().await, self.audit().await);
        let has = |connection: &str, operations: &[&str]| {
            let new = audit.iter().filter(|record| !before.audited.contains(&record.sequence));
            new.into_iter().any(|one| one.connection == connection && operations.contains(&&*one.operation))
        };
        let new = audit.iter().filter(|record| !before.audited.contains(&record.sequence));
        let mut commands = new.filter(|record| record.event == Event::Done).filter_map(|record| record.detail.as_ref());
        let command = commands.next().expect("the command is in the audit");
        assert_eq!(commands.next(), None, "{command}: one command");
        let command: Value = serde_json::from_str(command).expect("JSON");
        assert_eq!(command["by"], "ops", "{command}");
        let [from, to] = ["from", "to"].map(|at| &command[at]);
        let is = |place: &Value, states: &[&str]| place["state"].as_str().is_some_and(|state| states.contains(&state));
        let has_flipped = before.epoch.is_some() && before.epoch != after.epoch;
        assert_eq!(has_flipped, from["epoch"] != to["epoch"], "{command}");
        let has_opened = !before.is_open && after.is_open;
        assert_eq!(has_opened, is(from, &["planned"]) && is(to, &["copying", "copied"]), "{command}");
        // With `undo`, the work after the command ends the switch.
        let has_ended = !before.has_ended && after.has_ended;
        let ends = is(to, &["completed", "abandoned"]) || command["options"]["undo"] == true;
        assert_eq!(has_ended, ends, "{command}");
        let moved = before.homes.iter().any(|(id, home)| after.homes.get(id).is_some_and(|now| now != home));
        let steps = [
            (has_opened, "open"),
            (after.homes.len() > before.homes.len(), "pin"),
            (has("new", &["create", "update"]), "copy"),
            (has("old", &["update"]), "prove"),
            (has_flipped, "flip"),
            (moved, "follow"),
            (has("new", &["delete"]), "undo"),
            (has_ended, "end"),
        ];
        steps.into_iter().filter(|(was_taken, _)| *was_taken).map(|(_, step)| step).collect()
    }
}

#[tokio::test]
async fn a_run_takes_the_steps_of_its_dry_run() {
    let stage = Stage::planned().await;
    let (dry, before) = (stage.dry(Tried::Run(RunOptions::default())).await, stage.outside().await);
    assert_eq!(dry, ["open", "pin", "copy"]);
    acting_as("ops".to_owned(), stage.bed.run(&stage.switch)).await;
    stage.bed.wait(&stage.switch.id, "the copies", super::merchant::is_copied).await;
    assert_eq!(stage.taken(&before).await, dry);
}

/// The proof is a step only where no write has proven the way back already.
#[tokio::test]
async fn cutover_rollback_and_complete_take_the_steps_of_their_dry_runs() {
    let stage = Stage::copied().await;
    let (bed, switches) = (&stage.bed, stage.bed.gateway.switches());
    let id = &stage.switch.id;
    let records = switches.records(id, None, None, 500).await.expect("records").entries;
    let accepted = codes_of(&records);
    let verify = async || {
        switches.verify(id, VerifyOptions::default(), decided(&stage.now().await)).await.expect("it begins");
        let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
        bed.wait(id, "the verification", is_done).await;
    };
    for expected in [&["prove", "flip", "follow"][..], &["flip", "follow"]] {
        verify().await;
        let (dry, before) = (stage.dry(Tried::Cutover(accepted.clone())).await, stage.outside().await);
        assert_eq!(dry, expected);
        let now = decided(&stage.now().await);
        acting_as("ops".to_owned(), switches.cutover(id, accepted.clone(), now)).await.expect("the gate is open");
        bed.wait(id, "the move", |view| view.pinned["old"] == 0).await;
        assert_eq!(stage.taken(&before).await, dry);

        let (dry, before) = (stage.dry(Tried::Rollback(Vec::new())).await, stage.outside().await);
        assert_eq!(dry, ["flip", "follow"]);
        let now = decided(&stage.now().await);
        acting_as("ops".to_owned(), switches.rollback(id, Vec::new(), now)).await.expect("it asks nothing");
        bed.wait(id, "the move", |view| view.pinned["new"] == 0).await;
        assert_eq!(stage.taken(&before).await, dry);
    }
    verify().await;
    switches.cutover(id, accepted.clone(), decided(&stage.now().await)).await.expect("the gate is open");
    bed.wait(id, "the move", |view| view.pinned["old"] == 0).await;
    let mut accepted = accepted;
    accepted.push("file_differs".to_owned());
    let (dry, before) = (stage.dry(Tried::Complete(accepted.clone())).await, stage.outside().await);
    let now = decided(&stage.now().await);
    acting_as("ops".to_owned(), switches.complete(id, accepted, now)).await.expect("completed");
    assert_eq!(stage.taken(&before).await, dry);
}

#[tokio::test]
async fn an_abandonment_takes_the_steps_of_its_dry_run() {
    for (stage, undo) in
        [(Stage::planned().await, false), (Stage::copied().await, false), (Stage::copied().await, true)]
    {
        let command = Tried::Abandon { accepted: Vec::new(), undo };
        let (dry, before) = (stage.dry(command).await, stage.outside().await);
        assert_eq!(dry.len(), 1 + usize::from(undo));
        let now = decided(&stage.now().await);
        let switches = stage.bed.gateway.switches();
        let abandoned = acting_as("ops".to_owned(), switches.abandon(&stage.switch.id, Vec::new(), undo, now)).await;
        abandoned.expect("abandoned");
        stage.bed.wait(&stage.switch.id, "the end", |view| view.state == SwitchState::Abandoned).await;
        assert_eq!(stage.taken(&before).await, dry);
    }
}
