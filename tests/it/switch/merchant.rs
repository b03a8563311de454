//! A merchant with two connections on twins, and what the tests of switches do with it.

use std::time::Duration;

use passerelle::switch::{
    Switches,
    service::{Decided, PlanOptions, RunOptions, SwitchService, VerifyOptions},
    view::{Outcome, SwitchRecord, SwitchState, SwitchView},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::{Answer, Gateway};

/// How long a test waits for a state.
const PATIENCE: Duration = Duration::from_secs(40);

/// The merchant `acme` with the connections `old` and `new`.
pub(crate) struct Bed {
    pub(crate) gateway: Gateway,
    folder: TempDir,
    providers: [&'static str; 2],
}

impl Bed {
    pub(crate) async fn start(providers: [&'static str; 2]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = configuration(&folder, providers, "old");
        let gateway = Gateway::start(&text).await.with_key("sk_acme");
        Self { gateway, folder, providers }
    }

    /// The configuration with another connection in the file.
    pub(crate) fn configuration(&self, active: &str) -> String {
        configuration(&self.folder, self.providers, active)
    }

    pub(crate) fn switches(&self) -> &Switches {
        self.gateway.switches()
    }

    /// Creates customers through the gateway, and returns their ids.
    pub(crate) async fn create(&self, numbers: std::ops::Range<u32>) -> Vec<String> {
        let mut ids = Vec::new();
        for number in numbers {
            let created = self.create_one(&format!("Awa Ndiaye {number}"), &format!("awa{number}@example.com")).await;
            ids.push(created);
        }
        ids
    }

    pub(crate) async fn create_one(&self, name: &str, email: &str) -> String {
        let created = self.gateway.post("/v1/customers", json!({ "name": name, "email": email })).await;
        assert_eq!(created.status, 201, "{}", created.text);
        text(&created.body, "id").to_owned()
    }

    pub(crate) async fn retrieve(&self, id: &str) -> Answer {
        self.gateway.get(&format!("/v1/customers/{id}")).await
    }

    /// The connection that answers for a customer.
    pub(crate) async fn home(&self, id: &str) -> String {
        let answer = self.retrieve(id).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text);
        assert_eq!(text(&answer.body, "id"), id, "the id stays");
        text(&answer.body["provider"], "connection").to_owned()
    }

    pub(crate) async fn plan(&self) -> SwitchView {
        let planned = self.switches().plan("acme", to_new(), None).await.expect("a plan begins");
        self.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await
    }

    /// Plans and runs until everything is copied.
    pub(crate) async fn copied(&self) -> SwitchView {
        let planned = self.plan().await;
        self.run(&planned).await;
        self.wait(&planned.id, "the copies", is_copied).await
    }

    pub(crate) async fn run(&self, view: &SwitchView) -> SwitchView {
        self.switches().run(&view.id, RunOptions::default(), decided(view)).await.expect("it runs")
    }

    pub(crate) async fn verified(&self, view: &SwitchView) -> SwitchView {
        let view = self.get(&view.id).await;
        self.switches().verify(&view.id, VerifyOptions::default(), decided(&view)).await.expect("it begins");
        let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
        self.wait(&view.id, "the verification", is_done).await
    }

    pub(crate) async fn get(&self, id: &str) -> SwitchView {
        self.switches().get(id).await.expect("a switch")
    }

    pub(crate) async fn wait(&self, id: &str, what: &str, is_so: impl Fn(&SwitchView) -> bool) -> SwitchView {
        let until = Instant::now() + PATIENCE;
        loop {
            let view = self.get(id).await;
            if is_so(&view) {
                return view;
            }
            let is_late = Instant::now() >= until;
            let mut open = if is_late { self.records(id, None).await } else { Vec::new() };
            open.retain(|one| one.code.is_some() || one.outcome == Outcome::Pending);
            assert!(!is_late, "{what} did not come: {open:#?}\n{view:#?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn records(&self, id: &str, outcome: Option<Outcome>) -> Vec<SwitchRecord> {
        self.switches().records(id, outcome, None, 500).await.expect("records").entries
    }
}

fn configuration(folder: &TempDir, [old, new]: [&str; 2], active: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite:{}\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"{active}\"\nregion = \"CM\"\n\
         connections.old = {{ provider = \"{old}\", sandbox = true, visibility_lag = \"100ms\" }}\n\
         connections.new = {{ provider = \"{new}\", sandbox = true, visibility_lag = \"100ms\" }}\n",
        folder.path().join("store.db").display()
    )
}

pub(crate) fn to_new() -> PlanOptions {
    PlanOptions { to: "new".to_owned(), sample: 0, idempotency_key: None }
}

/// What a command was decided on.
pub(crate) fn decided(view: &SwitchView) -> Decided {
    Decided { state: view.state, epoch: view.epoch }
}

pub(crate) fn is_copied(view: &SwitchView) -> bool {
    view.state == SwitchState::Copied && view.records.pending == 0 && view.marks.pending == 0
}

pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// The codes that a test accepts at the gate: those of seeded customers that the target cannot hold.
pub(crate) fn codes_of(records: &[SwitchRecord]) -> Vec<String> {
    let is_open =
        |record: &&SwitchRecord| matches!(record.outcome, Outcome::Refused | Outcome::NeedsDecision | Outcome::InDoubt);
    let mut codes: Vec<String> = records.iter().filter(is_open).filter_map(|record| record.code.clone()).collect();
    codes.sort();
    codes.dedup();
    codes
}
