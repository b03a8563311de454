//! Copies of single customers between two twins.

use passerelle::{
    store::IdOrigin,
    switch::{
        context::{Copied, Order},
        verify::Verification,
        view::Outcome,
    },
};
use passerelle_providers::{
    model::Operation,
    switch::{Decision, FindingCode},
    text::Text,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::{Bed, CREATING, person};

/// R17, R19: a second copy of the same state sends nothing, and the verification agrees.
#[tokio::test]
async fn each_customer_has_one_record_at_the_other_side_for_every_pair_of_providers() {
    for from in CREATING {
        for to in CREATING.into_iter().filter(|to| *to != from) {
            let bed = Bed::with(from, to, "", 2).await;
            for copied in bed.copy_all().await {
                assert!(matches!(copied.outcome, Outcome::Created | Outcome::Linked), "{from} to {to}: {copied:?}");
                assert!(copied.target_id.is_some() && !copied.has_moved, "{from} to {to}: {copied:?}");
            }
            for number in 0..2 {
                let email = format!("awa{number}@example.com");
                assert_eq!(bed.new.with_email(&email).await.len(), 1, "{from} to {to}");
            }
            let changes = bed.new.changes();
            for customer in bed.customers().await {
                assert!(bed.copy(&customer.public_id).await.expect("no stall").is_current);
            }
            assert_eq!(bed.new.changes(), changes, "{from} to {to}: nothing was left to write");
            for verified in bed.verified().await {
                let result = verified.result;
                assert!(matches!(result, Verification::Equal | Verification::EqualAfterRule), "{verified:?}");
            }
        }
    }
}

/// A customer at the target, which the merchant has there already.
async fn at_target(bed: &Bed, body: &Value) -> String {
    let created = bed.new.looked_at().await.post("/v1/customers", body.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    created.body["id"].as_str().unwrap_or_default().to_owned()
}

fn code(copied: &Copied) -> Option<FindingCode> {
    copied.finding.as_ref().map(|finding| finding.code)
}

/// R18: one exact match is linked, and nothing is created.
#[tokio::test]
async fn a_record_that_stands_at_the_target_is_linked() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let id = at_target(&bed, &json!({ "name": "Awa Ndiayea", "email": "awa0@example.com" })).await;
    let public_id = bed.public_id(0).await;
    let copied = bed.copy(&public_id).await.expect("no stall");
    assert_eq!((copied.outcome, copied.target_id.as_deref()), (Outcome::Linked, Some(&*id)), "{copied:?}");
    assert_eq!(code(&copied), Some(FindingCode::MatchedByEmail));
    let records = bed.new.with_email("awa0@example.com").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["phone"], person(0)["phone"], "what was empty is filled");
    let customers = bed.customers().await;
    let linked = customers.iter().find(|customer| customer.public_id == public_id).expect("a customer");
    assert_eq!(linked.at["new"].origin, IdOrigin::Linked);
}

/// R18: contradictions and matches by phone alone need a decision, and the decision is executed.
#[tokio::test]
async fn a_match_that_is_no_proof_waits_for_the_decision_of_the_operator() {
    let bed = Bed::with("modempay", "notchpay", "", 3).await;
    let other_name = at_target(&bed, &json!({ "name": "Fatou Sow", "email": "awa0@example.com" })).await;
    at_target(&bed, &json!({ "name": "Awa Ndiayeb", "email": "b@example.com", "phone": person(1)["phone"] })).await;
    let expected = [FindingCode::ContradictingMatch, FindingCode::ContradictingMatch];
    for (number, expected) in expected.into_iter().enumerate() {
        let copied = bed.copy(&bed.public_id(number).await).await.expect("no stall");
        assert_eq!((copied.outcome, code(&copied)), (Outcome::NeedsDecision, Some(expected)), "{copied:?}");
    }
    let changes = bed.new.changes();
    let decided = |decision| Order { decision: Some(decision), ..Order::default() };
    let left = bed.ordered(&bed.public_id(2).await, &decided(Decision::Leave)).await;
    assert_eq!((left.outcome, bed.new.changes()), (Outcome::Left, changes));
    let link = Decision::Link(Text::from(&*other_name));
    let linked = bed.ordered(&bed.public_id(0).await, &decided(link)).await;
    assert_eq!((linked.outcome, linked.target_id.as_deref()), (Outcome::Linked, Some(&*other_name)), "{linked:?}");
    let created = bed.ordered(&bed.public_id(1).await, &decided(Decision::Create)).await;
    assert_eq!(created.outcome, Outcome::Created, "{created:?}");
    let shared = bed.ordered(&bed.public_id(2).await, &decided(Decision::Link(Text::from(&*other_name)))).await;
    assert_eq!((shared.outcome, code(&shared)), (Outcome::Refused, Some(FindingCode::RecordAlreadyLinked)));
}

/// R21: each write of a client reaches the other side, and what others changed there stays (R18).
#[tokio::test]
async fn an_update_is_copied_and_a_value_that_others_changed_is_not_overwritten() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    let copied = bed.copy_fully(&public_id).await;
    bed.patch(&public_id, json!({ "email": "new@example.com" })).await;
    let pending = bed.gateway.ids().marked("acme", None, 10).await.expect("read");
    assert_eq!(pending.len(), 1);
    assert!(bed.copy(&public_id).await.expect("no stall").is_current);
    assert_eq!(bed.new.with_email("new@example.com").await.len(), 1);
    assert!(bed.gateway.ids().marked("acme", None, 10).await.expect("read").is_empty());
    let target_id = copied.target_id.expect("an id");
    let elsewhere = bed.new.looked_at().await;
    let foreign =
        elsewhere.patch(&format!("/v1/customers/{target_id}"), json!({ "email": "theirs@example.com" })).await;
    assert_eq!(foreign.status, StatusCode::OK, "{}", foreign.text);
    bed.patch(&public_id, json!({ "email": "ours@example.com" })).await;
    let conflict = bed.copy(&public_id).await.expect("no stall");
    assert_eq!((conflict.outcome, code(&conflict)), (Outcome::NeedsDecision, Some(FindingCode::FieldConflict)));
    assert!(!conflict.is_current);
    assert_eq!(bed.new.with_email("theirs@example.com").await.len(), 1);
}

/// R14, R2: after the flip each customer moves when its copy is complete, and changes are then copied back.
#[tokio::test]
async fn a_customer_moves_after_the_flip_and_its_changes_are_copied_back() {
    let bed = Bed::with("notchpay", "modempay", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.flip("new").await;
    assert_eq!(
        bed.gateway.get(&format!("/v1/customers/{public_id}")).await.body["provider"]["connection"],
        "old",
        "it is not copied yet"
    );
    let moved = bed.copy_fully(&public_id).await;
    assert!(moved.has_moved, "{moved:?}");
    let patched = bed.patch(&public_id, json!({ "email": "moved@example.com" })).await;
    assert_eq!(patched.body["provider"]["connection"], "new");
    assert_eq!(bed.old.with_email("moved@example.com").await.len(), 0);
    bed.copy_fully(&public_id).await;
    assert_eq!(bed.old.with_email("moved@example.com").await.len(), 1, "the way back stays open");
}

/// R19: a process can die after the end of a copy and before it notes what both sides have in common. The end itself says it.
#[tokio::test]
async fn the_way_back_is_open_also_if_only_the_end_of_the_copy_was_stored() {
    let bed = Bed::with("notchpay", "modempay", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.flip("new").await;
    assert!(bed.copy_fully(&public_id).await.has_moved);
    let file = rusqlite::Connection::open(bed.folder.path().join("store.db")).expect("the file");
    file.execute("UPDATE customer_ids SET seen = NULL", []).expect("it is written");
    drop(file);
    bed.patch(&public_id, json!({ "email": "moved@example.com" })).await;
    bed.copy_fully(&public_id).await;
    assert_eq!(bed.old.with_email("moved@example.com").await.len(), 1);
}

/// R23, R31: what a copy made or linked is deleted with its customer, once.
#[tokio::test]
async fn a_deleted_customer_is_deleted_at_the_other_side_and_never_copied_again() {
    let bed = Bed::with("modempay", "notchpay", "", 3).await;
    at_target(&bed, &json!({ "name": "Awa Ndiayeb", "email": "awa1@example.com" })).await;
    let ids = [bed.public_id(0).await, bed.public_id(1).await, bed.public_id(2).await];
    for public_id in &ids[..2] {
        bed.copy_fully(public_id).await;
    }
    for public_id in &ids {
        let deleted = bed.gateway.delete(&format!("/v1/customers/{public_id}")).await;
        assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    }
    for _ in 0..2 {
        for public_id in &ids {
            let ended = bed.copy(public_id).await.expect("no stall");
            let waits = matches!(ended.outcome, Outcome::InDoubt | Outcome::Pending);
            assert!(waits || (ended.outcome, code(&ended)) == (Outcome::Deleted, None), "{ended:?}");
        }
    }
    bed.erased(&ids).await;
    for number in 0..3 {
        assert_eq!(bed.new.with_email(&format!("awa{number}@example.com")).await.len(), 0, "customer {number}");
    }
    assert_eq!(bed.new.effects(Operation::Delete), 2);
}

/// R22: nothing is deleted or copied because a record is not found.
#[tokio::test]
async fn a_customer_who_is_gone_at_home_keeps_its_record_at_the_other_side() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.copy_fully(&public_id).await;
    let deleted = bed.old.looked_at().await.delete(&format!("/v1/customers/{public_id}")).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    let gone = bed.copy(&public_id).await.expect("no stall");
    assert_eq!((gone.outcome, code(&gone)), (Outcome::Gone, Some(FindingCode::CustomerGone)), "{gone:?}");
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 1);
}

/// R18: where all memory of the copy is lost, the marker shows that the gateway made the record.
#[tokio::test]
async fn the_marker_of_a_copy_is_found_again() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    let made = bed.copy_fully(&public_id).await;
    let id = made.target_id.clone().unwrap_or_default();
    let renamed = bed.new.looked_at().await.patch(&format!("/v1/customers/{id}"), json!({ "name": "Fatou Sow" })).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    let file = rusqlite::Connection::open(bed.folder.path().join("store.db")).expect("the file");
    file.execute_batch("DELETE FROM customer_ids WHERE connection = 'new'; DELETE FROM operations").expect("executed");
    let found = bed.copy(&public_id).await.expect("no stall");
    assert_eq!(found.outcome, Outcome::NeedsDecision, "the name is another one: {found:?}");
    let decided = Order { decision: Some(Decision::Link(Text::from(&*id))), ..Order::default() };
    assert_eq!(bed.ordered(&public_id, &decided).await.outcome, Outcome::Created, "its own record");
}

/// R18: a later switch can come back to the home when the row of the other side has changed, so both rows keep what both sides
/// have in common.
#[tokio::test]
async fn both_rows_keep_what_both_sides_have_in_common() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    for email in ["first@example.com", "second@example.com"] {
        bed.patch(&public_id, json!({ "email": email })).await;
        bed.copy_fully(&public_id).await;
        let context = bed.context();
        let seen = async |connection| context.store.ids().seen("acme", &public_id, connection).await.expect("read");
        let at_home = seen("old").await.unwrap_or_default();
        assert!(at_home.len() > 1, "{at_home:?}");
        assert_eq!(Some(at_home), seen("new").await);
    }
}

/// R19: the answer of a copy is kept without values of the customer, and no client can ask for it by a key.
#[tokio::test]
async fn what_is_kept_of_a_copy_has_no_value_of_the_customer() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.copy_fully(&public_id).await;
    bed.patch(&public_id, json!({ "email": "new@example.com" })).await;
    bed.copy_fully(&public_id).await;
    let store = &bed.context().store;
    let kept = store.operations().list(Some("acme"), None, None, 100).await.expect("read");
    let copies: Vec<_> = kept.into_iter().filter(|record| record.is_copy).collect();
    assert_eq!(copies.len(), 1, "a later copy takes the place of the earlier one: {copies:?}");
    let answer = copies[0].answer.as_ref().expect("an answer");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for value in ["Awa", "Ndiaye", "example", "77123"] {
        assert!(!text.contains(value), "{text}");
    }
    assert_eq!(copies[0].command, None, "the command goes with the end");
}
