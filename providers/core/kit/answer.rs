//! A provider's HTTP answer. Vendors read its body in the second half of a plan, and turn refusals into [`Error`]s.

use std::{borrow::Cow, fmt::Debug};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    kit::{LARGE_REPLY, Words},
    model::{Error, FieldError, Kind, Response, VendorAnswer},
    text::Source,
};

/// The largest body of a refusal that is read. Refusals are small, and a document that is read as any JSON needs much
/// more memory than its text.
const MAX_REFUSAL: usize = 64 * 1024;

/// A provider's HTTP answer.
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

    /// The same answer with the error status that its body names, for vendors that refuse with HTTP status 200. `None`
    /// if the number is not an error status.
    pub fn with_error_status(&self, status: u64) -> Option<Self> {
        let stated = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
        let mut response = self.0.clone();
        *response.status_mut() = stated;
        (stated.is_client_error() || stated.is_server_error()).then_some(Self(response))
    }

    /// Whether the body takes long to read.
    pub fn is_large(&self) -> bool {
        self.0.body().len() > LARGE_REPLY
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        simdutf8::basic::from_utf8(self.0.body()).map_err(|_| not_text())
    }

    /// The body as a source of owned text slices.
    pub fn source(&self) -> Result<Source, Error> {
        Source::new(self.0.body()).ok_or_else(not_text)
    }

    /// The body of a refusal as a document; `None` if it is another document, or too large for a refusal.
    pub fn error_body<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        let body = self.0.body();
        (body.len() <= MAX_REFUSAL).then(|| serde_json::from_slice(body).ok())?
    }

    /// The failure that the body of a success reports, if it does. With an error status in the body it is the refusal
    /// with that status. Otherwise the outcome is unknown.
    pub fn reported_failure(&self, refusal: fn(&Self) -> Error) -> Option<Error> {
        let body: Value = self.error_body()?;
        match stated_status(&body).and_then(|status| self.with_error_status(status)) {
            Some(refused) => Some(refusal(&refused)),
            None => reports_failure(&body).then(|| Error::bad_response("that the request failed")),
        }
    }

    /// Whether the body is an HTML page.
    pub fn is_html(&self) -> bool {
        self.0.body().trim_ascii_start().starts_with(b"<")
    }

    /// The error that a refusal means. Its status decides the kind; the provider's code and message are kept beside it.
    pub fn refusal(&self, code: Option<String>, message: Option<&str>) -> Error {
        let status = self.status().as_u16();
        self.refusal_as(Kind::of_status(status), code, message)
    }

    /// The same with another kind, for a provider whose status has its own meaning.
    pub fn refusal_as(&self, kind: Kind, code: Option<String>, message: Option<&str>) -> Error {
        let status = self.status().as_u16();
        let kind = match kind {
            Kind::NotFound if self.is_html() => Kind::BadResponse,
            Kind::NotFound if message.is_some_and(names_a_missing_route) || self.names_a_missing_route() => {
                Kind::NotSupported
            }
            kind => kind,
        };
        let detail = match kind {
            Kind::NotFound => "the provider knows no such customer".into(),
            Kind::NotSupported => {
                "the provider's API lacks this operation for this account; is `base_url` right, and `generation`?"
                    .into()
            }
            Kind::Rejected => format!("the provider refused the request with status {status}").into(),
            Kind::RateLimited => "the provider limits the rate of requests".into(),
            Kind::Unauthorized => "the provider refused this connection's credentials".into(),
            Kind::ProviderFailed => format!("the provider failed with status {status}").into(),
            _ if self.is_html() => {
                format!("the provider answered an HTML page with status {status}; is `base_url` right?").into()
            }
            _ => Cow::from(format!("the provider answered the unexpected status {status}")),
        };
        let in_message = message.filter(|_| kind == Kind::RateLimited).and_then(seconds_in_message);
        Error::new(kind, detail).with_retry_after(self.retry_after().or(in_message)).with_vendor(VendorAnswer {
            status: Some(status),
            code: code.as_deref().map(presentable).filter(|code| !code.is_empty()),
            message: message.map(presentable).filter(|message| !message.is_empty()),
        })
    }

    /// Whether the body says that a route does not exist, also where the vendor writes its refusals in another form: a
    /// framework or a proxy answers these.
    fn names_a_missing_route(&self) -> bool {
        let body: Value = self.error_body().unwrap_or_default();
        let texts = [&body["message"], &body["error"], &body["error"]["message"]].into_iter().filter_map(Value::as_str);
        texts.chain(self.text().ok()).any(names_a_missing_route)
    }

    fn retry_after(&self) -> Option<u64> {
        retry_after(self.headers())
    }
}

/// The `Retry-After` header in seconds. The provider may send seconds or a date.
pub fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let retry_after = header(header::RETRY_AFTER)?.trim();
    retry_after.parse().ok().or_else(|| {
        let now = date(header(header::DATE)?)?;
        u64::try_from(date(retry_after)? - now).ok()
    })
}

/// Whether a body reports a failure, with any status of the answer: by an error status, an error member or a negative
/// flag.
pub(super) fn reports_failure(body: &Value) -> bool {
    let has_error = |object: &Value| ["error", "errors"].iter().any(|member| !is_blank(&object[member]));
    let has_negative_flag = |object: &Value| ["success", "status"].iter().any(|flag| is_negative(&object[flag]));
    let objects = [body, &body["data"], &body["customer"]];
    stated_status(body).is_some() || objects.into_iter().any(|object| has_error(object) || has_negative_flag(object))
}

/// The error status, or the provider's own number of an error, that a body states.
fn stated_status(body: &Value) -> Option<u64> {
    let number = |member: &Value| member.as_u64().or_else(|| member.as_str()?.trim().parse().ok());
    let members = [body, &body["error"]].map(|object| ["statusCode", "status", "code"].map(|name| &object[name]));
    members.into_iter().flatten().filter_map(number).find(|status| *status >= 400)
}

/// Whether the value of an error member says that there is no error.
fn is_blank(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Whether the value of a flag says no.
pub(super) fn is_negative(flag: &Value) -> bool {
    const NEGATIVE: [&str; 8] = ["false", "0", "no", "error", "fail", "failed", "failure", "not found"];
    match flag {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => NEGATIVE.iter().any(|negative| text.trim().eq_ignore_ascii_case(negative)),
        _ => false,
    }
}

/// Whether a message says that a route does not exist, such as `Cannot POST /customers/x`. Common frameworks write it.
fn names_a_missing_route(message: &str) -> bool {
    let route = message.strip_prefix("Cannot ").and_then(|route| route.split_once(' '));
    route.is_some_and(|(method, path)| {
        ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) && path.starts_with('/')
    })
}

/// Parses a date to Unix seconds: an HTTP date in any of its forms, or an e-mail date, which may have another zone than
/// GMT.
fn date(text: &str) -> Option<i64> {
    let of_http = httpdate::parse_http_date(text).ok().and_then(|time| Timestamp::try_from(time).ok());
    let time = of_http.or_else(|| rfc2822::parse(text).ok().map(|time| time.timestamp()))?;
    Some(time.as_second())
}

fn not_text() -> Error {
    Error::bad_response("bytes that are not UTF-8 text")
}

/// The number of seconds in a message such as `please wait 2 seconds`.
fn seconds_in_message(message: &str) -> Option<u64> {
    message.split_once(" second")?.0.rsplit(' ').next()?.parse().ok()
}

/// A provider's text as it may be shown: without control characters, cut to 500 characters.
fn presentable(message: &str) -> String {
    message.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

/// Converts a provider's errors by field to canonical field errors.
pub fn field_errors<'e>(errors: impl IntoIterator<Item = (&'e str, String)>, words: &Words) -> Vec<FieldError> {
    errors
        .into_iter()
        .map(|(field, detail)| {
            let pointer = words.pointer(field).map_or_else(|| Cow::from(format!("/{}", presentable(field))), Cow::from);
            FieldError::new(pointer, presentable(&detail))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_code_and_a_message_of_the_provider_are_shown_without_control_characters_and_cut() {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let text = format!("a\r\n\u{1b}[31mb{}", "c".repeat(1000));
        let error = Answer(response).refusal(Some(text.clone()), Some(&text));
        let shown = format!("a[31mb{}", "c".repeat(494));
        let vendor = error.vendor.clone().expect("the provider's own error");
        assert_eq!((vendor.code.as_deref(), vendor.message.as_deref()), (Some(&*shown), Some(&*shown)));
    }

    #[test]
    fn an_answer_is_large_above_the_limit_for_usual_replies() {
        for (length, expected) in [(0, false), (LARGE_REPLY, false), (LARGE_REPLY + 1, true)] {
            let answer = Answer(Response::new(Bytes::from(vec![b' '; length])));
            assert_eq!(answer.is_large(), expected, "{length} bytes");
        }
    }

    #[test]
    fn retry_after_is_read_from_seconds_and_from_dates_in_any_form() {
        for (retry_after, now, expected) in [
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
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(retry_after));
            now.map(|now| headers.insert(header::DATE, HeaderValue::from_static(now)));
            assert_eq!(Answer(response).retry_after(), expected, "{retry_after}");
        }
    }
}
