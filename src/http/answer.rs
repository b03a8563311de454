//! Commands that only read, executed and answered: explained instead, or shown with what was said on the wire.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::view::{CustomerView, EachView, FidelityView, ListView, Origin, summary},
    engine::Planned,
    json::Json,
    kit::render::{self, RenderedRequest},
    model::{Command, Error, Fidelity, Kind, Reply},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{lists::OneList, request::Call};
use crate::{
    execution::{self, Exchange, ProviderTransport},
    problem::{Code, Problem},
};

/// The size of a usual customer in an answer.
const USUAL_SIZE: usize = 1536;

impl Call {
    /// Executes a command that only reads, or explains it, and answers.
    pub async fn read(self, command: Command) -> Result<Response, Problem> {
        self.read_list(command, None).await
    }

    /// The same of a command that may be answered with a page of a list.
    pub async fn read_list(self, command: Command, list: Option<OneList>) -> Result<Response, Problem> {
        let (call, command) = self.resolve(command).await?;
        let planned = call.plan(&command)?;
        if call.explain {
            return call.explanation(&planned);
        }
        let transport =
            ProviderTransport::new(&call.connection, call.operation, Instant::now() + call.gateway.deadline)
                .showing_exchanges(call.include_raw);
        if let (Some(list), Command::List(_), None) = (&list, &command, &call.merchant.middleware) {
            // Nothing happens between reading the page and writing it, so it is written as it lies in the answer.
            let shown = planned.show_list(&transport, |page| list.customers(&call, page)).await;
            let raw = transport.exchanges();
            return match shown {
                Ok((document, next)) => {
                    Ok(list.linked(json_response(StatusCode::OK, with_raw(document, raw.as_deref())), next))
                }
                Err(error) => Err(call.failure(&error).with_raw(raw)),
            };
        }
        let reply = execution::read(&call.merchant, &transport, planned).await;
        let raw = transport.exchanges();
        let answered = match reply {
            Ok(reply) => call.answer_reply(&command, list.as_ref(), reply, raw.as_deref()),
            Err(error) => Err(call.failure(&error)),
        };
        answered.map_err(|failure| failure.with_raw(raw))
    }

    /// A reply in the words of the API.
    fn answer_reply(
        &self,
        command: &Command,
        list: Option<&OneList>,
        reply: Reply,
        raw: Option<&[Exchange]>,
    ) -> Result<Response, Problem> {
        Ok(match (reply, list) {
            (Reply::Customer(customer) | Reply::Found(Some(customer)), _) => {
                let view = CustomerView { customer: &customer, origin: self.origin() };
                json_response(StatusCode::OK, written(&view, raw, USUAL_SIZE))
            }
            (Reply::Found(None), _) => {
                let key = if let Command::Find(lookup) = command { lookup.key() } else { "id" };
                let nothing = Error::new(Kind::NotFound, format!("the provider has no customer with this {key}"));
                return Err(self.failure(&nothing));
            }
            (Reply::Customers(page), Some(list)) => {
                let (document, next) = list.customers(self, page);
                list.linked(json_response(StatusCode::OK, with_raw(document, raw)), next)
            }
            (Reply::PaymentMethods(page), Some(list)) => {
                let (document, next) = list.entries(self, &page);
                list.linked(json_response(StatusCode::OK, with_raw(document, raw)), next)
            }
            (Reply::Payments(page), Some(list)) => {
                let (document, next) = list.entries(self, &page);
                list.linked(json_response(StatusCode::OK, with_raw(document, raw)), next)
            }
            (Reply::OverdueInvoices(_, overdue), _) => {
                let fidelity: Fidelity = Fidelity::default();
                let view = ListView {
                    data: EachView(&overdue.invoices),
                    next_cursor: None,
                    total_count: Some(overdue.invoices.len() as u64),
                    filtered_by: None,
                    fidelity: &fidelity,
                    summary: Some(summary(&overdue)),
                };
                json_response(StatusCode::OK, written(&view, raw, 2048))
            }
            (Reply::Written(_) | Reply::Customers(_) | Reply::PaymentMethods(_) | Reply::Payments(_), _) => {
                return Err(Problem::new(Code::Internal, "a reply does not belong to its command"));
            }
        })
    }

    /// Where this call's answers come from.
    pub fn origin(&self) -> Origin<'_> {
        Origin { provider: self.manifest().name, connection: &self.connection.name }
    }

    /// Answers with what would be sent.
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
