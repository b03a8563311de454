//! What a client of the imitated provider is told: the dialect's answer with what it has no words for in
//! headers, and every failure in the dialect's own shape. The edge logs it, and leaves its body alone.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use passerelle_providers::{
    ImitatesVendor,
    error::{Effect, Error, Kind},
    model::{Operation, Reply},
    plan::Request,
    relay,
};
use uuid::Uuid;

use crate::{
    http::problem::{Code, Failure},
    merchant::Merchant,
};

/// The fields that an answered write lost, where the merchant tolerates that.
const LOSS: HeaderName = HeaderName::from_static("passerelle-loss");
/// What a write that failed may have done: `unknown` or `done`. Absent when nothing happened.
const OUTCOME: HeaderName = HeaderName::from_static("passerelle-outcome");

/// A failure that was told in a dialect: the edge logs it, and writes no problem.
#[derive(Debug, Clone)]
pub struct Imitated(pub Failure);

/// Why a request is not answered with what it asked for.
pub(super) struct Refusal {
    error: Error,
    operation: Option<Operation>,
    /// A failure of our own, which no kind of error tells.
    ours: Option<Failure>,
}

impl Refusal {
    /// What went wrong with an operation.
    pub(super) fn of(error: Error, operation: Operation) -> Self {
        Self { error, operation: Some(operation), ours: None }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, operation: None, ours: None }
    }
}

impl From<Failure> for Refusal {
    /// A body that was not read, or a fault.
    fn from(failure: Failure) -> Self {
        let kind = if failure.code() == Code::Internal { Kind::ProviderFailed } else { Kind::Malformed };
        Self { error: Error::new(kind, failure.detail().to_owned()), operation: None, ours: Some(failure) }
    }
}

/// The dialect's answer to what was carried out.
pub(super) fn told(answer: http::Response<Bytes>, reply: &Reply) -> Response {
    let mut response = answer.map(Body::from);
    let lost = relay::losses(reply);
    if let (false, Ok(lost)) = (lost.is_empty(), HeaderValue::try_from(lost.join(", "))) {
        response.headers_mut().insert(LOSS, lost);
    }
    response
}

/// The dialect's refusal.
pub(super) fn refuse(
    server: &dyn ImitatesVendor,
    asked: &Request,
    merchant: Option<&Merchant>,
    refusal: &Refusal,
    now: Timestamp,
) -> Response {
    let error = match merchant {
        Some(merchant) => for_client(refusal, merchant),
        None => refusal.error.clone(),
    };
    let mut response = server.refuse(asked, &error, now).map(Body::from);
    if let Some(status) = refusal.ours.as_ref().and_then(|ours| StatusCode::from_u16(ours.status()).ok()) {
        *response.status_mut() = status;
    }
    if let Some(seconds) = error.retry_after {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from(seconds));
    }
    if error.effect != Effect::None {
        response.headers_mut().insert(OUTCOME, HeaderValue::from_static(error.effect.as_str()));
    }
    response.extensions_mut().insert(Imitated(failure(refusal, merchant)));
    response
}

/// What a client may read of a failure: what the provider said where we have nothing better, without secrets.
fn for_client(refusal: &Refusal, merchant: &Merchant) -> Error {
    let error = relay::for_client(refusal.error.clone(), refusal.operation);
    let said = error.vendor.as_ref().and_then(|vendor| vendor.message.clone());
    match said.filter(|_| error.kind == Kind::Rejected && error.fields.is_empty()) {
        Some(said) => Error::new(Kind::Rejected, merchant.active.redacted(said)),
        None => error,
    }
}

/// The same failure in our own words, for the log.
fn failure(refusal: &Refusal, merchant: Option<&Merchant>) -> Failure {
    let Refusal { error, operation, ours } = refusal;
    if let Some(ours) = ours {
        return ours.clone();
    }
    let code = match (error.kind, merchant) {
        (Kind::NoRoute, _) => Code::NotFound,
        (_, Some(merchant)) => {
            let operation = operation.unwrap_or(Operation::Retrieve);
            let failure = Failure::from_error(error, operation, merchant.active.culprit());
            return match failure.effect() {
                Effect::Unknown => failure.with_operation_id(format!("op_{}", Uuid::now_v7().simple())),
                Effect::None | Effect::Done => failure,
            };
        }
        (Kind::Unauthorized, None) => Code::Unauthorized,
        (Kind::Overloaded, None) => Code::Overloaded,
        (_, None) => Code::Internal,
    };
    Failure::new(code, error.detail.to_string())
}
