//! What a client of a twin sees, and what the twin records in its log.

use std::{
    io,
    time::{Duration, Instant},
};

use passerelle::twin::{faults::Fault, log};
use passerelle_providers::model::Operation;
use tokio::io::AsyncReadExt;

use super::served::{EMAIL, Served, announced, awa, body_of, until};

/// Every fault at a create, as bytes on the wire.
#[tokio::test]
async fn a_client_sees_each_fault() {
    for fault in Fault::ALL {
        let plan = format!("{fault} = 1\npace = \"1ms\"\nonly = [\"create\"]\nretry_after = \"7s\"");
        let twin = Served::start("lomi", &plan);
        match fault {
            Fault::HangBefore | Fault::HangAfter => {
                let mut stream = twin.send("POST", "/v1/customers", &awa()).await;
                until(|| twin.played(Operation::Create) == (vec![Some(fault)], usize::from(fault.has_effect()))).await;
                let silence = tokio::time::timeout(Duration::from_millis(30), stream.read(&mut [0; 1])).await;
                assert!(silence.is_err(), "{fault}: neither an answer nor an end");
            }
            Fault::ResetBefore | Fault::ResetAfter => {
                let (answer, ended) = twin.ask("POST", "/v1/customers", &awa()).await;
                assert_eq!(answer, "", "{fault}");
                assert_eq!(ended.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset, "{fault}");
            }
            _ => {
                let (answer, ended) = twin.ask("POST", "/v1/customers", &awa()).await;
                ended.expect("an end");
                let (status, body) = (&answer[9..12], body_of(&answer));
                match fault {
                    Fault::ErrorBefore | Fault::ErrorAfter => {
                        assert_eq!(status, "500");
                        assert!(body.contains("INTERNAL_ERROR"), "the vendor's own: {body}");
                    }
                    Fault::Truncated => {
                        assert!(matches!(status, "200" | "201"), "{answer}");
                        assert_eq!(announced(&answer) / 2, body.len());
                        assert!(body.starts_with('{') && !body.is_empty());
                    }
                    Fault::Drip => {
                        assert_eq!((status, announced(&answer)), ("201", body.len()), "{answer}");
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
                        assert!(announced(&answer) < 1 << 17);
                    }
                }
            }
        }
        assert_eq!(twin.played(Operation::Create), (vec![Some(fault)], usize::from(fault.has_effect())), "{fault}");
        assert_eq!(twin.knows(EMAIL).await, fault.has_effect(), "{fault}");
    }
}

#[tokio::test]
async fn a_bomb_unpacks_to_much_more() {
    let twin = Served::start("lomi", "gzip_bomb = 1");
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{}/v1/customers", twin.url())).send().await.expect("an answer");
    assert_eq!(answer.bytes().await.expect("a body").len(), 64 << 20);
}

#[tokio::test]
async fn a_twin_without_a_plan_behaves() {
    let twin = Served::start("lomi", "");
    let (created, _) = twin.ask("POST", "/v1/customers", &awa()).await;
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    assert_eq!(twin.played(Operation::Create), (vec![None], 1));
    assert!(twin.knows(EMAIL).await);
}

#[tokio::test]
async fn the_log_tells_what_happened_and_to_nobody() {
    let twin = Served::start("lomi", "");
    twin.ask("POST", "/v1/customers", &awa()).await.1.expect("an answer");
    let created = log::effects(&twin.entries()).next().cloned().expect("an effect");
    let path = format!("/v1/customers/{}", created.customer);
    twin.ask("PATCH", &path, r#"{"name":"Awa Sow"}"#).await.1.expect("an answer");
    twin.ask("DELETE", &path, "").await.1.expect("an answer");
    twin.ask("DELETE", &path, "").await.1.expect("an answer");
    twin.ask("GET", "/v1/customers?email=awa.diop@example.com", "").await.1.expect("an answer");
    twin.ask("GET", "/nowhere/awa@example.com", "").await.1.expect("an answer");

    let entries = twin.entries();
    let asked: Vec<_> = log::requests(&entries).collect();
    assert_eq!(asked.iter().map(|request| request.n).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!((&*asked[0].method, &*asked[0].path), ("POST", "/v1/customers"));
    assert_eq!(asked[0].idempotency_key.as_deref(), Some("key_1"));
    assert!(asked[0].body_hash.as_ref().is_some_and(|hash| hash.len() == 64));
    assert_eq!(asked[2].body_hash, None);
    assert_eq!((asked[5].operation, &*asked[5].path), (None, "/nowhere/*"));

    let done: Vec<_> = log::effects(&entries).map(|effect| (effect.n, effect.operation.0)).collect();
    assert_eq!(done, [(1, Operation::Create), (2, Operation::Update), (3, Operation::Delete)]);
    assert_eq!(created.marker.as_deref(), Some("op_1"));
    assert_eq!(created.email_hash, Some(log::email_hash("awa.diop@example.com")));
    let text = std::fs::read_to_string(twin.log.path()).expect("a log");
    for secret in ["Awa", "Diop", "example.com", "any"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.starts_with(r#"{"event":"request","n":1,"at":""#), "{text}");
}

#[tokio::test]
async fn the_same_seed_plays_the_same() {
    let mut played = Vec::new();
    for seed in [11, 11, 12] {
        let plan = format!("seed = {seed}\nerror_before = 0.2\nrate_limited = 0.2\nredirect = 0.1\ngarbage = 0.1");
        let twin = Served::start("notchpay", &plan);
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.push(twin.ask("GET", "/customers", "").await.0[9..12].to_owned());
        }
        let faults: Vec<_> = log::requests(&twin.entries()).map(|request| request.fault).collect();
        assert!(faults.iter().any(Option::is_some) && faults.iter().any(Option::is_none));
        played.push((faults, statuses));
    }
    assert_eq!(played[0], played[1]);
    assert_ne!(played[0], played[2]);
}

#[tokio::test]
async fn searches_lag() {
    let twin = Served::start("lomi", "search_lag = \"1h\"");
    twin.ask("POST", "/v1/customers", &awa()).await.1.expect("an answer");
    let id = log::effects(&twin.entries()).next().map(|effect| effect.customer.clone()).expect("an effect");
    assert!(!twin.knows(EMAIL).await);
    assert!(twin.ask("GET", &format!("/v1/customers/{id}"), "").await.0.contains(EMAIL));

    let twin = Served::start("lomi", "search_lag = \"20ms\"");
    twin.ask("POST", "/v1/customers", &awa()).await.1.expect("an answer");
    let seen = async { while !twin.knows(EMAIL).await {} };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it is seen at last");
}

#[tokio::test]
async fn answers_are_held_back_and_effects_are_not() {
    let twin = Served::start("lomi", "delay = \"1h\"\nonly = [\"create\"]");
    let stream = twin.send("POST", "/v1/customers", &awa()).await;
    until(|| twin.played(Operation::Create) == (vec![None], 1)).await;
    drop(stream);
    assert!(twin.knows(EMAIL).await, "what a client asked and did not wait for is done");

    let twin = Served::start("lomi", "delay = \"30ms\"");
    let begun = Instant::now();
    twin.ask("GET", "/v1/customers", "").await.1.expect("an answer");
    assert!(begun.elapsed() >= Duration::from_millis(30));
}
