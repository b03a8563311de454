//! Idempotency keys.

use std::sync::Arc;

use http::Method;
use passerelle::twin::log;
use serde_json::json;

use super::helpers::{CUSTOMERS, before_a_twin, count, create};
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
    let spelled_otherwise = r#" {"metadata": {"a":"\u00e9","n":1}, "email":"awa@example.com", "name":"Awa Diop"}"#;
    let request = gateway.request(Method::POST, CUSTOMERS).header("content-type", "application/json");
    let again = request.header("idempotency-key", "order-1").body(spelled_otherwise);
    let again = gateway.send(again).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "byte for byte");
    for header in ["location", "content-type", "x-operation-id"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("idempotency-status"), "replayed");
    let other = create(&gateway, Some("order-1"), &json!({ "name": "Awa Ba", "email": "awa@example.com" })).await;
    assert_eq!(other.told(), (422, "idempotency_key_reused"));
    assert_eq!(count(&gateway, "awa@example.com").await, 1);
    let twin = create(&gateway, Some("order-2"), &awa).await;
    assert_eq!(twin.status, 201, "another key is another customer");
    assert_eq!(count(&gateway, "awa@example.com").await, 2);
    let told = gateway.get(&format!("/v1/operations/{}", first.header("x-operation-id"))).await;
    assert_eq!((&told.body["outcome"], &told.body["customer"]), (&json!("done"), &first.body["id"]));
}

#[tokio::test]
async fn what_was_answered_goes_with_its_customer() {
    let gateway = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let created = create(&gateway, Some("order-1"), &awa).await;
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let delete = || gateway.request(Method::DELETE, &format!("{CUSTOMERS}/{id}")).header("idempotency-key", "gone");
    let deleted = gateway.send(delete()).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    let again = create(&gateway, Some("order-1"), &awa).await;
    assert_eq!(again.told(), (410, "replay_erased"));
    assert_eq!(again.body["provider"]["id"], json!(id));
    assert!(!again.text.contains("Awa"), "nothing of the customer");
    assert_eq!(gateway.send(delete()).await.text, deleted.text, "the deletion itself is answered again");
    let told = gateway.get(&format!("/v1/operations/{}", created.header("x-operation-id"))).await;
    assert_eq!((&told.body["outcome"], &told.body["customer"]), (&json!("done"), &json!(id)));
    assert_eq!(count(&gateway, "awa@example.com").await, 0, "and nobody was made anew");
}

#[tokio::test]
async fn a_key_is_the_merchants_own() {
    let lomi = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&lomi, Some("same"), &awa).await;
    let modempay = lomi.with_key("sk_sandbox_modempay");
    let second = create(&modempay, Some("same"), &awa).await;
    assert_eq!(second.header("idempotency-status"), "created");
    assert_ne!(first.body["id"], second.body["id"]);
    let strange = modempay.get(&format!("/v1/operations/{}", first.header("x-operation-id"))).await;
    assert_eq!(strange.told(), (404, "not_found"));
}

#[tokio::test]
async fn what_is_no_key_is_refused_before_anything_else() {
    let gateway = Gateway::sandbox("lomi").await;
    for key in ["", "two words", &"k".repeat(256)] {
        let answer = create(&gateway, Some(key), &json!({ "name": "Awa" })).await;
        assert_eq!(answer.told(), (400, "malformed_request"), "{key}");
    }
}

#[tokio::test]
async fn a_refusal_of_ours_leaves_the_key_free() {
    let gateway = Gateway::sandbox("lomi").await;
    let wrong = create(&gateway, Some("k"), &json!({ "name": "Awa", "email": "nobody" })).await;
    assert_eq!(wrong.told(), (422, "invalid_request"));
    let right = create(&gateway, Some("k"), &json!({ "name": "Awa", "email": "awa@example.com" })).await;
    assert_eq!(right.status, 201);
}

#[tokio::test]
async fn concurrent_duplicates_have_one_effect() {
    let gateway = Arc::new(Gateway::sandbox("notchpay").await);
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let asked = (0..60).map(|_| {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tokio::spawn(async move { create(&gateway, Some("one"), &body).await })
    });
    let mut texts = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        let answer = asked.await.expect("no panic");
        if answer.status == 201 {
            texts.push(answer.text);
            continue;
        }
        assert_eq!(answer.told(), (409, "idempotency_in_progress"));
        assert_eq!(answer.header("idempotency-status"), "in_progress");
        assert!(answer.header("x-operation-id").starts_with("op_"));
    }
    assert!(!texts.is_empty());
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(count(&gateway, "awa@example.com").await, 1);
}

#[tokio::test]
async fn what_was_not_sent_may_be_sent_with_the_same_key() {
    let limited =
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nretry-after: 1\r\nconnection: close\r\n\r\n{}";
    let created = "{\"data\":{\"customer_id\":\"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985\",\"name\":\"Awa\"}}";
    let created = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{created}",
        created.len()
    );
    let vendor = StandIn::start(vec![Act::Send(limited.into()), Act::Send(created.into_bytes())]).await;
    let gateway = Gateway::before("lomi", &vendor.url(), "").await;
    let first = create(&gateway, Some("k"), &json!({ "name": "Awa" })).await;
    assert_eq!(first.told(), (429, "provider_rate_limited"));
    let again = create(&gateway, Some("k"), &json!({ "name": "Awa" })).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-status")), (201, "created"), "{}", again.text);
}

#[tokio::test]
async fn a_mark_is_written_with_a_key_and_never_shown() {
    let (gateway, folder) = before_a_twin("notchpay", "", "").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "order": 7 } });
    let keyed = create(&gateway, Some("k"), &awa).await;
    let path = format!("{CUSTOMERS}/{}", keyed.body["id"].as_str().expect("an id"));
    for answer in [&keyed, &gateway.get(&path).await, &gateway.get(CUSTOMERS).await] {
        assert!(answer.text.contains(r#""metadata":{"order":7}"#), "{}", answer.text);
        assert!(!answer.text.contains("passerelle_op"), "{}", answer.text);
    }
    create(&gateway, None, &json!({ "name": "Awa Ba", "email": "awa.ba@example.com" })).await;
    let log = log::read(&folder.path().join("log")).expect("a log");
    let marks: Vec<_> = log::effects(&log).map(|effect| effect.marker.as_deref()).collect();
    assert_eq!(marks, [Some(keyed.header("x-operation-id")), None]);
}
