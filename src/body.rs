//! Reads request bodies, for the API and for drop-in.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};

use crate::problem::{Code, Problem};

/// Reads a whole body of at most `limit` bytes. A compressed body is refused, because its size is not known before it
/// is decompressed.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "the body must not be compressed; send it without `Content-Encoding`",
        ));
    }
    let too_large = || Problem::new(Code::BodyTooLarge, format!("the body must not be larger than {limit} bytes"));
    // A body that is declared as too large is refused before it is read.
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared: Option<usize> = declared.and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let is_over_limit = |error: &axum::Error| {
        std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
    };
    axum::body::to_bytes(body, limit).await.map_err(|error| match is_over_limit(&error) {
        true => too_large(),
        false => Problem::new(Code::MalformedRequest, "the body ended before it was complete"),
    })
}
