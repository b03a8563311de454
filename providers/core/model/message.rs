//! HTTP messages of providers.

use bytes::Bytes;

/// A provider's request.
pub type Request = http::Request<Bytes>;

/// A provider's response, read to its end.
pub type Response = http::Response<Bytes>;
