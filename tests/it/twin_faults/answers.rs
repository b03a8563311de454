//! What a client of a twin sees, and what the twin records in its log.

use std::{
    io,
    time::{Duration, Instant},
};

use passerelle::twin::{faults::Fault, log};
use passerelle_providers::model::Operation;
use tokio::io::AsyncReadExt;

use super::served::{EMAIL, ServedTwin, body_of, content_length, create_body, until};

#[tokio::test]
async fn each_fault_at_a_create_is_visible_on_the_wire() {
    for fault in Fault::ALL {
        let plan = format!("{fault} = 1\npace = \"1ms\"\nonly = [\"create\"]\nretry_after = \"7s\"");
        let twin = ServedTwin::start("lomi", &plan);
        match fault {
            Fault::HangBefore | Fault::HangAfter => {
                let mut stream = twin.send("POST", "/v1/customers", &create_body()).await;
                until(|| {
                    twin.faults_and_effects(Operation::Create) == (vec![Some(fault)], usize::from(fault.has_effect()))
                })
                .await;
                let silence = tokio::time::timeout(Duration::from_millis(30), stream.read(&mut [0; 1])).await;
                assert!(silence.is_err(), "{fault}: neither an answer nor an end");
            }
            Fault::ResetBefore | Fault::ResetAfter => {
                let (answer, ended) = twin.exchange("POST", "/v1/customers", &create_body()).await;
                assert_eq!(answer, "", "{fault}");
                assert_eq!(ended.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset, "{fault}");
            }
            _ => {
                let (answer, ended) = twin.exchange("POST", "/v1/customers", &create_body()).await;
                ended.expect("an end");
                let (status, body) = (&answer[9..12], body_of(&answer));
                match fault {
                    Fault::ErrorBefore | Fault::ErrorAfter => {
                        assert_eq!(status, "500");
                        assert!(body.contains("INTERNAL_ERROR"), "an error of the vendor: {body}");
                    }
                    Fault::Truncated => {
                        assert!(matches!(status, "200" | "201"), "{answer}");
                        assert_eq!(content_length(&answer) / 2, body.len());
                        assert!(body.starts_with('{') && !body.is_empty());
                    }
                    Fault::Drip => {
                        assert_eq!((status, content_length(&answer)), ("201", body.len()), "{answer}");
                        assert!(body.contains("customer_id"));
                    }
                    Fault::RateLimited => {
                        assert_eq!(status, "429");
                        assert!(answer.contains("retry-after: 7\r\n") && body.contains("Rate limit"), "{answer}");
                    }
                    Fault::Redirect => {
                        assert_eq!(status, "307");
                        assert!(answer.contains("location: https://elsewhere.invalid/"), "{answer}");
                    }
                    Fault::Garbage => assert!(status == "200" && body.starts_with("<!DOCTYPE html>"), "{answer}"),
                    _ => {
                        assert!(status == "200" && answer.contains("content-encoding: gzip"), "{fault}");
                        assert!(content_length(&answer) < 1 << 17);
                    }
                }
            }
        }
        assert_eq!(
            twin.faults_and_effects(Operation::Create),
            (vec![Some(fault)], usize::from(fault.has_effect())),
            "{fault}"
        );
        assert_eq!(twin.lists(EMAIL).await, fault.has_effect(), "{fault}");
    }
}

#[tokio::test]
async fn a_gzip_bomb_decompresses_to_64_mebibytes() {
    let twin = ServedTwin::start("lomi", "gzip_bomb = 1");
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{}/v1/customers", twin.url())).send().await.expect("an answer");
    assert_eq!(answer.bytes().await.expect("a body").len(), 64 << 20);
}

#[tokio::test]
async fn a_twin_without_a_plan_has_no_faults() {
    let twin = ServedTwin::start("lomi", "");
    let (created, _) = twin.exchange("POST", "/v1/customers", &create_body()).await;
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    assert_eq!(twin.faults_and_effects(Operation::Create), (vec![None], 1));
    assert!(twin.lists(EMAIL).await);
}

#[tokio::test]
async fn the_log_records_requests_and_effects_without_personal_data() {
    let twin = ServedTwin::start("lomi", "");
    twin.exchange("POST", "/v1/customers", &create_body()).await.1.expect("an answer");
    let created = log::effects(&twin.entries()).next().cloned().expect("an effect");
    let path = format!("/v1/customers/{}", created.customer);
    twin.exchange("PATCH", &path, r#"{"name":"Awa Sow"}"#).await.1.expect("an answer");
    twin.exchange("DELETE", &path, "").await.1.expect("an answer");
    twin.exchange("DELETE", &path, "").await.1.expect("an answer");
    twin.exchange("GET", "/v1/customers?email=awa.diop@example.com", "").await.1.expect("an answer");
    twin.exchange("GET", "/nowhere/awa@example.com", "").await.1.expect("an answer");

    let entries = twin.entries();
    let requests: Vec<_> = log::requests(&entries).collect();
    assert_eq!(requests.iter().map(|request| request.n).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!((&*requests[0].method, &*requests[0].path), ("POST", "/v1/customers"));
    assert_eq!(requests[0].idempotency_key.as_deref(), Some("key_1"));
    assert!(requests[0].body_hash.as_ref().is_some_and(|hash| hash.len() == 64));
    assert_eq!(requests[2].body_hash, None);
    assert_eq!((requests[5].operation, &*requests[5].path), (None, "/nowhere/*"));

    let effects: Vec<_> = log::effects(&entries).map(|effect| (effect.n, effect.operation.0)).collect();
    assert_eq!(effects, [(1, Operation::Create), (2, Operation::Update), (3, Operation::Delete)]);
    assert_eq!(created.marker.as_deref(), Some("op_1"));
    assert_eq!(created.email_hash, Some(log::email_hash("awa.diop@example.com")));
    let text = std::fs::read_to_string(twin.log.path()).expect("a log");
    for secret in ["Awa", "Diop", "example.com", "any"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.starts_with(r#"{"event":"request","n":1,"at":""#), "{text}");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    let mut runs = Vec::new();
    for seed in [11, 11, 12] {
        let plan = format!("seed = {seed}\nerror_before = 0.2\nrate_limited = 0.2\nredirect = 0.1\ngarbage = 0.1");
        let twin = ServedTwin::start("notchpay", &plan);
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.push(twin.exchange("GET", "/customers", "").await.0[9..12].to_owned());
        }
        let faults: Vec<_> = log::requests(&twin.entries()).map(|request| request.fault).collect();
        assert!(faults.iter().any(Option::is_some) && faults.iter().any(Option::is_none));
        runs.push((faults, statuses));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn a_search_shows_a_new_customer_only_after_the_lag() {
    let twin = ServedTwin::start("lomi", "search_lag = \"1h\"");
    twin.exchange("POST", "/v1/customers", &create_body()).await.1.expect("an answer");
    let id = log::effects(&twin.entries()).next().map(|effect| effect.customer.clone()).expect("an effect");
    assert!(!twin.lists(EMAIL).await);
    assert!(twin.exchange("GET", &format!("/v1/customers/{id}"), "").await.0.contains(EMAIL));

    let twin = ServedTwin::start("lomi", "search_lag = \"20ms\"");
    twin.exchange("POST", "/v1/customers", &create_body()).await.1.expect("an answer");
    let visible = async { while !twin.lists(EMAIL).await {} };
    tokio::time::timeout(Duration::from_secs(20), visible).await.expect("the customer becomes visible");
}

#[tokio::test]
async fn a_delay_holds_back_the_answer_and_not_the_effect() {
    let twin = ServedTwin::start("lomi", "delay = \"1h\"\nonly = [\"create\"]");
    let stream = twin.send("POST", "/v1/customers", &create_body()).await;
    until(|| twin.faults_and_effects(Operation::Create) == (vec![None], 1)).await;
    drop(stream);
    assert!(twin.lists(EMAIL).await, "the request of a client that disconnected is executed");

    let twin = ServedTwin::start("lomi", "delay = \"30ms\"");
    let begun = Instant::now();
    twin.exchange("GET", "/v1/customers", "").await.1.expect("an answer");
    assert!(begun.elapsed() >= Duration::from_millis(30));
}
