//! Answers of the HTTP layer itself. Where the head of a request cannot be parsed, hyper answers with an empty body and
//! closes. The connection recognizes such an answer and sends a refusal of the gateway instead, so that errors have one form.

use bytes::Bytes;
use http::Response;

use crate::config::HeadLimits;

/// Writes the answer to a request whose head was refused with this status. It gets the beginning of the head and the limits of a
/// head as well.
pub type RefuseHead = fn(u16, &[u8], HeadLimits) -> Response<Bytes>;

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
pub(super) fn encoded(response: &Response<Bytes>) -> Vec<u8> {
    let (status, body) = (response.status(), response.body());
    let mut bytes = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    bytes.push_str(&format!("content-length: {}\r\n", body.len()));
    let mut bytes = bytes.into_bytes();
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
