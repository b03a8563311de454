//! Reads requests of the API: the client's key, the parameters that all operations take, ids in paths, and JSON bodies.
//! Every refusal is a [`Problem`].

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request};
use http::{HeaderMap, HeaderName, header, request::Parts};
use passerelle_providers::{
    api::input,
    engine::{Conditions, Planned, carry},
    model::{Command, CustomerFields, CustomerId, Error, IdPattern, LossPolicy, Operation, manifest::Manifest},
    text::{Source, Text},
};

use super::query::Query;
use crate::{
    admission,
    body::{BodyLimits, read_body},
    execution,
    merchant::{Action, Client, Connection, Gateway, Merchant},
    metrics::{number, request::is_for},
    problem::{Code, Problem},
    state::{App, BodyOwner, RequestId},
    store::Contacts,
    writes::{Idempotency, over_http::idempotency},
};

/// The parameters that every operation takes.
const COMMON_PARAMETERS: &[&str] = &["explain", "include"];

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// An authenticated caller: a client of a merchant, identified by an API key. What it may do depends on what it asks for, so
/// a handler gets the merchant only for an [`Action`].
#[derive(Debug)]
pub struct Caller {
    /// The snapshot of the configuration. A request uses one snapshot from its start to its end.
    gateway: Arc<Gateway>,
    /// The client whose key was sent.
    client: Client,
    /// The contacts of customers, for look-ups.
    contacts: Contacts,
    query: Option<String>,
    prefer: Option<String>,
    idempotency: Result<Idempotency, Problem>,
    request_id: Option<RequestId>,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let gateway = app.gateway.load_full();
        let key = bearer(&parts.headers)
            .ok_or_else(|| Problem::new(Code::Unauthorized, "send your key as `Authorization: Bearer <key>`"))?;
        let client = gateway.authenticate(key).cloned();
        let Some(client) = client else {
            gateway.wrong_keys.count(&parts.headers)?;
            return Err(Problem::new(Code::Unauthorized, "the key belongs to no merchant of this gateway"));
        };
        admission::admit(&app.places, &client.merchant.places, client.merchant.request_rate.as_deref())?;
        let prefer = parts.headers.get(PREFER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self {
            gateway,
            client,
            contacts: app.store.contacts().clone(),
            query: parts.uri.query().map(str::to_owned),
            prefer,
            idempotency: match parts.method.is_safe() {
                true => Ok(Idempotency::default()),
                false => idempotency(&parts.headers),
            },
            request_id: parts.extensions.remove(),
        })
    }
}

/// The key of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    key_of(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The key of the value of such a header.
pub(crate) fn key_of(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then(|| key.trim())
}

/// One operation that a client asks for and that the merchant's provider supports.
#[derive(Debug)]
pub struct Call {
    /// The snapshot of the configuration.
    pub gateway: Arc<Gateway>,
    /// The merchant.
    pub merchant: Arc<Merchant>,
    /// The name of the client's key, if it has one.
    pub key_name: Option<Arc<str>>,
    /// The contacts of customers, for look-ups.
    pub contacts: Contacts,
    /// The connection that executes the operation.
    pub connection: Arc<Connection>,
    /// The operation.
    pub operation: Operation,
    /// The parameters.
    pub query: Query,
    /// Whether to explain the operation and send nothing.
    pub explain: bool,
    /// Whether to add the provider's raw answers.
    pub include_raw: bool,
    /// What happens to fields that the provider cannot store.
    pub on_loss: LossPolicy,
    /// The loss policy that the client asks for.
    pub preferred_loss: Option<LossPolicy>,
    /// The idempotency headers, or the problem with them. Only writes use them, so a read does not fail on them.
    pub idempotency: Result<Idempotency, Problem>,
    /// The request's id. Only requests that may write have it.
    pub request_id: Option<RequestId>,
    /// Whether the request can repeat an earlier write, and is refused only after the search for it.
    pub(super) may_repeat: bool,
    /// Why the connection cannot execute the write. It may still be one that another connection has executed, which need
    /// not be in the configuration any more.
    pub refusal: Option<Error>,
}

impl Caller {
    /// The query string.
    pub fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// The merchant, if the client's key allows an action.
    pub fn merchant(&self, action: Action) -> Result<&Arc<Merchant>, Problem> {
        self.client.key.require(action)?;
        Ok(&self.client.merchant)
    }

    /// Reads the JSON body of the caller's request, if the key allows the operation. It is valid UTF-8; [`input`] parses it.
    pub async fn json_body(&self, operation: Operation, app: &App, request: Request) -> Result<Source, Problem> {
        let merchant = self.merchant(Action::Customers(operation))?;
        let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let names: [&[u8]; 2] = [b"application/json", b"application/merge-patch+json"];
            names.iter().any(|name| essence.eq_ignore_ascii_case(name))
        });
        if !is_json {
            return Err(Problem::new(Code::UnsupportedMediaType, "send JSON, with `Content-Type: application/json`"));
        }
        let limits = BodyLimits::of(&self.gateway);
        let reservation = app.bodies.reservation(BodyOwner::Merchant(merchant.name.clone()));
        let (parts, body) = request.into_parts();
        let reading = read_body(&parts.headers, body, limits, reservation);
        drop(parts);
        let body = reading.await?;
        Source::new(&body).ok_or_else(|| Problem::new(Code::MalformedRequest, "the body is not UTF-8 text"))
    }

    /// Begins an operation, if the key allows it, the provider supports it and all parameters are valid.
    pub fn call(self, operation: Operation, parameters: &[&'static str]) -> Result<Call, Problem> {
        let merchant = Arc::clone(self.merchant(Action::Customers(operation))?);
        let connection = Arc::clone(&merchant.active);
        is_for(operation, connection.upstream.series());
        let preferred_loss = self.preferred_loss();
        let preferred = preferred_loss.as_ref().ok().copied().flatten();
        let on_loss = preferred.unwrap_or(merchant.on_loss);
        // The refusal waits where the request may repeat a write of another connection.
        let refusal = refusal(&merchant, operation, on_loss);
        if refusal.is_some() && !self.may_repeat(operation) {
            return Err(Problem::not_supported(connection.manifest, operation, connection.failed_connection()));
        }
        let query = Query::read(self.query(), &[parameters, COMMON_PARAMETERS])?;
        let explain = query.flag("explain")?.unwrap_or_default();
        let include_raw = match query.get("include") {
            None => false,
            Some("raw") => true,
            Some(_) => return Err(Problem::invalid_one("include", "must be `raw`")),
        };
        let preferred_loss = preferred_loss?;
        let may_repeat = !explain && self.may_repeat(operation);
        Ok(Call {
            may_repeat,
            gateway: self.gateway,
            merchant,
            key_name: self.client.key.name().cloned(),
            contacts: self.contacts,
            connection,
            operation,
            query,
            explain,
            include_raw,
            on_loss,
            preferred_loss,
            idempotency: self.idempotency,
            request_id: self.request_id,
            refusal,
        })
    }

    /// The loss policy that the client asks for.
    fn preferred_loss(&self) -> Result<Option<LossPolicy>, Problem> {
        let Some(word) = self.prefer.as_deref().and_then(loss_preference) else { return Ok(None) };
        match LossPolicy::parse(word) {
            Some(LossPolicy::Carry) if !self.client.merchant.allows_carry => {
                let message = "`loss=carry` is not allowed by the merchant's configuration, which has `allow_carry`; use \
                               `reject` or `drop`";
                Err(Problem::invalid_one("Prefer", message))
            }
            Some(policy) => Ok(Some(policy)),
            None => Err(Problem::invalid_one("Prefer", "`loss` must be `reject`, `carry` or `drop`")),
        }
    }

    /// Whether the request can repeat an earlier write: it is a write with a key.
    fn may_repeat(&self, operation: Operation) -> bool {
        operation.is_write() && self.idempotency.as_ref().is_ok_and(|idempotency| idempotency.key.is_some())
    }
}

/// The `loss` preference of a `Prefer` header (RFC 7240). Other preferences are ignored.
fn loss_preference(prefer: &str) -> Option<&str> {
    prefer.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("loss").then(|| value.trim().trim_matches('"'))
    })
}

impl Call {
    /// What the provider supports.
    pub fn manifest(&self) -> &'static Manifest {
        self.connection.manifest
    }

    /// The customer's id from the path, if it has the form of the merchant's ids. A write that may repeat an earlier one
    /// can have an id of another provider; it is refused after the search for that write.
    pub fn id(&mut self, CustomerPath(id): CustomerPath) -> Result<CustomerId, Problem> {
        let id = Text::from(id);
        let error = match CustomerId::parse(id.clone(), self.merchant.id_pattern()) {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        match CustomerId::parse(id, &IdPattern::PUBLIC) {
            Ok(id) if self.may_repeat => {
                self.refusal.get_or_insert(error);
                Ok(id)
            }
            _ => Err(self.failure(&error)),
        }
    }

    /// Reads the fields of a customer from the body of the request.
    pub fn fields(&self, body: &Source) -> Result<CustomerFields, Problem> {
        self.merchant.body_bytes.observe(number(body.as_str().len()));
        input::fields(body, self.gateway.json, self.merchant.region).map_err(|error| self.failure(&error))
    }

    /// Finds the connection that executes a command, and gives the command the customer's id at that connection.
    pub async fn resolve(&mut self, command: &mut Command) -> Result<(), Problem> {
        self.connection = match execution::resolve(&self.merchant, command, None).await {
            Ok(home) => home.connection,
            Err(error) => return Err(self.failure(&error)),
        };
        Ok(())
    }

    /// Plans a command. If the loss policy is `reject`, a command that would lose fields is refused.
    pub fn plan(&self, command: &Command) -> Result<Planned, Problem> {
        let conditions = Conditions::canonical(self.on_loss);
        execution::plan(&self.connection, command, conditions).map_err(|error| self.failure(&error))
    }

    /// An adapter's error as a problem of this call.
    pub fn failure(&self, error: &Error) -> Problem {
        Problem::from_error(error, self.operation, &self.connection).with_loss_policy(self.on_loss)
    }
}

/// The decoded id from a path. [`Call::id`] checks its form before it is used.
#[derive(Debug)]
pub struct CustomerPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for CustomerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem::new(Code::InvalidId, "the id in the path is not UTF-8 text")),
        }
    }
}
/// Why the active provider cannot execute an operation, if it cannot. With a middleware, another connection may execute it, so its
/// provider decides later.
pub(super) fn refusal(merchant: &Merchant, operation: Operation, on_loss: LossPolicy) -> Option<Error> {
    match &merchant.middleware {
        None => carry::require(merchant.active.manifest, operation, on_loss).err(),
        Some(_) => None,
    }
}
