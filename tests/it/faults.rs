//! Providers that fail: every answer is a typed problem that says whether the write had an effect, and the gateway
//! never sends a create twice.

use std::io::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::Method;
use serde_json::json;

use crate::{
    stand_in::{Act, StandIn, json as json_answer, refusing_address, response},
    support::{Answer, Gateway, JsonText, PROVIDERS, SECRET},
};

const ID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";

pub(crate) async fn read(gateway: &Gateway) -> Answer {
    gateway.get(&format!("/v1/customers/{ID}")).await
}

/// A write: a create where the provider has one, else an update of a plain field.
pub(crate) async fn write(gateway: &Gateway, provider: &str) -> Answer {
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    match provider {
        "paymentkit" => gateway.patch(&format!("/v1/customers/{ID}"), body).await,
        _ => gateway.post("/v1/customers", body).await,
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// 64 MiB of spaces, compressed by Node's `brotliCompressSync` with its largest window.
const BOMB_IN_BROTLI: &str = "z///f/glQOKxQCD3/p/////wSwDEYQGA7v0/////4ZcAiMMiAN37//z//8cvARCHBQC69/8=";

/// To a read, such an answer is a bad answer of the provider. To a write, it leaves the outcome unknown.
#[tokio::test]
async fn an_invalid_answer_is_never_a_success() {
    let whole = r#"{"data":{"customer_id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985","name":"Amadou"}}"#;
    let bomb = gzip(&vec![b' '; 64 << 20]);
    let brotli_bomb = BASE64_STANDARD.decode(BOMB_IN_BROTLI).expect("base64");
    let compressed = gzip(whole.as_bytes());
    let truncated = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{whole}");
    let acts = [
        ("html", response("200 OK", &[("content-type", "text/html")], "<!DOCTYPE html><html></html>")),
        ("empty", json_answer("200 OK", "")),
        ("null", json_answer("200 OK", "null")),
        ("a list", json_answer("200 OK", "[]")),
        ("a word", json_answer("200 OK", "\"ok\"")),
        ("cut off", json_answer("200 OK", &whole[..60])),
        ("broken off", Act::Send(truncated.into_bytes())),
        ("no record", json_answer("200 OK", "{}")),
        ("a bomb", response("200 OK", &[("content-type", "application/json"), ("content-encoding", "gzip")], bomb)),
        (
            "a brotli bomb",
            response("200 OK", &[("content-type", "application/json"), ("content-encoding", "br")], brotli_bomb),
        ),
        ("not gzip", response("200 OK", &[("content-encoding", "gzip")], "plain")),
        ("not brotli", response("200 OK", &[("content-encoding", "br")], "plain")),
        ("half of the gzip", response("200 OK", &[("content-encoding", "gzip")], &compressed[..compressed.len() / 2])),
        ("an encoding that was not accepted", response("200 OK", &[("content-encoding", "zstd")], &compressed)),
        ("not UTF-8", response("200 OK", &[("content-type", "application/json")], [0xff, 0xfe, b'{', b'}'])),
        ("a redirect", response("302 Found", &[("location", "https://example.com/")], "")),
        ("no HTTP", Act::Send(b"hello\r\n\r\n".to_vec())),
    ];
    for provider in PROVIDERS {
        for (what, act) in &acts {
            let vendor = StandIn::always(act.clone()).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let answer = read(&gateway).await;
            assert_eq!(answer.status, 502, "{provider}, {what}: {}", answer.text);
            assert!(
                matches!(answer.code(), "provider_bad_response" | "provider_error"),
                "{provider}, {what}: {}",
                answer.text
            );
            assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("none"), &json!(true)));

            let before = vendor.requests().len();
            let answer = write(&gateway, provider).await;
            assert!(
                matches!(answer.status_and_code(), (502 | 504, "outcome_unknown")),
                "{provider}, {what}: {}",
                answer.text
            );
            assert_eq!(answer.body["outcome"], "unknown");
            assert_eq!(answer.body["safe_to_retry"], provider == "paymentkit", "only a create is not idempotent");
            assert!(answer.body["operation_id"].is_string());
            assert_eq!(vendor.requests().len(), before + 1, "{provider}, {what}: a write is sent once");
        }
    }
}

#[tokio::test]
async fn each_refusal_of_a_provider_has_its_code() {
    for provider in PROVIDERS {
        for (status, expected) in [
            ("401 Unauthorized", (502, "provider_unauthorized")),
            ("403 Forbidden", (502, "provider_unauthorized")),
            ("404 Not Found", (404, "customer_not_found")),
            ("422 Unprocessable Entity", (422, "provider_rejected")),
            ("429 Too Many Requests", (429, "provider_rate_limited")),
        ] {
            let headers = [("content-type", "application/json"), ("retry-after", "30")];
            let vendor = StandIn::always(response(status, &headers, "{}")).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let answer = read(&gateway).await;
            assert_eq!(answer.status_and_code(), expected, "{provider} {status}: {}", answer.text);
            assert_eq!(answer.body["outcome"], "none");
            assert_eq!(vendor.requests().len(), 1, "a definite answer is not followed by another request");
            if expected.0 == 429 {
                assert_eq!(answer.header("retry-after"), "30");
            }
            let refused = write(&gateway, provider).await;
            assert_eq!(refused.body["outcome"], "none", "{provider} {status}: {}", refused.text);
        }
    }
}

#[tokio::test]
async fn modem_pays_427_is_a_429() {
    let vendor = StandIn::always(json_answer("427 Too Many Requests", r#"{"message":"Too many requests"}"#)).await;
    let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
    let answer = read(&gateway).await;
    assert_eq!(answer.status_and_code(), (429, "provider_rate_limited"));
    assert!(!answer.header("retry-after").is_empty(), "every 429 says when to retry");
}

#[tokio::test]
async fn reads_are_retried_and_writes_are_not() {
    let failed = || json_answer("503 Service Unavailable", "{}");
    let found = json_answer("200 OK", &format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba"}}}}"#));
    let vendor = StandIn::start(vec![failed(), Act::Reset, found]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let answer = read(&gateway).await;
    assert_eq!((answer.status.as_u16(), &answer.body["name"]), (200, &json!("Amadou Ba")));
    assert_eq!(vendor.requests().len(), 3);

    let vendor = StandIn::always(failed()).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    assert_eq!(read(&gateway).await.status_and_code(), (502, "provider_error"));
    assert_eq!(vendor.requests().len(), 3, "three attempts in all");
    let answer = write(&gateway, "lomi").await;
    assert_eq!(answer.status_and_code(), (502, "outcome_unknown"));
    assert_eq!(vendor.requests().len(), 4);
}

#[tokio::test]
async fn a_silent_provider_times_out() {
    let vendor = StandIn::always(Act::Hang).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "timeout = \"50ms\"").await;
    let answer = read(&gateway).await;
    assert_eq!(answer.status_and_code(), (504, "provider_timeout"));
    assert_eq!(answer.body["safe_to_retry"], true);
    let before = vendor.requests().len();
    let answer = write(&gateway, "lomi").await;
    assert_eq!(answer.status_and_code(), (504, "outcome_unknown"));
    assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("unknown"), &json!(false)));
    assert_eq!(vendor.requests().len(), before + 1);
}

#[tokio::test]
async fn a_request_ends_at_its_deadline_before_its_attempts_time_out() {
    let vendor = StandIn::always(Act::Hang).await;
    let settings = "timeout = \"1h\"\n[server]\ndeadline = \"50ms\"";
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), settings).await;
    assert_eq!(read(&gateway).await.status_and_code(), (504, "provider_timeout"));
    assert_eq!(vendor.requests().len(), 1, "no attempt begins after the deadline");
    assert_eq!(write(&gateway, "lomi").await.status_and_code(), (504, "outcome_unknown"));
    assert_eq!(vendor.requests().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_to_a_provider_that_cannot_be_reached() {
    let gateway = Gateway::in_front_of("lomi", &format!("http://{}", refusing_address()), "").await;
    for answer in [read(&gateway).await, write(&gateway, "lomi").await] {
        assert_eq!(answer.status_and_code(), (503, "provider_unavailable"));
        assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("none"), &json!(true)));
        assert!(!answer.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn field_errors_of_a_provider_name_the_fields_of_the_api() {
    let body = r#"{"error":{"status":400,"code":"INVALID_REQUEST","message":"Invalid request body","details":
        {"_errors":[],"phone_number":{"_errors":["Invalid phone"]}},"timestamp":"2026-11-20T15:34:46.060Z"}}"#;
    let vendor = StandIn::always(json_answer("400 Bad Request", body)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let answer = write(&gateway, "lomi").await;
    assert_eq!(answer.status_and_code(), (422, "provider_rejected"));
    assert_eq!(answer.body["errors"], json!([{ "pointer": "/phone", "detail": "Invalid phone" }]));
    let provider = &answer.body["provider"];
    assert_eq!((&provider["status"], &provider["code"]), (&json!(400), &json!("INVALID_REQUEST")));
}

#[tokio::test]
async fn a_secret_that_a_provider_repeats_is_masked() {
    let body = format!(r#"{{"error":{{"message":"Invalid API key: {SECRET}"}}}}"#);
    let vendor = StandIn::always(json_answer("401 Unauthorized", &body)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    for path in ["", "?include=raw"] {
        let answer = gateway.get(&format!("/v1/customers/{ID}{path}")).await;
        assert_eq!(answer.status_and_code(), (502, "provider_unauthorized"));
        assert!(answer.text.contains("***") && !answer.text.contains(SECRET), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_rate_limit_of_a_connection_refuses_without_sending() {
    let found = json_answer("200 OK", &format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba"}}}}"#));
    let vendor = StandIn::always(found).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "rate_limit = \"2/h\"").await;
    assert_eq!(read(&gateway).await.status, 200);
    assert_eq!(read(&gateway).await.status, 200);
    let answer = read(&gateway).await;
    assert_eq!(answer.status_and_code(), (429, "rate_limited"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(vendor.requests().len(), 2);
}

/// The provider receives the headers and the body that its documentation shows.
#[tokio::test]
async fn a_request_is_sent_as_the_provider_documents_it() {
    let customer = r#"{"id":"1e258349-2043-4ca1-b39c-8418f9e0d36d","firstName":"Bob","lastName":"Wonder","email":"bob@bitnob.com","phone":"9012345678","countryCode":"+234","blacklist":false}"#;
    let vendor = StandIn::always(json_answer("200 OK", &format!(r#"{{"status":true,"data":{customer}}}"#))).await;
    let gateway = Gateway::in_front_of("bitnob", &vendor.url(), "").await;
    let body = json!({ "name": "Bob Wonder", "email": "bob@bitnob.com", "phone": "+2349012345678" });
    let request = gateway.request(Method::POST, "/v1/customers").json_text(&body);
    assert_eq!(gateway.send(request).await.status, 201);
    let sent = &vendor.requests()[0];
    let (head, sent_body) = sent.split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /customers HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("authorization: bearer {SECRET}")), "{head}");
    let sent_body: serde_json::Value = serde_json::from_str(sent_body).expect("JSON");
    let documented = json!({
        "firstName": "Bob", "lastName": "Wonder", "email": "bob@bitnob.com", "phone": "9012345678", "countryCode": "+234"
    });
    assert_eq!(sent_body, documented);
}
