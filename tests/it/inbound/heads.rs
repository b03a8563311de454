//! The size of a head, and heads that are not HTTP. Every refusal is a problem, also those of the HTTP library.

use super::{Client, Received, head, sandbox};
use crate::support::Gateway;

async fn answered(gateway: &Gateway, head: String) -> Received {
    let mut client = Client::connect(gateway.address()).await;
    client.send(head).await;
    client.answer().await.expect("an answer")
}

fn with_headers(headers: &str) -> String {
    format!("GET /livez HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n")
}

#[tokio::test]
async fn headers_may_have_16_kib_and_64_lines() {
    let gateway = Gateway::sandbox("lomi").await;
    // `host: gateway` and `x-0: ` count as 15 and 7 bytes with their ends of lines.
    let sized = |length: usize| with_headers(&format!("x-0: {}\r\n", "a".repeat(length - 22)));
    let numbered = |count: usize| {
        let lines: Vec<_> = (1..count).map(|number| format!("x-{number}: 1\r\n")).collect();
        with_headers(&lines.concat())
    };
    assert_eq!(answered(&gateway, sized(16 << 10)).await.status, 200);
    assert_eq!(answered(&gateway, numbered(64)).await.status, 200);
    let refused = answered(&gateway, sized((16 << 10) + 1)).await;
    assert_eq!(refused.status_and_code(), (431, "headers_too_large"));
    for head in [numbered(65), sized(40 << 10), sized(380 << 10), sized(4 << 20)] {
        let length = head.len();
        let refused = answered(&gateway, head).await;
        assert_eq!(refused.status_and_code(), (431, "headers_too_large"), "{length}");
        refused.assert_closing_problem();
    }
}

#[tokio::test]
async fn a_path_and_query_may_have_8_kib() {
    let gateway = Gateway::sandbox("lomi").await;
    let sized = |length: usize| {
        let query = "a".repeat(length - "/livez?".len());
        format!("GET /livez?{query} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
    };
    assert_eq!(answered(&gateway, sized(8 << 10)).await.status, 200);
    for length in [(8 << 10) + 1, 30 << 10, 40 << 10, 100 << 10, 1 << 20] {
        let refused = answered(&gateway, sized(length)).await;
        assert_eq!(refused.status_and_code(), (414, "uri_too_long"), "{length}");
        refused.assert_closing_problem();
    }
}

#[tokio::test]
async fn the_limits_of_a_head_are_those_of_the_configuration() {
    let head = |path: &str, headers: usize| {
        let lines: Vec<_> = (1..headers).map(|number| format!("x-{number}: {}\r\n", "a".repeat(20))).collect();
        let lines = lines.concat();
        format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n")
    };
    let query = |length: usize| format!("/livez?{}", "a".repeat(length - "/livez?".len()));
    for (keys, uri, headers) in [
        ("max_uri = 300\nmax_headers = 40\nmax_headers_size = 4096", 300, 40),
        ("max_uri = 20000\nmax_headers = 200\nmax_headers_size = 40000", 20_000, 200),
    ] {
        let gateway = Gateway::start(&sandbox(keys)).await;
        assert_eq!(answered(&gateway, head(&query(uri), 1)).await.status, 200, "{keys}");
        let refused = answered(&gateway, head(&query(uri + 1), 1)).await;
        assert_eq!(refused.status_and_code(), (414, "uri_too_long"), "{keys}");
        assert!(refused.detail().contains(&format!("longer than {uri} bytes")), "{}", refused.detail());
        assert_eq!(answered(&gateway, head("/livez", headers)).await.status, 200, "{keys}");
        let refused = answered(&gateway, head("/livez", headers + 1)).await;
        assert_eq!(refused.status_and_code(), (431, "headers_too_large"), "{keys}");
        assert!(refused.detail().contains(&format!("at most {headers} headers")), "{}", refused.detail());
    }
    let gateway = Gateway::start(&sandbox("max_headers_size = 5000")).await;
    let refused = answered(&gateway, with_headers(&format!("x: {}\r\n", "a".repeat(5000)))).await;
    assert_eq!(refused.status_and_code(), (431, "headers_too_large"));
    assert!(refused.detail().contains("larger than 5000 bytes"), "{}", refused.detail());
}

#[tokio::test]
async fn a_head_that_is_not_http_is_refused_with_a_problem() {
    let gateway = Gateway::sandbox("lomi").await;
    for head in [
        "GET /livez\r\n\r\n".to_owned(),
        "GET /livez HTTP/9.9\r\nhost: gateway\r\n\r\n".to_owned(),
        "G\u{7f}T /livez HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned(),
        with_headers("name : value\r\n"),
        with_headers("content-length: +5\r\n"),
    ] {
        let refused = answered(&gateway, head.clone()).await;
        assert_eq!(refused.status_and_code(), (400, "malformed_request"), "{head:?}");
        refused.assert_closing_problem();
    }
}

#[tokio::test]
async fn a_refused_head_after_an_answered_request_is_refused_in_the_same_way() {
    let gateway = Gateway::sandbox("lomi").await;
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.live().await, Some(200));
    client.send(with_headers(&format!("x-0: {}\r\n", "a".repeat(100_000)))).await;
    let refused = client.answer().await.expect("an answer");
    assert_eq!(refused.status_and_code(), (431, "headers_too_large"));
    refused.assert_closing_problem();
    client.assert_closed().await;
}

#[tokio::test]
async fn an_expectation_that_the_api_does_not_know_is_refused() {
    let gateway = Gateway::sandbox("lomi").await;
    for expected in ["200-ok", "100-continue, 200-ok", "100-continue\r\nexpect: 200-ok", ""] {
        let refused = answered(&gateway, with_headers(&format!("expect: {expected}\r\n"))).await;
        assert_eq!(refused.status_and_code(), (417, "expectation_failed"), "{expected}");
    }
    let http1_0 = answered(&gateway, "GET /livez HTTP/1.0\r\nexpect: 200-ok\r\n\r\n".to_owned()).await;
    assert_eq!(http1_0.status, 200, "HTTP/1.0 has no expectations");
    let dialect = "GET /as/lomi/v1/customers HTTP/1.1\r\nhost: gateway\r\nexpect: 200-ok\r\n\r\n".to_owned();
    let refused = answered(&gateway, dialect).await;
    assert_eq!((refused.status, refused.body["error"].is_object()), (417, true), "{refused:?}");
}

#[tokio::test]
async fn a_client_that_waits_before_its_body_is_told_to_go_on_unless_the_request_is_refused() {
    let gateway = Gateway::sandbox("lomi").await;
    let body = r#"{"name":"Awa Diop"}"#;
    let waiting = |length| head("/v1/customers", length).replace("\r\n\r\n", "\r\nexpect: 100-Continue\r\n\r\n");
    let mut client = Client::connect(gateway.address()).await;
    client.send(waiting(body.len())).await;
    assert_eq!(client.answer().await.expect("an answer").status, 100);
    client.send(body).await;
    assert_eq!(client.answer().await.expect("an answer").status, 201);
    let refused = answered(&gateway, waiting(3_000_000)).await;
    assert_eq!(refused.status_and_code(), (413, "body_too_large"), "without a 100 before");
    refused.assert_closing_problem();
    let refused = answered(&gateway, waiting(body.len()).replace("sk_sandbox_lomi", "sk_wrong")).await;
    assert_eq!(refused.status_and_code(), (401, "unauthorized"), "without a 100 before");
}

/// If the gateway ignored them, the client would not know that they are lost.
#[tokio::test]
async fn trailers_are_refused() {
    let gateway = Gateway::sandbox("lomi").await;
    let chunked = head("/v1/customers", 0).replace("content-length: 0", "transfer-encoding: chunked");
    let with_trailers = |trailers: &str| format!("{chunked}13\r\n{{\"name\":\"Awa Diop\"}}\r\n0\r\n{trailers}\r\n");
    let few = "idempotency-key: one\r\nx-request-id: trailer\r\ncontent-length: 7\r\n".to_owned();
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..2 {
        client.send(with_trailers(&few)).await;
        let refused = client.answer().await.expect("an answer");
        assert_eq!(refused.status_and_code(), (400, "malformed_request"), "{refused:?}");
        assert!(refused.body.to_string().contains("trailers follow the body"), "{refused:?}");
        assert!(!refused.head.contains("trailer"), "none counts: {refused:?}");
    }
    for large in [format!("x: {}\r\n", "1".repeat(32 << 10)), "x: 1\r\n".repeat(2000)] {
        let refused = answered(&gateway, with_trailers(&large)).await;
        assert_eq!(refused.status_and_code(), (400, "malformed_request"));
    }
    client.send("GET /v1/customers HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_sandbox_lomi\r\n\r\n").await;
    let customers = client.answer().await.expect("an answer");
    assert_eq!(customers.status, 200);
    assert!(!customers.body.to_string().contains("Awa Diop"), "nothing was created: {customers:?}");
    assert_eq!(answered(&gateway, with_trailers("")).await.status, 201);
}
