//! Refuses requests in overload without hyper. [`super::ForClients::admit`] refuses the same requests with the same answer, but
//! needs more processor time. It also gets the requests that need a closer look: those with repeated headers, an id that JSON
//! escapes, or a `traceparent`.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::{
    Edge, REQUEST_ID, finish_headers,
    head::{is_small, refuse_head},
    is_usable_id, new_id,
};
use crate::{
    admission::TooMany,
    config::HeadLimits,
    http as api,
    listener::{Refuse, SimpleRequest, encoded, with_date},
    problem::{Code, Problem},
    traces::TRACEPARENT,
};

/// The id in the answer that is written beforehand.
const ID: &str = "00000000-0000-0000-0000-000000000000";

/// The answer to a request that is refused because there are too many, without its id, the date and the length of the body.
#[derive(Debug)]
pub(super) struct OverloadedAnswer {
    /// What comes before the length, before the id in the head, before the id in the body, and after it.
    parts: [String; 4],
    /// The length of the body without the id.
    body: usize,
}

impl OverloadedAnswer {
    /// `None` if the answer has another form than expected.
    pub(super) fn new() -> Option<Self> {
        let mut answer = Problem::from(TooMany::InFlight).problem(ID);
        finish_headers(answer.headers_mut(), HeaderValue::from_static(ID), false);
        let text = String::from_utf8(encoded(&answer)).ok()?;
        let (start, rest) = text.split_at(text.find("content-length: ")? + "content-length: ".len());
        let (_, rest) = rest.split_once("\r\ndate: ")?;
        let (head, rest) = rest.split_at(rest.find("\r\n")?).1.split_once(ID)?;
        let (body, end) = rest.split_once(ID)?;
        let parts = [start, head, body, end].map(str::to_owned);
        Some(Self { parts, body: answer.body().len().checked_sub(ID.len())? })
    }

    /// The whole answer to a request with this id. JSON must not need to escape the id.
    fn with_id(&self, id: &str) -> Vec<u8> {
        let [start, head, body, end] = &self.parts;
        let mut length = itoa::Buffer::new();
        let length = length.format(self.body + id.len());
        with_date(|date| [start, length, "\r\ndate: ", date, head, id, body, id, end].concat()).into_bytes()
    }
}

impl Refuse for Edge {
    fn head(&self, status: u16, start: &[u8], limits: HeadLimits) -> Response<Bytes> {
        refuse_head(status, start, limits)
    }

    fn is_refusing(&self) -> bool {
        // At this level the log has a line for each refusal, which this way does not write.
        self.for_clients.as_ref().is_some_and(|for_clients| for_clients.places.are_short())
            && !tracing::enabled!(tracing::Level::DEBUG)
    }

    fn request(&self, request: &SimpleRequest<'_>) -> Option<Vec<u8>> {
        let at = Instant::now();
        let for_clients = self.for_clients.as_deref()?;
        let answer = for_clients.overloaded.as_ref()?;
        let id = request.only_value(&REQUEST_ID).ok()?;
        let id = match id {
            Some(id) => Some(str::from_utf8(id).ok().filter(|id| is_usable_id(id) && !id.contains(['"', '\\']))?),
            None => None,
        };
        let route = self.paths.at(request.path()).ok()?.value;
        let is_usual = is_small(request, self.head)
            && request.only_value(&header::HOST).is_ok_and(|host| host.is_some())
            && request.values(&TRACEPARENT).next().is_none()
            && route.starts_with("/v1/");
        if !is_usual {
            return None;
        }
        let authorization = request.only_value(&header::AUTHORIZATION).ok()??;
        let authorization = str::from_utf8(authorization).ok().filter(|value| value.is_ascii())?;
        let key = api::request::key_of(authorization)?;
        for_clients.refuse_in_overload(key, route, at)?;
        self.refusals.count(Code::Overloaded.name());
        Some(match id {
            Some(id) => answer.with_id(id),
            None => answer.with_id(new_id(&mut uuid::Uuid::encode_buffer())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_id_and_length() {
        let answer = OverloadedAnswer::new().expect("the answer has the expected form");
        for id in ["order-7", &"a".repeat(128)] {
            let text = String::from_utf8(answer.with_id(id)).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\ndate: ", body.len())), "{head}");
            assert!(head.contains(&format!("\r\nx-request-id: {id}\r\n")), "{head}");
            let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert_eq!((&problem["request_id"], &problem["code"]), (&id.into(), &"overloaded".into()));
        }
    }
}
