//! Every error of the API: RFC 9457 problems of one shape. This is the one place where our status codes
//! are decided.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::view::FieldErrorView,
    model::{Effect, Error, FieldError, Kind, Operation, VendorAnswer, manifest::Manifest},
};
use serde::Serialize;

use super::writes::{IDEMPOTENCY_STATUS, OPERATION_ID};
use crate::{line::Exchange, merchant::Connection};

macro_rules! codes {
    ($( $(#[doc = $meaning:literal])+ $code:ident = $name:literal, $status:literal, $title:literal; )*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $( $(#[doc = $meaning])+ $code, )*
        }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &[Self] = &[$( Self::$code ),*];

            /// The code as answers have it.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$code => $name, )* }
            }

            /// The usual HTTP status.
            pub const fn status(self) -> u16 {
                match self { $( Self::$code => $status, )* }
            }

            /// What it is called.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$code => $title, )* }
            }

            /// What it means, and what to do.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$code => concat!($($meaning, "\n"),+), )* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or the query cannot be read; or the JSON is one that no two programs read
    /// alike: a key stands twice, a string holds U+0000, an integer needs more than 64 bits. Mend the request.
    MalformedRequest = "malformed_request", 400, "The request cannot be read";
    /// The cursor belongs to another merchant, connection or filter, or it was changed. Begin the list again.
    InvalidCursor = "invalid_cursor", 400, "The cursor cannot be used";
    /// The id in the path does not have the form of the provider's ids. Nothing was sent.
    InvalidId = "invalid_id", 400, "The id cannot be one of the provider's";
    /// No key was presented, or one that no merchant has. Send `Authorization: Bearer <key>`.
    Unauthorized = "unauthorized", 401, "A key is needed";
    /// The key may not do this.
    Forbidden = "forbidden", 403, "The key may not do this";
    /// The provider knows no such customer.
    CustomerNotFound = "customer_not_found", 404, "There is no such customer";
    /// The API has no such path.
    NotFound = "not_found", 404, "There is nothing here";
    /// The merchant's provider does not have this operation. The detail says why, and which providers have
    /// it; `Allow` lists what works on the path. Nothing was sent.
    OperationNotSupported = "operation_not_supported", 405, "The provider cannot do this";
    /// The path has no such method. `Allow` lists those it has.
    MethodNotAllowed = "method_not_allowed", 405, "The path has no such method";
    /// A request with this `Idempotency-Key` is still under way. Ask again after `Retry-After`: the answer will be
    /// that of the first.
    IdempotencyInProgress = "idempotency_in_progress", 409, "The same request is under way";
    /// This `Idempotency-Key` was used so long ago that its answer is not kept any more. `provider.id` names the
    /// customer it was about. Nothing was sent; look at the customer, or use a new key for a new write.
    IdempotencyKeyExpired = "idempotency_key_expired", 409, "The answer to this key is not kept any more";
    /// The customer whom the write with this `Idempotency-Key` was about was deleted since, and what was answered
    /// went with it. `provider.id` names the customer. Nothing was sent; use a new key for a new write.
    ReplayErased = "replay_erased", 410, "The answer was erased with its customer";
    /// The provider answered a create with a record that belongs to somebody else, as one does whose e-mail
    /// addresses are unique. `provider.id` names the record; nothing was created.
    VendorRecordShared = "vendor_record_shared", 409, "The provider's record belongs to somebody else";
    /// The body is larger than the gateway takes.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The body is not declared as `application/json` (or `application/merge-patch+json` for an update).
    UnsupportedMediaType = "unsupported_media_type", 415, "The body must be JSON";
    /// A field or a parameter is wrong. `errors` names each with a JSON Pointer or its name.
    InvalidRequest = "invalid_request", 422, "A field is wrong";
    /// The provider cannot hold some of the fields, and the loss policy is `reject`. `errors` names them.
    /// Leave them out, or send `Prefer: loss=drop`. Nothing was sent.
    FieldsNotSupported = "fields_not_supported", 422, "The provider cannot hold these fields";
    /// The provider's own validation refused the request. `errors` has its field errors, mapped to ours.
    ProviderRejected = "provider_rejected", 422, "The provider refused the request";
    /// This `Idempotency-Key` came with another request before. A key belongs to one request; nothing was sent.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The key belongs to another request";
    /// A text holds a card number, which the gateway never takes. Remove it.
    CardDataRefused = "card_data_refused", 422, "Card numbers are not taken";
    /// This connection's own `rate_limit` is used up. Nothing was sent; try again after `Retry-After`.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The provider limits our requests. Try again after `Retry-After`.
    ProviderRateLimited = "provider_rate_limited", 429, "The provider limits our requests";
    /// A fault of the gateway itself. It is in its log, under the request's id.
    Internal = "internal", 500, "The gateway failed";
    /// The provider failed, also when it was asked again.
    ProviderError = "provider_error", 502, "The provider failed";
    /// The provider refuses the credentials of this connection. Check them with `passerelle check --probe`.
    ProviderUnauthorized = "provider_unauthorized", 502, "The provider refuses our credentials";
    /// The provider's answer could not be understood: it is HTML, empty, cut off, too large or of another
    /// shape than documented.
    ProviderBadResponse = "provider_bad_response", 502, "The provider's answer cannot be understood";
    /// As many requests to the provider are under way as are allowed. Nothing was sent; try again.
    Overloaded = "overloaded", 503, "Too many requests are under way";
    /// The provider cannot be reached, or a look-up read as far as it may without an end. Nothing was changed.
    ProviderUnavailable = "provider_unavailable", 503, "The provider cannot be reached";
    /// Nothing can be recorded, and no write is sent that could not be. Nothing was sent; reads go on. Try again.
    StoreUnavailable = "store_unavailable", 503, "Writes cannot be recorded";
    /// The provider did not answer a read in time. Try again.
    ProviderTimeout = "provider_timeout", 504, "The provider did not answer in time";
    /// A write was sent, and it is not known whether it was carried out: the answer did not come (504), or
    /// could not be understood (502). It is looked for: `GET /v1/operations/{operation_id}` tells what is found, and
    /// the same request with the same `Idempotency-Key` is answered with it.
    OutcomeUnknown = "outcome_unknown", 504, "It is not known whether this happened";
}

/// A failure whose answer is written already: the edge logs it, and leaves the answer alone.
#[derive(Debug, Clone)]
pub struct AlreadyTold(pub Failure);

/// The connection that a problem came from.
#[derive(Debug, Clone)]
pub struct Culprit {
    /// The provider's name.
    pub provider: &'static str,
    /// The merchant's name for the connection.
    pub connection: String,
}

/// An error on its way to becoming a problem. It rides in the response's extensions to the outermost
/// layer, which knows the request's id, writes it, and logs it once.
#[derive(Debug, Clone)]
pub struct Failure(Box<Parts>);

/// The parts of a [`Failure`].
#[derive(Debug, Clone)]
pub struct Parts {
    code: Code,
    status: u16,
    detail: String,
    errors: Vec<FieldError>,
    effect: Effect,
    safe_to_retry: bool,
    retry_after: Option<u64>,
    allow: Option<String>,
    culprit: Option<Culprit>,
    vendor: Option<VendorAnswer>,
    existing: Option<String>,
    operation_id: Option<String>,
    raw: Option<Vec<Exchange>>,
}

impl Failure {
    /// A failure of the gateway's own: nothing happened at a provider.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            status: code.status(),
            detail: detail.into(),
            errors: Vec::new(),
            effect: Effect::None,
            safe_to_retry: matches!(code.status(), 429 | 503),
            retry_after: None,
            allow: None,
            culprit: None,
            vendor: None,
            existing: None,
            operation_id: None,
            raw: None,
        }))
    }

    /// Wrong fields or parameters.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.to_string(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} fields are wrong", many.len()),
        };
        Self::new(Code::InvalidRequest, detail).with_errors(errors)
    }

    /// One wrong field or parameter.
    pub fn invalid_one(pointer: impl Into<std::borrow::Cow<'static, str>>, detail: &'static str) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// What an adapter or the way out reported, in the words of the API.
    pub fn from_error(error: &Error, operation: Operation, connection: &Connection) -> Self {
        let (code, status) = code_of(error, operation);
        let effect = error.effect;
        let nothing_happened = effect == Effect::None;
        let transient = matches!(code.status(), 429 | 502..=504);
        let mut detail = error.detail.to_string();
        if code == Code::OutcomeUnknown {
            detail.push_str("; the write may have happened");
        }
        if effect == Effect::Done {
            detail.push_str("; the write itself was done");
        }
        let mut failure = Self::new(code, detail);
        let parts = &mut failure.0;
        parts.status = status;
        parts.errors.clone_from(&error.fields);
        parts.effect = effect;
        parts.safe_to_retry = (nothing_happened || connection.manifest.is_idempotent(operation)) && transient;
        parts.retry_after = error.retry_after;
        parts.vendor.clone_from(&error.vendor);
        parts.existing.clone_from(&error.existing);
        parts.culprit = Some(connection.culprit());
        failure
    }

    /// An operation that the merchant's provider lacks.
    pub fn not_supported(manifest: &Manifest, operation: Operation, culprit: Culprit) -> Self {
        let having: Vec<&str> = passerelle_providers::VENDORS
            .iter()
            .filter(|vendor| vendor.manifests.iter().any(|other| other.operation(operation).is_supported()))
            .map(|vendor| vendor.name())
            .collect();
        let mut detail = Error::not_supported(manifest, operation).detail.to_string();
        match having.is_empty() {
            true => detail.push_str("; no provider has it"),
            false => detail.push_str(&format!("; it is there at {}", having.join(", "))),
        }
        let mut failure = Self::new(Code::OperationNotSupported, detail);
        failure.0.allow = Some(super::allowed_methods(manifest, operation));
        failure.0.culprit = Some(culprit);
        failure
    }

    /// Adds wrong fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds the connection it came from.
    #[must_use]
    pub fn with_culprit(mut self, culprit: Culprit) -> Self {
        self.0.culprit = Some(culprit);
        self
    }

    /// The same where something may have happened.
    #[must_use]
    pub fn leaving_doubt(mut self) -> Self {
        self.0.effect = Effect::Unknown;
        self.0.safe_to_retry = false;
        self
    }

    /// Names the record that it is about.
    #[must_use]
    pub fn with_existing(mut self, id: Option<String>) -> Self {
        self.0.existing = id;
        self
    }

    /// Adds the name of the attempt.
    #[must_use]
    pub fn with_operation_id(mut self, id: String) -> Self {
        self.0.operation_id = Some(id);
        self
    }

    /// Adds what was said on the wire.
    #[must_use]
    pub fn with_raw(mut self, raw: Option<Vec<Exchange>>) -> Self {
        self.0.raw = raw;
        self
    }

    /// Takes secrets out of the provider's words.
    #[must_use]
    pub fn redacted<'s>(mut self, secrets: impl Iterator<Item = &'s str>) -> Self {
        if let Some(message) = self.0.vendor.as_mut().and_then(|vendor| vendor.message.as_mut()) {
            for secret in secrets.filter(|secret| !secret.is_empty()) {
                if message.contains(secret) {
                    *message = message.replace(secret, "***");
                }
            }
        }
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether anything happened at the provider.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The detail, which holds neither secrets nor personal data.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The attempt whose outcome is unknown.
    pub fn operation_id(&self) -> Option<&str> {
        self.0.operation_id.as_deref()
    }

    /// The problem as a response.
    pub fn into_problem(self, request_id: &str) -> Response {
        self.problem(request_id).map(Body::from)
    }

    /// The problem, written.
    pub fn problem(self, request_id: &str) -> http::Response<Bytes> {
        let parts = *self.0;
        let vendor = parts.vendor.unwrap_or_default();
        let provider = parts.culprit.as_ref().map(|culprit| ProblemProvider {
            name: culprit.provider,
            connection: &culprit.connection,
            status: vendor.status,
            code: vendor.code.as_deref(),
            message: vendor.message.as_deref(),
            id: parts.existing.as_deref(),
        });
        let problem = Problem {
            kind: format!("/docs/problems#{}", parts.code.name()),
            title: parts.code.title(),
            status: parts.status,
            code: parts.code.name(),
            detail: &parts.detail,
            errors: parts.errors.iter().map(FieldErrorView::from).collect(),
            request_id,
            outcome: parts.effect.as_str(),
            safe_to_retry: parts.safe_to_retry,
            operation_id: parts.operation_id.as_deref(),
            provider,
            raw: parts.raw.as_deref(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(parts.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = parts.allow.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if matches!(parts.status, 429 | 503) || parts.code == Code::IdempotencyInProgress {
            let seconds = parts.retry_after.unwrap_or(if parts.status == 429 { 60 } else { 1 });
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if parts.code == Code::IdempotencyInProgress {
            headers.insert(IDEMPOTENCY_STATUS, HeaderValue::from_static("in_progress"));
            if let Some(id) = parts.operation_id.and_then(|id| HeaderValue::try_from(id).ok()) {
                headers.insert(OPERATION_ID, id);
            }
        }
        if parts.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"passerelle\""));
        }
        response
    }
}

impl IntoResponse for Failure {
    /// An empty response that carries the failure to the outermost layer.
    fn into_response(self) -> Response {
        let mut response =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The code and the status of what an adapter or the way out reported.
fn code_of(error: &Error, operation: Operation) -> (Code, u16) {
    let unknown = error.effect == Effect::Unknown;
    let code = match error.kind {
        Kind::InvalidId => Code::InvalidId,
        Kind::Malformed => Code::MalformedRequest,
        Kind::Invalid => Code::InvalidRequest,
        Kind::CardData => Code::CardDataRefused,
        Kind::NotSupported => Code::OperationNotSupported,
        // A collection that is not there is a wrong address, not a missing customer.
        Kind::NotFound if matches!(operation, Operation::Create | Operation::List) => Code::ProviderBadResponse,
        Kind::NotFound => Code::CustomerNotFound,
        Kind::Rejected => Code::ProviderRejected,
        Kind::SharedRecord => Code::VendorRecordShared,
        Kind::RateLimited => Code::ProviderRateLimited,
        Kind::Unauthorized => Code::ProviderUnauthorized,
        Kind::ProviderFailed | Kind::BadResponse if unknown => return (Code::OutcomeUnknown, 502),
        Kind::Interrupted | Kind::TimedOut if unknown => return (Code::OutcomeUnknown, 504),
        Kind::ProviderFailed | Kind::Interrupted => Code::ProviderError,
        Kind::BadResponse => Code::ProviderBadResponse,
        Kind::Unreachable | Kind::ScanBound => Code::ProviderUnavailable,
        Kind::Overloaded => Code::Overloaded,
        Kind::Throttled => Code::RateLimited,
        Kind::TimedOut => Code::ProviderTimeout,
        Kind::NoRoute => Code::Internal,
    };
    (code, code.status())
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    errors: Vec<FieldErrorView<'a>>,
    request_id: &'a str,
    outcome: &'static str,
    safe_to_retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_id: Option<&'a str>,
    provider: Option<ProblemProvider<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a [Exchange]>,
}

#[derive(Serialize)]
struct ProblemProvider<'a> {
    name: &'static str,
    connection: &'a str,
    status: Option<u16>,
    code: Option<&'a str>,
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}
