//! Every error of the API is an RFC 9457 problem of one shape. Handlers return a [`Problem`], and the outermost layer
//! ([`crate::app`]) writes and logs it. Only this module decides the gateway's HTTP status codes.

use std::borrow::Cow;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use passerelle_providers::{
    api::view::FieldErrorView,
    model::{Effect, Error, FieldError, Kind, LossPolicy, Operation, VendorAnswer, manifest::Manifest},
};

mod allow;
mod body;
mod code;
mod limits;

pub use body::ProblemReason;
pub use code::{Code, CodeForClients, CodeForOperators};

use allow::allowed_methods;
use body::{ProblemBody, ProblemBodyProvider};

use crate::{execution::Exchange, merchant::Connection};

/// Whether a write was executed for this request: `created`, `replayed` or `in_progress`.
pub const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
/// The id of the write, for `GET /v1/operations/{id}`.
pub const OPERATION_ID: HeaderName = HeaderName::from_static("x-operation-id");
/// The preference that was applied (RFC 7240).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Most problems fit into so many bytes.
const USUAL_SIZE: usize = 512;

/// The header that names the applied loss policy.
pub const fn preference_applied(policy: LossPolicy) -> (HeaderName, HeaderValue) {
    let policy = match policy {
        LossPolicy::Reject => "loss=reject",
        LossPolicy::Carry => "loss=carry",
        LossPolicy::Drop => "loss=drop",
    };
    (PREFERENCE_APPLIED, HeaderValue::from_static(policy))
}

/// A failure whose answer is already written. The outermost layer logs the failure and does not change the answer.
#[derive(Debug, Clone)]
pub struct AlreadyWritten(pub Problem);

/// The connection whose provider failed or refused.
#[derive(Debug, Clone)]
pub struct FailedConnection {
    /// The provider's name.
    pub provider: &'static str,
    /// The merchant's name for the connection.
    pub connection: String,
}

impl Connection {
    /// This connection, as a problem names it.
    pub fn failed_connection(&self) -> FailedConnection {
        FailedConnection { provider: self.manifest.name, connection: self.name.clone() }
    }
}

/// An error of the API. A handler returns it in the extensions of a response. The outermost layer knows the request's id:
/// it writes the problem and logs it once.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

/// The parts of a [`Problem`].
#[derive(Debug, Clone)]
pub struct Parts {
    code: Code,
    status: u16,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    effect: Effect,
    safe_to_retry: bool,
    retry_after: Option<u64>,
    allow: Option<String>,
    failed_connection: Option<FailedConnection>,
    vendor: Option<VendorAnswer>,
    existing: Option<String>,
    matching: Vec<String>,
    reasons: Vec<ProblemReason>,
    operation_id: Option<String>,
    raw: Option<Vec<Exchange>>,
    on_loss: Option<LossPolicy>,
}

impl Problem {
    /// Makes a problem of the gateway itself: nothing happened at a provider.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            code,
            status: code.status(),
            detail: detail.into(),
            errors: Vec::new(),
            effect: Effect::None,
            safe_to_retry: matches!(code.status(), 429 | 503),
            retry_after: None,
            allow: None,
            failed_connection: None,
            vendor: None,
            existing: None,
            matching: Vec::new(),
            reasons: Vec::new(),
            operation_id: None,
            raw: None,
            on_loss: None,
        }))
    }

    /// Makes the problem of a panic. A request that may write may have been sent before.
    pub fn fault(method: &Method) -> Self {
        let fault = Self::new(Code::Internal, "an unexpected fault; the gateway's log has it under the request's id");
        if method.is_safe() { fault } else { fault.with_unknown_outcome() }
    }

    /// Makes a problem of wrong fields or parameters.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.to_string(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} fields or parameters are wrong; `errors` names them", many.len()),
        };
        Self::new(Code::InvalidRequest, detail).with_errors(errors)
    }

    /// Makes a problem of one wrong field or parameter.
    pub fn invalid_one(pointer: impl Into<Cow<'static, str>>, detail: &'static str) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// Makes a problem of an error from an adapter or from the upstream stack. It shows the provider's texts without the
    /// secrets of the connection.
    pub fn from_error(error: &Error, operation: Operation, connection: &Connection) -> Self {
        let error = &error.clone().map_provider_texts(|text| connection.redacted(text));
        let is_declared_missing = !connection.manifest.operation(operation).is_supported();
        if error.kind == Kind::NotSupported && is_declared_missing {
            return Self::not_supported(connection.manifest, operation, connection.failed_connection());
        }
        let (code, status) = Code::of(error, operation);
        let effect = error.effect;
        let has_no_effect = effect == Effect::None;
        let is_transient = matches!(code.status(), 429 | 502..=504);
        let mut detail = error.detail.to_string();
        if code == Code::FieldsNotSupported {
            detail.push_str("; leave them out, or send `Prefer: loss=drop`");
        }
        if code == Code::ProviderBadResponse && error.kind == Kind::NotFound {
            detail =
                "the provider has no customers at the address that the gateway calls; the operator must check the `base_url` of the \
                      connection".to_owned();
        }
        if code == Code::LookupAmbiguous {
            detail.push_str("; `ids` has their ids");
        }
        if code == Code::OutcomeUnknown {
            detail.push_str("; the provider may have executed the write");
        }
        if effect == Effect::Done {
            detail.push_str("; the provider executed the write");
        }
        let mut failure = Self::new(code, detail);
        let parts = &mut failure.0;
        parts.status = status;
        parts.errors.clone_from(&error.fields);
        parts.effect = effect;
        parts.safe_to_retry = (has_no_effect || connection.manifest.is_idempotent(operation)) && is_transient;
        parts.retry_after = error.retry_after;
        parts.vendor.clone_from(&error.vendor);
        parts.existing.clone_from(&error.existing);
        parts.matching.clone_from(&error.matching);
        parts.failed_connection = Some(connection.failed_connection());
        // The manifest has the operation, and the API of this account lacks it.
        if code == Code::OperationNotSupported {
            parts.allow = Some(allowed_methods(connection.manifest, operation, |other| other != operation));
        }
        failure
    }

    /// Makes the problem of an operation that the merchant's provider does not support.
    pub fn not_supported(manifest: &Manifest, operation: Operation, failed_connection: FailedConnection) -> Self {
        let supporting: Vec<&str> = passerelle_providers::VENDORS
            .iter()
            .filter(|vendor| vendor.manifests.iter().any(|other| other.operation(operation).is_supported()))
            .map(|vendor| vendor.name())
            .collect();
        let mut detail = Error::not_supported(manifest, operation).detail.to_string();
        match supporting.is_empty() {
            true => detail.push_str("; no provider supports it"),
            false => detail.push_str(&format!("; these providers support it: {}", supporting.join(", "))),
        }
        let mut failure = Self::new(Code::OperationNotSupported, detail);
        failure.0.allow = Some(allowed_methods(manifest, operation, |_| true));
        failure.0.failed_connection = Some(failed_connection);
        failure
    }

    /// Adds the wrong fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds the reasons of a refusal.
    #[must_use]
    pub fn with_reasons(mut self, reasons: Vec<ProblemReason>) -> Self {
        self.0.reasons = reasons;
        self
    }

    /// Adds the connection.
    #[must_use]
    pub fn with_connection(mut self, failed_connection: FailedConnection) -> Self {
        self.0.failed_connection = Some(failed_connection);
        self
    }

    /// Sets the outcome to unknown: the provider may have executed the write.
    #[must_use]
    pub fn with_unknown_outcome(mut self) -> Self {
        self.0.effect = Effect::Unknown;
        self.0.safe_to_retry = false;
        self
    }

    /// Adds after how many seconds the client may try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Adds the id of the record that the problem is about.
    #[must_use]
    pub fn with_existing(mut self, id: Option<String>) -> Self {
        self.0.existing = id;
        self
    }

    /// Adds the id of the write.
    #[must_use]
    pub fn with_operation_id(mut self, id: String) -> Self {
        self.0.operation_id = Some(id);
        self
    }

    /// Adds the provider's raw answers.
    #[must_use]
    pub fn with_raw(mut self, raw: Option<Vec<Exchange>>) -> Self {
        self.0.raw = raw;
        self
    }

    /// Adds the loss policy of the request. The answer names it if the policy is the reason of the refusal.
    #[must_use]
    pub fn with_loss_policy(mut self, policy: LossPolicy) -> Self {
        self.0.on_loss = (self.0.code == Code::FieldsNotSupported).then_some(policy);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The ids of the customers that match, where several do.
    pub fn matching(&self) -> &[String] {
        &self.0.matching
    }

    /// The wrong fields: where each one is, and what is wrong.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.errors.iter().map(|error| (&*error.pointer, &*error.detail))
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The HTTP status of an answer with this problem.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether the provider executed the request.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The detail. It contains neither secrets nor personal data.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// After how many seconds the client may try again.
    pub fn retry_after(&self) -> Option<u64> {
        self.0.retry_after
    }

    /// The id of the write whose outcome is unknown.
    pub fn operation_id(&self) -> Option<&str> {
        self.0.operation_id.as_deref()
    }

    /// Writes the problem as a response with an axum body.
    pub fn into_problem(self, request_id: &str) -> Response {
        self.problem(request_id).map(Body::from)
    }

    /// Writes the problem as a response.
    pub fn problem(self, request_id: &str) -> http::Response<Bytes> {
        let headers = self.headers();
        let parts = *self.0;
        let vendor = parts.vendor.unwrap_or_default();
        let provider = parts.failed_connection.as_ref().map(|failed_connection| ProblemBodyProvider {
            name: failed_connection.provider,
            connection: &failed_connection.connection,
            status: vendor.status,
            code: vendor.code.as_deref(),
            message: vendor.message.as_deref(),
            id: parts.existing.as_deref(),
        });
        let problem = ProblemBody {
            kind: parts.code.explanation(),
            title: parts.code.title(),
            status: parts.status,
            code: parts.code.name(),
            detail: &parts.detail,
            errors: parts.errors.iter().map(FieldErrorView::from).collect(),
            request_id,
            outcome: parts.effect.as_str(),
            safe_to_retry: parts.safe_to_retry,
            operation_id: parts.operation_id.as_deref(),
            ids: &parts.matching,
            reasons: &parts.reasons,
            provider,
            raw: parts.raw.as_deref(),
        };
        let mut body = Vec::with_capacity(USUAL_SIZE);
        let _ = serde_json::to_writer(&mut body, &problem);
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(parts.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }

    /// The headers that describe the problem, without the type of its body.
    pub fn headers(&self) -> HeaderMap {
        let parts = &*self.0;
        let mut headers = HeaderMap::new();
        if let Some(allow) = parts.allow.as_ref().and_then(|methods| HeaderValue::try_from(methods).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        headers.extend(parts.on_loss.map(preference_applied));
        let is_asked = parts.status >= 500 && parts.retry_after.is_some();
        if matches!(parts.status, 429 | 503) || parts.code == Code::IdempotencyInProgress || is_asked {
            let seconds = parts.retry_after.unwrap_or(if parts.status == 429 { 60 } else { 1 });
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if parts.code == Code::IdempotencyInProgress {
            headers.insert(IDEMPOTENCY_STATUS, HeaderValue::from_static("in_progress"));
        }
        let names_operation = matches!(parts.code, Code::IdempotencyInProgress | Code::IdempotencyKeyReused);
        let id = parts.operation_id.as_ref().filter(|_| names_operation);
        headers.extend(id.and_then(|id| Some((OPERATION_ID, HeaderValue::try_from(id).ok()?))));
        if parts.code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"passerelle\""));
        }
        headers
    }
}

impl IntoResponse for Problem {
    /// An empty response with the problem in its extensions, for the outermost layer.
    fn into_response(self) -> Response {
        let mut response = self.status_code().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
