//! A provider's answer while it is read.

use std::{borrow::Cow, fmt::Debug};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822};
use serde::Deserialize;

use crate::{
    kit::Words,
    model::{Error, FieldError, Kind, Response, VendorAnswer},
    text::Source,
};

/// A provider's answer while it is read.
#[derive(Debug)]
pub struct Answer(pub(super) Response);

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The same answer under the status of an error that its body tells, for vendors that refuse with a success.
    pub fn refused_with(&self, status: u64) -> Option<Self> {
        let told = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
        let mut response = self.0.clone();
        *response.status_mut() = told;
        (told.is_client_error() || told.is_server_error()).then_some(Self(response))
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        simdutf8::basic::from_utf8(self.0.body()).map_err(|_| not_text())
    }

    /// The body as text of which parts can be kept.
    pub fn source(&self) -> Result<Source, Error> {
        Source::new(self.0.body()).ok_or_else(not_text)
    }

    /// The body of a refusal as a document; `None` where it is something else.
    pub fn error_body<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        serde_json::from_slice(self.0.body()).ok()
    }

    /// Whether the body is a page for people.
    pub fn is_html(&self) -> bool {
        self.0.body().trim_ascii_start().starts_with(b"<")
    }

    /// The error that a refusal means: its status decides, and what the provider said is kept.
    pub fn refusal(&self, code: Option<String>, message: Option<&str>) -> Error {
        let status = self.status().as_u16();
        self.refusal_as(Kind::of_status(status), code, message)
    }

    /// The same, where the provider's status means something of its own.
    pub fn refusal_as(&self, kind: Kind, code: Option<String>, message: Option<&str>) -> Error {
        let status = self.status().as_u16();
        let kind = if kind == Kind::NotFound && self.is_html() { Kind::BadResponse } else { kind };
        let detail = match kind {
            Kind::NotFound => "the provider knows no such customer".into(),
            Kind::Rejected => format!("the provider refused the request with status {status}").into(),
            Kind::RateLimited => "the provider limits the rate of requests".into(),
            Kind::Unauthorized => "the provider refused this connection's credentials".into(),
            Kind::ProviderFailed => format!("the provider failed with status {status}").into(),
            _ if self.is_html() => {
                format!("the provider answered an HTML page with status {status}; is `base_url` right?").into()
            }
            _ => Cow::from(format!("the provider answered the unexpected status {status}")),
        };
        let in_words = message.filter(|_| kind == Kind::RateLimited).and_then(seconds_told);
        Error::new(kind, detail).with_retry_after(self.retry_after().or(in_words)).with_vendor(VendorAnswer {
            status: Some(status),
            code,
            message: message.map(presentable).filter(|message| !message.is_empty()),
        })
    }

    /// `Retry-After` in seconds, whether it was written as seconds or as a date.
    fn retry_after(&self) -> Option<u64> {
        let header = |name| self.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let told = header(header::RETRY_AFTER)?.trim();
        told.parse().ok().or_else(|| {
            let now = date(header(header::DATE)?)?;
            u64::try_from(date(told)? - now).ok()
        })
    }
}

/// A date in Unix seconds: of HTTP in any of its forms, or of an e-mail, whose zone may be another than GMT.
fn date(text: &str) -> Option<i64> {
    let of_http = httpdate::parse_http_date(text).ok().and_then(|time| Timestamp::try_from(time).ok());
    let time = of_http.or_else(|| rfc2822::parse(text).ok().map(|time| time.timestamp()))?;
    Some(time.as_second())
}

fn not_text() -> Error {
    Error::bad_response("bytes that are not UTF-8 text")
}

/// The seconds in words such as `please wait 2 seconds`.
fn seconds_told(message: &str) -> Option<u64> {
    message.split_once(" second")?.0.rsplit(' ').next()?.parse().ok()
}

/// What may be shown of a provider's message: no control characters, at most 500 characters.
fn presentable(message: &str) -> String {
    message.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

/// Maps a provider's errors by field to ours.
pub fn field_errors<'e>(told: impl IntoIterator<Item = (&'e str, String)>, words: &Words) -> Vec<FieldError> {
    told.into_iter()
        .map(|(field, detail)| {
            let pointer = words.pointer(field).map_or_else(|| Cow::from(format!("/{field}")), Cow::from);
            FieldError::new(pointer, presentable(&detail))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_says_how_long_to_wait_in_any_form() {
        for (told, now, expected) in [
            ("7", None, Some(7)),
            (" 7 ", None, Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("Sun, 06 Nov 1994 08:49:07 GMT"), Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some("Sun Nov  6 08:49:07 1994"), Some(30)),
            ("6 Nov 1994 09:49:37 +0100", Some("Sun, 06 Nov 1994 08:49:07 GMT"), Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT"), None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, None),
            ("soon", Some("Sun, 06 Nov 1994 08:49:07 GMT"), None),
        ] {
            let mut response = Response::default();
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(told));
            now.map(|now| headers.insert(header::DATE, HeaderValue::from_static(now)));
            assert_eq!(Answer(response).retry_after(), expected, "{told}");
        }
    }
}
