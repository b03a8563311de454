//! Errors.

use utoipa::{IntoResponses, ToSchema};

use super::Exchange;

/// An error (RFC 9457). `/docs/problems` tells what each code means.
#[derive(ToSchema)]
pub(in crate::http) struct Problem {
    /// Where the code is explained.
    #[schema(example = "/docs/problems#customer_not_found")]
    r#type: String,
    /// What it is called.
    title: String,
    /// The HTTP status.
    status: u16,
    /// A stable code.
    #[schema(example = "customer_not_found")]
    code: String,
    /// What happened, and what to do.
    detail: String,
    /// The fields that are wrong.
    errors: Vec<ProblemField>,
    /// The request, as the gateway's log names it.
    request_id: String,
    /// Whether anything happened at the provider: `none`, `done` or `unknown`.
    #[schema(example = "none")]
    outcome: String,
    /// Whether the same request can simply be sent again.
    safe_to_retry: bool,
    /// The attempt whose outcome is unknown.
    operation_id: Option<String>,
    /// Who was asked; `null` before a provider is known.
    #[schema(required)]
    provider: Option<ProblemProvider>,
    /// With `include=raw`: what the provider answered.
    raw: Option<Vec<Exchange>>,
}

/// A field that is wrong.
#[derive(ToSchema)]
pub(in crate::http) struct ProblemField {
    /// A JSON Pointer into the body, or the name of a parameter.
    #[schema(example = "/address/city")]
    pointer: String,
    /// What is wrong.
    detail: String,
}

/// Who was asked, and what it said.
#[derive(ToSchema)]
pub(in crate::http) struct ProblemProvider {
    /// The provider.
    name: String,
    /// The connection.
    connection: String,
    /// Its HTTP status.
    #[schema(required)]
    status: Option<u16>,
    /// Its error code.
    #[schema(required)]
    code: Option<String>,
    /// Its message.
    #[schema(required)]
    message: Option<String>,
    /// The record that somebody else holds, for `vendor_record_shared`.
    id: Option<String>,
}

/// The errors that any operation can answer.
#[derive(IntoResponses)]
pub(in crate::http) enum Problems {
    /// The request cannot be read, or the id or the cursor cannot be one of ours.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// No key, or one that no merchant has.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// There is no such customer, or no such path.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The merchant's provider cannot do this; `Allow` tells what it can.
    #[response(status = 405, content_type = "application/problem+json")]
    NotSupported(Problem),
    /// The same write is under way, or its answer is not kept any more; or the provider's record belongs to somebody
    /// else.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The customer was deleted, and the answer that is asked for again went with it.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// A field is wrong, or the provider cannot hold it, or refused it.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Too many requests; `Retry-After` tells when to come back.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// A fault of the gateway.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The provider failed, refused our credentials, or answered what cannot be understood.
    #[response(status = 502, content_type = "application/problem+json")]
    Provider(Problem),
    /// The provider cannot be reached, or we are overloaded.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
    /// No answer in time; for a write, it may have happened.
    #[response(status = 504, content_type = "application/problem+json")]
    Timeout(Problem),
}
