//! E-mail addresses that the target keeps unique (R18).

use passerelle::switch::view::Outcome;
use serde_json::json;

use super::bed::{Bed, person};

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
