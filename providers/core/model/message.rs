//! HTTP messages of providers.

use bytes::Bytes;

use crate::json::MAX_ENTRY;

/// A provider's request.
pub type Request = http::Request<Bytes>;

/// What a request asks for: more than one record, so its answer may be larger than [`MAX_RECORD`]. It is an extension of the
/// request.
#[derive(Debug, Clone, Copy)]
pub struct AsksForMany;

/// The largest answer with one record, and the largest record of a list, in bytes. Customers are far smaller.
pub const MAX_RECORD: usize = MAX_ENTRY;

/// A provider's response, read to its end.
pub type Response = http::Response<Bytes>;
