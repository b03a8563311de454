//! Idempotency keys.

use std::sync::Arc;

use http::Method;
use passerelle::twin::log;
use serde_json::json;

use super::helpers::{CUSTOMERS, count_customers, create, gateway_and_twin};
use crate::{
    stand_in::{Act, StandIn},
    support::Gateway,
};

#[tokio::test]
async fn one_key_has_one_effect_and_one_answer() {
    let gateway = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "n": 1.0, "a": "é" } });
    let first = create(&gateway, Some("order-1"), &awa).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.header("idempotency-status"), "created");
    assert!(first.header("idempotent-replayed").is_empty());
    let same_content = r#" {"metadata": {"a":"\u00e9","n":1}, "email":"awa@example.com", "name":"Awa Diop"}"#;
    let request = gateway.request(Method::POST, CUSTOMERS).header("content-type", "application/json");
    let again = request.header("idempotency-key", "order-1").body(same_content);
    let again = gateway.send(again).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "byte for byte");
    for header in ["location", "content-type", "x-operation-id"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("idempotency-status"), "replayed");
    let other = create(&gateway, Some("order-1"), &json!({ "name": "Awa Ba", "email": "awa@example.com" })).await;
    assert_eq!(other.status_and_code(), (422, "idempotency_key_reused"));
    assert_eq!(count_customers(&gateway, "awa@example.com").await, 1);
    let second = create(&gateway, Some("order-2"), &awa).await;
    assert_eq!(second.status, 201, "another key makes another customer");
    assert_eq!(count_customers(&gateway, "awa@example.com").await, 2);
    let operation = gateway.get(&format!("/v1/operations/{}", first.header("x-operation-id"))).await;
    assert_eq!((&operation.body["outcome"], &operation.body["customer"]), (&json!("done"), &first.body["id"]));
}

#[tokio::test]
async fn deleting_a_customer_erases_the_answer_to_its_create() {
    let gateway = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let created = create(&gateway, Some("order-1"), &awa).await;
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let delete = || gateway.request(Method::DELETE, &format!("{CUSTOMERS}/{id}")).header("idempotency-key", "gone");
    let deleted = gateway.send(delete()).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    let again = create(&gateway, Some("order-1"), &awa).await;
    assert_eq!(again.status_and_code(), (410, "replay_erased"));
    assert_eq!(again.body["provider"]["id"], json!(id));
    assert!(!again.text.contains("Awa"), "the answer shows no data of the customer");
    assert_eq!(gateway.send(delete()).await.text, deleted.text, "the answer to the deletion is replayed");
    let operation = gateway.get(&format!("/v1/operations/{}", created.header("x-operation-id"))).await;
    assert_eq!((&operation.body["outcome"], &operation.body["customer"]), (&json!("done"), &json!(id)));
    assert_eq!(count_customers(&gateway, "awa@example.com").await, 0, "no second customer is created");
}

#[tokio::test]
async fn two_merchants_may_use_the_same_key() {
    let lomi = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&lomi, Some("same"), &awa).await;
    let modempay = lomi.with_key("sk_sandbox_modempay");
    let second = create(&modempay, Some("same"), &awa).await;
    assert_eq!(second.header("idempotency-status"), "created");
    assert_ne!(first.body["id"], second.body["id"]);
    let foreign = modempay.get(&format!("/v1/operations/{}", first.header("x-operation-id"))).await;
    assert_eq!(foreign.status_and_code(), (404, "not_found"));
}

#[tokio::test]
async fn an_invalid_key_is_refused() {
    let gateway = Gateway::sandbox("lomi").await;
    for key in ["", "two words", &"k".repeat(256)] {
        let answer = create(&gateway, Some(key), &json!({ "name": "Awa" })).await;
        assert_eq!(answer.status_and_code(), (400, "malformed_request"), "{key}");
    }
}

#[tokio::test]
async fn a_request_that_the_gateway_refuses_does_not_use_up_its_key() {
    let gateway = Gateway::sandbox("lomi").await;
    let wrong = create(&gateway, Some("k"), &json!({ "name": "Awa", "email": "nobody" })).await;
    assert_eq!(wrong.status_and_code(), (422, "invalid_request"));
    let right = create(&gateway, Some("k"), &json!({ "name": "Awa", "email": "awa@example.com" })).await;
    assert_eq!(right.status, 201);
}

#[tokio::test]
async fn concurrent_duplicates_have_one_effect() {
    let gateway = Arc::new(Gateway::sandbox("notchpay").await);
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let requests = (0..60).map(|_| {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tokio::spawn(async move { create(&gateway, Some("one"), &body).await })
    });
    let mut texts = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        let answer = request.await.expect("no panic");
        if answer.status == 201 {
            texts.push(answer.text);
            continue;
        }
        assert_eq!(answer.status_and_code(), (409, "idempotency_in_progress"));
        assert_eq!(answer.header("idempotency-status"), "in_progress");
        assert!(answer.header("x-operation-id").starts_with("op_"));
    }
    assert!(!texts.is_empty());
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(count_customers(&gateway, "awa@example.com").await, 1);
}

#[tokio::test]
async fn a_create_that_the_provider_did_not_execute_may_be_sent_again_with_its_key() {
    let limited =
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nretry-after: 1\r\nconnection: close\r\n\r\n{}";
    let created = "{\"data\":{\"customer_id\":\"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985\",\"name\":\"Awa\"}}";
    let created = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{created}",
        created.len()
    );
    let vendor = StandIn::start(vec![Act::Send(limited.into()), Act::Send(created.into_bytes())]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let first = create(&gateway, Some("k"), &json!({ "name": "Awa" })).await;
    assert_eq!(first.status_and_code(), (429, "provider_rate_limited"));
    let again = create(&gateway, Some("k"), &json!({ "name": "Awa" })).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-status")), (201, "created"), "{}", again.text);
}

#[tokio::test]
async fn an_idempotency_marker_is_written_for_a_key_and_never_shown() {
    let (gateway, folder) = gateway_and_twin("notchpay", "", "").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "order": 7 } });
    let keyed = create(&gateway, Some("k"), &awa).await;
    let path = format!("{CUSTOMERS}/{}", keyed.body["id"].as_str().expect("an id"));
    for answer in [&keyed, &gateway.get(&path).await, &gateway.get(CUSTOMERS).await] {
        assert!(answer.text.contains(r#""metadata":{"order":7}"#), "{}", answer.text);
        assert!(!answer.text.contains("passerelle_op"), "{}", answer.text);
    }
    create(&gateway, None, &json!({ "name": "Awa Ba", "email": "awa.ba@example.com" })).await;
    let log = log::read(&folder.path().join("log")).expect("a log");
    let markers: Vec<_> = log::effects(&log).map(|effect| effect.marker.as_deref()).collect();
    assert_eq!(markers, [Some(keyed.header("x-operation-id")), None]);
}
