//! Simple requests, which a connection reads itself if it may refuse them: those whose bytes are a whole head and nothing else,
//! and which have no body and ask for nothing of their connection. hyper reads all others.

use http::{HeaderName, header::CONTENT_LENGTH};
use httparse::{EMPTY_HEADER, Header, Status};

/// A request with more headers is not simple.
const MOST_HEADERS: usize = 32;

/// What the path and the query of a simple request may consist of, beside letters and digits (RFC 3986, 3.3 and 3.4).
const IN_TARGET: &[u8] = b"/?-._~%!$&'()*+,;=:@";

/// A `GET` without a body.
#[derive(Debug)]
pub struct SimpleRequest<'a> {
    /// The path and the query.
    pub target: &'a str,
    /// The headers, in the order in which they were sent.
    pub headers: &'a [Header<'a>],
}

impl<'a> SimpleRequest<'a> {
    /// The path.
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The values of a header.
    pub fn values(&self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name.as_str())).map(|header| header.value)
    }

    /// The value of a header. An error if it was sent more than once.
    pub fn only_value(&self, name: &HeaderName) -> Result<Option<&'a [u8]>, NotOnce> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() { Err(NotOnce) } else { Ok(first) }
    }

    fn is_simple(&self) -> bool {
        let in_target = |byte: u8| byte.is_ascii_alphanumeric() || IN_TARGET.contains(&byte);
        let is_simple = |header: &Header<'_>| match header.name.len() {
            6 if header.name.eq_ignore_ascii_case("expect") => false,
            7 if header.name.eq_ignore_ascii_case("upgrade") => false,
            10 if header.name.eq_ignore_ascii_case("connection") => header.value.eq_ignore_ascii_case(b"keep-alive"),
            14 if header.name.eq_ignore_ascii_case("content-length") => header.value == b"0",
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => false,
            _ => true,
        };
        self.target.starts_with('/')
            && self.target.bytes().all(in_target)
            && self.headers.iter().all(is_simple)
            && self.only_value(&CONTENT_LENGTH).is_ok()
    }
}

/// A header was sent more than once.
#[derive(Debug)]
pub struct NotOnce;

/// Reads the request that these bytes are, if it is simple. hyper would read the same request from them: it has the same parser
/// (`httparse`), which neither asks to be lenient, and a test compares both.
pub(super) fn read<T>(bytes: &[u8], then: impl FnOnce(&SimpleRequest<'_>) -> T) -> Option<T> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let end = head.parse(bytes).ok()?;
    if end != Status::Complete(bytes.len()) || head.version != Some(1) || head.method != Some("GET") {
        return None;
    }
    let request = SimpleRequest { target: head.path?, headers: head.headers };
    request.is_simple().then(|| then(&request))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use axum::body::Body;
    use http::{Request, Response, header::HOST};
    use http_body::Body as _;
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        runtime::Builder,
    };

    use super::*;

    /// A simple request, as the service gets requests from hyper.
    fn owned(bytes: &[u8]) -> Option<Request<()>> {
        read(bytes, |request| {
            let headers = request.headers.iter();
            let owned =
                headers.fold(Request::get(request.target), |owned, header| owned.header(header.name, header.value));
            owned.body(()).expect("hyper reads the same")
        })
    }

    #[test]
    fn a_simple_request_is_read_whole() {
        let head = "GET /v1/customers?limit=2 HTTP/1.1\r\nHost: gateway\r\nX-Tag:  a b \r\nx-tag: c\r\n\
                    Connection: Keep-Alive\r\n\r\n";
        let request = owned(head.as_bytes()).expect("a simple request");
        assert_eq!(request.uri(), "/v1/customers?limit=2");
        assert_eq!(request.headers()["host"], "gateway");
        assert_eq!(request.headers().get_all("x-tag").iter().collect::<Vec<_>>(), ["a b", "c"]);
        let path_and_host = read(head.as_bytes(), |request| {
            (request.path().to_owned(), request.only_value(&HOST).is_ok_and(|host| host == Some(b"gateway")))
        });
        assert_eq!(path_and_host, Some(("/v1/customers".to_owned(), true)));
    }

    #[test]
    fn hyper_gets_all_other_requests() {
        let more = "x: y\r\n".repeat(MOST_HEADERS + 1);
        for head in [
            "",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nhost: gateway\r\n\r",
            "GET / HTTP/1.1\r\n\r\nG",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "HEAD / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 00\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: keep-alive, te\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nname : value\r\n\r\n",
            "GET / HTTP/1.1\r\n folded\r\n\r\n",
            "GET http://gateway/ HTTP/1.1\r\n\r\n",
            "GET * HTTP/1.1\r\n\r\n",
            "GET /\" HTTP/1.1\r\n\r\n",
            "GET /#a HTTP/1.1\r\n\r\n",
            "GET /é HTTP/1.1\r\n\r\n",
            &format!("GET / HTTP/1.1\r\n{more}\r\n"),
        ] {
            assert!(owned(head.as_bytes()).is_none(), "{head:?}");
        }
    }

    /// What hyper makes of these bytes: the requests without a body, and whether it waits for another request then.
    fn by_hyper(bytes: &[u8]) -> (Vec<Request<()>>, bool) {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let requests = Mutex::new(Vec::new());
        let is_open = runtime.block_on(async {
            let (mut client, server) = duplex(1 << 16);
            let service = service_fn(async |request: Request<Incoming>| {
                if request.body().is_end_stream() {
                    requests.lock().expect("no panic").push(request.map(|_| ()));
                }
                Ok::<_, Infallible>(Response::new(Body::empty()))
            });
            let mut connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
            client.write_all(bytes).await.expect("there is room");
            let is_open = futures_util::poll!(&mut connection).is_pending();
            drop(connection);
            let mut answers = String::new();
            client.read_to_string(&mut answers).await.expect("text");
            is_open && !answers.contains("connection: close") && !answers.contains("HTTP/1.1 100")
        });
        (requests.into_inner().expect("no panic"), is_open)
    }

    /// Pieces of heads: those of valid ones, and those that parsers understand in different ways.
    const PIECES: &[&str] = &[
        "GET ",
        "GET / HTTP/1.1\r\n",
        "GET /v1/customers?limit=2 HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "GET * HTTP/1.1\r\n",
        "GET http://gateway/v1 HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        " HTTP/1.1",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        " ",
        "\t",
        "\0",
        ":",
        "/",
        "?",
        "#",
        "é",
        "\u{7f}",
        "host: gateway\r\n",
        "Host: a\r\nHost: b\r\n",
        "content-length: 0\r\n",
        "Content-Length: 0\r\n",
        "content-length: 1\r\n",
        "content-length: +0\r\n",
        "content-length: 0 \r\n",
        "transfer-encoding: chunked\r\n",
        "transfer-encoding : chunked\r\n",
        "connection: keep-alive\r\n",
        "connection: close\r\n",
        "connection:\r\n",
        "keep-alive: 5\r\n",
        "te: trailers\r\n",
        "expect: 100-continue\r\n",
        "upgrade: h2c\r\n",
        "x-tag: a b \r\n",
        "X_tag:\t\u{e9}\r\n",
        "x: a\r\n b\r\n",
        "x:",
        "authorization: Bearer sk_acme\r\n",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn hyper_reads_the_same_request(
            start in prop::sample::select(vec!["", "GET / HTTP/1.1\r\n", "\r\nGET /v1/customers HTTP/1.1\r\n"]),
            pieces in prop::collection::vec(prop::sample::select(PIECES), 0..8),
            end in prop::sample::select(vec!["", "\r\n", "\r\n\r\n"]),
        ) {
            let bytes = format!("{start}{}{end}", pieces.concat()).into_bytes();
            let Some(simple) = owned(&bytes) else { return Ok(()) };
            let (requests, is_open) = by_hyper(&bytes);
            prop_assert!(is_open, "hyper waits for the next request");
            prop_assert_eq!(requests.len(), 1);
            let of_hyper = &requests[0];
            prop_assert_eq!(simple.method(), of_hyper.method());
            prop_assert_eq!(simple.version(), of_hyper.version());
            prop_assert_eq!(simple.uri(), of_hyper.uri());
            prop_assert_eq!(simple.headers(), of_hyper.headers());
        }
    }
}
