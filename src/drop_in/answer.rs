//! Answers to clients of an imitated provider. Every answer and every error has the form of the imitated provider's own;
//! what that form cannot express is in headers. The outermost layer logs a failure and does not change its body.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use jiff::Timestamp;
use passerelle_providers::{
    VendorServer,
    engine::drop_in,
    model::{Effect, Error, Kind, Operation, Reply, Request},
};

use crate::{
    admission::TooMany,
    merchant::Merchant,
    problem::{Code, IDEMPOTENCY_STATUS, OPERATION_ID, Problem},
    store::OperationId,
};

/// The fields that the provider does not keep as the client asked: lost ones, if the merchant's `on_loss` is `drop`, and
/// those that its answer shows differently.
const LOSS: HeaderName = HeaderName::from_static("passerelle-loss");
/// Whether the provider executed a write that failed: `unknown` or `done`. Absent if it did not.
const OUTCOME: HeaderName = HeaderName::from_static("passerelle-outcome");

/// How many customers of the merchant live elsewhere than at the connection whose list has the page.
const ELSEWHERE: HeaderName = HeaderName::from_static("passerelle-elsewhere");

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

impl From<TooMany> for Refusal {
    fn from(refused: TooMany) -> Self {
        Problem::from(refused).into()
    }
}

impl From<Problem> for Refusal {
    /// A body or a header that the gateway refuses, an idempotency key that cannot be used, or a fault of the gateway.
    fn from(failure: Problem) -> Self {
        let kind = match failure.status() {
            429 => Kind::RateLimited,
            503 => Kind::Overloaded,
            504 => Kind::TimedOut,
            500.. => Kind::ProviderFailed,
            status => Kind::Refused(status),
        };
        let effect = failure.effect();
        let error =
            Error::new(kind, failure.detail().to_owned()).after(effect == Effect::Unknown, effect == Effect::Done);
        Self {
            error: error.with_retry_after(failure.retry_after().or((kind == Kind::Overloaded).then_some(1))),
            operation: None,
            gateway_problem: Some(failure),
            write: None,
        }
    }
}

/// Adds the header that names lost and altered fields to the dialect's answer: those of the reply, and the `unknown`
/// members of the request's body. A surface from the store has the lost fields of the reply among the unknown ones.
pub(super) fn with_losses(mut response: Response<Bytes>, reply: &Reply, unknown: &[String]) -> Response<Bytes> {
    let mut lost: Vec<&str> = drop_in::losses(reply);
    for member in unknown {
        if !lost.contains(&member.as_str()) {
            lost.push(member);
        }
    }
    if let (false, Ok(lost)) = (lost.is_empty(), HeaderValue::try_from(lost.join(", "))) {
        response.headers_mut().insert(LOSS, lost);
    }
    response
}

/// Adds the header that says how many customers live elsewhere than at the connection whose list has the page.
pub(super) fn with_elsewhere(mut response: Response<Bytes>, elsewhere: Option<u64>) -> Response<Bytes> {
    if let Some(elsewhere) = elsewhere {
        response.headers_mut().insert(ELSEWHERE, HeaderValue::from(elsewhere));
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
    if let Some(problem) = &refusal.gateway_problem {
        let mut headers = problem.headers();
        for name in [OPERATION_ID, IDEMPOTENCY_STATUS, header::RETRY_AFTER] {
            response.headers_mut().extend(headers.remove(&name).map(|value| (name, value)));
        }
    }
    if let Some(seconds) = error.retry_after {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from(seconds));
    }
    if error.effect != Effect::None {
        response.headers_mut().insert(OUTCOME, HeaderValue::from_static(error.effect.as_str()));
    }
    (response, failure(refusal, merchant))
}

/// The error that the client may see, without secrets. A refusal without field errors shows the provider's own message. An
/// operation that the provider's API lacks shows it after the detail.
fn for_client(refusal: &Refusal, merchant: &Merchant) -> Error {
    // The customer may live at another connection than the active one.
    let redacted = |text| merchant.connections.values().fold(text, |text, one| one.redacted(text));
    let error = drop_in::for_client(refusal.error.clone(), refusal.operation).map_provider_texts(redacted);
    let Some(message) = error.vendor.as_ref().and_then(|vendor| vendor.message.clone()) else { return error };
    match error.kind {
        Kind::Rejected if error.fields.is_empty() => Error::new(Kind::Rejected, message),
        Kind::NotSupported => {
            let detail = format!("{}; the provider's message: {message}", error.detail);
            error.with_detail(detail)
        }
        _ => error,
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

#[cfg(test)]
mod tests {
    use passerelle_providers::{Settings, VENDORS};

    use super::*;

    /// The refusals of a problem, in every dialect.
    fn refused(problem: &Problem) -> impl Iterator<Item = (String, Response<Bytes>)> {
        let dialects =
            VENDORS.iter().flat_map(|vendor| vendor.manifests.iter().map(move |manifest| (vendor, manifest)));
        dialects.map(|(vendor, manifest)| {
            let settings = Settings { generation: manifest.generation, region: None, livemode: true };
            let refusal = problem.clone().into();
            let refused =
                refuse(&*(vendor.server)(settings), &Request::default(), None, &refusal, Timestamp::UNIX_EPOCH);
            (format!("{} {}", manifest.name, manifest.generation), refused.0)
        })
    }

    /// Where an error of a dialect has its status.
    fn status_in_body(response: &Response<Bytes>) -> Option<u16> {
        let body: serde_json::Value = serde_json::from_slice(response.body()).ok()?;
        let found = ["/statusCode", "/error/status", "/status", "/code"].into_iter().filter_map(|place| {
            let status = body.pointer(place)?.as_u64()?;
            u16::try_from(status).ok()
        });
        found.into_iter().next()
    }

    #[test]
    fn every_problem_has_one_status_in_every_dialect() {
        for code in Code::ALL {
            let problem = Problem::new(*code, "the reason");
            for (dialect, refused) in refused(&problem) {
                let status = refused.status().as_u16();
                assert_eq!(status_in_body(&refused).unwrap_or(status), status, "{dialect}: {code:?}");
                let is_4xx = (400..500).contains(&code.status());
                assert_eq!(is_4xx, refused.status().is_client_error(), "{dialect}: {code:?}");
                let own = match &*dialect {
                    "bitnob v1" => [400, 401, 404, 429, 500].contains(&status),
                    // Its documents have 427 for too many requests.
                    "modempay v1" if code.status() == 429 => status == 427,
                    _ => is_4xx.then_some(code.status()).is_none_or(|expected| status == expected),
                };
                assert!(own, "{dialect}: {code:?} is {status}");
            }
        }
    }

    #[test]
    fn a_fault_during_a_write_says_in_every_dialect_that_the_outcome_is_unknown() {
        let fault = Problem::new(Code::Internal, "a fault");
        for (dialect, refused) in refused(&fault.clone().with_unknown_outcome()) {
            assert_eq!(refused.status(), 500, "{dialect}");
            assert_eq!(refused.headers()[OUTCOME], "unknown", "{dialect}");
        }
        for (dialect, refused) in refused(&fault) {
            assert!(!refused.headers().contains_key(OUTCOME), "{dialect}: nothing was sent");
        }
    }

    #[test]
    fn a_store_that_cannot_record_writes_is_not_the_fault_of_the_request() {
        for (dialect, refused) in refused(&Problem::new(Code::StoreUnavailable, "the store is gone")) {
            // A client of Bitnob v1 crashes on any other server error.
            assert_eq!(refused.status(), if dialect == "bitnob v1" { 500 } else { 503 }, "{dialect}");
            assert_eq!(refused.headers()[header::RETRY_AFTER], "1", "{dialect}");
            let body = String::from_utf8_lossy(refused.body()).into_owned();
            assert!(!body.contains("400") && !body.contains("Invalid"), "{dialect}: {body}");
        }
    }
}
