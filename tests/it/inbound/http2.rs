//! The API over HTTP/2: the same answers and refusals as over HTTP/1.1.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response, request::Builder};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use super::{Client, PATIENCE, sandbox};
use crate::support::Gateway;

/// A gateway that serves HTTP/2 without TLS, and a connection to it.
struct Http2 {
    gateway: Gateway,
    client: SendRequest<Bytes>,
}

/// An answer with its whole body.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    async fn of(answer: impl Future<Output = Result<Response<h2::RecvStream>, h2::Error>>) -> Self {
        let (head, mut body) = timeout(PATIENCE, answer).await.expect("in time").expect("an answer").into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = timeout(PATIENCE, body.data()).await.expect("in time") {
            let piece = piece.expect("a body");
            body.flow_control().release_capacity(piece.len()).expect("it was taken");
            bytes.extend_from_slice(&piece);
        }
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    fn status_and_code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

impl Http2 {
    async fn start(server: &str) -> Self {
        let gateway = Gateway::start(&sandbox(&format!("http2 = \"prior_knowledge\"\n{server}"))).await;
        let stream = TcpStream::connect(gateway.address()).await.expect("a connection");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { gateway, client }
    }

    /// Sends a request with its whole body.
    async fn send(&mut self, request: Builder, body: &str) -> Answer {
        let request = request.body(()).expect("a request");
        let client = self.client.clone().ready().await;
        let (answer, mut sent) =
            client.expect("it is open").send_request(request, body.is_empty()).expect("it is sent");
        if !body.is_empty() {
            // The gateway may refuse the request before it has read the body.
            let _ = sent.send_data(Bytes::copy_from_slice(body.as_bytes()), true);
        }
        Answer::of(answer).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(format!("http://gateway{path}")), "").await
    }
}

fn post(length: Option<usize>) -> Builder {
    let request = Request::post("http://gateway/v1/customers").header("authorization", "Bearer sk_sandbox_lomi");
    let request = request.header("content-type", "application/json");
    length.into_iter().fold(request, |request, length| request.header("content-length", length))
}

#[tokio::test]
async fn customers_are_created_and_read_over_http2() {
    let mut http2 = Http2::start("").await;
    let created = http2.send(post(None), r#"{"name":"Awa Diop","email":"awa.diop@example.com"}"#).await;
    assert_eq!((created.status, &created.body["name"]), (201, &json!("Awa Diop")), "{created:?}");
    let id = created.body["id"].as_str().expect("an id");
    let read = Request::get(format!("http://gateway/v1/customers/{id}"));
    let read = http2.send(read.header("authorization", "Bearer sk_sandbox_lomi"), "").await;
    assert_eq!((read.status, &read.body["email"]), (200, &json!("awa.diop@example.com")));
    assert!(read.headers.contains_key("x-request-id") && read.headers["cache-control"] == "no-store", "{read:?}");
    let unknown = http2.get("/v1/customers/1").await;
    assert_eq!(unknown.status_and_code(), (401, "unauthorized"));
}

#[tokio::test]
async fn clients_of_http1_are_served_at_the_same_address() {
    let http2 = Http2::start("").await;
    let mut client = Client::connect(http2.gateway.address()).await;
    assert_eq!(client.live().await, Some(200));
    client.send("POST /livez HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.answer().await.expect("an answer").status_and_code(), (405, "method_not_allowed"));
}

#[tokio::test]
async fn without_prior_knowledge_in_the_configuration_http2_needs_tls() {
    let gateway = Gateway::sandbox("lomi").await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.assert_closed().await;
}

#[tokio::test]
async fn an_upgrade_to_http2_is_ignored() {
    let http2 = Http2::start("").await;
    let mut client = Client::connect(http2.gateway.address()).await;
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n";
    client.send(format!("GET /livez HTTP/1.1\r\nhost: gateway\r\n{upgrade}\r\n")).await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
}

#[tokio::test]
async fn heads_have_the_same_limits_as_over_http1() {
    let mut http2 = Http2::start("").await;
    let live = || Request::get("http://gateway/livez");
    let numbered = |count| (0..count).fold(live(), |request, number| request.header(format!("x-{number}"), "1"));
    assert_eq!(http2.send(numbered(64), "").await.status, 200);
    assert_eq!(http2.send(numbered(65), "").await.status_and_code(), (431, "headers_too_large"));
    // `x: ` counts as five bytes with the end of its line.
    let sized = |length: usize| live().header("x", "a".repeat(length - 5));
    assert_eq!(http2.send(sized(16 << 10), "").await.status, 200);
    assert_eq!(http2.send(sized((16 << 10) + 1), "").await.status_and_code(), (431, "headers_too_large"));
    let query = |length: usize| format!("/livez?{}", "a".repeat(length - "/livez?".len()));
    assert_eq!(http2.get(&query(8 << 10)).await.status, 200);
    assert_eq!(http2.get(&query((8 << 10) + 1)).await.status_and_code(), (414, "uri_too_long"));
    let beyond = http2.send(sized(60 << 10), "").await;
    assert_eq!((beyond.status, beyond.body), (431, Value::Null), "the HTTP library refuses it itself");
    assert_eq!(http2.get("/livez").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn a_host_that_contradicts_the_authority_is_refused() {
    let mut http2 = Http2::start("").await;
    for (host, status) in [("gateway", 200), ("GATEWAY", 200), ("another", 400)] {
        let answer = http2.send(Request::get("http://gateway/livez").header("host", host), "").await;
        assert_eq!(answer.status, status, "{host}");
    }
    let two = Request::get("http://gateway/livez").header("host", "gateway").header("host", "gateway");
    assert_eq!(http2.send(two, "").await.status_and_code(), (400, "malformed_request"));
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_its_stream_only() {
    let mut http2 = Http2::start("max_body = 32768").await;
    for length in [Some(40_000), None] {
        let refused = http2.send(post(length), &" ".repeat(40_000)).await;
        assert_eq!(refused.status_and_code(), (413, "body_too_large"), "{length:?}");
    }
    assert_eq!(http2.get("/livez").await.status, 200);
}

#[tokio::test]
async fn the_bodies_of_one_connection_share_the_memory_for_bodies() {
    let mut http2 = Http2::start("max_body = 32768\nmax_bodies = 131072").await;
    let request = post(Some(32 << 10)).body(()).expect("a request");
    let (answer, mut held) = http2.client.send_request(request, false).expect("it is sent");
    held.send_data(vec![b' '; (32 << 10) - 1].into(), false).expect("it is sent");
    let refused = async {
        loop {
            let refused = http2.send(post(None), &" ".repeat(32 << 10)).await;
            match refused.status_and_code() {
                (503, "overloaded") => return refused,
                other => assert_eq!(other, (400, "malformed_request"), "the first body has not arrived yet"),
            }
        }
    };
    let refused = timeout(PATIENCE, refused).await.expect("the memory is in use");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    held.send_data(Bytes::from_static(b" "), true).expect("it is sent");
    assert_eq!(Answer::of(answer).await.status_and_code(), (400, "malformed_request"));
}

#[tokio::test]
async fn trailers_are_refused() {
    let mut http2 = Http2::start("").await;
    let (answer, mut sent) =
        http2.client.send_request(post(None).body(()).expect("a request"), false).expect("it is sent");
    sent.send_data(Bytes::from_static(br#"{"name":"Awa Diop"}"#), false).expect("it is sent");
    let trailers =
        HeaderMap::from_iter([("idempotency-key".parse().expect("a name"), "one".parse().expect("a value"))]);
    sent.send_trailers(trailers).expect("they are sent");
    let refused = Answer::of(answer).await;
    assert_eq!(refused.status_and_code(), (400, "malformed_request"));
    assert!(refused.body.to_string().contains("trailers follow the body"), "{refused:?}");
    http2.client = http2.client.ready().await.expect("it is open");
}
