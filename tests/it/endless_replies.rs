//! Replies of providers that do not end, and what ends them.

use serde_json::json;

use crate::{
    replies::{page, record},
    stand_in::{Act, StandIn, bytes_of},
    support::Gateway,
};

#[tokio::test]
async fn a_flood_of_interim_responses_ends_the_connection() {
    let vendor = StandIn::always(Act::Flood(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100))).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "timeout = \"200ms\"").await;
    let answer = gateway.get("/v1/customers").await;
    assert_eq!(answer.status_and_code(), (504, "provider_timeout"), "{}", answer.text);
    vendor.closed(vendor.connections()).await;
    let created = gateway.post("/v1/customers", json!({"name": "Amadou Ba", "email": "amadou.ba@example.com"})).await;
    assert_eq!(created.code(), "outcome_unknown", "{}", created.text);
    vendor.closed(vendor.connections()).await;
}

#[tokio::test]
async fn a_few_interim_responses_are_ignored() {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(3);
    bytes.extend(bytes_of("200 OK", &[("connection", "close")], page("lomi", &[record("lomi", 1)], 1).as_bytes()));
    let vendor = StandIn::always(Act::Send(bytes)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    assert_eq!(gateway.get("/v1/customers").await.status, 200);
}

/// Each of these replies is refused at a limit of the client, long before the time-out of the attempt.
#[tokio::test]
async fn an_endless_head_or_body_is_a_bad_response() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let cases = [
        ("a header without end", "HTTP/1.1 200 OK\r\nx-a: ".to_owned(), "a".to_owned()),
        ("headers without end", "HTTP/1.1 200 OK\r\n".to_owned(), "x-a: b\r\n".to_owned()),
        ("a status line without end", "HTTP/1.1 200 ".to_owned(), "O".to_owned()),
        ("a chunk's extension without end", format!("{CHUNKED}1;"), "e".to_owned()),
        ("extensions without end", CHUNKED.to_owned(), "1;e=e\r\n \r\n".to_owned()),
        ("a trailer without end", format!("{CHUNKED}2\r\n{{}}\r\n0\r\nx-a: "), "a".to_owned()),
        ("trailers without end", format!("{CHUNKED}2\r\n{{}}\r\n0\r\n"), "x-a: b\r\n".to_owned()),
        ("chunks without end", CHUNKED.to_owned(), format!("400\r\n{}\r\n", " ".repeat(1 << 10))),
        ("a body without end", "HTTP/1.1 200 OK\r\n\r\n".to_owned(), " ".to_owned()),
    ];
    for (name, begin, repeated) in cases {
        let act = Act::Endless(begin.into_bytes(), repeated.repeat(1000).into_bytes());
        let vendor = StandIn::always(act).await;
        let gateway = Gateway::in_front_of("lomi", &vendor.url(), "timeout = \"1m\"").await;
        let path = format!("/v1/customers/{}", "b78de3c9-7f76-4f43-9c5d-000000000001");
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status_and_code(), (502, "provider_bad_response"), "{name}: {}", answer.text);
        vendor.closed(vendor.connections()).await;
        let created = gateway.post("/v1/customers", json!({"name": "N"})).await;
        assert_eq!(created.status_and_code(), (502, "outcome_unknown"), "{name}: {}", created.text);
        assert!(created.body["operation_id"].is_string(), "{name}: {}", created.text);
        vendor.closed(vendor.connections()).await;
    }
}

#[tokio::test]
async fn a_body_that_drips_ends_at_the_time_out_of_the_attempt() {
    let vendor = StandIn::always(Act::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "timeout = \"200ms\"").await;
    let answer = gateway.get("/v1/customers").await;
    assert_eq!(answer.status_and_code(), (504, "provider_timeout"), "{}", answer.text);
    vendor.closed(vendor.connections()).await;
    let created = gateway.post("/v1/customers", json!({"name": "N"})).await;
    assert_eq!(created.code(), "outcome_unknown", "{}", created.text);
    vendor.closed(vendor.connections()).await;
}
