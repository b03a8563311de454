//! What a client of the imitated provider is told: the dialect's answer with what it has no words for in
//! headers, and every failure in the dialect's own shape. The edge logs it, and leaves its body alone.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use passerelle_providers::{
    VendorServer,
    engine::drop_in,
    model::{Effect, Error, Kind, Operation, Reply, Request},
};

use crate::{
    merchant::Merchant,
    problem::{Code, Problem},
    store::OperationId,
};

/// The fields that an answered write lost, where the merchant tolerates that.
const LOSS: HeaderName = HeaderName::from_static("passerelle-loss");
/// What a write that failed may have done: `unknown` or `done`. Absent when nothing happened.
const OUTCOME: HeaderName = HeaderName::from_static("passerelle-outcome");

/// Why a request is not answered with what it asked for.
pub(super) struct Refusal {
    error: Error,
    operation: Option<Operation>,
    /// A failure of our own, which no kind of error tells.
    ours: Option<Problem>,
    /// The write that was begun.
    write: Option<OperationId>,
}

impl Refusal {
    /// What went wrong with an operation.
    pub(super) fn of(error: Error, operation: Operation) -> Self {
        Self { error, operation: Some(operation), ours: None, write: None }
    }

    /// The same of a write that was begun.
    pub(super) fn of_write(self, id: OperationId) -> Self {
        Self { write: Some(id), ..self }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, operation: None, ours: None, write: None }
    }
}

impl From<Problem> for Refusal {
    /// A body that was not read, or a fault.
    fn from(failure: Problem) -> Self {
        let kind = if failure.code() == Code::Internal { Kind::ProviderFailed } else { Kind::Malformed };
        Self { error: Error::new(kind, failure.detail().to_owned()), operation: None, ours: Some(failure), write: None }
    }
}

/// The dialect's answer to what was carried out.
pub(super) fn told(mut response: Response<Bytes>, reply: &Reply, unknown: &[String]) -> Response<Bytes> {
    let lost = drop_in::losses(reply).into_iter().chain(unknown.iter().map(String::as_str)).collect::<Vec<_>>();
    if let (false, Ok(lost)) = (lost.is_empty(), HeaderValue::try_from(lost.join(", "))) {
        response.headers_mut().insert(LOSS, lost);
    }
    response
}

/// The dialect's refusal.
pub(super) fn refuse(
    server: &dyn VendorServer,
    asked: &Request,
    merchant: Option<&Merchant>,
    refusal: &Refusal,
    now: Timestamp,
) -> (Response<Bytes>, Problem) {
    let error = match merchant {
        Some(merchant) => for_client(refusal, merchant),
        None => refusal.error.clone(),
    };
    let mut response = server.refuse(asked, &error, now);
    if let Some(status) = refusal.ours.as_ref().and_then(|ours| StatusCode::from_u16(ours.status()).ok()) {
        *response.status_mut() = status;
    }
    if let Some(seconds) = error.retry_after {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from(seconds));
    }
    if error.effect != Effect::None {
        response.headers_mut().insert(OUTCOME, HeaderValue::from_static(error.effect.as_str()));
    }
    (response, failure(refusal, merchant))
}

/// What a client may read of a failure: what the provider said where we have nothing better, without secrets.
fn for_client(refusal: &Refusal, merchant: &Merchant) -> Error {
    let error = drop_in::for_client(refusal.error.clone(), refusal.operation);
    let said = error.vendor.as_ref().and_then(|vendor| vendor.message.clone());
    match said.filter(|_| error.kind == Kind::Rejected && error.fields.is_empty()) {
        Some(said) => Error::new(Kind::Rejected, merchant.active.redacted(said)),
        None => error,
    }
}

/// The same failure in our own words, for the log.
fn failure(refusal: &Refusal, merchant: Option<&Merchant>) -> Problem {
    let Refusal { error, operation, ours, write } = refusal;
    if let Some(ours) = ours {
        return ours.clone();
    }
    let code = match (error.kind, merchant) {
        (Kind::NoRoute, _) => Code::NotFound,
        (_, Some(merchant)) => {
            let operation = operation.unwrap_or(Operation::Retrieve);
            let failure = Problem::from_error(error, operation, &merchant.active);
            return match write {
                Some(id) if failure.effect() == Effect::Unknown => failure.with_operation_id(id.to_string()),
                Some(_) | None => failure,
            };
        }
        (Kind::Unauthorized, None) => Code::Unauthorized,
        (Kind::Overloaded, None) => Code::Overloaded,
        (_, None) => Code::Internal,
    };
    Problem::new(code, error.detail.to_string())
}
