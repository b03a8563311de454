//! Requests taken in: whose they are, what they ask, and their bodies. Every refusal is a problem of ours.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::{HeaderMap, header, request::Parts};
use passerelle_providers::{
    engine::{Conditions, Planned},
    model::{Command, CustomerId, Error, LossPolicy, Operation, manifest::Manifest},
    text::{Source, Text},
};

use super::query::Query;
use crate::{
    body::read_body,
    execution,
    merchant::{Connection, Gateway, Merchant},
    problem::{Code, Problem},
    state::{App, RequestId},
    writes::{Idempotency, over_http::idempotency},
};

/// Parameters that every operation takes.
const EVERYWHERE: &[&str] = &["explain", "include"];

/// Who calls: the key was known.
#[derive(Debug)]
pub struct Caller {
    /// The snapshot that this request sees from its beginning to its end.
    pub gateway: Arc<Gateway>,
    /// The merchant that the key names.
    pub merchant: Arc<Merchant>,
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
        let merchant = gateway.merchant(key).cloned();
        let merchant =
            merchant.ok_or_else(|| Problem::new(Code::Unauthorized, "no merchant of this gateway has this key"))?;
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self {
            gateway,
            merchant,
            query: parts.uri.query().map(str::to_owned),
            prefer: text("prefer"),
            idempotency: idempotency(&parts.headers),
            request_id: parts.extensions.remove(),
        })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then(|| key.trim())
}

/// One operation asked of a merchant's provider, which has it.
#[derive(Debug)]
pub struct Call {
    /// The snapshot.
    pub gateway: Arc<Gateway>,
    /// The merchant.
    pub merchant: Arc<Merchant>,
    /// The connection that answers.
    pub connection: Arc<Connection>,
    /// What is asked.
    pub operation: Operation,
    /// The parameters.
    pub query: Query,
    /// Whether nothing is to be sent.
    pub explain: bool,
    /// Whether the provider's own words are to be shown.
    pub include_raw: bool,
    /// What becomes of fields that the provider cannot hold.
    pub on_loss: LossPolicy,
    /// What the caller says of sending it again, or what is wrong with that: only writes need to know.
    pub idempotency: Result<Idempotency, Problem>,
    /// The request's id, where it may change something.
    pub request_id: Option<RequestId>,
}

impl Caller {
    /// The query string.
    pub fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// Begins an operation, if the provider has it and the parameters are its own.
    pub fn call(self, operation: Operation, parameters: &[&'static str]) -> Result<Call, Problem> {
        let connection = Arc::clone(&self.merchant.active);
        // Where the customer lives elsewhere, that connection's provider decides.
        if self.merchant.middleware.is_none() && !connection.manifest.operation(operation).is_supported() {
            return Err(Problem::not_supported(connection.manifest, operation, connection.failed_connection()));
        }
        let query = Query::read(self.query(), &[parameters, EVERYWHERE])?;
        let explain = query.flag("explain")?.unwrap_or_default();
        let include_raw = match query.get("include") {
            None => false,
            Some("raw") => true,
            Some(_) => return Err(Problem::invalid_one("include", "can only be `raw`")),
        };
        let on_loss = match self.prefer.as_deref().and_then(loss_preference) {
            None => self.merchant.on_loss,
            Some(word) => match LossPolicy::parse(word) {
                Some(policy @ (LossPolicy::Reject | LossPolicy::Drop)) => policy,
                Some(LossPolicy::Carry) => {
                    return Err(Problem::invalid_one(
                        "Prefer",
                        "`loss=carry` is not there yet; use `reject` or `drop`",
                    ));
                }
                None => return Err(Problem::invalid_one("Prefer", "`loss` can be `reject` or `drop`")),
            },
        };
        Ok(Call {
            gateway: self.gateway,
            merchant: self.merchant,
            connection,
            operation,
            query,
            explain,
            include_raw,
            on_loss,
            idempotency: self.idempotency,
            request_id: self.request_id,
        })
    }
}

/// The `loss` preference of a `Prefer` header (RFC 7240). Other preferences are none of our business.
fn loss_preference(prefer: &str) -> Option<&str> {
    prefer.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("loss").then(|| value.trim().trim_matches('"'))
    })
}

impl Call {
    /// What the provider can do.
    pub fn manifest(&self) -> &'static Manifest {
        self.connection.manifest
    }

    /// The customer's id from the path, if the merchant could have it.
    pub fn id(&self, CustomerPath(id): CustomerPath) -> Result<CustomerId, Problem> {
        let parsed = CustomerId::parse(Text::from(id), self.merchant.id_pattern());
        parsed.map_err(|error| self.failure(&error))
    }

    /// The call at the connection that executes its command, and the command with the customer's id there.
    pub async fn resolve(self, command: Command) -> Result<(Self, Command), Problem> {
        match execution::resolve(&self.merchant, command).await {
            Ok((connection, command)) => Ok((Self { connection, ..self }, command)),
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Plans a command. What would lose fields is refused, where that is the policy.
    pub fn plan(&self, command: &Command) -> Result<Planned, Problem> {
        let conditions = Conditions::canonical(self.on_loss);
        execution::plan(&self.connection, command, conditions).map_err(|error| self.failure(&error))
    }

    /// An adapter's error as a problem of this call.
    pub fn failure(&self, error: &Error) -> Problem {
        Problem::from_error(error, self.operation, &self.connection).redacted(self.connection.secrets.secrets())
    }
}

/// The id in a path, unescaped. It is checked against the provider's pattern before it is used.
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

/// A JSON body, read whole and known to be UTF-8; it is parsed by [`passerelle_providers::api::input`].
#[derive(Debug)]
pub struct JsonBody(pub Source);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let names: [&[u8]; 2] = [b"application/json", b"application/merge-patch+json"];
            names.iter().any(|name| essence.eq_ignore_ascii_case(name))
        });
        if !is_json {
            return Err(Problem::new(Code::UnsupportedMediaType, "send JSON, with `Content-Type: application/json`"));
        }
        let limit = app.gateway.load().max_body;
        let (parts, body) = request.into_parts();
        let body = read_body(&parts.headers, body, limit).await?;
        match Source::new(&body) {
            Some(source) => Ok(Self(source)),
            None => Err(Problem::new(Code::MalformedRequest, "the body is not UTF-8 text")),
        }
    }
}
