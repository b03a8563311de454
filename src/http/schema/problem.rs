//! Problems: every error of the API.

use utoipa::{IntoResponses, ToSchema};

use super::Exchange;
use crate::{openapi::ProblemOutcome, problem::CodeForClients};

/// An error (RFC 9457). `/docs/problems` explains each code.
#[derive(ToSchema)]
pub(in crate::http) struct Problem {
    /// Where the code is explained.
    #[schema(pattern = "^/docs/problems#[a-z_]+$", example = "/docs/problems#customer_not_found")]
    r#type: String,
    /// The title of the code.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// The code. It is stable, so a program can compare it. New codes may come: a client that does not know a code goes by
    /// `status`, `outcome` and `safe_to_retry`.
    code: CodeForClients,
    /// What happened, and what the client can do.
    detail: String,
    /// The fields and parameters that are wrong.
    errors: Vec<ProblemField>,
    /// The id of the request. The gateway's log has it, too.
    request_id: String,
    /// Whether the provider executed the request: `none`, `done` or `unknown`.
    outcome: ProblemOutcome,
    /// Whether the client can send the same request again.
    safe_to_retry: bool,
    /// The id of the write whose outcome is unknown, for `/v1/operations/{id}`.
    #[schema(pattern = "^op_[0-9a-f]{32}$")]
    operation_id: Option<String>,
    /// With `lookup_ambiguous`: the ids of the customers that match.
    ids: Option<Vec<String>>,
    /// The provider; `null` if the error occurred before one was chosen.
    #[schema(required)]
    provider: Option<ProblemProvider>,
    /// With `include=raw`: the provider's raw answers.
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

/// The provider, and its own error.
#[derive(ToSchema)]
pub(in crate::http) struct ProblemProvider {
    /// The provider.
    name: String,
    /// The connection.
    connection: String,
    /// The provider's HTTP status.
    #[schema(required)]
    status: Option<u16>,
    /// The provider's error code.
    #[schema(required)]
    code: Option<String>,
    /// The provider's message.
    #[schema(required)]
    message: Option<String>,
    /// The id of the record that the problem is about, for example with `vendor_record_shared`.
    id: Option<String>,
}

/// The errors of operations without a key: only what the head of a request can be refused for.
#[derive(IntoResponses)]
pub(in crate::http) enum HeadProblems {
    /// The path and the query are too long.
    #[response(status = 414, content_type = "application/problem+json")]
    UriTooLong(Problem),
    /// The request has an `Expect` header with something else than `100-continue`.
    #[response(status = 417, content_type = "application/problem+json")]
    Expectation(Problem),
    /// The headers are too large.
    #[response(status = 431, content_type = "application/problem+json")]
    HeadersTooLarge(Problem),
}

/// The errors of every operation.
#[derive(IntoResponses)]
pub(in crate::http) enum Problems {
    /// The request cannot be decoded, or the id or the cursor is invalid.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// The request has no API key, or one that belongs to no merchant, has expired, or is not valid yet.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The API key lacks the scope that the operation needs. `detail` names it.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// The customer or the path does not exist.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The merchant's provider does not support this. `Allow` lists the methods that work.
    #[response(status = 405, content_type = "application/problem+json")]
    NotSupported(Problem),
    /// The body did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The same write is in flight, or its answer is not stored any more, or the provider's record belongs to another
    /// customer, or several customers match.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The customer was deleted, and the stored answer to this key was erased with it.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The path and the query are too long.
    #[response(status = 414, content_type = "application/problem+json")]
    UriTooLong(Problem),
    /// The body is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// The request has an `Expect` header with something else than `100-continue`.
    #[response(status = 417, content_type = "application/problem+json")]
    Expectation(Problem),
    /// A field is wrong, or the provider cannot store it, or the provider refused the request.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Too many requests, or too many wrong keys. `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/problem+json", headers(
        ("Retry-After" = u64, description = "After how many seconds the client may try again."),
        ("RateLimit-Policy" = Option<String>, description = "If the merchant has a `rate_limit`, on every answer: its \
            requests (`q`) in so many seconds (`w`), as draft-ietf-httpapi-ratelimit-headers says it."),
        ("RateLimit" = Option<String>, description = "With `RateLimit-Policy`: how many requests may be sent now (`r`). \
            After `t` seconds all of them are available again or, after a refusal, one."),
    ))]
    TooMany(Problem),
    /// The headers are too large.
    #[response(status = 431, content_type = "application/problem+json")]
    HeadersTooLarge(Problem),
    /// The gateway failed.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The provider failed, refused the gateway's credentials, or sent an answer that cannot be decoded.
    #[response(status = 502, content_type = "application/problem+json")]
    Provider(Problem),
    /// The provider cannot be reached, or the gateway is overloaded, or its store is unavailable. `Retry-After` says when to
    /// try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
    /// The provider did not answer in time. A write may have been executed.
    #[response(status = 504, content_type = "application/problem+json")]
    Timeout(Problem),
}
