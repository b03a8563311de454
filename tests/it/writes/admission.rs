//! Writes at a connection that is at its limit of requests: they are refused before they are claimed.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::helpers::{CUSTOMERS, count_effects, create, gateway_and_twin};
use crate::{
    stand_in::{Act, StandIn},
    support::{Answer, Gateway, JsonText},
};

fn awa() -> Value {
    json!({ "name": "Awa Diop", "email": "awa@example.com" })
}

fn assert_replayed(again: &Answer, first: &Answer) {
    assert_eq!((again.status, &again.text), (first.status, &first.text), "byte for byte");
    assert_eq!(again.header("idempotency-status"), "replayed");
}

#[tokio::test]
async fn a_write_beyond_the_rate_limit_leaves_no_record() {
    let (gateway, folder) = gateway_and_twin("lomi", "", "rate_limit = \"2/h\"").await;
    let first = create(&gateway, Some("k"), &awa()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let audited = gateway.audited().await;
    // A replay is not counted, so there is room for one more write.
    for _ in 0..3 {
        assert_replayed(&create(&gateway, Some("k"), &awa()).await, &first);
    }
    assert_eq!(create(&gateway, Some("k2"), &awa()).await.status, 201);
    let audited = (audited, gateway.audited().await);
    assert_eq!(audited.1, 2 * audited.0);
    for key in [Some("k3"), None] {
        let refused = create(&gateway, key, &awa()).await;
        assert_eq!(refused.status_and_code(), (429, "rate_limited"), "{}", refused.text);
        assert!(!refused.header("retry-after").is_empty());
    }
    assert_eq!(gateway.audited().await, audited.1, "refused writes leave no record");
    let listed = gateway.get("/v1/operations").await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2), "{}", listed.text);
    assert_replayed(&create(&gateway, Some("k"), &awa()).await, &first);
    let reused = create(&gateway, Some("k"), &json!({ "name": "Awa Ba" })).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"), "{}", reused.text);
    assert_eq!(count_effects(&folder), 2);
}

#[tokio::test]
async fn a_drop_in_write_beyond_the_rate_limit_leaves_no_record() {
    let (gateway, folder) = gateway_and_twin("lomi", "", "rate_limit = \"1/h\"").await;
    let send = || gateway.plain(Method::POST, "/as/notchpay/customers").header("authorization", "sk_acme");
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": "+221771234567" });
    assert_eq!(gateway.send(send().json_text(&body)).await.status, 201);
    let audited = gateway.audited().await;
    let refused = send().json_text(&body).send().await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(gateway.audited().await, audited);
    assert_eq!(count_effects(&folder), 1);
}

#[tokio::test]
async fn a_write_beyond_the_requests_in_flight_leaves_no_record() {
    let vendor = StandIn::always(Act::Hang).await;
    let configuration = format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\nmax_in_flight = 1\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\nbase_url = \"{}\"\n\
         credentials = {{ api_key = \"sk_test_secret\" }}\n",
        vendor.url()
    );
    let gateway = Arc::new(Gateway::start(&configuration).await.with_key("sk_acme"));
    let waiting = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        async move { create(&gateway, Some("k"), &awa()).await }
    });
    while vendor.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let audited = gateway.audited().await;
    for key in [Some("k2"), None] {
        let other = json!({ "name": "Awa Ba", "email": "awa.ba@example.com" });
        let refused = create(&gateway, key, &other).await;
        assert_eq!(refused.status_and_code(), (503, "overloaded"), "{}", refused.text);
    }
    let again = create(&gateway, Some("k"), &awa()).await;
    assert_eq!(again.status_and_code(), (409, "idempotency_in_progress"), "{}", again.text);
    assert_eq!(gateway.audited().await, audited, "refused writes leave no record");
    assert_eq!(vendor.requests().len(), 1);
    waiting.abort();
}

/// An update that first reads the customer sends two requests, and the rate limit counts both.
#[tokio::test]
async fn an_admitted_update_waits_for_the_rate_limit_between_its_requests() {
    let (gateway, folder) = gateway_and_twin("notchpay", "", "rate_limit = \"2/s\"").await;
    let created = create(&gateway, None, &awa()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = format!("{CUSTOMERS}/{}", created.body["id"].as_str().expect("an id"));
    let changed = gateway.patch(&path, json!({ "address": { "city": "Dakar" } })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(count_effects(&folder), 2);
}
