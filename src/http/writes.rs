//! Writes of the API: how they are carried out, and told in the API's own words.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::view::{CustomerView, DeletedView, Origin},
    json::Json,
    model::{Command, Effect, Reply},
};

use super::{
    answer::written,
    problem::{AlreadyTold, Code, Failure},
    request::{Call, RequestId},
};
use crate::{
    app::App,
    config::OnLoss,
    store::{Answer, OperationId},
    writes::{Ended, Idempotency, Refused, Surface, Told, Write},
};

/// The size of a usual customer in an answer.
const USUAL_SIZE: usize = 1536;

/// Whether a write was carried out for this request: `created`, `replayed` or `in_progress`.
pub const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
/// Which preference of the request was followed (RFC 7240).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The write, as `GET /v1/operations/{id}` knows it.
pub const OPERATION_ID: HeaderName = HeaderName::from_static("x-operation-id");

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 255;

impl Call {
    /// Carries out a write, and answers.
    pub async fn write(self, app: &App, command: Command) -> Result<Response, Failure> {
        let idempotency = self.idempotency.clone()?;
        let request_id = self.request_id.as_ref().and_then(|RequestId(id)| id.to_str().ok()).map(str::to_owned);
        let surface = Api { request_id, include_raw: self.include_raw, on_loss: self.on_loss };
        let write = Write {
            merchant: Arc::clone(&self.merchant),
            command,
            on_loss: self.on_loss,
            idempotency,
            surface: Arc::new(surface),
            deadline: self.gateway.deadline,
        };
        match app.writes.carry_out(write).await {
            Ok(told) => Ok(response(told).map(Body::from)),
            Err(refused) => Err(refusal(refused).with_culprit(self.connection().culprit())),
        }
    }
}

/// What a request says of being sent again.
pub fn idempotency(headers: &HeaderMap) -> Result<Idempotency, Failure> {
    Ok(Idempotency { key: idempotency_key(headers)?, joins: joins(headers)? })
}

/// Whether a write without a key may be a repetition of another one, which it is not if its caller says so.
fn joins(headers: &HeaderMap) -> Result<bool, Failure> {
    let mut told = headers.get_all("idempotency-coalesce").iter();
    match (told.next(), told.next()) {
        (None, _) => Ok(true),
        (Some(only), None) if only == "off" => Ok(false),
        _ => Err(Failure::new(Code::MalformedRequest, "an `Idempotency-Coalesce` can only be `off`")),
    }
}

/// The key of a write. It is opaque to us, and never looked up before it is known to be one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(header) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Failure::new(Code::MalformedRequest, "send one `Idempotency-Key`"));
    }
    let is_key = (1..=LONGEST_KEY).contains(&header.len()) && header.as_bytes().iter().all(u8::is_ascii_graphic);
    match header.to_str() {
        Ok(key) if is_key => Ok(Some(key.to_owned())),
        _ => Err(Failure::new(
            Code::MalformedRequest,
            format!("an `Idempotency-Key` is 1 to {LONGEST_KEY} visible ASCII characters, such as a UUID"),
        )),
    }
}

/// An answer, with what the gateway knows of it beside.
pub fn response(told: Told) -> http::Response<Bytes> {
    let Told { id, answer, failure, is_replay } = told;
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.extend(answer.headers);
    headers.insert(IDEMPOTENCY_STATUS, HeaderValue::from_static(if is_replay { "replayed" } else { "created" }));
    if is_replay {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(OPERATION_ID, id);
    }
    if let Some(failure) = failure {
        response.extensions_mut().insert(AlreadyTold(failure));
    }
    response
}

/// Why a write was not carried out.
pub fn refusal(refused: Refused) -> Failure {
    match refused {
        Refused::Store(error) => {
            tracing::error!("a write was refused, because it could not be recorded: {error}");
            Failure::new(Code::StoreUnavailable, "writes cannot be recorded now, so none is sent; reads go on")
        }
        Refused::InProgress(id) => {
            Failure::new(Code::IdempotencyInProgress, "the same request is under way; ask again for its answer")
                .with_operation_id(id.to_string())
        }
        Refused::Reused => {
            Failure::new(Code::IdempotencyKeyReused, "this `Idempotency-Key` came with another request before")
        }
        Refused::Expired(customer) => {
            let told = "the answer to this `Idempotency-Key` is not kept any more; it was carried out";
            Failure::new(Code::IdempotencyKeyExpired, told).with_existing(customer)
        }
        Refused::Erased(customer) => {
            let told = "the customer was deleted since, and what was answered to this `Idempotency-Key` went with it";
            Failure::new(Code::ReplayErased, told).with_existing(customer)
        }
        Refused::Fault => {
            let told = "an unexpected fault; it is in the gateway's log, and what was begun is looked for";
            Failure::new(Code::Internal, told).leaving_doubt()
        }
    }
}

/// The API as a surface.
#[derive(Debug)]
struct Api {
    /// The first request's, where there still is one.
    request_id: Option<String>,
    include_raw: bool,
    on_loss: OnLoss,
}

const NAME: &str = "/v1";

/// The API, by its name.
pub fn surface(name: &str) -> Option<Arc<dyn Surface>> {
    let found = Api { request_id: None, include_raw: false, on_loss: OnLoss::Reject };
    (name == NAME).then(|| Arc::new(found) as Arc<dyn Surface>)
}

impl Surface for Api {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn shows_exchanges(&self) -> bool {
        self.include_raw
    }

    fn tell(&self, ended: &Ended<'_>) -> (Answer, Option<Failure>) {
        match ended.result {
            Ok(reply) => (self.success(ended, reply), None),
            Err(error) => {
                let connection = ended.connection;
                let mut failure = Failure::from_error(error, ended.command.operation(), connection)
                    .redacted(connection.secrets.secrets())
                    .with_raw(ended.exchanges.map(<[_]>::to_vec));
                if failure.effect() == Effect::Unknown {
                    failure = failure.with_operation_id(ended.id.to_string());
                }
                let request_id = self.request_id.clone().unwrap_or_else(|| ended.id.to_string());
                (answer(failure.clone().problem(&request_id)), Some(failure))
            }
        }
    }
}

impl Api {
    fn success(&self, ended: &Ended<'_>, reply: &Reply) -> Answer {
        let origin = Origin { provider: ended.connection.manifest.name, connection: &ended.connection.name };
        let customer = |customer| self.answer(ended, 200, &CustomerView { customer, origin });
        match reply {
            Reply::Created(created) => {
                let status = if created.existing { 200 } else { 201 };
                let mut answer = self.answer(ended, status, &CustomerView { customer: &created.customer, origin });
                if let Ok(location) = HeaderValue::try_from(format!("/v1/customers/{}", created.customer.id)) {
                    answer.headers.push((header::LOCATION, location));
                }
                answer
            }
            Reply::Customer(changed) | Reply::OverdueInvoices(changed, _) => customer(changed),
            Reply::Deleted | Reply::Customers(_) | Reply::PaymentMethods(_) | Reply::Payments(_) => {
                let id = match ended.command {
                    Command::Delete(id) => id.text(),
                    _ => "",
                };
                self.answer(ended, 200, &DeletedView { id })
            }
        }
    }

    fn answer(&self, ended: &Ended<'_>, status: u16, document: &impl Json) -> Answer {
        let policy = match self.on_loss {
            OnLoss::Reject => "loss=reject",
            OnLoss::Drop => "loss=drop",
        };
        let headers = [(header::CONTENT_TYPE, "application/json"), (PREFERENCE_APPLIED, policy)];
        Answer {
            status,
            headers: headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into(),
            body: written(document, ended.exchanges, USUAL_SIZE).into(),
        }
    }
}

/// A response as the store keeps it.
pub fn answer(response: http::Response<Bytes>) -> Answer {
    let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
    Answer { status: response.status().as_u16(), headers: headers.collect(), body: response.into_body() }
}

/// An operation's id from a path.
pub fn operation_id(text: &str) -> Result<OperationId, Failure> {
    text.parse().map_err(|_| Failure::new(Code::InvalidId, "an id of an operation is `op_` and 32 hexadecimal digits"))
}
