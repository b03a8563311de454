//! Writes of the API: hands them to [`crate::writes`], and writes their answers in the form of the API.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use passerelle_providers::{
    api::view::{CustomerView, DeletedView, Origin},
    engine::Conditions,
    json::{self, Json, Members},
    model::{Command, Effect, LossPolicy, Written},
    text::Source,
};
use tokio::time::Instant;

use super::{answer::written, request::Call};
use crate::{
    execution::{self, Reader},
    merchant::Connection,
    problem::{Code, Problem, preference_applied},
    state::{App, RequestId},
    store::{HomeOfWrite, OperationId, StoredAnswer},
    writes::{
        EndedWrite, MOST_PLANS, NewWrite, Refused, SentRequest, StoredSurface, Surface,
        over_http::{answer, moved_too_often, refusal, response},
    },
};

/// The initial buffer size for an answer with one customer, in bytes. Most fit.
const USUAL_SIZE: usize = 1536;

impl Call {
    /// Executes a write, or explains it, and writes the answer. `body` is what the client sent.
    pub async fn write(mut self, app: &App, mut command: Command, body: Option<Source>) -> Result<Response, Problem> {
        let own_refusal = self.refusal.take();
        for _ in 0..MOST_PLANS {
            let merchant = Arc::clone(&self.merchant);
            let ends = Instant::now() + self.gateway.deadline;
            let reader = Reader::new(&merchant, app.store.contacts(), Conditions::canonical(self.on_loss), ends);
            let asking = (!self.explain).then_some(&reader);
            let (home, unresolved) = execution::resolve_write(&merchant, &mut command, asking, self.on_loss).await;
            let planned_for = home.of_write();
            self.connection = home.connection;
            self.refusal = own_refusal.clone().or(unresolved);
            if self.explain {
                // What would be refused is not explained.
                self.idempotency.as_ref().map_err(Problem::clone)?;
                if let Some(error) = &self.refusal {
                    return Err(self.failure(error));
                }
                return self.explanation(&self.plan(&command)?);
            }
            if self.merchant.carried.is_some() && self.refusal.is_none() {
                let (connection, deadline) = (&self.connection, self.gateway.deadline);
                let completed = execution::complete_name(&self.merchant, connection, &mut command, deadline);
                Box::pin(completed).await.map_err(|error| self.failure(&error))?;
            }
            // Boxed: each caller would move a future of this size once more.
            match Box::pin(self.write_at(app, planned_for, command, body.clone())).await? {
                Ok(response) => return Ok(response),
                Err(moved) => command = moved.command,
            }
            self.merchant = app.merchant_of_moved(self.merchant).await;
        }
        Err(moved_too_often())
    }

    /// Executes a write at the connection that was resolved. An inner error: the customer was moved since.
    async fn write_at(
        &self,
        app: &App,
        home: Option<HomeOfWrite>,
        command: Command,
        body: Option<Source>,
    ) -> Result<Result<Response, Box<NewWrite>>, Problem> {
        let call = self;
        let request_id = call.request_id.as_ref().and_then(|RequestId(id)| id.to_str().ok()).map(str::to_owned);
        let surface = Api { request_id: request_id.clone(), include_raw: call.include_raw, on_loss: call.on_loss };
        let distinct = matches!(&command, Command::Create(create) if create.distinct);
        let new = NewWrite {
            merchant: Arc::clone(&call.merchant),
            key_name: call.key_name.clone(),
            connection: Arc::clone(&call.connection),
            home,
            command,
            sent: SentRequest { body, distinct, on_loss: call.preferred_loss },
            is_keyed: call.idempotency.as_ref().is_ok_and(|idempotency| idempotency.key.is_some()),
            surface: Arc::new(surface),
            deadline: call.gateway.deadline,
            refusal: call.refusal.clone(),
            copy: None,
        };
        let is_keyed = new.is_keyed;
        let executed = app.writes.execute(new, call.idempotency.clone()?).await;
        match executed.map_err(|error| call.failure(&error))? {
            Ok(mut answer) => {
                // The answer to a key stays the same, byte for byte. A client without a key has only joined a write, so a
                // problem names the client's own request. All other answers name none, and are shared.
                let is_joined = answer.is_replay && !is_keyed && answer.answer.status >= 400;
                if let Some(body) =
                    request_id.filter(|_| is_joined).and_then(|id| with_request_id(&answer.answer.body, &id))
                {
                    answer.answer.body = body;
                }
                Ok(Ok(response(answer).map(Body::from)))
            }
            Err(Refused::Moved(moved)) => Ok(Err(moved)),
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

/// The body of a problem that was written for another request, with the id of this one.
fn with_request_id(body: &Bytes, id: &str) -> Option<Bytes> {
    const MEMBER: &str = "request_id";
    let Members(members) = json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    let in_json = |text: &str| serde_json::Value::from(text).to_string();
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| match &**name {
            MEMBER => format!("\"{MEMBER}\":{}", in_json(id)),
            name => format!("{}:{}", in_json(name), value.get()),
        })
        .collect();
    Some(format!("{{{}}}", members.join(",")).into())
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
                    .with_loss_policy(self.on_loss)
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
                self.answer(ended, 200, &DeletedView { id, deleted: true, receipts: ended.receipts })
            }
        }
    }

    fn answer(&self, ended: &EndedWrite<'_>, status: u16, document: &impl Json) -> StoredAnswer {
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        StoredAnswer {
            status,
            headers: vec![content_type, preference_applied(self.on_loss)],
            body: written(document, ended.exchanges, USUAL_SIZE).into(),
        }
    }
}

/// Parses an operation's id from a path.
pub fn operation_id(text: &str) -> Result<OperationId, Problem> {
    text.parse()
        .map_err(|_| Problem::new(Code::InvalidId, "the id of an operation must be `op_` and 32 hexadecimal digits"))
}
