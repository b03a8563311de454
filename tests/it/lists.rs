//! Lists: a cursor is valid only for its own list, and a filter shows exactly the customers that match.

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
    assert_eq!(next.body["data"].as_array().map(Vec::len), Some(1), "the page size is part of the cursor");
    for query in [String::new(), "&search=a".to_owned(), "&search=o&limit=2".to_owned()] {
        let answer = gateway.get(&format!("/v1/customers?cursor={cursor}{query}")).await;
        assert_eq!(answer.status_and_code(), (400, "invalid_cursor"), "{query}");
    }
    let other = gateway.with_key("sk_sandbox_lomi");
    let answer = other.get(&format!("/v1/customers?search=o&cursor={cursor}")).await;
    assert_eq!(answer.status_and_code(), (400, "invalid_cursor"), "the cursor belongs to another merchant");
}

#[tokio::test]
async fn filters_find_exactly_the_matching_customers() {
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

/// lomi's `email` matches parts of names and addresses. The gateway shows only exact matches, and reads as many pages
/// as it needs.
#[tokio::test]
async fn a_filter_that_matches_too_much_is_applied_again() {
    let customer = |number: u32, email: &str| {
        format!(r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"N","email":"{email}"}}"#)
    };
    let others: Vec<String> = (0..100).map(|number| customer(number, "not.awa@example.com")).collect();
    let first = format!(r#"{{"data":[{}]}}"#, others.join(","));
    let second = format!(r#"{{"data":[{},{}]}}"#, customer(200, "Awa@example.com"), customer(201, "awa@example.comx"));
    let vendor = StandIn::start(vec![json_answer("200 OK", &first), json_answer("200 OK", &second)]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let answer = gateway.get("/v1/customers?email=awa@example.com&limit=5").await;
    let emails: Vec<_> = answer.body["data"].as_array().expect("a list").iter().map(|one| &one["email"]).collect();
    assert_eq!(emails, ["Awa@example.com"]);
    assert_eq!((&answer.body["filtered_by"], &answer.body["has_more"]), (&json!("gateway"), &json!(false)));
    let requests = vendor.requests();
    assert!(
        requests[0].starts_with("GET /customers?limit=100&page=1&email=awa%40example.com HTTP/1.1"),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("GET /customers?limit=100&page=2&email=awa%40example.com HTTP/1.1"),
        "{}",
        requests[1]
    );
}

/// A scan reads a bounded number of pages. Then a list says that there is more, and a lookup says that it has no
/// answer.
#[tokio::test]
async fn a_scan_ends_at_its_bound() {
    let others: Vec<String> = (0..100)
        .map(|number| format!(r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"N"}}"#))
        .collect();
    let vendor = StandIn::always(json_answer("200 OK", &format!(r#"{{"data":[{}]}}"#, others.join(",")))).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let list = gateway.get("/v1/customers?phone=%2B221771234567").await;
    assert_eq!((list.body["data"].as_array().map(Vec::len), &list.body["has_more"]), (Some(0), &json!(true)));
    let scanned = vendor.requests().len();
    assert_eq!(scanned, passerelle_providers::engine::lists::SCAN_PAGES);
    let cursor = list.body["next_cursor"].as_str().expect("a cursor").to_owned();
    gateway.get(&format!("/v1/customers?phone=%2B221771234567&cursor={cursor}")).await;
    assert!(
        vendor.requests()[scanned].contains(&format!("page={}", scanned + 1)),
        "the scan continues where it stopped"
    );
    let lookup = gateway.get("/v1/customers/lookup?phone=%2B221771234567").await;
    assert_eq!(lookup.status_and_code(), (503, "provider_unavailable"), "{}", lookup.text);
}

#[tokio::test]
async fn a_fidelity_report_for_a_whole_page_is_given_once() {
    let gateway = Gateway::sandbox("lomi").await;
    let page = gateway.get("/v1/customers").await;
    let rules: Vec<_> =
        page.body["fidelity"].as_array().expect("a report").iter().map(|entry| &entry["field"]).collect();
    assert_eq!(rules, ["first_name", "last_name"]);
    assert!(page.body["data"].as_array().expect("a list").iter().all(|one| one["fidelity"] == json!([])));
}
