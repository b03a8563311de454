//! Operations carried out and answered: run within the deadline, explained instead, or shown with what was
//! said on the wire.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::view::{FidelityView, Origin},
    json::Json,
    kit::render::{self, RenderedRequest},
    model::{Error, Fidelity, Request},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{problem::Failure, request::Call};
use crate::line::{Exchange, Line};

/// What an operation led to, and what was said on the wire if that was asked for.
#[derive(Debug)]
pub struct Performed<T> {
    /// The result.
    pub value: T,
    /// The exchanges.
    pub raw: Option<Vec<Exchange>>,
}

impl Call {
    /// A line to the provider, for [`Call::perform`].
    pub fn line(&self) -> Line<'_> {
        Line::new(self.connection(), Instant::now() + self.gateway.deadline, self.include_raw)
    }

    /// Carries out work over a line, which keeps the request's deadline.
    pub async fn perform<T>(
        &self,
        line: &Line<'_>,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<Performed<T>, Failure> {
        let result = work.await;
        let raw = line.exchanges();
        match result {
            Ok(value) => Ok(Performed { value, raw }),
            Err(error) => Err(self.failure(&error).with_raw(raw)),
        }
    }

    /// Where this call's answers come from.
    pub fn origin(&self) -> Origin<'_> {
        Origin { provider: self.manifest().name, connection: &self.connection().name }
    }

    /// Answers with what would be sent.
    pub fn explanation(&self, requests: &[Request], fidelity: &Fidelity) -> Result<Response, Failure> {
        let explained = explain(self, requests).map_err(|error| self.failure(&error))?;
        let body = Explanation {
            object: "explanation",
            operation: self.operation.name(),
            provider: self.origin(),
            requests: explained,
            fidelity: FidelityView(fidelity),
        };
        Ok(json(StatusCode::OK, &body, 1024))
    }

    /// Answers with a document that was written already, and with what was said on the wire if that was asked for.
    pub fn answer_written(&self, status: StatusCode, document: Vec<u8>, raw: Option<&[Exchange]>) -> Response {
        json_response(status, with_raw(document, raw))
    }

    /// Answers with a document, and with what was said on the wire if that was asked for.
    pub fn answer(&self, status: StatusCode, document: &impl Json, raw: Option<&[Exchange]>, size: usize) -> Response {
        json_response(status, written(document, raw, size))
    }
}

/// A document, and what was said on the wire beside it, in one buffer of about the right size.
pub fn written(document: &impl Json, raw: Option<&[Exchange]>, size: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(size);
    document.write(&mut buffer);
    with_raw(buffer, raw)
}

/// A document with what was said on the wire beside it.
fn with_raw(mut document: Vec<u8>, raw: Option<&[Exchange]>) -> Vec<u8> {
    if let Some(raw) = raw {
        // Every document is an object, so that its last byte closes it.
        document.pop();
        document.extend_from_slice(br#","raw":"#);
        let _ = serde_json::to_writer(&mut document, raw);
        document.push(b'}');
    }
    document
}

fn explain(call: &Call, requests: &[Request]) -> Result<Vec<RenderedRequest>, Error> {
    let endpoint = call.connection().upstream.endpoint();
    let rendered = requests.iter().enumerate().map(|(place, request)| {
        let mut rendered = render::request(request, endpoint, call.connection().scheme)?;
        rendered.depends_on_previous = place > 0;
        Ok(rendered)
    });
    rendered.collect()
}

/// What would be sent, and what the translation does.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// Always `explanation`.
    pub object: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// Who would be asked.
    pub provider: Origin<'a>,
    /// The requests, in order.
    pub requests: Vec<RenderedRequest>,
    /// What becomes of the fields.
    pub fidelity: FidelityView<'a>,
}

/// A JSON response, written into one buffer of about the right size.
pub fn json(status: StatusCode, body: &impl Serialize, size: usize) -> Response {
    let mut buffer = Vec::with_capacity(size);
    if serde_json::to_writer(&mut buffer, body).is_err() {
        buffer.clear();
    }
    json_response(status, buffer)
}

fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
