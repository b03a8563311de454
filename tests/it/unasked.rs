//! What an update changed at the provider, although nothing asked for it. Known where the record was read first.

use serde_json::{Value, json};

use crate::{
    stand_in::{Act, StandIn, json as json_answer},
    support::{Answer, Gateway},
};

const ID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";

/// The customer as lomi answers it.
fn lomi(members: &[(&str, Value)]) -> Act {
    let mut customer = json!({
        "customer_id": ID, "name": "Amadou Ba", "email": "amadou.ba@example.com", "phone_number": "+221771234567",
        "city": "Dakar", "country": "SN", "metadata": { "crm": "1" },
    });
    for (key, value) in members {
        customer[*key] = value.clone();
    }
    json_answer("200 OK", &json!({ "data": customer }).to_string())
}

/// The entries of the answer's report, without those of the name's parts: field, outcome, provider's value.
fn entries(answer: &Answer) -> Vec<(&str, &str, &Value)> {
    let report = answer.body["fidelity"].as_array().into_iter().flatten();
    let entries = report.map(|entry| {
        (entry["field"].as_str().unwrap_or_default(), entry["outcome"].as_str().unwrap_or_default(), &entry["from"])
    });
    entries.filter(|(field, ..)| !field.ends_with("_name")).collect()
}

/// Changes the last name. The provider answers the read, the write, and reads after it with these acts.
async fn update(acts: Vec<Act>) -> (Answer, usize) {
    let vendor = StandIn::start(acts).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let answer = gateway.patch(&format!("/v1/customers/{ID}"), json!({ "last_name": "Sow" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    (answer, vendor.requests().len())
}

fn named() -> (&'static str, Value) {
    ("name", json!("Amadou Sow"))
}

/// The fields that the provider wiped, and their names at lomi.
const WIPED: [(&str, &str); 5] = [
    ("email", "email"),
    ("phone", "phone_number"),
    ("address.city", "city"),
    ("address.country", "country"),
    ("metadata", "metadata"),
];

fn wiped() -> Act {
    let nulls = WIPED.map(|(_, member)| (member, Value::Null));
    lomi(&[&nulls[..], &[named()]].concat())
}

#[tokio::test]
async fn fields_that_the_provider_wiped_unasked_are_lost() {
    let (answer, requests) = update(vec![lomi(&[]), wiped(), wiped()]).await;
    assert_eq!(entries(&answer), WIPED.map(|(field, _)| (field, "lost", &Value::Null)), "{}", answer.text);
    assert_eq!(requests, 3, "a read confirms the loss");
}

#[tokio::test]
async fn fields_that_only_the_answer_to_the_update_lacks_are_no_loss() {
    let (answer, requests) = update(vec![lomi(&[]), wiped(), lomi(&[named()])]).await;
    assert_eq!((entries(&answer), requests), (vec![], 3), "{}", answer.text);
    assert_eq!(answer.body["email"], "amadou.ba@example.com", "{}", answer.text);
    let failed = json_answer("500 Internal Server Error", "{}");
    let (answer, _) = update(vec![lomi(&[]), wiped(), failed]).await;
    assert_eq!(entries(&answer), WIPED.map(|(field, _)| (field, "unverified", &Value::Null)), "{}", answer.text);
}

#[tokio::test]
async fn fields_that_the_provider_changed_unasked_are_altered() {
    let changed = lomi(&[
        named(),
        ("email", json!("AMADOU.ba@example.com")),
        ("city", json!("Thiès")),
        ("country", json!("Sénégal")),
    ]);
    let (answer, requests) = update(vec![lomi(&[]), changed]).await;
    let altered = ("address.city", "altered", &json!("Thiès"));
    assert!(entries(&answer).contains(&altered), "{}", answer.text);
    assert!(entries(&answer).iter().all(|(_, outcome, _)| *outcome == "transformed" || *outcome == "altered"));
    assert_eq!(entries(&answer).iter().filter(|(_, outcome, _)| *outcome == "altered").count(), 1, "{}", answer.text);
    assert_eq!(requests, 2, "no read where the answer shows everything");
    let (answer, requests) = update(vec![lomi(&[]), lomi(&[named()])]).await;
    assert_eq!((entries(&answer), requests), (vec![], 2), "{}", answer.text);
}
