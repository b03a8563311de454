//! A merchant who switches from one provider to the next by the operator's commands, and every id that the merchant was
//! ever given.

use std::collections::BTreeSet;

use passerelle::{
    store::KnownCustomer,
    switch::{
        service::{Decision, RunOptions, SwitchService, VerifyOptions},
        view::{DecisionKind, Outcome, SwitchState, SwitchView},
    },
};
use passerelle_providers::{model::Operation, text::packed, vendor};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use super::{
    bed::Vendor,
    chain::{differing, values, whole},
    merchant::{codes_of, decided, text},
};
use crate::support::{Gateway, JsonText};

/// How long a journey waits for a state.
const PATIENCE: Duration = Duration::from_mins(1);

/// A customer who was created through the gateway.
pub(super) struct Person {
    pub(super) public_id: String,
    /// Every id that names the customer: those that answers have shown, and other spellings of them.
    pub(super) ids: BTreeSet<String>,
    /// The values that were written through the gateway.
    pub(super) values: Value,
    pub(super) is_deleted: bool,
    /// Whether the customer stood at every provider before, so that a switch links records. A record has values that nobody
    /// has written through the gateway.
    is_linked: bool,
    /// The body of the create, and its answer.
    pub(super) created: (Value, String),
}

impl Person {
    /// The fields that have another value than was written through the gateway.
    pub(super) fn differing(&self, body: &Value) -> Vec<String> {
        let mut written = self.values.clone();
        if self.is_linked {
            fill(&mut written, body);
        }
        differing(&written, body)
    }
}

/// Gives the members without a value those of another object.
fn fill(object: &mut Value, from: &Value) {
    for (name, value) in object.as_object_mut().into_iter().flatten() {
        match value {
            Value::Null => *value = from[name.as_str()].clone(),
            Value::Object(_) => fill(value, &from[name.as_str()]),
            _ => {}
        }
    }
}

/// The merchant `acme` with a connection for each vendor: `c0`, `c1`, …
pub(super) struct Journey {
    pub(super) gateway: Gateway,
    pub(super) vendors: Vec<Vendor>,
    pub(super) people: Vec<Person>,
    /// The number of the active connection.
    pub(super) active: usize,
    folder: TempDir,
}

/// The name of a connection.
pub(super) fn name(number: usize) -> String {
    format!("c{number}")
}

/// An id, and the other spellings of it that the gateway gives or accepts.
fn spellings(id: &str) -> Vec<String> {
    let mut spellings = vec![id.to_owned()];
    if id.len() == 36 && id.matches('-').count() == 4 {
        spellings.push(id.to_uppercase());
    }
    spellings.extend(packed::to_uuid(id).map(|packed| packed.to_string()));
    spellings
}

impl Journey {
    pub(super) async fn start(providers: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let vendors: Vec<Vendor> = providers.iter().map(|provider| Vendor::start(provider, "")).collect();
        let gateway = Gateway::start(&configuration(&folder, &vendors, 0)).await.with_key("sk_acme");
        Self { gateway, vendors, people: Vec::new(), active: 0, folder }
    }

    /// The providers, as a message names them.
    pub(super) fn way(&self) -> String {
        self.vendors.iter().map(|vendor| vendor.provider).collect::<Vec<_>>().join(" to ")
    }

    /// Takes a sample customer of the twins, who stands at every provider, for one of the merchant's.
    pub(super) async fn adopt(&mut self, email: &str) -> usize {
        let found = self.gateway.get(&format!("/v1/customers/lookup?email={email}")).await;
        assert_eq!(found.status, 200, "{}: {}", self.way(), found.text);
        let public_id = text(&found.body, "id").to_owned();
        let ids = BTreeSet::from([public_id.clone()]);
        let created = (Value::Null, String::new());
        self.people.push(Person {
            public_id,
            ids,
            values: values(&found.body),
            is_deleted: false,
            is_linked: true,
            created,
        });
        self.people.len() - 1
    }

    fn creation(number: usize, body: &Value) -> (String, String) {
        (format!("create-{number}"), body.to_string())
    }

    /// Creates the next customer, with a value in every field. Returns its number.
    pub(super) async fn create(&mut self) -> usize {
        let number = self.people.len();
        let body = whole(number);
        let answer = self.send_create(number, &body).await;
        let public_id = text(&answer.body, "id").to_owned();
        assert_eq!(answer.status, 201, "{}: {}", self.way(), answer.text);
        assert_eq!(answer.body["provider"]["connection"], *name(self.active), "{}: {}", self.way(), answer.text);
        let ids = BTreeSet::from([public_id.clone()]);
        let created = (body, answer.text);
        self.people.push(Person {
            public_id,
            ids,
            values: values(&answer.body),
            is_deleted: false,
            is_linked: false,
            created,
        });
        self.read(number).await;
        number
    }

    /// Sends the create of a customer, with its key.
    pub(super) async fn send_create(&self, number: usize, body: &Value) -> crate::support::Answer {
        let (key, _) = Self::creation(number, body);
        let request = self.gateway.request(reqwest::Method::POST, "/v1/customers").header("idempotency-key", key);
        self.gateway.send(request.json_text(body)).await
    }

    /// Takes what the merchant now has for what was written.
    pub(super) async fn read(&mut self, number: usize) {
        let answer = self.gateway.get(&format!("/v1/customers/{}", self.people[number].public_id)).await;
        assert_eq!(answer.status, 200, "{}: {}", self.way(), answer.text);
        self.people[number].values = values(&answer.body);
    }

    /// Changes a customer, by an id that it ever had.
    pub(super) async fn patch(&mut self, number: usize, patch: Value) {
        let id = self.people[number].ids.iter().next_back().expect("an id").clone();
        let answer = self.gateway.patch(&format!("/v1/customers/{id}"), patch.clone()).await;
        assert_eq!(answer.status, 200, "{}: {}", self.way(), answer.text);
        let values = values(&answer.body);
        for (name, value) in patch.as_object().into_iter().flatten().filter(|(_, value)| !value.is_object()) {
            assert_eq!(&values[name], value, "{}: {}", self.way(), answer.text);
        }
        self.people[number].values = values;
        self.read(number).await;
    }

    /// Blocks or unblocks a customer.
    pub(super) async fn block(&mut self, number: usize, change: &str) {
        let path = format!("/v1/customers/{}/{change}", self.people[number].public_id);
        let answer = self.gateway.post(&path, json!({})).await;
        assert_eq!(answer.status, 200, "{}: {}", self.way(), answer.text);
        self.read(number).await;
    }

    /// Deletes a customer by an id that it ever had, where its home can delete. Returns whether it was deleted.
    pub(super) async fn delete(&mut self, number: usize, id: &str) -> bool {
        let home = self.known(number).await.map_or(self.active, |known| self.home_of(&known));
        let manifest = vendor(self.vendors[home].provider).expect("a vendor").manifests[0];
        let can_delete = manifest.operation(Operation::Delete).is_supported();
        let answer = self.gateway.delete(&format!("/v1/customers/{id}")).await;
        let way = self.way();
        assert_eq!(answer.status.as_u16(), if can_delete { 200 } else { 405 }, "{way}: {}", answer.text);
        if can_delete {
            assert_eq!(answer.body["id"], *self.people[number].public_id, "{way}: {}", answer.text);
            self.people[number].is_deleted = true;
        }
        can_delete
    }

    /// The rows of a customer.
    pub(super) async fn known(&self, number: usize) -> Option<KnownCustomer> {
        let public_id = &self.people[number].public_id;
        let resolved = self.gateway.ids().resolve("acme", Some(public_id)).await.expect("read")?;
        resolved.customers.into_iter().find(|known| known.public_id == *public_id)
    }

    /// The number of the connection where a customer lives.
    pub(super) fn home_of(&self, known: &KnownCustomer) -> usize {
        let home = known.pinned.clone().unwrap_or_else(|| name(self.active));
        home.trim_start_matches('c').parse().expect("a number")
    }

    /// Learns the ids that the customers have got at other connections.
    pub(super) async fn learn(&mut self) {
        for number in 0..self.people.len() {
            let Some(known) = self.known(number).await else { continue };
            let ids = known.at.values().flat_map(|at| spellings(&at.provider_id));
            let ids: Vec<String> = ids.chain(spellings(&known.public_id)).collect();
            self.people[number].ids.extend(ids);
            // A DID names its customer for ever.
            let shown = self.gateway.get(&format!("/v1/customers/{}", known.public_id)).await;
            self.people[number].ids.extend(shown.body["did"].as_str().map(str::to_owned));
        }
    }

    pub(super) async fn wait(&self, id: &str, what: &str, is_so: impl Fn(&SwitchView) -> bool) -> SwitchView {
        let until = Instant::now() + PATIENCE;
        loop {
            let view = self.gateway.switches().get(id).await.expect("a switch");
            if is_so(&view) {
                return view;
            }
            if Instant::now() >= until {
                let records = self.gateway.switches().records(id, None, None, 500).await.expect("records").entries;
                let open: Vec<_> = records.into_iter().filter(|one| one.code.is_some()).collect();
                unreachable!("{}: {what} did not come: {open:#?}\n{view:#?}", self.way());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until everything is copied. Who waits for a person meanwhile is decided.
    async fn current(&self, id: &str, what: &str, is_so: impl Fn(&SwitchView) -> bool) -> SwitchView {
        loop {
            let waits = |view: &SwitchView| view.records.open() > view.records.in_doubt;
            let view = self.wait(id, what, |view| is_current(view) && is_so(view) || waits(view)).await;
            if !waits(&view) {
                return view;
            }
            self.decide(&view, Vec::new()).await;
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Plans a switch to a connection, and runs it until everything is copied. One customer is left where it is.
    pub(super) async fn copied(&mut self, to: usize, stays: Option<usize>) -> SwitchView {
        let switches = self.gateway.switches();
        let options = passerelle::switch::service::PlanOptions { to: name(to), sample: 0, idempotency_key: None };
        let planned = switches.plan("acme", options, None).await.expect("a plan");
        let planned = self.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
        let stays: Vec<String> = stays.iter().map(|number| self.people[*number].public_id.clone()).collect();
        self.decide(&planned, stays).await;
        let planned = switches.get(&planned.id).await.expect("a switch");
        switches.run(&planned.id, RunOptions::default(), decided(&planned)).await.expect("it runs");
        let has_tried = |view: &SwitchView| view.state == SwitchState::Copied && view.records.pending == 0;
        let copied = self.wait(&planned.id, "the copies", has_tried).await;
        self.decide(&copied, Vec::new()).await;
        let view = self.current(&planned.id, "the decided copies", |_| true).await;
        self.learn().await;
        view
    }

    /// Decides about everybody who waits for a person: a block is accepted that does not stop payments at the target, and
    /// samples of the twins that the target cannot hold are left, as these customers are.
    async fn decide(&self, view: &SwitchView, leaves: Vec<String>) {
        let switches = self.gateway.switches();
        let mut decisions: Vec<Decision> = leaves.into_iter().map(leave).collect();
        for record in switches.records(&view.id, None, None, 500).await.expect("records").entries {
            let Some(public_id) = record.public_id.clone() else { continue };
            if decisions.iter().any(|one| one.public_id == public_id) {
                continue;
            }
            let is_ours = self.people.iter().any(|person| person.public_id == public_id);
            match (record.outcome, record.code.as_deref()) {
                (Outcome::NeedsDecision, Some("blocked_lost")) => {
                    decisions.push(Decision { public_id, decision: DecisionKind::Create, link_id: None });
                }
                // It can only be linked with, so the customer stays.
                (Outcome::Refused, Some("target_cannot_create")) => decisions.push(leave(public_id)),
                (Outcome::NeedsDecision | Outcome::Refused, _) if is_ours => {
                    unreachable!("{}: {record:#?}", self.way())
                }
                (Outcome::NeedsDecision | Outcome::Refused, _) => decisions.push(leave(public_id)),
                _ => {}
            }
        }
        if !decisions.is_empty() {
            switches.decide(&view.id, decisions, decided(view)).await.expect("decided");
        }
    }

    /// Verifies, and makes the target active.
    pub(super) async fn cut_over(&mut self, view: &SwitchView, to: usize) -> SwitchView {
        let switches = self.gateway.switches();
        let ready = self.current(&view.id, "the marks", |_| true).await;
        switches.verify(&view.id, VerifyOptions::default(), decided(&ready)).await.expect("it begins");
        let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
        let ready = self.wait(&view.id, "the verification", is_done).await;
        let records = switches.records(&view.id, None, None, 500).await.expect("records").entries;
        let differing: Vec<_> = records.iter().filter(|record| !record.differences.is_empty()).collect();
        assert!(differing.is_empty(), "{}: {differing:#?}", self.way());
        let mut accepted = codes_of(&records);
        accepted.push("way_back_partial".to_owned());
        let switched = switches.cutover(&view.id, accepted, decided(&ready)).await;
        let switched = switched.unwrap_or_else(|refused| unreachable!("{}: {refused:?}\n{ready:#?}", self.way()));
        self.active = to;
        let from = switched.from.clone();
        self.current(&view.id, "the move", |view| view.pinned[&from] <= view.records.left).await
    }

    /// Makes the source active again.
    pub(super) async fn roll_back(&mut self, view: &SwitchView, from: usize) -> SwitchView {
        let ready = self.current(&view.id, "the marks", |_| true).await;
        let back =
            self.gateway.switches().rollback(&view.id, Vec::new(), decided(&ready)).await.expect("it asks nothing");
        self.active = from;
        let to = back.to.clone();
        self.current(&view.id, "the way back", |view| view.pinned[&to] <= view.records.left).await
    }

    /// Writes the target into the file, and ends the switch.
    pub(super) async fn complete(&mut self, view: &SwitchView) {
        let switches = self.gateway.switches();
        let ready = self.current(&view.id, "copying back", |_| true).await;
        let file = configuration(&self.folder, &self.vendors, self.active);
        self.gateway.try_reload(&file).await.expect("the file follows the row");
        let mut accepted = codes_of(&switches.records(&view.id, None, None, 500).await.expect("records").entries);
        accepted.extend(["pinned", "marks_pending"].map(str::to_owned));
        switches.complete(&view.id, accepted, decided(&ready)).await.expect("completed");
        self.learn().await;
    }

    /// Every customer has the values that were written through the gateway, under every id (R28, R3).
    pub(super) async fn check_values(&self, when: &str) {
        for person in self.people.iter().filter(|person| !person.is_deleted) {
            for id in &person.ids {
                let answer = self.gateway.get(&format!("/v1/customers/{id}")).await;
                let which = format!("{}, {when}: {id}", self.way());
                assert_eq!(answer.status, 200, "{which}: {}", answer.text);
                assert_eq!(answer.body["id"], *person.public_id, "{which}");
                assert_eq!(person.differing(&answer.body), [""; 0], "{which}");
            }
        }
    }
}

fn leave(public_id: String) -> Decision {
    Decision { public_id, decision: DecisionKind::Leave, link_id: None }
}

/// Whether everything is copied but the last writes of customers who were left.
fn is_current(view: &SwitchView) -> bool {
    let is_copied = matches!(view.state, SwitchState::Copied | SwitchState::Switched);
    is_copied && view.records.pending == 0 && view.records.open() == 0 && view.marks.pending <= view.records.left
}

fn configuration(folder: &TempDir, vendors: &[Vendor], active: usize) -> String {
    let line = |(number, vendor): (usize, &Vendor)| format!("connections.c{number} = {}\n", vendor.connection());
    let connections = vendors.iter().enumerate().map(line).collect::<Vec<_>>().concat();
    format!(
        "[store]\nurl = \"sqlite:{}\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"c{active}\"\nregion = \"SN\"\non_loss = \"carry\"\n{connections}",
        folder.path().join("store.db").display()
    )
}
