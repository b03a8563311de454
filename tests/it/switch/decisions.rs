//! What the operator decides about single customers.

use std::time::Duration;

use passerelle::switch::{
    context::Order,
    service::{Decision as Decided, RunOptions, SwitchService, Tried, VerifyOptions},
    view::{DecisionKind, Outcome, SwitchState, SwitchView},
};
use passerelle_providers::{
    switch::{Decision, FindingCode},
    text::Text,
};
use serde_json::json;

use super::{
    bed::{Bed, person},
    merchant::{decided, is_copied, to_new},
};

fn leave(public_id: &str) -> Vec<Decided> {
    vec![Decided { public_id: public_id.to_owned(), decision: DecisionKind::Leave, link_id: None }]
}

/// The create of a copy is in flight when the operator decides `leave`.
#[tokio::test]
async fn a_decision_is_not_overwritten_by_a_copy_in_flight() {
    let bed = Bed::start("modempay", "notchpay", "delay = \"600ms..700ms\"\nonly = [\"create\"]\n").await;
    bed.create(&person(0)).await;
    let switches = bed.gateway.switches();
    let planned = switches.plan("acme", to_new(), None).await.expect("a plan");
    let planned = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
    let id = bed.public_id(0).await;
    let only = RunOptions { only: Some(vec![id.clone()]), ..RunOptions::default() };
    let running = switches.run(&planned.id, only, decided(&planned)).await.expect("it runs");
    let operations = bed.context().store.operations().clone();
    while operations.find_copy("acme", "new", &id).await.expect("read").is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    switches.decide(&running.id, leave(&id), decided(&running)).await.expect("decided");
    while bed.record(&running.id, &id).await.target_id.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bed.record(&running.id, &id).await.outcome, Outcome::Left);
}

/// The verification has not compared a customer who is copied after it because of a decision.
#[tokio::test]
async fn a_decision_that_copies_a_customer_needs_a_verification_after_it() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..2 {
        bed.create(&person(number)).await;
    }
    let (switches, id, planned) = (bed.gateway.switches(), bed.public_id(0).await, bed.planned().await);
    switches.decide(&planned.id, leave(&id), decided(&planned)).await.expect("decided");
    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    switches.verify(&copied.id, VerifyOptions::default(), decided(&copied)).await.expect("it begins");
    let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
    let verified = bed.wait(&copied.id, "the verification", is_done).await;
    let left = switches.decide(&verified.id, leave(&id), decided(&verified)).await.expect("decided");
    let open = switches.steps(&left.id, Tried::Cutover(Vec::new()), decided(&left)).await.expect("steps");
    assert!(open.refused.is_empty(), "a customer who is left is not copied: {open:?}");
    let create = Decided { public_id: id.clone(), decision: DecisionKind::Create, link_id: None };
    switches.decide(&verified.id, vec![create], decided(&left)).await.expect("decided");
    let closed = switches.cutover(&verified.id, Vec::new(), decided(&verified)).await.expect_err("not verified");
    assert!(closed.reasons.iter().any(|reason| reason.code == "not_verified"), "{closed:?}");
    bed.wait(&copied.id, "the decided copy", |view| view.records.pending == 0).await;
    bed.cut_over(&copied).await;
    assert_eq!(bed.record(&copied.id, &id).await.outcome, Outcome::Created);
}

#[tokio::test]
async fn a_customer_who_was_left_and_is_written_does_not_hold_up_the_end() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..2 {
        bed.create(&person(number)).await;
    }
    let copied = bed.driven().await;
    let id = bed.public_id(0).await;
    bed.gateway.switches().decide(&copied.id, leave(&id), decided(&copied)).await.expect("decided");
    bed.patch(&id, json!({ "phone": "+221771112233" })).await;
    let switched = bed.cut_over(&copied).await;
    bed.patch(&id, json!({ "phone": "+221771112244" })).await;
    assert_eq!(bed.gateway.switches().get(&switched.id).await.expect("a switch").marks.pending, 0);
    let steps = bed.gateway.switches().steps(&switched.id, Tried::Complete(Vec::new()), decided(&switched)).await;
    let codes: Vec<String> = steps.expect("steps").refused.into_iter().map(|reason| reason.code).collect();
    assert!(codes.contains(&"pinned".to_owned()) && !codes.contains(&"marks_pending".to_owned()), "{codes:?}");
}

/// Others deleted the record of a copy, and made another one of the same person.
#[tokio::test]
async fn a_copy_that_others_replaced_is_linked_by_decision() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    let first = bed.copy_fully(&public_id).await.target_id.expect("an id");
    let target = bed.new.looked_at().await;
    assert_eq!(target.delete(&format!("/v1/customers/{first}")).await.status, 200);
    let made = target.post("/v1/customers", person(0)).await;
    let other = made.body["id"].as_str().expect("an id");
    let missing = bed.copy(&public_id).await.expect("no stall");
    assert_eq!(missing.finding.map(|finding| finding.code), Some(FindingCode::CopyMissing));
    let link = |id: &str| Order { decision: Some(Decision::Link(Text::from(id))), ..Order::default() };
    let unknown = bed.ordered(&public_id, &link("cus.doesNotExist0000")).await;
    let code = unknown.finding.map(|finding| finding.code);
    assert_eq!((unknown.outcome, code), (Outcome::Refused, Some(FindingCode::RecordUnknown)));
    let customers = bed.customers().await;
    let known = customers.iter().find(|customer| customer.public_id == public_id).expect("a row");
    assert_eq!(known.id_at("new"), Some(&*first), "nothing was forgotten");
    let linked = bed.ordered(&public_id, &link(other)).await;
    assert_eq!((linked.outcome, linked.target_id.as_deref()), (Outcome::Linked, Some(other)));
    bed.patch(&public_id, json!({ "phone": "+221771112233" })).await;
    bed.copy_fully(&public_id).await;
    let records = bed.new.with_email("awa0@example.com").await;
    assert_eq!((records.len(), records[0]["phone"].as_str()), (1, Some("+221771112233")));
}
