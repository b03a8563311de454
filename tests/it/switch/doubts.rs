//! Copies in doubt that only the operator can end: the lists of lomi show a part of the customers, so that they prove no absence.

use passerelle::{
    store::{Erased, IdOrigin},
    switch::{
        service::{Decision, SwitchService},
        view::{BlockedCode, DecisionKind, Outcome, SwitchState, SwitchView},
    },
    twin::{Twin, log},
};
use passerelle_providers::model::Operation;

use super::{
    bed::{Bed, Vendor, person, wait_for_erasures},
    merchant::decided,
};

fn decision(public_id: &str, decision: DecisionKind) -> Decision {
    Decision { public_id: public_id.to_owned(), decision, link_id: None }
}

/// Copies to lomi, each of which made a record that no list shows, and whose answer was lost. The gateway looks for none of
/// them any more.
async fn held_copies(count: usize) -> (Bed, SwitchView) {
    let faults = "error_after = 1.0\nonly = [\"create\"]\n";
    let new = Vendor::serving("lomi", faults, Twin::listing_only_with_transactions);
    let bed = Bed::between(Vendor::start("modempay", ""), new, tempfile::tempdir().expect("a folder")).await;
    for number in 0..count {
        bed.create(&person(number)).await;
    }
    let planned = bed.planned().await;
    bed.run(&planned).await;
    let count = u64::try_from(count).expect("a small number");
    let is_doubtful = |view: &SwitchView| {
        view.state == SwitchState::Copied && view.records.in_doubt >= count && view.records.pending == 0
    };
    let view = bed.wait(&planned.id, "the doubts", is_doubtful).await;
    (bed, view)
}

/// The record that a create made for a customer.
fn made(vendor: &Vendor, number: usize) -> String {
    let email = log::email_hash(&format!("awa{number}@example.com"));
    let entries = log::read(&vendor.folder.path().join("log")).expect("a log");
    let mut effects = log::effects(&entries);
    effects.find(|effect| effect.email_hash.as_ref() == Some(&email)).expect("a record").customer.clone()
}

async fn stands(vendor: &Vendor, id: &str) -> bool {
    vendor.looked_at().await.get(&format!("/v1/customers/{id}")).await.status == 200
}

#[tokio::test]
async fn a_decision_ends_a_doubt_and_an_undo_says_that_it_waits_for_one() {
    let bed = Bed::start("modempay", "lomi", "error_before = 1.0\nonly = [\"create\"]\n").await;
    for number in 0..2 {
        bed.create(&person(number)).await;
    }
    let planned = bed.planned().await;
    bed.run(&planned).await;
    let is_doubtful = |view: &SwitchView| {
        view.state == SwitchState::Copied && view.records.in_doubt >= 2 && view.records.pending == 0
    };
    let view = bed.wait(&planned.id, "the doubts", is_doubtful).await;
    let (switches, id, sent) = (bed.gateway.switches(), bed.public_id(0).await, bed.new.requests(Operation::Create));

    // It was not made: it is sent again, once. This is in doubt as well, and the old decision does not end the new doubt.
    let create = vec![decision(&id, DecisionKind::Create)];
    switches.decide(&view.id, create, decided(&view)).await.expect("decided");
    let view = bed.wait(&view.id, "the doubts", is_doubtful).await;
    assert_eq!(bed.new.requests(Operation::Create), sent + 1);

    let view = switches.abandon(&view.id, Vec::new(), true, decided(&view)).await.expect("it begins");
    let view = bed.wait(&view.id, "why it waits", |view| view.blocked_by.is_some()).await;
    assert_eq!(view.blocked_by.as_ref().map(|blocked| blocked.code), Some(BlockedCode::DecisionNeeded), "{view:#?}");
    assert_eq!(view.next.as_deref(), Some("passerelle switch errors acme --out errors.csv"));
    let doubtful = switches.records(&view.id, Some(Outcome::InDoubt), None, 500).await.expect("records").entries;
    let ids = doubtful.into_iter().filter_map(|record| record.public_id);
    let left = ids.map(|id| decision(&id, DecisionKind::Leave)).collect();
    switches.decide(&view.id, left, decided(&view)).await.expect("decided");
    bed.wait(&view.id, "the end", |view| view.state == SwitchState::Abandoned).await;
    assert_eq!(bed.new.requests(Operation::Create), sent + 1);
}

/// 5.7: nothing else is to do, so the switch says that it waits for a person, and for what.
#[tokio::test]
async fn a_switch_that_waits_only_for_a_decision_about_a_copy_in_doubt_says_so() {
    let (bed, view) = held_copies(1).await;
    let view = bed.wait(&view.id, "why it waits", |view| view.blocked_by.is_some()).await;
    let blocked = view.blocked_by.as_ref().expect("a reason");
    assert_eq!(blocked.code, BlockedCode::DecisionNeeded, "{view:#?}");
    assert!(blocked.detail.contains(&bed.public_id(0).await), "{blocked:?}");
    assert_eq!(view.next.as_deref(), Some("passerelle switch errors acme --out errors.csv"));
    let left = vec![decision(&bed.public_id(0).await, DecisionKind::Leave)];
    bed.gateway.switches().decide(&view.id, left, decided(&view)).await.expect("decided");
    bed.wait(&view.id, "the end", |view| view.blocked_by.is_none() && view.records.left == 1).await;
}

/// The same after the cutover, when customers are copied back to the source.
#[tokio::test]
async fn a_switch_that_waits_for_a_decision_about_a_copy_back_says_so() {
    let faults = "error_after = 1.0\nonly = [\"create\"]\n";
    let old = Vendor::serving("lomi", faults, Twin::listing_only_with_transactions);
    let bed = Bed::between(old, Vendor::start("modempay", ""), tempfile::tempdir().expect("a folder")).await;
    let view = bed.driven().await;
    let view = bed.cut_over(&view).await;
    let public_id = bed.create(&person(0)).await;
    let view = bed.wait(&view.id, "why it waits", |view| view.blocked_by.is_some()).await;
    let blocked = view.blocked_by.as_ref().expect("a reason");
    assert_eq!(blocked.code, BlockedCode::DecisionNeeded, "{view:#?}");
    assert!(blocked.detail.contains(&public_id) && blocked.detail.contains("`old`"), "{blocked:?}");
}

/// R23, R31: the merchant deletes customers whose copies are in doubt. The operator's decisions end the deletions.
#[tokio::test]
async fn a_decision_about_a_copy_of_a_deleted_customer_ends_the_deletion() {
    let (bed, view) = held_copies(3).await;
    let (switches, sent) = (bed.gateway.switches(), bed.new.requests(Operation::Create));
    let ids = [bed.public_id(0).await, bed.public_id(1).await, bed.public_id(2).await];
    let records = [0, 1, 2].map(|number| made(&bed.new, number));
    for id in &ids {
        let deleted = bed.gateway.delete(&format!("/v1/customers/{id}")).await;
        assert_eq!(deleted.body["receipts"][1]["outcome"], "pending", "{}", deleted.text);
        assert_eq!(bed.record(&view.id, id).await.outcome, Outcome::InDoubt, "it still waits for a decision");
    }
    let link = |id: &str| Decision { link_id: Some(records[0].clone()), ..decision(id, DecisionKind::Link) };
    let take = async |decisions: Vec<Decision>| switches.decide(&view.id, decisions, decided(&view)).await;

    // It is that record: that one is deleted.
    take(vec![link(&ids[0])]).await.expect("decided");
    assert_eq!(wait_for_erasures(&bed.gateway, &ids[0]).await, [("new".to_owned(), Erased::Deleted)]);
    assert!(!stands(&bed.new, &records[0]).await);
    let customers = bed.customers().await;
    let known = customers.iter().find(|customer| customer.public_id == ids[0]).expect("a tombstone");
    assert_eq!(known.at.get("new").map(|at| at.origin), Some(IdOrigin::Linked), "the operator has linked it");
    let refused = take(vec![link(&ids[1])]).await.expect_err("it is the record of another customer");
    assert_eq!(refused.reasons[0].code, "record_already_linked", "{refused:?}");
    // It was not made: nothing is sent, and nothing is to be deleted.
    take(vec![decision(&ids[1], DecisionKind::Create)]).await.expect("decided");
    assert_eq!(wait_for_erasures(&bed.gateway, &ids[1]).await, [("new".to_owned(), Erased::Deleted)]);
    // It stays unknown: what may stand there stays, and the receipt says so.
    take(vec![decision(&ids[2], DecisionKind::Leave)]).await.expect("decided");
    let left = wait_for_erasures(&bed.gateway, &ids[2]).await;
    assert!(matches!(&left[..], [(connection, Erased::Cannot(_))] if connection == "new"), "{left:?}");

    let view = bed.wait(&view.id, "the end", |view| view.records.in_doubt == 0 && view.records.pending == 0).await;
    assert_eq!((view.records.deleted, view.records.left), (2, 1), "{view:#?}");
    assert_eq!((bed.new.requests(Operation::Create), bed.new.effects(Operation::Delete)), (sent, 1));
}
