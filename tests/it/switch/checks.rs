//! Which check catches which fault (R30): every fault is caused, every check looks, and the table of docs/switching.md is
//! what they found. `UPDATE_DOCUMENTS=1 cargo test --test it checks` writes it.

use std::fmt::Write as _;

use passerelle::{
    store::{CopyState, IdOrigin},
    switch::{
        service::{SwitchService, Tried, VerifyOptions},
        view::{BlockedCode, Outcome, SwitchState, SwitchView},
    },
};
use serde_json::json;

use super::{
    bed::{Bed, Vendor, person},
    door::Door,
    merchant::{decided, is_copied, to_new},
};
use crate::documents::assert_part_up_to_date;

/// More than ten may be gone before the account counts as another one.
const CUSTOMERS: usize = 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    WrongTransform,
    LostCreate,
    LostDelete,
    ForeignWrite,
    MissedPass,
    WrongLink,
    SwappedAccount,
}

const FAULTS: [(Fault, &str); 7] = [
    (Fault::WrongTransform, "wrong transform: the target has another value than the copy should have sent"),
    (Fault::LostCreate, "lost create: the target has no record, although it has confirmed one"),
    (Fault::LostDelete, "lost delete: the customer is deleted at the source, outside the gateway"),
    (Fault::ForeignWrite, "foreign write: the record at the target is changed outside the gateway"),
    (Fault::MissedPass, "missed pass: the record at the source is changed outside the gateway, and no pass came since"),
    (Fault::WrongLink, "wrong link: the customer is linked with another customer's record"),
    (Fault::SwappedAccount, "swapped account: the source's key is that of another account"),
];

/// A switch whose first customer has the fault.
struct Faulty {
    bed: Bed,
    door: Door,
    switch: SwitchView,
    id: String,
    /// The account that has become the source.
    swapped: Option<Vendor>,
}

impl Faulty {
    async fn start(fault: Fault) -> Self {
        let [mut old, mut new] = ["modempay", "notchpay"].map(|provider| Vendor::start(provider, ""));
        let door = Door::before(&mut old).await;
        let behind = Door::before(&mut new).await;
        if fault == Fault::WrongTransform {
            behind.changes("Ndiayea\"", "Ndiayex\"");
        }
        let bed = Bed::between(old, new, tempfile::tempdir().expect("a folder")).await;
        let mut ids = Vec::new();
        for number in 0..CUSTOMERS {
            ids.push(bed.create(&person(number)).await);
        }
        let switch = bed.driven().await;
        let mut faulty = Self { bed, door, switch, id: ids.swap_remove(0), swapped: None };
        if fault == Fault::WrongTransform {
            behind.changes("", "");
        } else {
            faulty.plant(fault).await;
        }
        faulty
    }

    async fn plant(&mut self, fault: Fault) {
        let target_id = self.bed.record(&self.switch.id, &self.id).await.target_id.expect("a copy");
        let (at_home, at_target) = (format!("/v1/customers/{}", self.id), format!("/v1/customers/{target_id}"));
        let theirs = json!({ "email": "theirs@example.com" });
        let done = match fault {
            Fault::WrongTransform => return,
            Fault::LostCreate => self.bed.new.looked_at().await.delete(&at_target).await,
            Fault::LostDelete => self.bed.old.looked_at().await.delete(&at_home).await,
            Fault::ForeignWrite => self.bed.new.looked_at().await.patch(&at_target, theirs).await,
            Fault::MissedPass => self.bed.old.looked_at().await.patch(&at_home, theirs).await,
            Fault::WrongLink => {
                let made = self.bed.new.looked_at().await.post("/v1/customers", person(70)).await;
                let other = made.body["id"].as_str().unwrap_or_default().to_owned();
                self.bed.gateway.ids().forget("acme", &self.id, "new", &target_id).await.expect("forgotten");
                let (ids, version) = (self.bed.gateway.ids(), self.version().await);
                let copy = CopyState::created(&self.id, "new", &other);
                let linked = ids.keep_copy("acme", CopyState { version, origin: IdOrigin::Linked, ..copy }).await;
                assert!(linked.expect("stored"), "{other}");
                made
            }
            Fault::SwappedAccount => {
                let other = Vendor::start("modempay", "");
                self.door.leads_to(&other);
                self.swapped = Some(other);
                return;
            }
        };
        assert!(done.status.is_success(), "{fault:?}: {}", done.text);
    }

    async fn version(&self) -> u64 {
        let customers = self.bed.customers().await;
        customers.iter().find(|customer| customer.public_id == self.id).expect("a customer").version
    }

    async fn now(&self) -> SwitchView {
        self.bed.gateway.switches().get(&self.switch.id).await.expect("a switch")
    }

    /// What has become of the customer; `None`: it is as it was.
    async fn found(&self, was: u32) -> Option<String> {
        let view = self.now().await;
        if view.blocked_by.as_ref().is_some_and(|blocked| blocked.code == BlockedCode::SourceVanished) {
            return Some("`source_vanished`".to_owned());
        }
        let record = self.bed.record(&self.switch.id, &self.id).await;
        match record.outcome {
            Outcome::Created | Outcome::Linked if record.attempts > was => Some("copied again".to_owned()),
            Outcome::Created | Outcome::Linked | Outcome::AlreadyLinked => None,
            _ => record.code.map(|code| format!("`{code}`")),
        }
    }

    async fn attempts(&self) -> u32 {
        self.bed.record(&self.switch.id, &self.id).await.attempts
    }

    /// What a verification counts, and what a cutover says after it.
    async fn verify_and_gate(&self) -> [Option<String>; 2] {
        let switches = self.bed.gateway.switches();
        switches
            .verify(&self.switch.id, VerifyOptions::default(), decided(&self.now().await))
            .await
            .expect("it begins");
        let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
        let view = self.bed.wait(&self.switch.id, "the verification", is_done).await;
        let verified = view.verified.clone().unwrap_or_default();
        let kinds = [(verified.differs, "differs"), (verified.missing, "missing"), (verified.unreadable, "unreadable")];
        let kind = kinds.into_iter().find(|(count, _)| *count > 0).map(|(_, kind)| format!("`{kind}`"));
        let steps = switches.steps(&self.switch.id, Tried::Cutover(Vec::new()), decided(&view)).await.expect("steps");
        let closed = steps.refused.iter().find(|reason| reason.code == "verify_differs");
        [kind, closed.map(|reason| format!("`{}`", reason.code))]
    }

    /// What a new plan says, after the switch is abandoned.
    async fn plan(&self) -> Option<String> {
        let switches = self.bed.gateway.switches();
        let view = self.now().await;
        switches.abandon(&view.id, Vec::new(), false, decided(&view)).await.expect("abandoned");
        let planned = switches.plan("acme", to_new(), None).await.expect("a plan");
        let is_planned = |view: &SwitchView| view.state == SwitchState::Planned;
        let planned = self.bed.wait(&planned.id, "the plan", is_planned).await;
        let records = switches.records(&planned.id, None, None, 500).await.expect("records").entries;
        let Some(record) = records.into_iter().find(|record| record.public_id.as_deref() == Some(&*self.id)) else {
            return Some("not in the plan".to_owned());
        };
        match record.outcome {
            Outcome::AlreadyLinked => None,
            outcome => Some(format!("`{}`", record.code.unwrap_or_else(|| outcome.as_str().to_owned()))),
        }
    }

    /// What a whole pass finds. A customer who comes later shows that the pass before has ended.
    async fn pass(&self) -> Option<String> {
        let was = self.attempts().await;
        for number in [80, 81] {
            let total = self.now().await.records.total;
            let home = match &self.swapped {
                Some(other) => other.looked_at().await,
                None => self.bed.old.looked_at().await,
            };
            let created = home.post("/v1/customers", person(number)).await;
            assert_eq!(created.status, 201, "{}", created.text);
            self.bed.run(&self.now().await).await;
            let has_ended = |view: &SwitchView| {
                let code = view.blocked_by.as_ref().map(|blocked| blocked.code);
                code == Some(BlockedCode::SourceVanished) || (view.records.total > total && is_copied(view))
            };
            let view = self.bed.wait(&self.switch.id, "the pass", has_ended).await;
            if view.blocked_by.is_some_and(|blocked| blocked.code == BlockedCode::SourceVanished) {
                break;
            }
        }
        self.found(was).await
    }

    /// What the copy finds that a client's write makes necessary.
    async fn copy(&self) -> Option<String> {
        let was = self.attempts().await;
        let path = format!("/v1/customers/{}", self.id);
        let written = self.bed.gateway.patch(&path, json!({ "phone": "+221775550001" })).await;
        if !written.status.is_success() {
            return Some(format!("the client's write is answered {}", written.status.as_u16()));
        }
        let is_tried = async || self.attempts().await > was || self.found(was).await.is_some();
        while !is_tried().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let record = self.bed.record(&self.switch.id, &self.id).await;
        match record.outcome {
            Outcome::Created | Outcome::Linked => None,
            _ => record.code.map(|code| format!("`{code}`")),
        }
    }
}

/// The cells of a fault: plan, copy, pass, verify, gate.
async fn cells(fault: Fault) -> [Option<String>; 5] {
    let first = Faulty::start(fault).await;
    let [verify, gate] = first.verify_and_gate().await;
    let plan = first.plan().await;
    let copy = Faulty::start(fault).await.copy().await;
    let pass = Faulty::start(fault).await.pass().await;
    [plan, copy, pass, verify, gate]
}

#[tokio::test]
async fn the_table_of_checks_and_faults_is_what_they_find() {
    let mut table =
        "| fault | a new `plan` | a copy | a pass | `verify` | the gate after it |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for (fault, words) in FAULTS {
        let cells = cells(fault).await;
        assert!(cells.iter().any(Option::is_some), "no check finds {fault:?}");
        let cells = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
        let _ = writeln!(table, "| {words} | {} |", cells.join(" | "));
    }
    assert_part_up_to_date("docs/switching.md", "<!-- checks: made by a test -->\n", &table);
}
