//! Lists: cursors that only work where they belong, and filters that tell the truth.

use serde_json::json;

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, PROVIDERS},
};

#[tokio::test]
async fn a_cursor_belongs_to_one_list() {
    let gateway = Gateway::sandbox("notchpay").await;
    let first = gateway.get("/v1/customers?limit=1&search=o").await;
    let cursor = first.body["next_cursor"].as_str().expect("a second page").to_owned();
    let next = gateway.get(&format!("/v1/customers?search=o&cursor={cursor}")).await;
    assert_eq!(next.body["data"].as_array().map(Vec::len), Some(1), "the size of pages is kept");
    for query in [String::new(), "&search=a".to_owned(), "&search=o&limit=2".to_owned()] {
        let answer = gateway.get(&format!("/v1/customers?cursor={cursor}{query}")).await;
        assert_eq!(answer.status_and_code(), (400, "invalid_cursor"), "{query}");
    }
    let other = gateway.with_key("sk_sandbox_lomi");
    let answer = other.get(&format!("/v1/customers?search=o&cursor={cursor}")).await;
    assert_eq!(answer.status_and_code(), (400, "invalid_cursor"), "another merchant's");
}

#[tokio::test]
async fn filters_find_exactly_who_they_name() {
    for provider in PROVIDERS {
        let gateway = Gateway::sandbox(provider).await;
        for query in ["email=AMADOU.BA@example.com", "phone=%2B221771234567", "search=amadou"] {
            let answer = gateway.get(&format!("/v1/customers?{query}")).await;
            assert_eq!(answer.status, 200, "{provider} {query}: {}", answer.text);
            let names: Vec<_> =
                answer.body["data"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
            assert_eq!(names, ["Amadou Ba"], "{provider} {query}");
            assert!(answer.body["filtered_by"].is_string(), "{provider} {query}");
        }
        let unfiltered = gateway.get("/v1/customers").await;
        assert_eq!(unfiltered.body["filtered_by"], json!(null));
    }
}

/// lomi's `email` matches parts of names and addresses; the gateway shows only exact matches, over as many
/// pages as that takes.
#[tokio::test]
async fn a_loose_filter_is_applied_again() {
    let customer = |number: u32, email: &str| {
        format!(r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"N","email":"{email}"}}"#)
    };
    let loose: Vec<String> = (0..100).map(|number| customer(number, "not.awa@example.com")).collect();
    let first = format!(r#"{{"data":[{}]}}"#, loose.join(","));
    let second = format!(r#"{{"data":[{},{}]}}"#, customer(200, "Awa@example.com"), customer(201, "awa@example.comx"));
    let vendor = StandIn::start(vec![json_answer("200 OK", &first), json_answer("200 OK", &second)]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let answer = gateway.get("/v1/customers?email=awa@example.com&limit=5").await;
    let emails: Vec<_> = answer.body["data"].as_array().expect("a list").iter().map(|one| &one["email"]).collect();
    assert_eq!(emails, ["Awa@example.com"]);
    assert_eq!((&answer.body["filtered_by"], &answer.body["has_more"]), (&json!("gateway"), &json!(false)));
    let asked = vendor.requests();
    assert!(asked[0].starts_with("GET /customers?limit=100&page=1&email=awa%40example.com HTTP/1.1"), "{}", asked[0]);
    assert!(asked[1].starts_with("GET /customers?limit=100&page=2&email=awa%40example.com HTTP/1.1"), "{}", asked[1]);
}

/// A scan is bounded: the list says that there is more, and a look-up says that it does not know.
#[tokio::test]
async fn a_scan_ends_at_its_bound() {
    let others: Vec<String> = (0..100)
        .map(|number| format!(r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"N"}}"#))
        .collect();
    let vendor = StandIn::always(json_answer("200 OK", &format!(r#"{{"data":[{}]}}"#, others.join(",")))).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let list = gateway.get("/v1/customers?phone=%2B221771234567").await;
    assert_eq!((list.body["data"].as_array().map(Vec::len), &list.body["has_more"]), (Some(0), &json!(true)));
    let asked = vendor.requests().len();
    assert_eq!(asked, passerelle_providers::engine::lists::SCAN_PAGES);
    let cursor = list.body["next_cursor"].as_str().expect("a cursor").to_owned();
    gateway.get(&format!("/v1/customers?phone=%2B221771234567&cursor={cursor}")).await;
    assert!(vendor.requests()[asked].contains(&format!("page={}", asked + 1)), "the walk goes on where it stopped");
    let lookup = gateway.get("/v1/customers/lookup?phone=%2B221771234567").await;
    assert_eq!(lookup.status_and_code(), (503, "provider_unavailable"), "{}", lookup.text);
}

#[tokio::test]
async fn reports_that_hold_for_a_whole_page_stand_once() {
    let gateway = Gateway::sandbox("lomi").await;
    let page = gateway.get("/v1/customers").await;
    let rules: Vec<_> =
        page.body["fidelity"].as_array().expect("a report").iter().map(|entry| &entry["field"]).collect();
    assert_eq!(rules, ["first_name", "last_name"]);
    assert!(page.body["data"].as_array().expect("a list").iter().all(|one| one["fidelity"] == json!([])));
}
