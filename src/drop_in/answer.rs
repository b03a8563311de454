//! Answers to clients of an imitated provider. Every answer and every error has the form of the imitated provider's own;
//! what that form cannot express is in headers. The outermost layer logs a failure and does not change its body.

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

/// The fields that a write lost, if the merchant's `on_loss` is `drop`.
const LOSS: HeaderName = HeaderName::from_static("passerelle-loss");
/// Whether the provider executed a write that failed: `unknown` or `done`. Absent if it did not.
const OUTCOME: HeaderName = HeaderName::from_static("passerelle-outcome");

/// Why a request failed.
pub(super) struct Refusal {
    error: Error,
    operation: Option<Operation>,
    /// A failure of the gateway itself, which no kind of [`Error`] describes.
    gateway_problem: Option<Problem>,
    /// The write, if one was begun.
    write: Option<OperationId>,
}

impl Refusal {
    /// The failure of an operation.
    pub(super) fn of(error: Error, operation: Operation) -> Self {
        Self { error, operation: Some(operation), gateway_problem: None, write: None }
    }

    /// Adds the id of the write that was begun.
    pub(super) fn of_write(self, id: OperationId) -> Self {
        Self { write: Some(id), ..self }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, operation: None, gateway_problem: None, write: None }
    }
}

impl From<Problem> for Refusal {
    /// A body that cannot be read, or a fault of the gateway.
    fn from(failure: Problem) -> Self {
        let kind = if failure.code() == Code::Internal { Kind::ProviderFailed } else { Kind::Malformed };
        Self {
            error: Error::new(kind, failure.detail().to_owned()),
            operation: None,
            gateway_problem: Some(failure),
            write: None,
        }
    }
}

/// Adds the header that names lost fields to the dialect's answer: those that the provider lost, and the `unknown` members
/// of the request's body.
pub(super) fn with_losses(mut response: Response<Bytes>, reply: &Reply, unknown: &[String]) -> Response<Bytes> {
    let lost = drop_in::losses(reply).into_iter().chain(unknown.iter().map(String::as_str)).collect::<Vec<_>>();
    if let (false, Ok(lost)) = (lost.is_empty(), HeaderValue::try_from(lost.join(", "))) {
        response.headers_mut().insert(LOSS, lost);
    }
    response
}

/// Writes a failure in the form of the imitated provider, and returns it as a problem for the log.
pub(super) fn refuse(
    server: &dyn VendorServer,
    vendor_request: &Request,
    merchant: Option<&Merchant>,
    refusal: &Refusal,
    now: Timestamp,
) -> (Response<Bytes>, Problem) {
    let error = match merchant {
        Some(merchant) => for_client(refusal, merchant),
        None => refusal.error.clone(),
    };
    let mut response = server.refuse(vendor_request, &error, now);
    if let Some(status) =
        refusal.gateway_problem.as_ref().and_then(|problem| StatusCode::from_u16(problem.status()).ok())
    {
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

/// The error that the client may see. A refusal without field errors shows the provider's own message, without secrets.
fn for_client(refusal: &Refusal, merchant: &Merchant) -> Error {
    let error = drop_in::for_client(refusal.error.clone(), refusal.operation);
    let vendor_message = error.vendor.as_ref().and_then(|vendor| vendor.message.clone());
    match vendor_message.filter(|_| error.kind == Kind::Rejected && error.fields.is_empty()) {
        Some(message) => Error::new(Kind::Rejected, merchant.active.redacted(message)),
        None => error,
    }
}

/// The failure as a problem of the API, for the log.
fn failure(refusal: &Refusal, merchant: Option<&Merchant>) -> Problem {
    let Refusal { error, operation, gateway_problem, write } = refusal;
    if let Some(problem) = gateway_problem {
        return problem.clone();
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
