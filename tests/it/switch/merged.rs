//! R22: a provider has merged a customer's record with that of another customer.

use passerelle::{
    store::Erased,
    switch::{
        context::Order,
        service::{Decision as Decided, SwitchService},
        view::{DecisionKind, Outcome},
    },
};
use passerelle_providers::{
    model::Operation,
    switch::{Decision, FindingCode},
};
use reqwest::StatusCode;
use serde_json::json;

use super::{
    bed::{Bed, Vendor, person, wait_for_erasures},
    merchant::{decided, is_copied},
};

/// Two customers who are copied, with their ids at both sides.
async fn two() -> (Bed, [String; 2], [String; 2]) {
    let bed = Bed::with("modempay", "notchpay", "", 2).await;
    let ids = [bed.public_id(0).await, bed.public_id(1).await];
    let mut at_new = Vec::new();
    for id in &ids {
        at_new.push(bed.copy_fully(id).await.target_id.expect("a record"));
    }
    (bed, ids, at_new.try_into().expect("two"))
}

#[tokio::test]
async fn no_write_of_a_client_reaches_the_record_with_which_its_customer_was_merged() {
    let (bed, [merged, other], _) = two().await;
    bed.old.twin.merge(&merged, &other);
    let copied = bed.copy(&merged).await.expect("no stall");
    let code = copied.finding.map(|finding| finding.code);
    assert_eq!((copied.outcome, code), (Outcome::NeedsDecision, Some(FindingCode::RecordMerged)));
    let (old, new) = (bed.old.changes(), bed.new.changes());
    let path = format!("/v1/customers/{merged}");
    let phone = json!({ "phone": "+221779999999" });
    for refused in [bed.gateway.patch(&path, phone.clone()).await, bed.gateway.delete(&path).await] {
        assert_eq!(refused.status_and_code(), (409, "vendor_record_shared"), "{}", refused.text);
    }
    let dropped_in = bed.gateway.plain(reqwest::Method::DELETE, &format!("/as/modempay/v1/customers/{merged}"));
    let refused = bed.gateway.send_to_dialect(dropped_in.header("authorization", "Bearer sk_acme")).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    bed.copy(&merged).await.expect("no stall");
    assert_eq!((bed.old.changes(), bed.new.changes()), (old, new), "nothing was written or copied");
    assert!(bed.gateway.get(&format!("/v1/customers/{other}")).await.text.contains("Ndiayeb"));
    // The other customer lives on.
    bed.patch(&other, phone).await;
    bed.copy_fully(&other).await;
}

#[tokio::test]
async fn a_copy_and_an_erasure_do_not_reach_the_record_with_which_the_copy_was_merged() {
    let (bed, [merged, other], [at_new, other_at_new]) = two().await;
    bed.new.twin.merge(&at_new, &other_at_new);
    let before = bed.new.changes();
    bed.patch(&merged, json!({ "phone": "+221779999999" })).await;
    let copied = bed.copy(&merged).await.expect("no stall");
    let code = copied.finding.map(|finding| finding.code);
    assert_eq!((copied.outcome, code), (Outcome::NeedsDecision, Some(FindingCode::RecordMerged)));
    let deleted = bed.gateway.delete(&format!("/v1/customers/{merged}")).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    let erased = wait_for_erasures(&bed.gateway, &merged).await;
    assert!(matches!(&erased[..], [(at, Erased::Cannot(_))] if at == "new"), "{erased:?}");
    assert_eq!(bed.new.changes(), before, "the other customer's record was not touched");
    assert_eq!(bed.copy_fully(&other).await.target_id, Some(other_at_new));
}

#[tokio::test]
async fn a_copy_that_was_merged_is_made_again_by_decision() {
    let (bed, [merged, _], [at_new, other_at_new]) = two().await;
    bed.new.twin.merge(&at_new, &other_at_new);
    let order = Order { decision: Some(Decision::Create), ..Order::default() };
    let again = bed.ordered(&merged, &order).await;
    assert_eq!((again.outcome, again.is_current), (Outcome::Created, true), "{again:?}");
    assert_eq!(bed.new.effects(Operation::Create), 3);
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 1);
}

/// A pass notices the merger. When the operator has decided, the switch goes on, and the customer stays where it is.
#[tokio::test]
async fn a_pass_notices_a_merger_and_the_switch_goes_on_after_the_decision() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let (merged, other) = (bed.create(&person(0)).await, bed.create(&person(1)).await);
    let view = bed.driven().await;
    bed.old.twin.merge(&merged, &other);
    bed.run(&view).await;
    let switches = bed.gateway.switches();
    for _ in 0..2000 {
        if bed.record(&view.id, &merged).await.outcome == Outcome::NeedsDecision {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let record = bed.record(&view.id, &merged).await;
    assert_eq!((record.outcome, record.code.as_deref()), (Outcome::NeedsDecision, Some("record_merged")), "{record:?}");
    let changes = (bed.old.changes(), bed.new.changes());
    let path = format!("/v1/customers/{merged}");
    let phone = json!({ "phone": "+221779999999" });
    let refused = bed.gateway.patch(&path, phone.clone()).await;
    assert_eq!(refused.status_and_code(), (409, "vendor_record_shared"), "{}", refused.text);
    assert_eq!((bed.old.changes(), bed.new.changes()), changes);
    let leave = Decided { public_id: merged.clone(), decision: DecisionKind::Leave, link_id: None };
    let view = switches.get(&view.id).await.expect("a switch");
    switches.decide(&view.id, vec![leave], decided(&view)).await.expect("decided");
    let view = bed.wait(&view.id, "the decision", |view| is_copied(view) && view.records.left > 0).await;
    let switched = bed.cut_over(&view).await;
    bed.wait(&switched.id, "the move", |view| view.pinned.get("old") == Some(&1)).await;
    assert_eq!(bed.patch(&other, phone.clone()).await.body["provider"]["connection"], "new");
    assert_eq!(bed.gateway.patch(&path, phone).await.status_and_code(), (409, "vendor_record_shared"));
}

/// An answer that nobody can read is no merger: the operator learns that the provider does not answer as documented.
#[tokio::test]
async fn a_broken_answer_is_not_taken_for_a_merger() {
    let old = Vendor::start("modempay", "garbage = 1.0\nonly = [\"retrieve\"]\n");
    let bed = Bed::between(old, Vendor::start("notchpay", ""), tempfile::tempdir().expect("a folder")).await;
    let public_id = bed.create(&person(0)).await;
    bed.begin().await;
    let copied = bed.copy(&public_id).await.expect("no stall");
    assert_eq!(copied.finding.map(|finding| finding.code), Some(FindingCode::ProviderRefused), "{:?}", copied.outcome);
    assert_eq!(bed.new.changes(), 0);
}
