//! Writes of the API: hands them to [`crate::writes`], and writes their answers in the form of the API.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, header};
use passerelle_providers::{
    api::view::{CustomerView, DeletedView, Origin},
    engine::Conditions,
    json::Json,
    model::{Command, Effect, LossPolicy, Written},
};

use super::{answer::written, request::Call};
use crate::{
    merchant::Connection,
    problem::{Code, Problem},
    state::{App, RequestId},
    store::{OperationId, StoredAnswer},
    writes::{
        EndedWrite, NewWrite, Refused, StoredSurface, Surface,
        over_http::{answer, refusal, response},
    },
};

/// The initial buffer size for an answer with one customer, in bytes. Most fit.
const USUAL_SIZE: usize = 1536;

/// The preference that was applied (RFC 7240).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

impl Call {
    /// Executes a write, or explains it, and writes the answer.
    pub async fn write(mut self, app: &App, mut command: Command) -> Result<Response, Problem> {
        self.resolve(&mut command).await?;
        let call = self;
        if call.explain {
            return call.explanation(&call.plan(&command)?);
        }
        let request_id = call.request_id.as_ref().and_then(|RequestId(id)| id.to_str().ok()).map(str::to_owned);
        let surface = Api { request_id, include_raw: call.include_raw, on_loss: call.on_loss };
        let new = NewWrite {
            merchant: Arc::clone(&call.merchant),
            connection: Arc::clone(&call.connection),
            command,
            is_keyed: call.idempotency.as_ref().is_ok_and(|idempotency| idempotency.key.is_some()),
            surface: Arc::new(surface),
            deadline: call.gateway.deadline,
            refusal: call.refusal.clone(),
        };
        let executed = app.writes.execute(new, call.idempotency.clone()?).await;
        match executed.map_err(|error| call.failure(&error))? {
            Ok(answer) => Ok(response(answer).map(Body::from)),
            Err(refused) => {
                let connection = match &refused {
                    // The id of the customer is that of the connection that executed the write.
                    Refused::Expired(formerly) | Refused::Erased(formerly) => {
                        call.merchant.connections.get(&formerly.connection)
                    }
                    _ => Some(&call.connection),
                };
                let connection = connection.map(|connection| connection.failed_connection());
                let problem = refusal(refused);
                Err(connection.into_iter().fold(problem, Problem::with_connection))
            }
        }
    }
}

/// The API as a surface: how the answer of a write looks.
#[derive(Debug)]
struct Api {
    /// The id of the request that began the write. A surface that was restored from the store has none.
    request_id: Option<String>,
    include_raw: bool,
    on_loss: LossPolicy,
}

/// The name of this surface in the store.
const NAME: &str = "/v1";

/// Restores the surface of the API from the store.
pub fn surface(kept: &StoredSurface) -> Option<Arc<dyn Surface>> {
    let api = Api { request_id: None, include_raw: false, on_loss: kept.on_loss };
    (kept.name == NAME).then(|| Arc::new(api) as Arc<dyn Surface>)
}

impl Surface for Api {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn conditions(&self, _: &Connection) -> Conditions {
        Conditions::canonical(self.on_loss)
    }

    fn shows_exchanges(&self) -> bool {
        self.include_raw
    }

    fn write_answer(&self, ended: &EndedWrite<'_>) -> (StoredAnswer, Option<Problem>) {
        match ended.result {
            Ok(done) => (self.success(ended, done), None),
            Err(error) => {
                let connection = ended.connection;
                let mut failure = Problem::from_error(error, ended.command.operation(), connection)
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
    fn success(&self, ended: &EndedWrite<'_>, done: &Written) -> StoredAnswer {
        let origin = Origin { provider: ended.connection.manifest.name, connection: &ended.connection.name };
        match done {
            Written::Created(created) => {
                let status = if created.existing { 200 } else { 201 };
                let mut answer = self.answer(ended, status, &CustomerView { customer: &created.customer, origin });
                if let Ok(location) = HeaderValue::try_from(format!("/v1/customers/{}", created.customer.id)) {
                    answer.headers.push((header::LOCATION, location));
                }
                answer
            }
            Written::Changed(customer) => self.answer(ended, 200, &CustomerView { customer, origin }),
            Written::Deleted => {
                let id = ended.command.customer().map_or("", |id| id.public());
                self.answer(ended, 200, &DeletedView { id })
            }
        }
    }

    fn answer(&self, ended: &EndedWrite<'_>, status: u16, document: &impl Json) -> StoredAnswer {
        let policy = match self.on_loss {
            LossPolicy::Reject => "loss=reject",
            LossPolicy::Carry => "loss=carry",
            LossPolicy::Drop => "loss=drop",
        };
        let headers = [(header::CONTENT_TYPE, "application/json"), (PREFERENCE_APPLIED, policy)];
        StoredAnswer {
            status,
            headers: headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into(),
            body: written(document, ended.exchanges, USUAL_SIZE).into(),
        }
    }
}

/// Parses an operation's id from a path.
pub fn operation_id(text: &str) -> Result<OperationId, Problem> {
    text.parse()
        .map_err(|_| Problem::new(Code::InvalidId, "the id of an operation must be `op_` and 32 hexadecimal digits"))
}
