//! Requests to a provider at the level of bytes: their headers, compressed answers, and connections that are reused.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    faults::{gzip, read, write},
    stand_in::{Act, StandIn, bytes_of, json as json_answer, response},
    support::{Answer, Gateway, SECRET},
};

const FOUND: &str = r#"{"data":{"customer_id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985","name":"Amadou Ba"}}"#;

/// `FOUND`, compressed by Node's `brotliCompressSync`.
const FOUND_IN_BROTLI: &str = "G1EASByHsdtkL/JFMZ1nti1V7jNLMMZHTcXDzTXPZKJi0kqnDzbggDnQBAKCCU/Sx+JGgg33ew3AbTOe5hRL\
                               G9KzN6FrCAZT3ZxTUQEw5vGu+P5yLgw=";

fn found() -> Vec<u8> {
    bytes_of("200 OK", &[("content-type", "application/json")], FOUND.as_bytes())
}

fn assert_found(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &answer.body["name"]), (200, &json!("Amadou Ba")), "{}", answer.text);
}

/// The request line, the headers sorted by name, and the body of a request.
fn parts(request: &str) -> (&str, Vec<&str>, &str) {
    let (head, body) = request.split_once("\r\n\r\n").expect("a whole request");
    let (line, headers) = head.split_once("\r\n").expect("headers");
    let mut headers: Vec<_> = headers.split("\r\n").collect();
    headers.sort_unstable();
    (line, headers, body)
}

const USER_AGENT: &str = concat!("user-agent: passerelle/", env!("CARGO_PKG_VERSION"));

/// No referer, no cookie, and no header of the client's own request: every additional header could reveal something.
#[tokio::test]
async fn a_request_has_only_the_headers_that_the_provider_needs() {
    let vendor = StandIn::always(json_answer("200 OK", FOUND)).await;
    let gateway = Gateway::in_front_of("lomi", &format!("{}/platform/v1", vendor.url()), "").await;
    assert_found(&read(&gateway).await);
    assert_eq!(write(&gateway, "lomi").await.status, 201);

    let host = format!("host: {}", vendor.address());
    let key = format!("x-api-key: {SECRET}");
    let sent = vendor.requests();
    let retrieve = ["accept-encoding: gzip,br", "accept: application/json", &host, USER_AGENT, &key];
    let line = "GET /platform/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985 HTTP/1.1";
    assert_eq!(parts(&sent[0]), (line, retrieve.to_vec(), ""));
    let create = [
        "accept-encoding: gzip,br",
        "accept: application/json",
        "content-length: 45",
        "content-type: application/json",
        &host,
        USER_AGENT,
        &key,
    ];
    let body = r#"{"name":"Awa Diop","email":"awa@example.com"}"#;
    assert_eq!(parts(&sent[1]), ("POST /platform/v1/customers HTTP/1.1", create.to_vec(), body));
    assert_eq!(sent.len(), 3, "the answer does not show the e-mail, so the gateway reads the customer");
}

/// Some reverse proxies answer 411 to a POST without a length.
#[tokio::test]
async fn a_post_without_a_body_has_a_content_length_of_zero() {
    let vendor = StandIn::always(json_answer("200 OK", r#"{"customer":{"id":"cus.x","name":"Awa"}}"#)).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    let blocked = gateway.send(gateway.request(reqwest::Method::POST, "/v1/customers/cus.x/block")).await;
    assert_eq!(blocked.status, 200, "{}", blocked.text);
    let sent = vendor.requests().remove(0);
    let (line, headers, body) = parts(&sent);
    assert!(line.ends_with("/customers/cus.x/block HTTP/1.1") && body.is_empty(), "{sent}");
    assert!(headers.contains(&"content-length: 0"), "{sent}");
    assert!(headers.iter().all(|header| !header.starts_with("content-type")), "{sent}");
}

#[tokio::test]
async fn every_spelling_of_a_base_url_leads_to_the_same_request() {
    let vendor = StandIn::always(json_answer("200 OK", FOUND)).await;
    let address = vendor.address();
    let named = format!("localhost:{}", address.port());
    for (base_url, host) in [
        (format!("http://{address}/v1"), address.to_string()),
        (format!("http://{address}/v1/"), address.to_string()),
        (format!("HTTP://{address}/v1"), address.to_string()),
        (format!("http://{named}/v1"), named.clone()),
        (format!("http://LocalHost:{}/v1/", address.port()), named),
    ] {
        let gateway = Gateway::in_front_of("lomi", &base_url, "").await;
        assert_found(&read(&gateway).await);
        let sent = vendor.requests().pop().expect("a request");
        let host = format!("host: {host}");
        let key = format!("x-api-key: {SECRET}");
        let line = "GET /v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985 HTTP/1.1";
        let headers = vec!["accept-encoding: gzip,br", "accept: application/json", &host, USER_AGENT, &key];
        assert_eq!(parts(&sent), (line, headers, ""), "{base_url}");
    }
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let brotli = BASE64_STANDARD.decode(FOUND_IN_BROTLI).expect("base64");
    for (encoding, compressed) in [("gzip", gzip(FOUND.as_bytes())), ("br", brotli)] {
        let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
        // A server that compresses while it sends does not know the length.
        let mut chunks = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {encoding}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for piece in compressed.chunks(7) {
            chunks.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunks.extend_from_slice(piece);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        let acts = vec![
            response("200 OK", &headers, &compressed),
            Act::Keep(chunks),
            response("201 Created", &headers, &compressed),
        ];
        let vendor = StandIn::start(acts).await;
        let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
        assert_found(&read(&gateway).await);
        assert_found(&read(&gateway).await);
        let created = write(&gateway, "lomi").await;
        assert_eq!((created.status.as_u16(), &created.body["name"]), (201, &json!("Amadou Ba")), "{}", created.text);
        for sent in vendor.requests() {
            assert!(sent.contains("\r\naccept-encoding: gzip,br\r\n"), "{sent}");
        }
        // The last connection is for the read after the create, whose answer does not show the e-mail.
        assert_eq!(vendor.connections(), 3, "a compressed answer is read to its end, so its connection can be reused");
    }
}

/// Some servers name an encoding also where the body is empty.
#[tokio::test]
async fn an_empty_answer_is_not_decompressed() {
    for encoding in ["gzip", "br"] {
        for status in ["200 OK", "204 No Content"] {
            let empty = response(status, &[("content-encoding", encoding)], "");
            let id = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
            let found = json_answer("200 OK", &json!({ "id": id, "name": "Amadou Ba" }).to_string());
            let gone = json_answer("404 Not Found", "{}");
            let vendor = StandIn::start(vec![found, empty, gone]).await;
            let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
            let deleted = gateway.delete(&format!("/v1/customers/{id}")).await;
            assert_eq!(deleted.status, 200, "{encoding}, {status}: {}", deleted.text);
        }
    }
}

#[tokio::test]
async fn a_connection_is_reused_for_the_next_request() {
    let vendor = StandIn::always(Act::Keep(found())).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    assert_found(&read(&gateway).await);
    assert_eq!(write(&gateway, "lomi").await.status, 201);
    assert_found(&read(&gateway).await);
    // The answer to the write does not show the e-mail, so the gateway reads the customer after it.
    assert_eq!((vendor.requests().len(), vendor.connections()), (4, 1));
}

#[tokio::test]
async fn a_write_does_not_use_an_idle_connection_that_the_provider_closed() {
    // Its header does not announce that it closes the connection.
    let vendor = StandIn::always(Act::Send(found())).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    assert_found(&read(&gateway).await);
    vendor.closed(1).await;
    assert_eq!(write(&gateway, "lomi").await.status, 201);
    // The answer to the write does not show the e-mail, so the gateway reads the customer after it.
    vendor.closed(3).await;
    assert_found(&read(&gateway).await);
    assert_eq!((vendor.requests().len(), vendor.connections()), (4, 4));
}

/// The HTTP client may repeat a request by itself only if it has sent nothing of it.
#[tokio::test]
async fn a_write_whose_reused_connection_breaks_is_not_sent_again() {
    for broken in [Act::Reset, Act::Send(Vec::new()), Act::Send(b"HTTP/1.1 201 Cre".to_vec())] {
        let vendor = StandIn::start(vec![Act::Keep(found()), broken.clone(), Act::Hang]).await;
        let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
        assert_found(&read(&gateway).await);
        let answer = write(&gateway, "lomi").await;
        assert_eq!(answer.status_and_code(), (504, "outcome_unknown"), "{broken:?}: {}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("unknown"), &json!(false)));
        let writes = vendor.requests().iter().filter(|sent| sent.starts_with("POST ")).count();
        assert_eq!((writes, vendor.connections()), (1, 1), "{broken:?}");
    }
}

/// The HTTP client parses the address of a redirect although it never follows it. An address that it cannot parse must
/// not make the gateway believe that the request was not sent.
#[tokio::test]
async fn a_redirect_with_an_invalid_address_does_not_send_a_write_again() {
    let elsewhere = StandIn::always(Act::Keep(found())).await;
    let there = elsewhere.url();
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        for location in [there.as_str(), "/elsewhere", "http://[", "http://a.example:99999/", "//:x", "", "data:,x"] {
            let vendor = StandIn::always(response(status, &[("location", location)], "")).await;
            let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
            let answer = write(&gateway, "lomi").await;
            assert_eq!(answer.code(), "outcome_unknown", "{status} to {location}: {}", answer.text);
            assert_eq!(vendor.requests().len(), 1, "{status} to {location}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}
