//! What passes find (R22): changes outside the gateway, and customers who are gone.

use std::sync::Arc;

use passerelle::switch::{
    service::SwitchService,
    view::{BlockedCode, Outcome, SwitchState, SwitchView},
};
use reqwest::StatusCode;
use serde_json::json;

use super::{
    bed::{Bed, CREATING, Vendor, configuration, person},
    door::Door,
};

fn is_vanished(view: &SwitchView) -> bool {
    view.blocked_by.as_ref().is_some_and(|blocked| blocked.code == BlockedCode::SourceVanished)
}

/// R22: another account's key shows none of the customers. The pass stops; nothing is deleted and no customer is gone.
#[tokio::test]
async fn a_source_whose_key_is_exchanged_for_an_empty_account_stops_the_pass() {
    let mut old = Vendor::start("modempay", "");
    let first = Vendor {
        provider: "modempay",
        base: old.base.clone(),
        folder: tempfile::tempdir().expect("a folder"),
        twin: Arc::clone(&old.twin),
    };
    let door = Door::before(&mut old).await;
    let bed = Bed::between(old, Vendor::start("notchpay", ""), tempfile::tempdir().expect("a folder")).await;
    for number in 0..30 {
        bed.create(&person(number)).await;
    }
    let copied = bed.driven().await;
    let changes = bed.new.changes();
    let empty = Vendor::start("modempay", "");
    bed.gateway.switches().set_rate(&copied.id, Some("20/s".to_owned())).await.expect("set");
    bed.run(&copied).await;
    door.leads_to(&empty);
    let stopped = bed.wait(&copied.id, "the stop", is_vanished).await;
    assert_eq!((stopped.records.gone, stopped.records.deleted), (0, 0), "{stopped:#?}");
    assert_eq!(stopped.records.created, copied.records.created);
    assert_eq!(bed.new.changes(), changes, "nothing is deleted");
    assert!(bed.customers().await.iter().all(|customer| customer.gone_at.is_none()));
    // With the right key again, the pass begins anew and finds everybody.
    door.leads_to(&first);
    bed.gateway.switches().set_rate(&copied.id, None).await.expect("set");
    bed.run(&stopped).await;
    let is_well = |view: &SwitchView| view.blocked_by.is_none() && view.records.pending == 0;
    let view = bed.wait(&copied.id, "the pass", is_well).await;
    assert_eq!((view.state, view.records.gone), (SwitchState::Copied, 0));
}

/// R22: a pass copies what was changed outside the gateway at the home, and overwrites nothing that was changed so at the other side.
#[tokio::test]
async fn a_pass_finds_what_other_hands_changed_at_both_sides() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..4 {
        bed.create(&person(number)).await;
    }
    let copied = bed.driven().await;
    let [at_home, at_target] = [bed.public_id(0).await, bed.public_id(1).await];
    let home = bed.old.looked_at().await;
    let changed = home.patch(&format!("/v1/customers/{at_home}"), json!({ "email": "changed@example.com" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let target_id = bed.record(&copied.id, &at_target).await.target_id.expect("a copy");
    let target = bed.new.looked_at().await;
    let changed = target.patch(&format!("/v1/customers/{target_id}"), json!({ "email": "theirs@example.com" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    bed.run(&copied).await;
    bed.wait(&copied.id, "the difference", |view| view.records.needs_decision == 1).await;
    let record = bed.record(&copied.id, &at_target).await;
    assert_eq!(
        (record.code.as_deref(), record.field.as_deref()),
        (Some("field_conflict"), Some("email")),
        "{record:?}"
    );
    assert_eq!(bed.new.with_email("theirs@example.com").await.len(), 1, "it is not overwritten");
    assert_eq!(bed.new.with_email("changed@example.com").await.len(), 1, "the home's change is copied");
}

/// R22: who is not found by id twice is gone; nothing is deleted. A list that lacks a customer says nothing.
#[tokio::test]
async fn a_customer_who_is_gone_at_the_home_waits_for_a_decision() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    for number in 0..3 {
        bed.create(&person(number)).await;
    }
    let copied = bed.driven().await;
    let gone = bed.public_id(1).await;
    let changes = bed.new.changes();
    let deleted = bed.old.looked_at().await.delete(&format!("/v1/customers/{gone}")).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    bed.run(&copied).await;
    let view = bed.wait(&copied.id, "the end of the pass", |view| view.records.gone == 1).await;
    let record = bed.record(&copied.id, &gone).await;
    assert_eq!((record.outcome, record.code.as_deref()), (Outcome::Gone, Some("customer_gone")), "{view:#?}");
    assert_eq!(record.home.as_deref(), Some("old"));
    let customers = bed.customers().await;
    let customer = customers.iter().find(|customer| customer.public_id == gone).expect("a row");
    assert_eq!(customer.pinned.as_deref(), Some("old"), "it follows no cutover");
    assert_eq!(bed.new.changes(), changes, "nothing is deleted");
}

/// A pass over customers who did not change copies none of them again, whatever the providers show in their lists.
#[tokio::test]
async fn a_pass_over_unchanged_customers_copies_no_customer() {
    for (from, to) in CREATING.into_iter().zip(CREATING.into_iter().cycle().skip(1)) {
        let bed = Bed::start(from, to, "").await;
        for number in 0..3 {
            bed.create(&person(number)).await;
        }
        let copied = bed.driven().await;
        let attempts = async || {
            let page = bed.gateway.switches().records(&copied.id, None, None, 500).await.expect("records");
            page.entries.iter().map(|record| record.attempts).sum::<u32>()
        };
        let before = attempts().await;
        let progress = copied.progress_at.clone();
        bed.run(&copied).await;
        // A customer who comes later shows that the pass has ended.
        let later = bed.old.looked_at().await.post("/v1/customers", person(9)).await;
        assert_eq!(later.status, StatusCode::CREATED, "{}", later.text);
        bed.run(&bed.gateway.switches().get(&copied.id).await.expect("a switch")).await;
        let has_one_more =
            |view: &SwitchView| view.records.total > copied.records.total && super::merchant::is_copied(view);
        let view = bed.wait(&copied.id, "the pass", has_one_more).await;
        assert_ne!(view.progress_at, progress);
        assert_eq!(attempts().await, before + 1, "{from} to {to}: only the new customer is copied");
    }
}

/// R2: a customer who was created shortly before `run` has no row yet, and the lists of the provider do not show the customer
/// yet. The first pass waits until they do, so that no cutover can come before the copy.
#[tokio::test]
async fn the_first_pass_waits_until_lists_show_what_was_created_before_it() {
    let old = Vendor::start("notchpay", "search_lag = \"1s\"\n");
    let bed = Bed::between(old, Vendor::start("bitnob", ""), tempfile::tempdir().expect("a folder")).await;
    let (before, connection) = (configuration(&bed.folder, &bed.old, &bed.new), bed.old.connection());
    let lagging = connection.replace("visibility_lag = \"1ms\"", "visibility_lag = \"1100ms\"");
    bed.gateway.reload(&before.replace(&connection, &lagging));
    let public_id = bed.create(&person(1)).await;
    let copied = bed.driven().await;
    assert_eq!(bed.record(&copied.id, &public_id).await.outcome, Outcome::Created, "{copied:#?}");
}
