//! Replies of providers that are large: the largest record and the largest page, and the memory that one host can use.

use reqwest::Method;
use serde_json::json;

use crate::{
    replies::{merchants, page, record},
    stand_in::{Act, StandIn, bytes_of, json as json_answer, response},
    support::{Answer, Gateway, PROVIDERS},
};

/// The largest reply with one record, in bytes.
const MAX_RECORD: usize = 512 << 10;

/// An answer of a provider with one record, of so many bytes.
fn one(provider: &str, size: usize) -> String {
    let with_note = |note: &str| {
        let record = record(provider, 1).replacen('}', &format!(r#","note":"{note}"}}"#), 1);
        match provider {
            "notchpay" => format!(r#"{{"customer":{record}}}"#),
            "modempay" | "paymentkit" => record,
            _ => format!(r#"{{"success":true,"data":{record}}}"#),
        }
    };
    with_note(&"N".repeat(size - with_note("").len()))
}

/// The id of the record.
fn id(provider: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(&record(provider, 1)).expect("a record");
    record["id"].as_str().or(record["customer_id"].as_str()).expect("an id").to_owned()
}

#[tokio::test]
async fn a_record_of_up_to_512_kib_is_read_and_a_larger_one_is_a_bad_response() {
    for provider in PROVIDERS {
        let path = format!("/v1/customers/{}", id(provider));
        for (size, expected) in [(MAX_RECORD, (200, "")), (MAX_RECORD + 1, (502, "provider_bad_response"))] {
            let vendor = StandIn::always(json_answer("200 OK", &one(provider, size))).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let answer = gateway.get(&path).await;
            let text: String = answer.text.chars().take(400).collect();
            assert_eq!(answer.status_and_code(), expected, "{provider}: {text}");
        }
    }
}

/// Whether the length is declared or not, such a write is never answered as a success.
#[tokio::test]
async fn a_write_that_is_answered_with_a_larger_record_has_an_unknown_outcome() {
    let body = json!({"name": "Amadou Ba", "email": "amadou.ba@example.com", "phone": "+221771234567"});
    // PaymentKit creates no customers.
    for provider in PROVIDERS.into_iter().filter(|provider| *provider != "paymentkit") {
        let large = one(provider, MAX_RECORD + 1);
        let chunked = format!(
            "HTTP/1.1 201 Created\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
            large.len()
        );
        for act in [json_answer("201 Created", &large), Act::Send(chunked.into_bytes())] {
            let vendor = StandIn::answering(move |requests| {
                let is_read = requests.last().is_some_and(|request| request.starts_with("GET"));
                Some(if is_read { json_answer("404 Not Found", r#"{"message":"no"}"#) } else { act.clone() })
            })
            .await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            is_unknown(provider, &gateway.post("/v1/customers", body.clone()).await);
        }
    }
}

#[tokio::test]
async fn every_other_write_that_is_answered_with_a_larger_record_has_an_unknown_outcome_too() {
    let small = json_answer("200 OK", &one("notchpay", 200));
    let large = json_answer("200 OK", &one("notchpay", MAX_RECORD + 1));
    let vendor = StandIn::answering(move |requests| {
        let is_read = requests.last().is_some_and(|request| request.starts_with("GET"));
        Some(if is_read { small.clone() } else { large.clone() })
    })
    .await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    let path = format!("/v1/customers/{}", id("notchpay"));
    for (method, path, body) in [
        (Method::PATCH, path.clone(), Some(json!({"name": "Amadou Ba"}))),
        (Method::POST, format!("{path}/block"), None),
        (Method::DELETE, path.clone(), None),
    ] {
        let request = gateway.request(method.clone(), &path).header("content-type", "application/json");
        let request = if let Some(body) = body { request.body(body.to_string()) } else { request };
        is_unknown(method.as_str(), &gateway.send(request).await);
    }
}

fn is_unknown(what: &str, answer: &Answer) {
    assert_eq!(answer.status_and_code(), (502, "outcome_unknown"), "{what}: {}", answer.text);
    assert!(answer.body["operation_id"].is_string(), "{what}: {}", answer.text);
}

#[tokio::test]
async fn a_page_may_be_larger_than_a_record() {
    for provider in PROVIDERS {
        let name = "N".repeat(300_000);
        let with_note = |number| record(provider, number).replacen('}', &format!(r#","note":"{name}"}}"#), 1);
        let records: Vec<String> = (0..10).map(with_note).collect();
        let vendor = StandIn::always(json_answer("200 OK", &page(provider, &records, 10))).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let answer = gateway.get("/v1/customers").await;
        assert_eq!(answer.body["data"].as_array().map(Vec::len), Some(10), "{provider}");
    }
}

#[tokio::test]
async fn a_page_with_a_record_of_more_than_512_kib_is_a_bad_response() {
    for provider in PROVIDERS {
        let with_note = |note: &str| record(provider, 1).replacen('}', &format!(r#","note":"{note}"}}"#), 1);
        let of_size = |size: usize| with_note(&"N".repeat(size - with_note("").len()));
        for (size, expected) in [(MAX_RECORD, (200, "")), (MAX_RECORD + 1, (502, "provider_bad_response"))] {
            let records = [record(provider, 0), of_size(size)];
            let vendor = StandIn::always(json_answer("200 OK", &page(provider, &records, 2))).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let answer = gateway.get("/v1/customers").await;
            let text: String = answer.text.chars().take(400).collect();
            assert_eq!(answer.status_and_code(), expected, "{provider}: {text}");
        }
    }
}

/// A reply of 8 MiB takes the half of its host. So a further one is refused, and one of another host is not.
#[tokio::test]
async fn slow_large_replies_of_one_host_refuse_neither_small_ones_nor_those_of_another_host() {
    let begun = || {
        let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 8388608\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + 300 * 1024, b' ');
        Act::Keep(bytes)
    };
    let small = format!(r#"{{"data":{}}}"#, record("lomi", 1));
    let small = Act::Keep(bytes_of("200 OK", &[], small.as_bytes()));
    let slow = StandIn::start(vec![begun(), begun(), small.clone(), small]).await;
    let large = page("lomi", &[record("lomi", 1)], 1) + &" ".repeat(6 << 20);
    let other = StandIn::always(json_answer("200 OK", &large)).await;
    let mut gateway = Gateway::start(&merchants(&slow.url(), &other.url())).await.with_key("sk_one");
    let waiting = tokio::spawn(gateway.request(Method::GET, "/v1/customers").send());
    slow.received(1).await;
    // The first reply is still on its way, or has taken its place: one of both is refused.
    let refused = gateway.get("/v1/customers").await;
    assert_eq!(refused.status_and_code(), (503, "overloaded"), "{}", refused.text);
    let series = r#"passerelle_provider_replies_refused_total{merchant="one",connection="main"}"#;
    assert!(gateway.metric(series) >= 1.0, "the refused reply is counted");
    assert_eq!(gateway.get("/v1/customers/b78de3c9-7f76-4f43-9c5d-000000000001").await.status, 200);
    let created = gateway.post("/v1/customers", json!({"name": "N"})).await;
    assert_eq!(created.status, 201, "{}", created.text);
    gateway = gateway.with_key("sk_three");
    let others = gateway.get("/v1/customers").await;
    assert_eq!(others.status, 200, "{}", others.text);
    waiting.abort();
}

/// A refusal is small. A large one is not read, so only its status is used.
#[tokio::test]
async fn a_large_refusal_is_read_by_its_status() {
    for provider in PROVIDERS {
        let body = format!(r#"{{"message":"no","errors":[{}{{}}]}}"#, "{},".repeat(100_000));
        let vendor = StandIn::always(response("404 Not Found", &[("content-type", "application/json")], body)).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let answer = gateway.get("/v1/customers").await;
        assert!(!answer.status.is_success() && !answer.text.contains("\"no\""), "{provider}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_write_that_is_refused_with_a_large_body_was_not_executed() {
    for size in [300 << 10, 2 << 20, 9 << 20] {
        let body = format!(r#"{{"message":"no","errors":["{}"]}}"#, "N".repeat(size));
        let vendor = StandIn::always(json_answer("400 Bad Request", &body)).await;
        let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
        let answer = gateway.post("/v1/customers", json!({"name": "N"})).await;
        assert_eq!(answer.status_and_code(), (422, "provider_rejected"), "{}", answer.text);
    }
}
