//! Refusals without hyper: which requests are refused, and that the answers to others are not disturbed.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{
    super::super::{SimpleRequest, encoded},
    *,
};

/// A stand-in for the application during an overload. While `is_refusing` is set, it refuses each simple request, except for paths
/// that begin with `/served`.
pub(super) struct Overload {
    pub(super) is_refusing: AtomicBool,
    /// How many dashes the body of a refusal has before its text, which names the path.
    size: usize,
}

impl Overload {
    pub(super) fn new(size: usize) -> Self {
        Self { is_refusing: AtomicBool::new(false), size }
    }

    fn begin(&self) {
        self.is_refusing.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.is_refusing.store(false, Ordering::Relaxed);
    }
}

impl Refuse for Overload {
    fn head(&self, _: u16, _: &[u8], _: HeadLimits) -> http::Response<Bytes> {
        http::Response::default()
    }

    fn is_refusing(&self) -> bool {
        self.is_refusing.load(Ordering::Relaxed)
    }

    fn request(&self, request: &SimpleRequest<'_>) -> Option<Vec<u8>> {
        if request.target.starts_with("/served") {
            return None;
        }
        let body = format!("{}refused {}", "-".repeat(self.size), request.target);
        Some(encoded(&http::Response::new(body.into())))
    }
}

/// A connection to a listener. Its answers, also refusals, have `size` dashes before their text.
async fn served(size: usize) -> (Served, Arc<Overload>) {
    let overload = Arc::new(Overload::new(size));
    let refuse = Arc::clone(&overload);
    (Served::new(limits(PATIENCE, PATIENCE), Counted(Arc::new(size)), refuse).await, overload)
}

impl Served {
    /// Reads `count` answers, and returns the text of each without the dashes.
    async fn words(&mut self, count: usize) -> Vec<String> {
        let (mut text, mut words) = (String::new(), Vec::new());
        while words.len() < count {
            let mut buffer = [0; 4096];
            let length = timeout(PATIENCE, self.client.read(&mut buffer)).await.expect("an answer").expect("bytes");
            assert_ne!(length, 0, "the connection is open after {words:?}: {text}");
            text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
            while let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
                let length = length.parse().expect("a number");
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\ndate: "), "{head}");
                let Some((body, rest)) = rest.split_at_checked(length) else { break };
                words.push(body.trim_start_matches('-').to_owned());
                text = rest.to_owned();
            }
        }
        assert!(text.is_empty() || words.len() == count, "{text}");
        words
    }

    async fn asks(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        self.words(1).await.remove(0)
    }
}

#[tokio::test]
async fn in_overload_simple_requests_never_reach_the_service() {
    let (mut served, overload) = served(0).await;
    overload.begin();
    for _ in 0..3 {
        assert_eq!(served.asks(REQUEST).await, "refused /");
    }
}

#[tokio::test]
async fn a_connection_of_before_the_overload_refuses_after_one_more_answer() {
    let (mut served, overload) = served(0).await;
    assert_eq!(served.asks(REQUEST).await, "answer");
    overload.begin();
    assert_eq!(served.asks(REQUEST).await, "answer", "it is not known where this request begins");
    assert_eq!(served.asks(REQUEST).await, "refused /");
    overload.end();
    assert_eq!(served.asks(REQUEST).await, "answer");
}

#[tokio::test]
async fn what_is_not_one_whole_request_reaches_the_service() {
    let (mut served, overload) = served(0).await;
    overload.begin();
    served.send(&REQUEST.repeat(2)).await;
    assert_eq!(served.words(2).await, ["answer"; 2]);
    // The server takes hyper away meanwhile, or has not yet.
    let _ = served.asks(REQUEST).await;
    assert_eq!(served.asks(REQUEST).await, "refused /");
    let (start, end) = REQUEST.split_at(9);
    served.send(start).await;
    yield_now().await;
    assert_eq!(served.asks(end).await, "answer");
}

/// The second half of a head that hyper has the first half of may look like a whole request.
#[tokio::test]
async fn the_rest_of_a_head_is_no_request() {
    let (mut served, overload) = served(0).await;
    overload.begin();
    assert_eq!(served.asks(REQUEST).await, "refused /");
    served.send(b"GET /first HTTP/1.1\r\nx: ").await;
    sleep(Duration::from_millis(1)).await;
    // The listener may read both parts at once.
    let word = served.asks(REQUEST).await;
    assert!(["answer", "refused /first"].contains(&&*word), "{word}");
}

/// The service answers before the client has sent the body. hyper reads the body then, or closes the connection.
#[tokio::test]
async fn a_body_is_no_request() {
    for is_late in [false, true] {
        let (mut served, overload) = served(0).await;
        overload.begin();
        let head = format!("POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n", REQUEST.len());
        let mut sent = head.into_bytes();
        if !is_late {
            sent.extend_from_slice(REQUEST);
        }
        assert_eq!(served.asks(&sent).await, "answer");
        if is_late {
            // It may be closed before that.
            let _ = served.client.write_all(REQUEST).await;
            let mut rest = Vec::new();
            let _ = timeout(PATIENCE, served.client.read_to_end(&mut rest)).await.expect("it is closed");
            assert!(rest.is_empty(), "{rest:?}");
        } else {
            assert_eq!(served.asks(REQUEST).await, "answer", "after a body, hyper stays");
        }
    }
}

/// hyper answers both requests without a pause, so that the connection was to rest after the first one while the body of the second
/// one is still to come.
#[tokio::test]
async fn a_body_is_no_request_if_its_head_came_with_another_request() {
    let (mut served, overload) = served(0).await;
    overload.begin();
    let head = format!("POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n", REQUEST.len());
    // The first one looks like a simple request.
    for first in [REQUEST, b"GET / HTTP/1.1\r\nhost: gateway\r\n"] {
        served.send(first).await;
    }
    served.send(&[b"\r\n", head.as_bytes()].concat()).await;
    let words = served.words(3).await;
    assert_eq!(words[1..], ["answer", "answer"]);
    let _ = served.client.write_all(REQUEST).await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, served.client.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn an_answer_that_is_being_sent_comes_before_a_refusal() {
    let (mut served, overload) = served(16 << 20).await;
    overload.begin();
    served.send(b"GET /served HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    served.client.readable().await.expect("the answer begins");
    served.send(REQUEST).await;
    let words = served.words(2).await;
    assert_eq!(words[0], "answer");
    assert!(["answer", "refused /"].contains(&&*words[1]), "{words:?}");
}

#[tokio::test]
async fn a_refusal_that_the_client_does_not_read_at_once_comes_before_the_next() {
    let (mut served, overload) = served(8 << 20).await;
    overload.begin();
    for path in ["/first", "/next"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n");
        served.send(request.as_bytes()).await;
        served.client.readable().await.expect("the first refusal begins");
    }
    assert_eq!(served.words(2).await, ["refused /first", "refused /next"]);
}

#[tokio::test]
async fn a_connection_that_refuses_is_closed_when_the_listener_drains() {
    let (mut served, overload) = served(0).await;
    overload.begin();
    assert_eq!(served.asks(REQUEST).await, "refused /");
    served.handle.graceful_shutdown(None);
    served.is_closed().await;
}
