//! Whatever clients send, and whenever an overload begins or ends, each request gets its own answer, in order.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use proptest::prelude::*;

use super::{early::Overload, *};

/// What a body consists of. It would be a request of its own if it came between requests.
const BODY: &[u8] = b"GET /body HTTP/1.1\r\nhost: gateway\r\n\r\n";

/// So many bytes are more than the system takes at once.
const LARGE: usize = 6 << 20;

/// A request, and how the client sends it.
#[derive(Debug, Clone)]
struct Sent {
    kind: Kind,
    /// Where the client pauses within it: after so many bytes of it.
    pauses: Vec<usize>,
    /// Whether the client also pauses before each half of its body.
    pauses_at_parts: bool,
    /// Whether the client pauses after it.
    pauses_after: bool,
    /// Whether there is overload from now on.
    overload: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Refused in overload.
    Simple,
    /// Simple, but never refused. The answer is large.
    Served,
    /// Without a body, but not simple.
    Other,
    /// With a body that the service reads.
    Read,
    /// With a body of which the service reads a part.
    ReadInPart,
    /// With a body that the service does not read.
    Ignored,
}

impl Sent {
    fn path(&self, number: usize) -> String {
        let head = self.bytes(number);
        head.split(|byte| *byte == b' ').nth(1).map(|path| String::from_utf8_lossy(path).into_owned()).expect("a path")
    }

    fn bytes(&self, number: usize) -> Vec<u8> {
        let (start, more) = match self.kind {
            Kind::Simple => ("GET /refused", ""),
            Kind::Served => ("GET /served", ""),
            Kind::Other => ("GET /refused", "connection: keep-alive, x\r\n"),
            Kind::Read => ("PUT /read", ""),
            Kind::ReadInPart => ("PUT /part", ""),
            Kind::Ignored => ("PUT /ignored", ""),
        };
        let body = if start.starts_with("PUT") { BODY.repeat(2) } else { Vec::new() };
        let length = body.len();
        let head = format!("{start}{number} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {length}\r\n{more}\r\n");
        [head.as_bytes(), &body].concat()
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let kind = prop_oneof![
        4 => Just(Kind::Simple),
        1 => Just(Kind::Served),
        1 => Just(Kind::Other),
        1 => Just(Kind::Read),
        1 => Just(Kind::ReadInPart),
        1 => Just(Kind::Ignored),
    ];
    // Some are within the body, where a part of it ends, or the head.
    let pauses = prop::collection::vec(0..160_usize, 0..4);
    let pauses_at_parts = prop::bool::weighted(0.5);
    (kind, pauses, pauses_at_parts, prop::bool::weighted(0.6), prop::bool::weighted(0.8)).prop_map(
        |(kind, pauses, pauses_at_parts, pauses_after, overload)| Sent {
            kind,
            pauses,
            pauses_at_parts,
            pauses_after,
            overload,
        },
    )
}

/// Answers with the path of the request.
#[derive(Debug, Clone)]
struct Echo;

impl Service<Request<Incoming>> for Echo {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let path = head.uri.path();
            if path.starts_with("/read") {
                let read = body.collect().await.map(http_body_util::Collected::to_bytes);
                assert!(read.is_ok_and(|read| read == BODY.repeat(2)), "the body of {path}");
            } else if path.starts_with("/part") {
                let _ = body.frame().await;
            }
            let size = if path.starts_with("/served") { LARGE } else { 0 };
            Ok(Response::new(Body::from(format!("{}{path}", "-".repeat(size)))))
        })
    }
}

impl OfClient for Echo {}

/// The paths that the answers name, in order.
async fn paths(requests: &[Sent], rest_after: Duration) -> Vec<String> {
    let overload = Arc::new(Overload::new(0));
    let (handle, limits) = (Handle::new(), limits(PATIENCE, rest_after));
    let transport = Transport { tls: None, prior_knowledge: false, request_timeout: PATIENCE };
    let transport: CurrentTransport = Arc::new(move || transport.clone());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let refuse: Arc<dyn Refuse> = Arc::<Overload>::clone(&overload);
    tokio::spawn(serve(listener, Echo, handle.clone(), limits, refuse, transport).expect("a thread"));
    let (mut reads, mut writes) = TcpStream::connect(address).await.expect("a connection").into_split();
    let write = async {
        let mut unsent = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            overload.is_refusing.store(request.overload, Ordering::Relaxed);
            for (index, byte) in request.bytes(number).into_iter().enumerate() {
                let is_part = request.pauses_at_parts && unsent.ends_with(b"\r\n\r\n");
                if is_part || request.pauses.contains(&index) {
                    pause(&mut writes, &mut unsent).await;
                }
                unsent.push(byte);
            }
            if request.pauses_after {
                pause(&mut writes, &mut unsent).await;
            }
        }
        pause(&mut writes, &mut unsent).await;
    };
    let (mut received, mut paths) = (Vec::new(), Vec::new());
    let read = async {
        while paths.len() < requests.len() {
            let length = timeout(PATIENCE, reads.read_buf(&mut received)).await.expect("an answer, or the end");
            if !length.is_ok_and(|length| length > 0) {
                // It was closed, because a body was not read.
                return;
            }
            while let Some(path) = take_answer(&mut received) {
                paths.push(path);
            }
        }
    };
    tokio::join!(write, read);
    let _ = writes.shutdown().await;
    let _ = timeout(PATIENCE, reads.read_to_end(&mut received)).await.expect("it is closed");
    assert!(received.is_empty(), "nothing comes after the last answer");
    paths
}

/// Takes an answer, if all of it is there, and returns the path that it names.
fn take_answer(received: &mut Vec<u8>) -> Option<String> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..end]).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let length: usize = length.parse().expect("a number");
    if received.len() < end + length {
        return None;
    }
    let body: Vec<_> = received.drain(..end + length).skip(end).skip_while(|byte| *byte == b'-').collect();
    let body = String::from_utf8(body).expect("text");
    Some(body.strip_prefix("refused ").unwrap_or(&body).to_owned())
}

/// Sends what is not sent, and lets the listener work. It may have closed the connection.
async fn pause(writes: &mut tokio::net::tcp::OwnedWriteHalf, unsent: &mut Vec<u8>) {
    let _ = writes.write_all(unsent).await;
    unsent.clear();
    for _ in 0..4 {
        sleep(Duration::ZERO).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn each_request_gets_its_own_answer(requests in prop::collection::vec(sent(), 1..8), rests in any::<bool>()) {
        let rest_after = if rests { Duration::from_millis(1) } else { PATIENCE };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let paths = runtime.block_on(paths(&requests, rest_after));
        let expected: Vec<_> = requests.iter().enumerate().map(|(number, request)| request.path(number)).collect();
        prop_assert!(expected.starts_with(&paths), "{:?}", paths);
        // hyper may close the connection where a body was not read.
        let first = requests.iter().position(|request| matches!(request.kind, Kind::ReadInPart | Kind::Ignored));
        prop_assert!(paths.len() >= first.map_or(requests.len(), |first| first + 1), "{:?}", paths);
    }
}
