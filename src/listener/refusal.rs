//! Answers of the HTTP layer itself. Where the head of a request cannot be parsed, hyper answers with an empty body and
//! closes. The connection recognizes such an answer and sends a refusal of the gateway instead, so that errors have one form.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Response;
use httpdate::fmt_http_date;

use super::simple::SimpleRequest;
use crate::config::HeadLimits;

/// Refuses requests of HTTP/1.1 that hyper does not pass on to the service.
pub trait Refuse: Send + Sync {
    /// The answer to a request whose head was refused with this status, where `start` is the beginning of the head.
    fn head(&self, status: u16, start: &[u8], limits: HeadLimits) -> Response<Bytes>;

    /// Whether requests are refused at the moment because there are too many.
    fn is_refusing(&self) -> bool {
        false
    }

    /// The whole answer to a request, if the service would refuse it at the moment because there are too many. It counts the refusal,
    /// and it is the answer that the service would give.
    fn request(&self, _request: &SimpleRequest<'_>) -> Option<Vec<u8>> {
        None
    }
}

/// Refuses nothing but heads.
impl<F: Fn(u16, &[u8], HeadLimits) -> Response<Bytes> + Send + Sync> Refuse for F {
    fn head(&self, status: u16, start: &[u8], limits: HeadLimits) -> Response<Bytes> {
        self(status, start, limits)
    }
}

/// The beginning of a head: enough of it to know what the request is for.
#[derive(Debug)]
pub(super) struct HeadStart {
    bytes: [u8; 128],
    length: usize,
    /// Whether the first line has arrived.
    pub(super) has_whole_line: bool,
}

impl HeadStart {
    pub(super) const EMPTY: Self = Self { bytes: [0; 128], length: 0, has_whole_line: false };

    /// Adds bytes of the head as they are received.
    pub(super) fn add(&mut self, received: &[u8]) {
        let free = &mut self.bytes[self.length..];
        let added = received.len().min(free.len());
        free[..added].copy_from_slice(&received[..added]);
        self.length += added;
        self.has_whole_line |= received.contains(&b'\n');
    }

    /// Whether a byte of the head has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.length > 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The status, if these bytes are an answer of hyper itself and not one of the gateway, which all have a request id.
pub(super) fn refused_by_hyper(bytes: &[u8]) -> Option<u16> {
    let status = match bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)? {
        b"400" => 400,
        b"414" => 414,
        b"431" => 431,
        _ => return None,
    };
    let has_id = bytes.windows(REQUEST_ID.len()).any(|window| window == REQUEST_ID);
    (!has_id).then_some(status)
}

const REQUEST_ID: &[u8] = b"\r\nx-request-id:";

/// The bytes of a whole response.
pub fn encoded(response: &Response<Bytes>) -> Vec<u8> {
    let (status, body) = (response.status(), response.body());
    let mut bytes = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    bytes.push_str(&format!("content-length: {}\r\ndate: ", body.len()));
    let mut bytes = bytes.into_bytes();
    with_date(|date| bytes.extend_from_slice(date.as_bytes()));
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// The last second that the form of a date in HTTP can have: the end of the year 9999.
const LATEST: u64 = 253_402_300_799;

/// Uses the present time in the form of HTTP, which always has the same length. Each thread writes it once in a second.
pub fn with_date<T>(then: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        static WRITTEN: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    WRITTEN.with_borrow_mut(|(second, text)| {
        if *second != seconds {
            let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LATEST));
            (*second, *text) = (seconds, fmt_http_date(latest));
        }
        then(text)
    })
}
