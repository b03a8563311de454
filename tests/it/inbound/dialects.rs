//! Refusals that the gateway makes itself for a client of an imitated provider: each has that provider's error shape,
//! and the status in its body is the status of the answer.

use super::{Client, Received, sandbox};
use crate::support::Gateway;

/// A dialect as a client at the level of bytes sees it.
struct Dialect {
    /// The path of its customers.
    path: &'static str,
    /// The header that authenticates the client. Empty if the client signs.
    key: &'static str,
    /// Where an error has its text, and its status if it has one: JSON Pointers.
    message: &'static str,
    status: Option<&'static str>,
    /// The status that the dialect has for a refusal of the gateway.
    answers: fn(u16) -> u16,
}

const fn unchanged(status: u16) -> u16 {
    status
}

const DIALECTS: [Dialect; 6] = [
    Dialect {
        path: "/as/modempay/v1/customers",
        key: "authorization: Bearer sk_sandbox_lomi\r\n",
        message: "/message",
        status: Some("/statusCode"),
        answers: unchanged,
    },
    Dialect {
        path: "/as/lomi/v1/customers",
        key: "x-api-key: sk_sandbox_lomi\r\n",
        message: "/error/message",
        status: Some("/error/status"),
        answers: unchanged,
    },
    Dialect {
        path: "/as/paymentkit/api/customers",
        key: "authorization: Bearer sk_sandbox_lomi\r\n",
        message: "/error",
        status: None,
        answers: unchanged,
    },
    Dialect {
        path: "/as/bitnob/api/v1/customers",
        key: "authorization: Bearer sk_sandbox_lomi\r\n",
        message: "/message",
        status: Some("/statusCode"),
        // Its client has no other classes of errors, and crashes on another status in the body.
        answers: |status| match status {
            404 => 404,
            500.. => 500,
            _ => 400,
        },
    },
    Dialect {
        path: "/as/bitnob/api/customers",
        key: "",
        message: "/message",
        status: Some("/status"),
        answers: unchanged,
    },
    Dialect {
        path: "/as/notchpay/customers",
        key: "authorization: sk_sandbox_lomi\r\n",
        message: "/message",
        status: Some("/code"),
        answers: unchanged,
    },
];

impl Dialect {
    /// A request without its body. `below` begins behind the path, and `headers` are whole lines.
    fn head(&self, method: &str, below: &str, headers: &str) -> String {
        format!("{method} {}{below} HTTP/1.1\r\nhost: gateway\r\n{}{headers}\r\n", self.path, self.key)
    }

    /// Sends everything before it reads the answer, and asserts that the answer is the dialect's own refusal.
    async fn assert_refusal(&self, gateway: &Gateway, request: impl AsRef<[u8]>, status: u16) -> Received {
        let mut client = Client::connect(gateway.address()).await;
        client.send(request).await;
        self.check(client.answer().await.expect("an answer"), status)
    }

    fn check(&self, answer: Received, status: u16) -> Received {
        let expected = (self.answers)(status);
        assert_eq!(answer.status, expected, "{}, {status}: {answer:?}", self.path);
        assert!(answer.head.contains("x-request-id: "), "{answer:?}");
        assert!(!answer.head.contains("application/problem+json"), "{}, {status}: {answer:?}", self.path);
        if answer.head.contains("content-type: application/json") {
            let message = answer.body.pointer(self.message).and_then(|message| message.as_str());
            assert!(message.is_some_and(|message| !message.is_empty()), "{}, {status}: {answer:?}", self.path);
            let status = self.status.and_then(|pointer| answer.body.pointer(pointer));
            assert!(status.is_none_or(|status| *status == expected), "{}: {answer:?}", self.path);
        } else {
            assert!(status == 404 && answer.head.contains("text/html"), "{}: {answer:?}", self.path);
        }
        answer
    }
}

fn numbered_headers(count: usize) -> String {
    let lines: Vec<_> = (0..count).map(|number| format!("x-{number}: 1\r\n")).collect();
    lines.concat()
}

#[tokio::test]
async fn a_uri_that_is_too_long_is_refused_in_the_dialect_of_its_path() {
    let gateway = Gateway::sandbox("lomi").await;
    for dialect in &DIALECTS {
        for length in [9 << 10, 20 << 10, 40 << 10, 4 << 20] {
            for below in [format!("?search={}", "a".repeat(length)), format!("/{}", "a".repeat(length))] {
                let answer = dialect.assert_refusal(&gateway, dialect.head("GET", &below, ""), 414).await;
                assert!(answer.head.contains("connection: close"), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused_in_the_dialect_of_the_path() {
    let gateway = Gateway::sandbox("lomi").await;
    for dialect in &DIALECTS {
        let large = [17 << 10, 40 << 10, 4 << 20].map(|length| format!("x-0: {}\r\n", "a".repeat(length)));
        for headers in large.into_iter().chain([64, 90, 500].map(numbered_headers)) {
            let answer = dialect.assert_refusal(&gateway, dialect.head("GET", "", &headers), 431).await;
            assert!(answer.head.contains("connection: close"), "{answer:?}");
        }
        let body =
            dialect.head("POST", "", &format!("content-length: {}\r\nx-0: {}\r\n", 4 << 20, "a".repeat(17 << 10)));
        dialect.assert_refusal(&gateway, body + &" ".repeat(4 << 20), 431).await;
    }
}

#[tokio::test]
async fn a_head_that_is_refused_after_an_answered_request_is_refused_in_its_own_dialect() {
    let gateway = Gateway::sandbox("lomi").await;
    for dialect in &DIALECTS {
        let mut client = Client::connect(gateway.address()).await;
        assert_eq!(client.live().await, Some(200));
        client.send(dialect.head("GET", "", &numbered_headers(500))).await;
        dialect.check(client.answer().await.expect("an answer"), 431);
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn a_path_that_names_no_provider_is_refused_with_a_problem() {
    let gateway = Gateway::sandbox("lomi").await;
    for (path, headers, refusal) in [
        ("/as/stripe/v1/customers", String::new(), (404, "not_found")),
        ("/as", String::new(), (404, "not_found")),
        ("/as/stripe/v1/customers", numbered_headers(90), (431, "headers_too_large")),
        ("/as/stripe/v1/customers", numbered_headers(500), (431, "headers_too_large")),
        ("/v1/customers?next=/as/lomi/v1", numbered_headers(500), (431, "headers_too_large")),
    ] {
        let mut client = Client::connect(gateway.address()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n")).await;
        assert_eq!(client.answer().await.expect("an answer").status_and_code(), refusal, "{path}");
    }
}

#[tokio::test]
async fn what_the_gateway_refuses_itself_has_one_status_in_the_answer_and_in_its_body() {
    let gateway = Gateway::start(&sandbox("max_body = 32768\nbody_timeout = \"300ms\"")).await;
    let (limit, json) = (32 << 10, "content-type: application/json\r\n");
    for dialect in &DIALECTS {
        let twice = format!("GET {} HTTP/1.1\r\nhost: a\r\nhost: b\r\n{}\r\n", dialect.path, dialect.key);
        dialect.assert_refusal(&gateway, twice, 400).await;
        if dialect.key.is_empty() {
            continue;
        }
        dialect.assert_refusal(&gateway, dialect.head("GET", "/x/y/z", ""), 404).await;
        let write =
            |headers: &str| dialect.head("PUT", "/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", &format!("{json}{headers}"));
        dialect.assert_refusal(&gateway, write("content-encoding: gzip\r\ncontent-length: 2\r\n") + "{}", 415).await;
        let answer = dialect.assert_refusal(&gateway, write("content-length: 100\r\n") + "{", 408).await;
        assert!(answer.head.contains("connection: close"), "{answer:?}");
        let large = write(&format!("content-length: {}\r\n", 4 << 20)) + &" ".repeat(4 << 20);
        dialect.assert_refusal(&gateway, large, 413).await;
        let endless = format!("{:x}\r\n{}\r\n", limit + 1, " ".repeat(limit + 1));
        dialect.assert_refusal(&gateway, write("transfer-encoding: chunked\r\n") + &endless, 413).await;
    }
}

/// A client that needs longer than two seconds for its request still reads the refusal.
#[tokio::test]
async fn a_client_that_sends_for_a_while_after_the_refusal_reads_it() {
    let gateway = Gateway::sandbox("lomi").await;
    let dialect = &DIALECTS[1];
    let mut client = Client::connect(gateway.address()).await;
    client.send(dialect.head("POST", "", &format!("content-length: {}\r\n", 32 << 20))).await;
    for _ in 0..32 {
        client.send(vec![b' '; 1 << 20]).await;
    }
    dialect.check(client.answer().await.expect("an answer"), 413);
}
