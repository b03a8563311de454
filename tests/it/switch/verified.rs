//! What a whole verification counts (R29): each record once, and each kind of difference.

use passerelle::{
    store::{Claim, CreatedContacts, EarlierContents, HomeOfWrite, NewOperation, OperationId},
    switch::{
        service::{Decision, SwitchService, VerifyOptions},
        view::{DecisionKind, Outcome, SwitchState, SwitchView, Verified},
    },
};
use passerelle_providers::model::Operation;
use serde_json::{Value, json};

use super::{
    bed::{Bed, Vendor, person},
    merchant::{decided, is_copied, to_new},
};
use crate::support::{Gateway, JsonText};

/// The sum of everything that a record can be.
fn sum(verified: &Verified) -> u64 {
    let Verified { equal, equal_after_rule, differs, missing, extra, busy, unreadable, .. } = verified;
    equal + equal_after_rule + differs + missing + extra.unwrap_or(0) + busy + unreadable
}

async fn verify(bed: &Bed, switch: &SwitchView, options: VerifyOptions) -> Verified {
    let switches = bed.gateway.switches();
    let now = switches.get(&switch.id).await.expect("a switch");
    switches.verify(&switch.id, options, decided(&now)).await.expect("it begins");
    let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
    let verified = bed.wait(&switch.id, "the verification", is_done).await.verified.expect("a verification");
    assert_eq!(verified.checked, sum(&verified), "{verified:?}");
    verified
}

/// A merchant whose customers are copied, and another gateway at the target.
struct Copied {
    bed: Bed,
    switch: SwitchView,
    ids: Vec<String>,
    theirs: Gateway,
}

impl Copied {
    async fn start(customers: usize) -> Self {
        let bed = Bed::start("modempay", "notchpay", "").await;
        let mut ids = Vec::new();
        for number in 0..customers {
            ids.push(bed.create(&person(number)).await);
        }
        let switch = bed.driven().await;
        let theirs = bed.new.looked_at().await;
        Self { bed, switch, ids, theirs }
    }

    /// The path of a customer's record at the target.
    async fn at_target(&self, customer: usize) -> String {
        let record = self.bed.record(&self.switch.id, &self.ids[customer]).await;
        format!("/v1/customers/{}", record.target_id.expect("a copy"))
    }

    /// Changes a record at the target outside the gateway.
    async fn change(&self, customer: usize, body: Value) {
        let changed = self.theirs.patch(&self.at_target(customer).await, body).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }

    async fn verify(&self, options: VerifyOptions) -> Verified {
        verify(&self.bed, &self.switch, options).await
    }

    async fn differing(&self) -> Vec<String> {
        let records = self.bed.gateway.switches().records(&self.switch.id, None, None, 500).await.expect("records");
        let differing = records.entries.into_iter().filter(|record| !record.differences.is_empty());
        differing.filter_map(|record| record.public_id).collect()
    }
}

#[tokio::test]
async fn every_kind_of_difference_is_counted_and_the_counts_sum_to_the_records() {
    let copied = Copied::start(8).await;
    let before = copied.verify(VerifyOptions::default()).await;
    assert_eq!((before.differences(), before.busy), (0, 0), "{before:?}");
    let extra = before.extra.expect("Notch Pay lists every customer");

    copied.change(0, json!({ "email": "theirs@example.com" })).await;
    copied.change(1, json!({ "phone": null })).await;
    assert_eq!(copied.theirs.delete(&copied.at_target(2).await).await.status, 200);
    let created = copied.theirs.post("/v1/customers", person(70)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let home = copied.bed.old.looked_at().await;
    assert_eq!(home.delete(&format!("/v1/customers/{}", copied.ids[3])).await.status, 200);
    // A customer who waits for a decision was written since its copy, so its other side is older without a mistake.
    copied.change(4, json!({ "email": "taken@example.com" })).await;
    copied.bed.patch(&copied.ids[4], json!({ "email": "ours@example.com" })).await;
    let waits = |view: &SwitchView| view.records.needs_decision == 1;
    copied.bed.wait(&copied.switch.id, "the conflict", waits).await;

    let found = copied.verify(VerifyOptions::default()).await;
    let counts = [found.differs, found.missing, found.unreadable, found.busy, found.extra.unwrap_or_default() - extra];
    assert_eq!(counts, [2, 1, 1, 1, 1], "{found:?}");
    assert_eq!(found.checked, before.checked + 1, "each record counts once");
    assert_eq!(found.differences(), 4);
    let mut differing = copied.differing().await;
    differing.sort();
    let mut expected = [&copied.ids[0], &copied.ids[1]].map(String::clone);
    expected.sort();
    assert_eq!(differing, expected, "the records name the fields");
}

/// `--ids-only` reads whether each record exists, and nothing else.
#[tokio::test]
async fn a_verification_of_ids_only_finds_what_is_missing_and_no_other_value() {
    let copied = Copied::start(4).await;
    copied.change(0, json!({ "email": "theirs@example.com" })).await;
    assert_eq!(copied.theirs.delete(&copied.at_target(1).await).await.status, 200);
    let reads = copied.bed.old.requests(Operation::Retrieve);
    let found = copied.verify(VerifyOptions { ids_only: true, ..VerifyOptions::default() }).await;
    assert_eq!((found.differs, found.missing), (0, 1), "{found:?}");
    assert!(found.extra.is_some());
    assert_eq!(copied.bed.old.requests(Operation::Retrieve), reads, "the home is not read");
    let whole = copied.verify(VerifyOptions::default()).await;
    assert_eq!((whole.differs, whole.missing), (1, 1), "{whole:?}");
}

/// `--sample N`: so many customers, chosen at random. It is no whole verification, and counts no records of others.
#[tokio::test]
async fn a_sample_is_chosen_at_random_and_opens_no_gate() {
    let copied = Copied::start(12).await;
    for customer in 0..12 {
        copied.change(customer, json!({ "email": format!("theirs{customer}@example.com") })).await;
    }
    let mut first = copied.ids.clone();
    first.sort();
    first.truncate(4);
    let mut rounds = 0;
    while copied.differing().await.iter().all(|id| first.contains(id)) {
        assert!(rounds < 8, "always the first customers");
        rounds += 1;
        let found = copied.verify(VerifyOptions { sample: Some(4), ..VerifyOptions::default() }).await;
        assert_eq!((found.checked, found.extra), (4, None), "{found:?}");
    }
    let now = copied.bed.gateway.switches().get(&copied.switch.id).await.expect("a switch");
    let few = VerifyOptions { sample: Some(500), ..VerifyOptions::default() };
    assert_eq!(
        copied.verify(few).await.checked,
        now.records.created + now.records.linked,
        "all, where there are fewer"
    );
}

/// What this switch has created is repaired. What it has linked keeps the values of others, and stays listed.
#[tokio::test]
async fn a_repair_mends_what_the_switch_created_and_lists_what_it_linked() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let theirs = bed.new.looked_at().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(bed.create(&person(number)).await);
    }
    let there = theirs.post("/v1/customers", person(3)).await;
    assert_eq!(there.status, 201, "{}", there.text);
    let switch = bed.driven().await;
    let copied = Copied { bed, switch, ids, theirs };
    assert_eq!(copied.bed.record(&copied.switch.id, &copied.ids[3]).await.outcome, Outcome::Linked);
    copied.change(0, json!({ "email": "theirs@example.com" })).await;
    copied.change(1, json!({ "phone": null })).await;
    assert_eq!(copied.theirs.delete(&copied.at_target(2).await).await.status, 200);
    copied.change(3, json!({ "email": "linked@example.com" })).await;
    let found = copied.verify(VerifyOptions::default()).await;
    assert_eq!((found.differs, found.missing), (3, 1), "{found:?}");
    let repaired = copied.verify(VerifyOptions { repair: true, ..VerifyOptions::default() }).await;
    assert_eq!((repaired.differs, repaired.missing), (1, 0), "{repaired:?}");
    assert_eq!(copied.differing().await, [copied.ids[3].clone()]);
    assert_eq!(copied.bed.new.with_email("linked@example.com").await.len(), 1, "it is not overwritten");
    assert_eq!(copied.bed.new.with_email("awa0@example.com").await.len(), 1);
}

/// A stopped verification sends no further request, and goes on where it was.
#[tokio::test]
async fn a_stopped_verification_goes_on_where_it_was() {
    let copied = Copied::start(30).await;
    let switches = copied.bed.gateway.switches();
    switches.set_rate(&copied.switch.id, Some("40/s".to_owned())).await.expect("set");
    let whole = VerifyOptions::default();
    switches.verify(&copied.switch.id, whole.clone(), decided(&copied.switch)).await.expect("it begins");
    switches.stop(&copied.switch.id).await.expect("it stops");
    let stopped = switches.get(&copied.switch.id).await.expect("a switch");
    assert!(!stopped.verified.as_ref().is_some_and(|verified| verified.complete), "{stopped:#?}");
    switches.set_rate(&copied.switch.id, None).await.expect("set");
    copied.bed.run(&stopped).await;
    let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
    let done = copied.bed.wait(&copied.switch.id, "the verification", |view| is_done(view) && is_copied(view)).await;
    let verified = done.verified.expect("a verification");
    assert_eq!((verified.checked, verified.differences()), (sum(&verified), 0), "{verified:?}");
}

/// The list of lomi shows only a part, so nothing can be said about the rest.
#[tokio::test]
async fn what_only_a_target_has_that_lists_a_part_is_not_counted() {
    let bed = Bed::start("modempay", "lomi", "").await;
    for number in 0..3 {
        bed.create(&person(number)).await;
    }
    let switch = bed.driven().await;
    let found = verify(&bed, &switch, VerifyOptions::default()).await;
    assert_eq!((found.extra, found.differences()), (None, 0), "{found:?}");
    assert!(found.checked >= 3, "{found:?}");
    assert!(bed.cut_over(&switch).await.epoch > switch.epoch, "it opens the gate");
}

/// After the cutover the source is the other side: what others make there belongs to no customer, until a pass finds it.
#[tokio::test]
async fn after_the_cutover_the_records_of_the_source_are_counted() {
    let copied = Copied::start(3).await;
    let switched = copied.bed.cut_over(&copied.switch).await;
    copied
        .bed
        .wait(&switched.id, "the move", |view| view.pinned["old"] <= view.records.refused + view.records.needs_decision)
        .await;
    let before = copied.verify(VerifyOptions::default()).await;
    let created = copied.bed.old.looked_at().await.post("/v1/customers", person(70)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let found = copied.verify(VerifyOptions::default()).await;
    assert_eq!(found.extra, before.extra.map(|extra| extra + 1), "{before:?} {found:?}");
    assert_eq!(found.checked, before.checked + 1);
}

/// The records of copies in doubt belong to customers, although nothing says yet to whom.
#[tokio::test]
async fn a_record_that_a_copy_in_doubt_may_have_made_is_busy() {
    let [old, new] = ["", "hang_after = 1.0\nonly = [\"create\"]\n"].map(|faults| Vendor::start("modempay", faults));
    let bed = Bed::between(old, new, tempfile::tempdir().expect("a folder")).await;
    let theirs = bed.new.looked_at().await;
    let has_before = theirs.get("/v1/customers?limit=100").await.body["data"].as_array().map_or(0, Vec::len) as u64;
    // It is made, although no answer comes.
    let extra = theirs.post("/v1/customers", person(7)).await;
    assert_eq!(extra.status, 504, "{}", extra.text);
    // Nothing in the records of Modem Pay tells the copies of identical customers apart.
    let mut decisions = Vec::new();
    for key in ["one", "two"] {
        let create = bed.gateway.request(reqwest::Method::POST, "/v1/customers").header("idempotency-key", key);
        let created = bed.gateway.send(create.json_text(&person(0))).await;
        let public_id = created.body["id"].as_str().expect("an id").to_owned();
        decisions.push(Decision { public_id, decision: DecisionKind::Create, link_id: None });
    }
    let switches = bed.gateway.switches();
    let planned = switches.plan("acme", to_new(), None).await.expect("a plan");
    let planned = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
    switches.decide(&planned.id, decisions, decided(&planned)).await.expect("decided");
    bed.run(&planned).await;
    let is_doubtful = |view: &SwitchView| view.state == SwitchState::Copied && view.records.in_doubt == 2;
    let switch = bed.wait(&planned.id, "the doubt", is_doubtful).await;
    // A create at the other connection makes no record here.
    bed.claim_at("old", "create", None).await;
    let found = verify(&bed, &switch, VerifyOptions::default()).await;
    let linked = switch.records.linked + switch.records.already_linked;
    assert_eq!((found.busy, found.extra), (2, Some(has_before + 1 - linked)), "{found:?} {switch:#?}");
}

impl Bed {
    /// A write of a client that is in flight at a connection, before the cutover.
    pub(super) async fn claim_at(&self, connection: &str, operation: &str, customer: Option<&str>) {
        let customer = customer.map(str::to_owned);
        let home = HomeOfWrite { epoch: 0, public_id: customer.clone(), is_copy: false };
        let write = NewOperation {
            id: OperationId::now(),
            merchant: "acme".to_owned(),
            connection: connection.to_owned(),
            operation: operation.to_owned(),
            customer,
            key: None,
            key_name: None,
            joins: false,
            request: "{}".into(),
            earlier: EarlierContents::default(),
            copy: None,
            command: "{}".into(),
            home: Some(home),
            contacts: CreatedContacts::default(),
        };
        let claim = self.context().store.operations().claim(write).await.expect("claimed");
        assert!(matches!(claim, Claim::New { .. }), "{claim:?}");
    }
}
