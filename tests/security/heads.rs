//! Requests at the level of bytes: nothing makes two requests of one, and nothing but HTTP/1.1 is answered as HTTP/1.1.

use reqwest::Method;

use crate::{
    bed::{Bed, merchant_of_twin},
    canary,
};

const BODY: &str = r#"{"email":"c4n4ry.smuggled@example.com"}"#;

/// A create that must never be executed.
fn smuggled() -> String {
    format!(
        "POST /v1/customers HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        canary::key_of("acme"),
        BODY.len()
    )
}

#[tokio::test]
async fn s24_a_message_with_two_lengths_is_never_two_requests() {
    let bed = Bed::start(&merchant_of_twin("acme", "notchpay"));
    let inner = smuggled();
    let (all, hex) = (inner.len() + 5, inner.len());
    for headers in [
        format!("content-length: {all}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {all}\r\n"),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: 5, 6\r\n".to_owned(),
        "content-length: 0x5\r\n".to_owned(),
    ] {
        let head = format!(
            "POST /v1/customers HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\n{headers}\r\n",
            canary::key_of("acme")
        );
        let answer = bed.raw(format!("{head}0\r\n\r\n{inner}")).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1 && !answer.contains("HTTP/1.1 2"), "{headers}: {answer}");
    }
    for chunks in
        [format!("{hex:X} \r\n"), format!("0x{hex:x}\r\n"), "fffffffffffffffff\r\n".to_owned(), "-1\r\n".to_owned()]
    {
        let head = format!(
            "POST /v1/customers HTTP/1.0\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunks}",
            canary::key_of("acme")
        );
        let answer = bed.raw(head + &inner).await;
        assert!(!answer.contains(" 201 "), "{chunks}: {answer}");
    }
    let list = bed.get("acme", "/v1/customers?limit=100").await;
    assert!(list.status == 200 && canary::found_in(&list.text).is_none(), "nothing was created: {}", list.text);
}

#[tokio::test]
async fn s26_headers_that_servers_read_differently_are_refused() {
    let bed = Bed::start(&merchant_of_twin("acme", "lomi"));
    for header in
        ["x-one : 1\r\n", "x-one: 1\r\n folded: 2\r\n", "x-one: a\rb\r\n", "x-one: a\0b\r\n", "x one: 1\r\n", ": 1\r\n"]
    {
        let answer = bed.raw(format!("GET /livez HTTP/1.1\r\nhost: gateway\r\n{header}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{header:?}: {answer}");
    }
}

/// `Bed::send` checks the headers and the text of every answer of this suite. Here are the answers of each kind.
#[tokio::test]
async fn s33_s34_every_answer_is_private_and_shows_nothing_of_the_inside() {
    let bed = Bed::start(&merchant_of_twin("acme", "notchpay"));
    let created = bed.post("acme", "/v1/customers", &canary::customer()).await;
    assert_eq!((created.status.as_u16(), created.header("content-type")), (201, "application/json"));
    for (method, path, status) in [
        (Method::GET, "/v1/customers", 200),
        (Method::GET, "/v1/customers/cus_1%00", 400),
        (Method::GET, "/v1/nothing", 404),
        (Method::PUT, "/v1/customers", 405),
        (Method::POST, "/v1/customers", 415),
        (Method::GET, "/v1/customers?limit=1000000", 422),
    ] {
        let answer = bed.send(bed.of("acme", method.clone(), path)).await;
        let media_type = if status == 200 { "application/json" } else { "application/problem+json" };
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, media_type), "{method} {path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
    }
    let refused = bed.raw("GET / HTTP/1.1\r\nhost : x\r\n\r\n").await.to_lowercase();
    assert!(refused.starts_with("http/1.1 400 ") && refused.contains("application/problem+json"), "{refused}");
    assert!(!refused.contains("\nserver:") && refused.contains("nosniff"), "{refused}");
}

#[tokio::test]
async fn s28_methods_and_protocols_that_are_not_served_are_refused() {
    let bed = Bed::start(&merchant_of_twin("acme", "lomi"));
    let authorization = format!("authorization: Bearer {}\r\n", canary::key_of("acme"));
    for method in ["TRACE", "PROPFIND", "get", "OPTIONS", "LINK"] {
        let request =
            format!("{method} /v1/customers HTTP/1.1\r\nhost: gateway\r\n{authorization}connection: close\r\n\r\n");
        let answer = bed.raw(request).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 405 ") && answer.contains("\nallow: "), "{method}: {answer}");
        assert!(!answer.contains("access-control-allow"), "{method}: {answer}");
    }
    let connect = bed.raw("CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\nconnection: close\r\n\r\n").await;
    assert!(connect.starts_with("HTTP/1.1 40"), "{connect}");
    let upgrade = "GET /livez HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade, close, http2-settings\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let upgrade = bed.raw(upgrade).await;
    assert!(upgrade.starts_with("HTTP/1.1 200 "), "the upgrade is ignored: {upgrade}");
}
