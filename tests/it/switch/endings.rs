//! How a switch ends or is mended: `abandon --undo`, `rollback --accept stale` and `verify --repair`.

use passerelle::switch::{
    service::{SwitchService, VerifyOptions},
    view::{Outcome, SwitchState, SwitchView, Verified},
};
use passerelle_providers::model::Operation;
use reqwest::StatusCode;
use serde_json::json;

use super::{
    bed::{Bed, person},
    merchant::decided,
};

/// R20: what this switch created goes, if it stands as the switch left it. What stood there before stays, and so does what
/// was changed outside the gateway, or what is the customer's only record.
#[tokio::test]
async fn undo_deletes_only_what_the_switch_created_and_no_other_client_changed() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..5 {
        bed.create(&person(number)).await;
    }
    let target = bed.new.looked_at().await;
    let before = target.post("/v1/customers", person(4)).await;
    assert_eq!(before.status, StatusCode::CREATED, "{}", before.text);
    let copied = bed.driven().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(bed.public_id(number).await);
    }
    let at_target = bed.record(&copied.id, &ids[1]).await.target_id.expect("a copy");
    let changed = target.patch(&format!("/v1/customers/{at_target}"), json!({ "email": "theirs@example.com" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let deleted = bed.old.looked_at().await.delete(&format!("/v1/customers/{}", ids[2])).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    assert_eq!(bed.record(&copied.id, &ids[4]).await.outcome, Outcome::Linked);

    bed.gateway.switches().abandon(&copied.id, Vec::new(), true, decided(&copied)).await.expect("it begins");
    let is_over = |view: &SwitchView| view.state == SwitchState::Abandoned;
    let ended = bed.wait(&copied.id, "the end", is_over).await;
    for number in [0, 3] {
        assert!(bed.new.with_email(&format!("awa{number}@example.com")).await.is_empty(), "{number}");
        assert_eq!(bed.record(&ended.id, &ids[number]).await.outcome, Outcome::Deleted);
    }
    for (number, email) in [(1, "theirs@example.com"), (2, "awa2@example.com"), (4, "awa4@example.com")] {
        assert_eq!(bed.new.with_email(email).await.len(), 1, "{number}");
    }
    for number in [1, 2] {
        let record = bed.record(&ended.id, &ids[number]).await;
        assert_eq!(record.code.as_deref(), Some("record_stays"), "{record:?}");
    }
    let customers = bed.customers().await;
    let at_new = |number: usize| {
        let customer = customers.iter().find(|customer| customer.public_id == ids[number]).expect("a row");
        customer.id_at("new").is_some()
    };
    assert_eq!([0, 1, 2, 3, 4].map(at_new), [false, true, true, false, true], "ids of records that stay are kept");
    // No customer at the source was touched.
    let kept = bed.gateway.get(&format!("/v1/customers/{}", ids[0])).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.text);
}

/// A copy whose process ended before it wrote the row is undone as well; a second process goes on.
#[tokio::test]
async fn undo_goes_on_after_a_process_ended() {
    let mut bed = Bed::start("modempay", "notchpay", "delay = \"5ms..10ms\"\n").await;
    for number in 0..12 {
        bed.create(&person(number)).await;
    }
    let copied = bed.driven().await;
    bed.gateway.switches().set_rate(&copied.id, Some("20/s".to_owned())).await.expect("set");
    bed.gateway.switches().abandon(&copied.id, Vec::new(), true, decided(&copied)).await.expect("it begins");
    bed.wait(&copied.id, "some deletions", |view| view.records.deleted > 2).await;
    let (old, new, folder) = bed.killed_softly().await;
    bed = Bed::between(old, new, folder).await;
    bed.gateway.switches().set_rate(&copied.id, None).await.expect("set");
    bed.wait(&copied.id, "the end", |view| view.state == SwitchState::Abandoned).await;
    for number in 0..12 {
        assert!(bed.new.with_email(&format!("awa{number}@example.com")).await.is_empty(), "{number}");
    }
}

async fn verified(bed: &Bed, view: &SwitchView, repair: bool) -> Verified {
    let options = VerifyOptions { repair, ..VerifyOptions::default() };
    let view = bed.gateway.switches().get(&view.id).await.expect("a switch");
    bed.gateway.switches().verify(&view.id, options, decided(&view)).await.expect("it begins");
    let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
    bed.wait(&view.id, "the verification", is_done).await.verified.unwrap_or_default()
}

/// R29: a verification changes nothing. With `--repair` it brings what this switch created to no difference; a record that
/// stood there before keeps what was written outside the gateway, and stays listed.
#[tokio::test]
async fn only_a_repair_changes_the_other_side_and_only_what_the_switch_created() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..4 {
        bed.create(&person(number)).await;
    }
    let target = bed.new.looked_at().await;
    let before = target.post("/v1/customers", person(3)).await;
    assert_eq!(before.status, StatusCode::CREATED, "{}", before.text);
    let copied = bed.driven().await;
    let mut at_target = Vec::new();
    for number in [0, 1, 3] {
        let public_id = bed.public_id(number).await;
        at_target.push(bed.record(&copied.id, &public_id).await.target_id.expect("a record"));
    }
    let [changed, missing, linked] = at_target.try_into().expect("three");
    for (id, email) in [(&changed, "theirs@example.com"), (&linked, "others@example.com")] {
        let patched = target.patch(&format!("/v1/customers/{id}"), json!({ "email": email })).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    }
    assert_eq!(target.delete(&format!("/v1/customers/{missing}")).await.status, StatusCode::OK);
    let changes = bed.new.changes();

    let found = verified(&bed, &copied, false).await;
    assert_eq!((found.differs, found.missing), (2, 1), "{found:?}");
    assert_eq!(bed.new.changes(), changes, "a verification changes nothing");

    let repaired = verified(&bed, &copied, true).await;
    assert_eq!((repaired.differs, repaired.missing), (1, 0), "{repaired:?}");
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 1);
    assert_eq!(bed.new.with_email("awa1@example.com").await.len(), 1, "it was made again, once");
    assert_eq!(bed.new.with_email("others@example.com").await.len(), 1, "a linked record is not overwritten");
    let record = bed.record(&copied.id, &bed.public_id(3).await).await;
    assert_eq!(record.differences.first().map(|difference| &*difference.field), Some("email"), "{record:?}");
}

/// A pass has seen that another client changed a copy, so the customer needs a decision. A repair is one: it overwrites the change.
#[tokio::test]
async fn a_repair_ends_a_conflict_that_a_pass_has_found() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let public_id = bed.create(&person(0)).await;
    let copied = bed.driven().await;
    let at_target = bed.record(&copied.id, &public_id).await.target_id.expect("a copy");
    let target = bed.new.looked_at().await;
    let patched = target.patch(&format!("/v1/customers/{at_target}"), json!({ "email": "theirs@example.com" })).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    bed.run(&copied).await;
    bed.wait(&copied.id, "the conflict", |view| view.records.needs_decision == 1).await;

    let repaired = verified(&bed, &copied, true).await;
    assert_eq!(repaired.differs, 0, "{repaired:?}");
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 1);
    assert!(bed.new.with_email("theirs@example.com").await.is_empty());
}

/// R16: a rollback asks nothing. Who is not copied back stays at the target, except where the operator accepts `stale`.
#[tokio::test]
async fn a_rollback_leaves_the_tail_at_the_target_unless_stale_states_are_accepted() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..3 {
        bed.create(&person(number)).await;
    }
    let copied = bed.driven().await;
    verified(&bed, &copied, false).await;
    let accept = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
    let ready = bed.gateway.switches().get(&copied.id).await.expect("a switch");
    let accepted = accept(&["way_back_unproven", "required_field_missing", "value_refused", "provider_refused"]);
    let switched = bed.gateway.switches().cutover(&ready.id, accepted, decided(&ready)).await.expect("the gate");
    let public_id = bed.public_id(0).await;
    bed.wait(&switched.id, "the tail", |view| view.pinned["old"] == view.records.refused).await;
    // Nothing is copied back from now on.
    bed.gateway.switches().stop(&switched.id).await.expect("stopped");
    bed.patch(&public_id, json!({ "email": "newer@example.com" })).await;
    let switched = bed.gateway.switches().get(&switched.id).await.expect("a switch");
    let home = async |id: &str| {
        let answer = bed.gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.body["provider"]["connection"].as_str().unwrap_or_default().to_owned()
    };
    let accepted = accept(&["stale"]);
    let back = bed.gateway.switches().rollback(&switched.id, accepted, decided(&switched)).await.expect("no gate");
    assert_eq!(home(&public_id).await, "new", "the worker is stopped");
    bed.run(&back).await;
    bed.wait(&back.id, "the stale one", |view| view.pinned["new"] == 0).await;
    assert_eq!(home(&public_id).await, "old");
    let record = bed.record(&back.id, &public_id).await;
    assert_eq!((record.outcome, record.code.as_deref()), (Outcome::NeedsDecision, Some("stale")), "{record:?}");
    assert_eq!(
        bed.new.with_email("newer@example.com").await.len(),
        1,
        "the last state at the target is not overwritten"
    );
    assert_eq!(bed.old.effects(Operation::Update), 0);
    let waits = bed.gateway.switches().get(&back.id).await.expect("a switch").records.needs_decision;
    assert!(waits >= 1, "it waits for a person");
    // The worker goes on with the others.
    bed.patch(&bed.public_id(1).await, json!({ "email": "later@example.com" })).await;
    bed.wait(&back.id, "a later copy", |view| view.marks.pending == 0).await;
    assert_eq!(bed.new.with_email("later@example.com").await.len(), 1);
}
