//! R31 and R23: the deletion of a customer reaches every connection that holds it.

use std::time::Duration;

use passerelle::{
    store::Erased,
    switch::{context::Order, service::SwitchService, view::Outcome},
};
use passerelle_providers::{
    model::Operation,
    switch::{Decision, FindingCode},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bed::{Bed, person, wait_for_erasures};

/// The receipts of an answer: connection, provider and outcome.
fn receipts(body: &Value) -> Vec<(&str, &str, &str)> {
    fn text<'v>(receipt: &'v Value, name: &str) -> &'v str {
        receipt[name].as_str().unwrap_or_default()
    }
    let receipts = body["receipts"].as_array().into_iter().flatten();
    receipts.map(|receipt| (text(receipt, "connection"), text(receipt, "provider"), text(receipt, "outcome"))).collect()
}

#[tokio::test]
async fn a_deletion_reaches_every_connection_and_its_answer_has_receipts() {
    let bed = Bed::with("modempay", "notchpay", "", 2).await;
    let (public_id, kept) = (bed.public_id(0).await, bed.public_id(1).await);
    for id in [&public_id, &kept] {
        bed.copy_fully(id).await;
    }
    bed.patch(&public_id, json!({ "phone": "+221771112233" })).await;
    bed.copy_fully(&public_id).await;
    let deleted = bed.gateway.delete(&format!("/v1/customers/{public_id}")).await;
    assert_eq!((deleted.status, &deleted.body["deleted"]), (StatusCode::OK, &json!(true)), "{}", deleted.text);
    let expected = [("old", "modempay", "deleted"), ("new", "notchpay", "pending")];
    assert_eq!(receipts(&deleted.body), expected, "{}", deleted.text);
    let ended = wait_for_erasures(&bed.gateway, &public_id).await;
    assert_eq!(ended, [("new".to_owned(), Erased::Deleted)]);
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 0);
    assert_eq!((bed.new.with_email("awa1@example.com").await.len(), bed.new.effects(Operation::Delete)), (1, 1));
    assert_eq!(bed.gateway.get(&format!("/v1/customers/{public_id}")).await.status, StatusCode::NOT_FOUND);
    // Nothing about the customer is kept at either connection.
    let file = rusqlite::Connection::open(bed.folder.path().join("store.db")).expect("the file");
    let count = |query: &str| -> i64 { file.query_row(query, [&public_id], |row| row.get(0)).expect("a count") };
    assert_eq!(count("SELECT count(*) FROM customer_ids WHERE public_id = ?1 AND seen IS NOT NULL"), 0);
    assert_eq!(
        count(
            "SELECT count(*) FROM operations JOIN customer_ids AS ids ON ids.connection = operations.connection \
             AND ids.provider_id = operations.customer WHERE ids.public_id = ?1 AND operations.operation <> 'delete' \
             AND (answer IS NOT NULL OR email_hash IS NOT NULL)"
        ),
        0
    );
    let answered = bed.gateway.delete(&format!("/v1/customers/{kept}")).await;
    assert_eq!(answered.body["receipts"].as_array().map(Vec::len), Some(2), "{}", answered.text);
}

/// R23: the customer is deleted while the create of its copy is in flight, and the answer to that is lost.
#[tokio::test]
async fn a_copy_that_is_in_doubt_at_the_deletion_leaves_no_record() {
    let faults = "delay = \"250ms..300ms\"\nreset_after = 1.0\nonly = [\"create\"]\n";
    let bed = Bed::with("modempay", "notchpay", faults, 1).await;
    let public_id = bed.public_id(0).await;
    let (context, pair, id) = (bed.context(), bed.pair.clone(), public_id.clone());
    let copying =
        tokio::spawn(async move { passerelle::switch::copy::copy_one(&context, &pair, &id, &Order::default()).await });
    let operations = bed.context().store.operations().clone();
    while operations.find_copy("acme", "new", &public_id).await.expect("read").is_none() {
        assert!(!copying.is_finished(), "the copy has ended");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let deleted = bed.gateway.delete(&format!("/v1/customers/{public_id}")).await;
    assert_eq!(receipts(&deleted.body)[1], ("new", "notchpay", "pending"), "{}", deleted.text);
    let copied = copying.await.expect("no panic").expect("no stall");
    assert!(!copied.is_current, "{copied:?}");
    assert_eq!(wait_for_erasures(&bed.gateway, &public_id).await, [("new".to_owned(), Erased::Deleted)]);
    assert_eq!(bed.new.effects(Operation::Create), 1, "the create was executed");
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 0);
    let again = bed.copy(&public_id).await.expect("no stall");
    assert_eq!((again.outcome, bed.new.effects(Operation::Create)), (Outcome::Deleted, 1), "{again:?}");
}

#[tokio::test]
async fn a_customer_who_was_deleted_counts_as_deleted_and_waits_for_no_decision() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let copied = bed.create(&person(0)).await;
    // Notch Pay requires an e-mail address or a phone number, so this customer is refused.
    let refused = bed.create(&json!({ "name": "Awa Diop" })).await;
    let view = bed.driven().await;
    let before = view.records;
    for id in [&copied, &refused] {
        let deleted = bed.gateway.delete(&format!("/v1/customers/{id}")).await;
        assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
        let record = bed.record(&view.id, id).await;
        assert_eq!((record.outcome, record.code), (Outcome::Deleted, None), "{id}");
    }
    let after = bed.gateway.switches().get(&view.id).await.expect("a switch").records;
    assert_eq!((after.deleted, after.total, after.open()), (2, before.total, 0), "{before:?} {after:?}");
}

#[tokio::test]
async fn where_the_home_cannot_delete_every_other_holder_is_erased() {
    let bed = Bed::with("bitnob", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.copy_fully(&public_id).await;
    let path = format!("/v1/customers/{public_id}");
    let refused = bed.gateway.delete(&path).await;
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{}", refused.text);
    let erased = bed.gateway.delete(&format!("{path}?elsewhere=true")).await;
    assert_eq!((erased.status, &erased.body["deleted"]), (StatusCode::OK, &json!(false)), "{}", erased.text);
    assert_eq!(receipts(&erased.body), [("old", "bitnob", "cannot"), ("new", "notchpay", "pending")]);
    assert!(erased.body["receipts"][0]["reason"].is_string(), "{}", erased.text);
    wait_for_erasures(&bed.gateway, &public_id).await;
    let again = bed.gateway.delete(&format!("{path}?elsewhere=true")).await;
    assert_eq!(receipts(&again.body)[1], ("new", "notchpay", "deleted"), "{}", again.text);
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 0);
    assert_eq!(bed.gateway.get(&path).await.status, StatusCode::OK, "it lives on at its home");
    let copied = bed.copy(&public_id).await.expect("no stall");
    assert_eq!(copied.outcome, Outcome::NeedsDecision, "it is not made again by itself: {copied:?}");
}

#[tokio::test]
async fn what_the_home_can_delete_is_not_erased_elsewhere_alone() {
    let bed = Bed::with("notchpay", "bitnob", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.copy_fully(&public_id).await;
    let path = format!("/v1/customers/{public_id}");
    let refused = bed.gateway.delete(&format!("{path}?elsewhere=true")).await;
    assert_eq!(refused.status_and_code(), (422, "invalid_request"), "{}", refused.text);
    let deleted = bed.gateway.delete(&path).await;
    assert_eq!(
        receipts(&deleted.body),
        [("old", "notchpay", "deleted"), ("new", "bitnob", "cannot")],
        "{}",
        deleted.text
    );
    let ended = wait_for_erasures(&bed.gateway, &public_id).await;
    assert!(matches!(&ended[..], [(connection, Erased::Cannot(_))] if connection == "new"), "{ended:?}");
}

/// A drop-in client gets the answer of its own provider, without receipts, and the deletion reaches as far.
#[tokio::test]
async fn a_deletion_of_a_drop_in_client_reaches_every_connection() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    bed.copy_fully(&public_id).await;
    let request = bed.gateway.plain(reqwest::Method::DELETE, &format!("/as/modempay/v1/customers/{public_id}"));
    let deleted = bed.gateway.send_to_dialect(request.header("authorization", "Bearer sk_acme")).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    assert!(!deleted.text.contains("receipts"), "{}", deleted.text);
    assert_eq!(wait_for_erasures(&bed.gateway, &public_id).await, [("new".to_owned(), Erased::Deleted)]);
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 0);
}

/// The operator decides that a record which others deleted is made again.
#[tokio::test]
async fn a_copy_that_others_deleted_is_made_again_by_decision() {
    let bed = Bed::with("modempay", "notchpay", "", 1).await;
    let public_id = bed.public_id(0).await;
    let first = bed.copy_fully(&public_id).await.target_id.expect("an id");
    let deleted = bed.new.looked_at().await.delete(&format!("/v1/customers/{first}")).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    let missing = bed.copy(&public_id).await.expect("no stall");
    let code = missing.finding.as_ref().map(|finding| finding.code);
    assert_eq!((missing.outcome, code), (Outcome::NeedsDecision, Some(FindingCode::CopyMissing)), "{missing:?}");
    let order = Order { decision: Some(Decision::Create), ..Order::default() };
    let again = bed.ordered(&public_id, &order).await;
    assert_eq!((again.outcome, again.is_current), (Outcome::Created, true), "{again:?}");
    assert!(again.target_id.is_some_and(|id| id != first));
    let records = bed.new.with_email("awa0@example.com").await;
    assert_eq!((records.len(), &records[0]["phone"]), (1, &person(0)["phone"]));
    bed.patch(&public_id, json!({ "phone": "+221771112233" })).await;
    bed.copy_fully(&public_id).await;
    assert_eq!(bed.new.with_email("awa0@example.com").await[0]["phone"], "+221771112233");
}
