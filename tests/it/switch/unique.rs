//! E-mail addresses that the target keeps unique (R18).

use passerelle::switch::{
    service::SwitchService,
    view::{Outcome, SwitchView},
};
use serde_json::json;

use super::{
    bed::{Bed, person},
    merchant::is_copied,
};

/// Two customers of the source with one address: the target can hold it once, so an operator says for whom.
#[tokio::test]
async fn a_plan_says_that_two_customers_need_one_unique_address() {
    let bed = Bed::start("modempay", "bitnob", "").await;
    let mut ids = Vec::new();
    for number in 0..3 {
        let mut body = person(number);
        if number < 2 {
            body["email"] = json!("family@example.com");
        }
        ids.push(bed.create(&body).await);
    }
    let copied = bed.driven().await;
    let mut outcomes = Vec::new();
    for id in &ids {
        let record = bed.record(&copied.id, id).await;
        outcomes.push((record.outcome, record.code));
    }
    let taken = (Outcome::NeedsDecision, Some("unique_value_taken".to_owned()));
    assert_eq!(outcomes[..2], [taken.clone(), taken], "{outcomes:?}");
    assert_eq!(outcomes[2].0, Outcome::Created, "{outcomes:?}");
    assert!(bed.new.with_email("family@example.com").await.is_empty(), "none was chosen by chance");
}

/// The outcome, the code, and the address at the target of each of these customers.
async fn become_of(bed: &Bed, id: &str, customers: &[String]) -> Vec<(Outcome, Option<String>)> {
    let mut all = Vec::new();
    for public_id in customers {
        let record = bed.record(id, public_id).await;
        all.push((record.outcome, record.code));
    }
    all
}

async fn copied(numbers: std::ops::Range<usize>) -> (Bed, SwitchView, Vec<String>) {
    let bed = Bed::start("modempay", "bitnob", "").await;
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(bed.create(&person(number)).await);
    }
    let copied = bed.driven().await;
    (bed, copied, ids)
}

/// The address of a customer's record at the target.
async fn there(bed: &Bed, id: &str, public_id: &str) -> String {
    let target_id = bed.record(id, public_id).await.target_id.expect("a record");
    let shown = bed.new.looked_at().await.get(&format!("/v1/customers/{target_id}")).await;
    shown.body["email"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_customer_who_comes_after_the_plan_with_an_address_that_is_taken_waits_for_a_decision() {
    let (bed, view, ids) = copied(0..1).await;
    let mut body = person(1);
    body["email"] = person(0)["email"].clone();
    let second = bed.create(&body).await;
    bed.wait(&view.id, "the decision", |view| view.records.needs_decision > 0).await;
    let taken = (Outcome::NeedsDecision, Some("unique_value_taken".to_owned()));
    let found = become_of(&bed, &view.id, &[ids[0].clone(), second]).await;
    assert_eq!(found, [(Outcome::Created, None), taken]);
    assert_eq!(bed.new.with_email("awa0@example.com").await.len(), 1);
}

/// None of the two can be written first. When one of them gives its address up for a moment, both follow by themselves.
#[tokio::test]
async fn customers_who_exchange_their_addresses_wait_for_a_person() {
    let (bed, view, ids) = copied(0..2).await;
    bed.patch(&ids[0], json!({ "email": "awa1@example.com" })).await;
    bed.patch(&ids[1], json!({ "email": "awa0@example.com" })).await;
    let cycle = (Outcome::NeedsDecision, Some("unique_cycle".to_owned()));
    for _ in 0..2000 {
        if become_of(&bed, &view.id, &ids).await == [cycle.clone(), cycle.clone()] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(become_of(&bed, &view.id, &ids).await, [cycle.clone(), cycle]);
    let addresses = [there(&bed, &view.id, &ids[0]).await, there(&bed, &view.id, &ids[1]).await];
    assert_eq!(addresses, ["awa0@example.com", "awa1@example.com"], "nothing was overwritten");
    for id in &ids {
        let home = bed.gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!(home.body["provider"]["connection"], "old");
    }
    bed.patch(&ids[0], json!({ "email": "between@example.com" })).await;
    let are_copied = |view: &SwitchView| is_copied(view) && view.records.needs_decision == 0;
    bed.wait(&view.id, "the copies", are_copied).await;
    bed.patch(&ids[0], json!({ "email": "awa1@example.com" })).await;
    bed.wait(&view.id, "the last copy", are_copied).await;
    let addresses = [there(&bed, &view.id, &ids[0]).await, there(&bed, &view.id, &ids[1]).await];
    assert_eq!(addresses, ["awa1@example.com", "awa0@example.com"]);
}

/// Each needs the address that the next one gives up, and the last address is free.
#[tokio::test]
async fn customers_who_pass_addresses_on_are_copied_one_after_the_other_by_themselves() {
    let (bed, view, ids) = copied(0..3).await;
    bed.gateway.switches().stop(&view.id).await.expect("it stops");
    for (number, email) in [(0, "awa1@example.com"), (1, "awa2@example.com"), (2, "free@example.com")] {
        bed.patch(&ids[number], json!({ "email": email })).await;
    }
    bed.run(&view).await;
    bed.wait(&view.id, "the copies", is_copied).await;
    assert_eq!(become_of(&bed, &view.id, &ids).await, vec![(Outcome::Created, None); 3]);
    for (number, email) in [(0, "awa1@example.com"), (1, "awa2@example.com"), (2, "free@example.com")] {
        assert_eq!(there(&bed, &view.id, &ids[number]).await, email);
    }
}

/// A record that is no customer's has the address: it stays as it is.
#[tokio::test]
async fn an_address_of_a_record_that_is_no_customers_is_not_taken() {
    let (bed, view, ids) = copied(0..1).await;
    let theirs = json!({ "name": "Fatou Sow", "email": "theirs@example.com" });
    let made = bed.new.looked_at().await.post("/v1/customers", theirs).await;
    assert_eq!(made.status, 201, "{}", made.text);
    bed.run(&view).await;
    bed.patch(&ids[0], json!({ "email": "theirs@example.com" })).await;
    bed.wait(&view.id, "the decision", |view| view.records.needs_decision + view.records.refused > 0).await;
    assert_eq!(there(&bed, &view.id, &ids[0]).await, "awa0@example.com");
}
