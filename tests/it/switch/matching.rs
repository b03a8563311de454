//! Who a customer may be at the target (R18): the index of the target's list, and the records of other accounts.

use jiff::Timestamp;
use passerelle::{
    switch::{
        service::{Decision, SwitchService},
        view::{DecisionKind, Outcome, SwitchRecord, SwitchState, SwitchView},
    },
    twin::{Person, many},
};
use passerelle_providers::model::Operation;
use serde_json::json;

use super::{
    bed::{Bed, Vendor, configuration, person},
    merchant::{decided, is_copied},
};

async fn between(from: &'static str, new: Vendor) -> Bed {
    Bed::between(Vendor::start(from, ""), new, tempfile::tempdir().expect("a folder")).await
}

fn code(record: &SwitchRecord) -> (Outcome, Option<&str>) {
    (record.outcome, record.code.as_deref())
}

/// More records than a look-up of the gateway reads. A customer who comes after the plan is found in the index, or created,
/// and the target's list is read by passes only.
#[tokio::test]
async fn a_customer_who_comes_after_the_plan_is_copied_to_a_target_with_any_number_of_records() {
    let new = Vendor::serving("bitnob", "", |twin| twin.with_customers(many(2100)));
    let bed = between("modempay", new).await;
    bed.create(&person(0)).await;
    let copied = bed.driven().await;
    let lists = bed.new.received(Operation::List);
    let mut family = person(1);
    family["phone"] = json!("+221770000007");
    let family = bed.create(&family).await;
    let known = bed.create(&json!({ "name": "Awa Ndiaye 9", "email": "customer9@example.com" })).await;
    let created = bed.create(&person(2)).await;
    let is_done = |view: &SwitchView| view.records.pending == 0 && view.records.total == copied.records.total + 3;
    bed.wait(&copied.id, "the copies", is_done).await;
    let family = bed.record(&copied.id, &family).await;
    assert_eq!(code(&family), (Outcome::NeedsDecision, Some("contradicting_match")), "{family:?}");
    assert_eq!(code(&bed.record(&copied.id, &known).await), (Outcome::Linked, Some("matched_by_email")));
    assert_eq!(code(&bed.record(&copied.id, &created).await), (Outcome::Created, None));
    assert_eq!(bed.new.received(Operation::List), lists, "no look-up has read the list");
}

/// A record that others made at the target between the plan and the run is found: the first pass reads the list again.
#[tokio::test]
async fn a_record_that_was_made_at_the_target_after_the_plan_is_linked() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let id = bed.create(&person(0)).await;
    let planned = bed.planned().await;
    assert_eq!(bed.record(&planned.id, &id).await.outcome, Outcome::Created);
    let made = bed.new.looked_at().await.post("/v1/customers", person(0)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    bed.run(&planned).await;
    bed.wait(&planned.id, "the copies", is_copied).await;
    assert_eq!(code(&bed.record(&planned.id, &id).await), (Outcome::Linked, Some("matched_by_email")));
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 1);
}

const LONG_AGO: &str = "2024-11-11T13:54:10Z";

fn of_others(number: u64, name: &str) -> Person {
    Person::new(number, name, &format!("awa{number}@example.com"), "")
}

/// Bitnob answers a create with the record that has the e-mail address, of whatever account.
#[tokio::test]
async fn a_record_of_another_account_is_neither_linked_nor_kept_nor_deleted() {
    // Generation v2 can delete customers.
    let new = Vendor::of("bitnob", Some("v2"), "", |twin| {
        let old = [of_others(0, "Awa Ndiayea"), of_others(1, "Fatou Sow")];
        let (made, now) = (LONG_AGO.parse().expect("a time"), Timestamp::now());
        // The last one has the values of the customer, and was made a moment ago: nothing in the answer shows whose it is.
        twin.with_records_of_others(old, made).with_records_of_others([of_others(2, "Awa Ndiayec")], now)
    });
    let bed = between("modempay", new).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(bed.create(&person(number)).await);
    }
    let own = bed.new.looked_at().await.post("/v1/customers", person(0)).await;
    let foreign = own.body["id"].as_str().expect("the id of the other account's record").to_owned();
    let copied = bed.driven().await;
    let shared = (Outcome::Refused, Some("vendor_record_shared"));
    let check = async |what: &str| {
        for id in &ids[..2] {
            let record = bed.record(&copied.id, id).await;
            assert_eq!((code(&record), record.target_id.as_deref()), (shared, None), "{what}: {record:?}");
            let shown = serde_json::to_string(&record).expect("JSON");
            assert!(!shown.contains(&foreign), "{what}: {shown}");
        }
        let row = bed.gateway.ids().public_ids("acme", &[("new".to_owned(), foreign.clone())]).await.expect("read");
        assert_eq!(row, [None], "{what}");
    };
    check("the run").await;
    assert_eq!(bed.record(&copied.id, &ids[3]).await.outcome, Outcome::Created);
    for (kind, link) in [(DecisionKind::Create, None), (DecisionKind::Link, Some(foreign.clone()))] {
        let decide = |id: &String| Decision { public_id: id.clone(), decision: kind, link_id: link.clone() };
        let view = bed.gateway.switches().get(&copied.id).await.expect("a switch");
        let decisions = ids[..2].iter().map(decide).collect();
        bed.gateway.switches().decide(&copied.id, decisions, decided(&view)).await.expect("taken");
        bed.wait(&copied.id, "the decided copies", |view| view.records.pending == 0).await;
        check(kind.as_str()).await;
    }
    let view = bed.gateway.switches().get(&copied.id).await.expect("a switch");
    bed.gateway.switches().abandon(&copied.id, Vec::new(), true, decided(&view)).await.expect("it begins");
    bed.wait(&copied.id, "the undo", |view| view.state == SwitchState::Abandoned).await;
    assert!(bed.new.with_email("awa3@example.com").await.is_empty(), "what the switch made is deleted");
    let kept = bed.record(&copied.id, &ids[2]).await;
    assert_eq!(kept.code.as_deref(), Some("record_stays"), "{kept:?}");
    assert_eq!(bed.new.effects(Operation::Delete), 1, "nothing else was deleted");
}

/// R18: what `switch.reference` names is enough for a match, if nothing contradicts.
#[tokio::test]
async fn customers_with_the_same_reference_are_the_same_customer() {
    let bed = Bed::start("lomi", "notchpay", "").await;
    let configured = configuration(&bed.folder, &bed.old, &bed.new);
    let with_reference = configured.replace("on_loss", "switch.reference = \"metadata.user_id\"\non_loss");
    bed.gateway.reload(&with_reference);
    let (mut at_target, mut made) = (Vec::new(), Vec::new());
    for (number, name) in ["Awa Ndiaye", "Fatou Sow"].into_iter().enumerate() {
        let reference = format!("47{number}");
        let there =
            json!({ "name": name, "phone": format!("+22177000000{number}"), "metadata": { "user_id": reference } });
        let there = bed.new.looked_at().await.post("/v1/customers", there).await;
        assert_eq!(there.status, 201, "{}", there.text);
        at_target.push(there.body["id"].as_str().expect("an id").to_owned());
    }
    // A provider may keep a number as a text.
    let body = |name: &str, number: u32| json!({ "name": name, "email": format!("a{number}@example.com"), "metadata": { "user_id": 470 + number } });
    made.push(bed.create(&body("Awa Ndiaye", 0)).await);
    let planned = bed.planned().await;
    let matched = (Outcome::Linked, Some("matched_by_reference"));
    assert_eq!(code(&bed.record(&planned.id, &made[0]).await), matched);
    bed.run(&planned).await;
    bed.wait(&planned.id, "the copies", is_copied).await;
    made.push(bed.create(&body("Fatou Sow", 1)).await);
    let is_done = |view: &SwitchView| is_copied(view) && view.records.total == planned.records.total + 1;
    bed.wait(&planned.id, "the customer after the plan", is_done).await;
    for (id, target_id) in made.iter().zip(&at_target) {
        let record = bed.record(&planned.id, id).await;
        assert_eq!((code(&record), record.target_id.as_ref()), (matched, Some(target_id)), "{record:?}");
    }
}
