//! Executes commands that only read and writes their answers: the result, an explanation (`explain=true`), or the result
//! with the provider's raw answers (`include=raw`).

use std::pin::Pin;

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::view::{CustomerView, EachView, FidelityView, ListView, Origin, OverdueView, summary},
    engine::Planned,
    json::Json,
    kit::render::{self, RenderedRequest},
    model::{Command, Error, Fidelity, Kind, Reply, manifest::ListCoverage},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{lists::ListRequest, request::Call};
use crate::{
    execution::{self, Exchange, ProviderTransport, Walk},
    problem::{Code, Problem},
};

/// The initial buffer size for an answer with one customer, in bytes. Most fit.
const USUAL_SIZE: usize = 1536;

/// An answer has about so many headers. A map that grows header by header is built twice.
const HEADERS: usize = 12;

/// A document, and the cursor of the next page if it is one of a list.
pub(super) type Written = (Vec<u8>, Option<String>);

/// The future of an answer. It is boxed, because a future is copied whenever a caller moves it.
pub type BoxedAnswer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

impl Call {
    /// Executes a command that only reads, or explains it, and writes the answer.
    pub fn read(self, command: Command) -> BoxedAnswer {
        self.execute(command, None)
    }

    /// Like [`Self::read`], for a command that may be answered with a page of a list.
    pub fn read_list(self, command: Command, list: Option<ListRequest>) -> BoxedAnswer {
        self.execute(command, list)
    }

    /// Executes a command. It is no `async fn`, whose future would have room for the command and the list twice.
    fn execute(mut self, mut command: Command, list: Option<ListRequest>) -> BoxedAnswer {
        Box::pin(async move {
            if self.merchant.homes().is_some() {
                return Box::pin(self.execute_at_homes(command, list)).await;
            }
            self.resolve(&mut command).await?;
            let call = &self;
            if let Some(list) = &list {
                list.check_connection(&call.connection)?;
            }
            let planned = call.plan(&command)?;
            if call.explain {
                return call.explanation(&planned);
            }
            let transport =
                ProviderTransport::new(&call.connection, call.operation, Instant::now() + call.gateway.deadline)
                    .showing_exchanges(call.include_raw)
                    .knowing(&call.contacts, &call.merchant);
            if let (Some(list), Command::List(_), true) = (&list, &command, call.merchant.passes_through()) {
                // No customer is changed, so the page is written directly from the provider's answer.
                let received = || transport.received();
                let shown =
                    execution::show_list(&transport, planned, |page| list.customers(call, page, None, received()))
                        .await;
                let raw = transport.exchanges();
                let written = match shown {
                    Ok((document, next)) => Ok((with_raw(document, raw.as_deref()), next)),
                    Err(error) => Err(call.failure(&error)),
                };
                return call.sent(written, Some(list)).map_err(|failure| failure.with_raw(raw));
            }
            let reply = execution::read(&call.merchant, &transport, planned).await;
            let raw = transport.exchanges();
            let written = match reply {
                Ok(reply) => {
                    call.write_reply(&command, list.as_ref(), (reply, None), raw.as_deref(), transport.received())
                }
                Err(error) => Err(call.failure(&error)),
            };
            call.sent(written, list.as_ref()).map_err(|failure| failure.with_raw(raw))
        })
    }

    /// The response with a document, and with the cursor of the next page in a list. It takes the place of the reply in
    /// memory, which is dropped by now.
    pub(super) fn sent(
        &self,
        written: Result<Written, Problem>,
        list: Option<&ListRequest>,
    ) -> Result<Response, Problem> {
        let (document, next) = written?;
        let body = self.connection.upstream.answer(document).map_err(|error| self.failure(&error))?;
        let response = json_response(StatusCode::OK, body);
        Ok(match list {
            Some(list) => list.linked(response, next),
            None => response,
        })
    }

    /// Writes a reply as a document of the API, with the walk if it is a page of one. `received` is the size of the provider's answer.
    pub(super) fn write_reply(
        &self,
        command: &Command,
        list: Option<&ListRequest>,
        (reply, walk): (Reply, Option<&Walk>),
        raw: Option<&[Exchange]>,
        received: usize,
    ) -> Result<Written, Problem> {
        Ok(match (reply, list) {
            (Reply::Customer(customer) | Reply::Found(Some(customer)), _) => {
                let view = CustomerView { customer: &customer, origin: self.origin() };
                (written(&view, raw, USUAL_SIZE), None)
            }
            (Reply::Found(None), _) => {
                let key = if let Command::Find(lookup) = command { lookup.key() } else { "id" };
                let detail = match self.manifest().lists {
                    ListCoverage::All => format!("the provider has no customer with this {key}"),
                    ListCoverage::Only(shown) => format!(
                        "no customer with this {key} was found; the provider's list shows only {shown}; customers that \
                         were created or changed through this gateway are found as well, but any other customer may \
                         exist and not be found"
                    ),
                };
                return Err(self.failure(&Error::new(Kind::NotFound, detail)));
            }
            (Reply::Customers(page), Some(list)) => {
                let (document, next) = list.customers(self, page, walk, received);
                (with_raw(document, raw), next)
            }
            (Reply::PaymentMethods(page), Some(list)) => {
                let (document, next) = list.entries(self, &page, received);
                (with_raw(document, raw), next)
            }
            (Reply::Payments(page), Some(list)) => {
                let (document, next) = list.entries(self, &page, received);
                (with_raw(document, raw), next)
            }
            (Reply::OverdueInvoices(overdue), _) => {
                let fidelity: Fidelity = Fidelity::default();
                let view = ListView {
                    data: EachView(&overdue.invoices),
                    next_cursor: None,
                    total_count: Some(overdue.invoices.len() as u64),
                    filtered_by: None,
                    fidelity: &fidelity,
                    overdue: Some(OverdueView {
                        customer: overdue
                            .customer
                            .as_ref()
                            .map(|customer| CustomerView { customer, origin: self.origin() }),
                        summary: summary(&overdue),
                    }),
                };
                (written(&view, raw, 2048), None)
            }
            (Reply::Written(_) | Reply::Customers(_) | Reply::PaymentMethods(_) | Reply::Payments(_), _) => {
                return Err(Problem::new(Code::Internal, "a provider's adapter returned a reply of another command"));
            }
        })
    }

    /// The provider and the connection that answer this call.
    pub fn origin(&self) -> Origin<'_> {
        self.connection.origin()
    }

    /// Answers with the requests that the gateway would send.
    pub fn explanation(&self, planned: &Planned) -> Result<Response, Problem> {
        let Self { connection, .. } = self;
        let rendered = render::requests(&planned.requests(), connection.upstream.endpoint(), connection.scheme);
        let body = Explanation {
            object: "explanation",
            operation: self.operation.name(),
            provider: self.origin(),
            requests: rendered.map_err(|error| self.failure(&error))?,
            fidelity: FidelityView(&planned.fidelity()),
        };
        Ok(json(StatusCode::OK, &body, 1024))
    }
}

/// Writes a document, and the provider's raw answers if given, into one buffer of about `size` bytes.
pub fn written(document: &impl Json, raw: Option<&[Exchange]>, size: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(size);
    document.write(&mut buffer);
    with_raw(buffer, raw)
}

/// Adds the provider's raw answers to a document.
fn with_raw(mut document: Vec<u8>, raw: Option<&[Exchange]>) -> Vec<u8> {
    if let Some(raw) = raw {
        // Every document is a JSON object, so its last byte is the closing brace.
        document.pop();
        document.extend_from_slice(br#","raw":"#);
        let _ = serde_json::to_writer(&mut document, raw);
        document.push(b'}');
    }
    document
}

/// The requests that the gateway would send, and what happens to the fields.
#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    /// Always `explanation`.
    pub object: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// The provider that would be called.
    pub provider: Origin<'a>,
    /// The requests, in order.
    pub requests: Vec<RenderedRequest>,
    /// What happens to the fields.
    pub fidelity: FidelityView<'a>,
}

/// Writes a JSON response into one buffer of about `size` bytes.
pub fn json(status: StatusCode, body: &impl Serialize, size: usize) -> Response {
    let mut buffer = Vec::with_capacity(size);
    if serde_json::to_writer(&mut buffer, body).is_err() {
        buffer.clear();
    }
    json_response(status, buffer)
}

pub(super) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
