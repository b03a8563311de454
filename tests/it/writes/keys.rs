//! Idempotency keys.

use std::sync::Arc;

use http::Method;
use passerelle::twin::log;
use passerelle_providers::model::Operation;
use serde_json::{Value, json};

use super::helpers::{CUSTOMERS, count_customers, create, gateway_and_twin, wait_for_outcome};
use crate::{
    stand_in::{Act, StandIn},
    support::{Gateway, JsonText},
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
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nretry-after: 0\r\nconnection: close\r\n\r\n{}";
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

#[tokio::test]
async fn an_update_of_metadata_keeps_the_idempotency_marker() {
    for (provider, imitated) in
        [("lomi", "/as/lomi/v1/customers"), ("lomi", "/as/notchpay/customers"), ("notchpay", "/as/notchpay/customers")]
    {
        let (gateway, folder) = gateway_and_twin(provider, "", "").await;
        let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "a": "1" } });
        let keyed = create(&gateway, Some("k"), &awa).await;
        let id = keyed.body["id"].as_str().expect("an id").to_owned();
        let paths = [format!("{CUSTOMERS}/{id}"), format!("{imitated}/{id}")];
        for path in &paths {
            let patches = [json!({ "b": "2" }), json!({ "a": null, "b": null }), json!({ "c": "3" }), Value::Null];
            // lomi cannot clear a field.
            for metadata in patches.into_iter().filter(|patch| provider != "lomi" || !patch.is_null()) {
                let method = if path.starts_with("/as/notchpay") { Method::PUT } else { Method::PATCH };
                let request = match path.split('/').nth(2) {
                    Some("lomi") => gateway.plain(method, path).header("x-api-key", "sk_acme"),
                    Some("notchpay") => gateway.plain(method, path).header("authorization", "sk_acme"),
                    _ => gateway.request(method, path),
                };
                let update = request.json_text(&json!({ "metadata": metadata }));
                let answer = gateway.send(update).await;
                assert_eq!(answer.status, 200, "{provider} {path} {metadata}: {}", answer.text);
                for shown in [&answer, &gateway.get(&paths[0]).await] {
                    assert!(!shown.text.contains("passerelle_op"), "{provider} {path} {metadata}: {}", shown.text);
                }
            }
        }
        let log = log::read(&folder.path().join("log")).expect("a log");
        let markers: Vec<_> = log::effects(&log).map(|effect| effect.marker.as_deref()).collect();
        assert!(markers.len() > 6, "{provider}: {markers:?}");
        let marker = Some(keyed.header("x-operation-id"));
        assert!(markers.iter().all(|sent| *sent == marker), "{provider} {imitated}: {markers:?}");
    }
}

#[tokio::test]
async fn metadata_that_was_cleared_is_reported_as_cleared_beside_the_marker() {
    let (gateway, _folder) = gateway_and_twin("notchpay", "", "").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "a": "1" } });
    let keyed = create(&gateway, Some("k"), &awa).await;
    let path = format!("{CUSTOMERS}/{}", keyed.body["id"].as_str().expect("an id"));
    let cleared = gateway.patch(&path, json!({ "metadata": null })).await;
    assert_eq!((cleared.status.as_u16(), &cleared.body["metadata"]), (200, &json!({})), "{}", cleared.text);
    let fidelity = cleared.body["fidelity"].to_string();
    assert!(!fidelity.contains(r#""metadata""#), "{fidelity}");
}

#[tokio::test]
async fn a_customer_whose_metadata_was_changed_is_still_the_outcome_of_its_create() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let connection = "visibility_lag = \"300ms\"\non_ambiguous = \"resend_after_lag\"";
    let (gateway, folder) = gateway_and_twin("notchpay", faults, connection).await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "a": "1" } });
    let first = create(&gateway, Some("k"), &awa).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let found = gateway.get(&format!("{CUSTOMERS}?email=awa@example.com")).await;
    let id = found.body["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("{CUSTOMERS}/{id}");
    for metadata in [json!({ "b": "2" }), Value::Null] {
        assert_eq!(gateway.patch(&path, json!({ "metadata": metadata })).await.status, 200);
    }
    let operation = wait_for_outcome(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    let again = create(&gateway, Some("k"), &awa).await;
    assert_eq!((again.status.as_u16(), again.body["id"].as_str()), (201, Some(&*id)), "{}", again.text);
    let log = log::read(&folder.path().join("log")).expect("a log");
    let creates = log::effects(&log).filter(|effect| effect.operation.0 == Operation::Create).count();
    assert_eq!(creates, 1);
}
