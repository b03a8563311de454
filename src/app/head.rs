//! The head of a request: its size, its host and what it expects. What hyper accepts beyond that is refused with a problem, and
//! so is a head that hyper itself refuses over HTTP/1.1.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version, header};

use super::{finish_headers, request_id};
use crate::{
    config::HeadLimits,
    drop_in,
    listener::SimpleRequest,
    problem::{Code, Problem},
};

/// Answers a request whose head is not valid HTTP/1.1, or too large for the connection. It never reaches the routes.
/// `start` is the beginning of the head.
pub fn refuse_head(status: u16, start: &[u8], limits: HeadLimits) -> http::Response<Bytes> {
    let failure = match status {
        414 => uri_too_long(limits),
        431 => headers_too_large(limits),
        _ => Problem::new(Code::MalformedRequest, "the head of the request is not valid HTTP/1.1"),
    };
    let id = request_id(&HeaderMap::new());
    let (id_text, code, detail) = (id.to_str().unwrap_or_default(), failure.code().name(), failure.detail());
    tracing::debug!(request.id = id_text, status, code, "a head was refused: {detail}");
    // A head that is not HTTP has no path.
    let target = target(start).filter(|_| failure.code() != Code::MalformedRequest);
    let refused = target.and_then(|(method, uri)| drop_in::refuse(&method, &uri, &failure));
    let mut response = refused.unwrap_or_else(|| failure.problem(id_text));
    finish_headers(response.headers_mut(), id, true);
    response
}

/// The method and the path of a head of which only the beginning is known. The end of the path may be missing.
fn target(start: &[u8]) -> Option<(Method, Uri)> {
    let mut words = start.trim_ascii_start().split(u8::is_ascii_whitespace);
    let method = Method::from_bytes(words.next()?).ok()?;
    let path = words.next()?.split(|byte| *byte == b'?').next()?;
    Some((method, Uri::try_from(path).ok()?))
}

fn uri_too_long(HeadLimits { uri, .. }: HeadLimits) -> Problem {
    Problem::new(Code::UriTooLong, format!("the path and the query must not be longer than {uri} bytes"))
}

fn headers_too_large(HeadLimits { headers, headers_size, .. }: HeadLimits) -> Problem {
    let detail =
        format!("a request may have at most {headers} headers, which must not be larger than {headers_size} bytes");
    Problem::new(Code::HeadersTooLarge, detail)
}

/// Whether the head of a simple request is within the limits.
pub(super) fn is_small(request: &SimpleRequest<'_>, limits: HeadLimits) -> bool {
    let size: usize = request.headers.iter().map(|header| header.name.len() + header.value.len() + 4).sum();
    request.target.len() <= limits.uri as usize
        && request.headers.len() <= limits.headers as usize
        && size <= limits.headers_size as usize
}

/// Checks the head of a request that hyper has accepted.
pub(super) fn check<B>(request: &Request<B>, limits: HeadLimits) -> Result<(), Problem> {
    if request.uri().path_and_query().is_some_and(|uri| uri.as_str().len() > limits.uri as usize) {
        return Err(uri_too_long(limits));
    }
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > limits.headers_size as usize || headers.len() > limits.headers as usize {
        return Err(headers_too_large(limits));
    }
    check_host(request)?;
    // HTTP/1.0 has no expectations (RFC 9110, 10.1.1).
    let expects = (request.version() > Version::HTTP_10).then(|| headers.get_all(header::EXPECT).iter());
    match expects.into_iter().flatten().all(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        true => Ok(()),
        false => Err(Problem::new(Code::ExpectationFailed, "the only `Expect` that the API meets is `100-continue`")),
    }
}

/// Checks that the request names one host. HTTP/1.1 requires exactly one `Host` header (RFC 9112, 3.2). HTTP/2 has
/// `:authority` for it, and a `Host` header beside it must be the same (RFC 9113, 8.3.1). Hyper does not check either.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, has_another) = (hosts.next(), hosts.next().is_some());
    match (request.version(), request.uri().authority()) {
        (Version::HTTP_2, Some(authority)) => {
            let is_the_same =
                host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()));
            match is_the_same && !has_another {
                true => Ok(()),
                false => Err(Problem::new(
                    Code::MalformedRequest,
                    "`Host` is not the host of `:authority`; leave `Host` out over HTTP/2",
                )),
            }
        }
        (Version::HTTP_11 | Version::HTTP_2, _) if host.is_none() || has_another => {
            Err(Problem::new(Code::MalformedRequest, "send exactly one `Host` header"))
        }
        _ => Ok(()),
    }
}
