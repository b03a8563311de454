//! Verification of single pages (R29).

use passerelle::switch::verify::{PageOptions, Verification, verify_page};
use reqwest::StatusCode;
use serde_json::json;

use super::bed::Bed;

#[tokio::test]
async fn planted_differences_are_found_with_their_fields_and_no_values() {
    let bed = Bed::with("modempay", "notchpay", "", 4).await;
    bed.copy_all().await;
    let elsewhere = bed.new.looked_at().await;
    let [changed, missing, busy] = [bed.public_id(0).await, bed.public_id(1).await, bed.public_id(2).await];
    let customers = bed.customers().await;
    let at_new = |public_id: &str| {
        let customer = customers.iter().find(|customer| customer.public_id == public_id).expect("a customer");
        format!("/v1/customers/{}", customer.at["new"].provider_id)
    };
    let foreign = elsewhere.patch(&at_new(&changed), json!({ "email": "theirs@example.com" })).await;
    assert_eq!(foreign.status, StatusCode::OK, "{}", foreign.text);
    assert_eq!(elsewhere.delete(&at_new(&missing)).await.status, StatusCode::OK);
    bed.patch(&busy, json!({ "phone": "+221775550001" })).await;
    for verified in bed.verified().await {
        let expected = match &*verified.public_id {
            id if id == changed => Verification::Differs,
            id if id == missing => Verification::Missing,
            id if id == busy => Verification::Busy,
            _ => {
                assert!(!verified.result.is_difference(), "{verified:?}");
                continue;
            }
        };
        assert_eq!(verified.result, expected, "{verified:?}");
        if expected == Verification::Differs {
            let fields: Vec<_> = verified.differences.iter().map(|difference| &*difference.field).collect();
            assert_eq!(fields, ["email"]);
            assert_ne!(verified.differences[0].source_hash, verified.differences[0].target_hash);
            assert!(!format!("{verified:?}").contains("example"), "{verified:?}");
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_count_each_customer_once() {
    let bed = Bed::with("modempay", "notchpay", "", 5).await;
    bed.copy_all().await;
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = verify_page(&bed.context(), &bed.pair, after.as_deref(), 2, PageOptions { ids_only: true }).await;
        let page = page.expect("no stall");
        seen.extend(page.checked.into_iter().map(|verified| verified.public_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all: Vec<_> = bed.customers().await.into_iter().map(|customer| customer.public_id).collect();
    assert_eq!(seen, all);
}
