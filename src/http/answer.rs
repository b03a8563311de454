//! Operations carried out and answered: run within the deadline, explained instead, or shown with what was
//! said on the wire.

use std::sync::Mutex;

use async_trait::async_trait;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use passerelle_providers::{
    error::{Effect, Error},
    fidelity::Fidelity,
    plan::{Request, Response as ProviderResponse, Transport},
    render::{self, RenderedRequest},
    view::{FidelityView, Json, Origin},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;
use uuid::Uuid;

use super::{problem::Failure, request::Call};

/// One answer of the provider, as it was given.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    status: u16,
    headers: std::collections::BTreeMap<String, String>,
    body: Box<RawValue>,
}

/// The headers of a provider's answer that say something.
const SHOWN_HEADERS: &[&str] = &[
    "content-type",
    "date",
    "retry-after",
    "x-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// What an operation led to, and what was said on the wire if that was asked for.
#[derive(Debug)]
pub struct Performed<T> {
    /// The result.
    pub value: T,
    /// The exchanges.
    pub raw: Option<Vec<Exchange>>,
}

/// A call's line to its provider. It remembers the answers where they are to be shown.
#[derive(Debug)]
pub struct Line<'c> {
    call: &'c Call,
    /// Nothing is waited for after it.
    deadline: Instant,
    exchanges: Option<Mutex<Vec<Exchange>>>,
}

#[async_trait]
impl Transport for Line<'_> {
    async fn send(&self, request: Request, writes: bool) -> Result<ProviderResponse, Error> {
        let response = self.call.connection().upstream.send(request, writes, self.deadline).await?;
        if let Some(exchanges) = &self.exchanges
            && let Ok(mut exchanges) = exchanges.lock()
        {
            exchanges.push(self.call.exchange(&response));
        }
        Ok(response)
    }
}

impl Line<'_> {
    fn shown(&self) -> Option<Vec<Exchange>> {
        let mut exchanges = self.exchanges.as_ref()?.lock().ok()?;
        Some(std::mem::take(&mut exchanges))
    }
}

impl Call {
    /// A line to the provider, for [`Call::perform`].
    pub fn line(&self) -> Line<'_> {
        let deadline = Instant::now() + self.gateway.deadline;
        Line { call: self, deadline, exchanges: self.include_raw.then(Mutex::default) }
    }

    /// Carries out work over a line, which keeps the request's deadline.
    pub async fn perform<T>(
        &self,
        line: &Line<'_>,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<Performed<T>, Failure> {
        let result = work.await;
        let raw = line.shown();
        match result {
            Ok(value) => Ok(Performed { value, raw }),
            Err(error) => {
                let failure = self.failure(&error).with_raw(raw);
                match failure.effect() {
                    Effect::Unknown => Err(failure.with_operation_id(format!("op_{}", Uuid::now_v7().simple()))),
                    Effect::None | Effect::Done => Err(failure),
                }
            }
        }
    }

    /// Where this call's answers come from.
    pub fn origin(&self) -> Origin<'_> {
        Origin { provider: self.manifest().name, connection: &self.connection().name }
    }

    fn exchange(&self, response: &ProviderResponse) -> Exchange {
        let text = self.connection().redacted(String::from_utf8_lossy(response.body()).into_owned());
        let body = serde_json::from_str::<Box<RawValue>>(&text).or_else(|_| to_raw_value(&text));
        let headers = render::text_headers(response.headers());
        Exchange {
            status: response.status().as_u16(),
            headers: headers.filter(|(name, _)| SHOWN_HEADERS.contains(&name.as_str())).collect(),
            body: body.unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
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
        Ok(self.finish(json(StatusCode::OK, &body, 1024)))
    }

    /// Answers with a document, and with what was said on the wire if that was asked for.
    pub fn answer(&self, status: StatusCode, document: &impl Json, raw: Option<&[Exchange]>, size: usize) -> Response {
        let mut buffer = Vec::with_capacity(size);
        document.write(&mut buffer);
        if let Some(raw) = raw {
            // Every document is an object, so that its last byte closes it.
            buffer.pop();
            buffer.extend_from_slice(br#","raw":"#);
            let _ = serde_json::to_writer(&mut buffer, raw);
            buffer.push(b'}');
        }
        self.finish(json_response(status, buffer))
    }

    /// Adds the headers that every write has.
    fn finish(&self, mut response: Response) -> Response {
        const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
        const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
        if self.operation.is_write() {
            let policy = match self.on_loss {
                crate::config::OnLoss::Reject => "loss=reject",
                crate::config::OnLoss::Drop => "loss=drop",
            };
            response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(policy));
            if self.wants_idempotency {
                response.headers_mut().insert(IDEMPOTENCY_STATUS, HeaderValue::from_static("unsupported"));
            }
        }
        response
    }
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
