//! The problems of the operator's API, as OpenAPI describes them.

#![expect(dead_code, reason = "these types only describe; `problem` writes the documents")]

use utoipa::{IntoResponses, ToSchema};

use crate::{openapi::ProblemOutcome, problem::CodeForOperators, switch::view::Reason};

/// An error (RFC 9457). `/docs/problems` explains each code.
#[derive(ToSchema)]
pub(super) struct Problem {
    /// Where the code is explained.
    #[schema(pattern = "^/docs/problems#[a-z_]+$", example = "/docs/problems#switch_changed")]
    r#type: String,
    /// The title of the code.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 409)]
    status: u16,
    /// The code. It is stable, so a program can compare it. New codes may come: a program that does not know a code goes by
    /// `status`, `outcome` and `safe_to_retry`.
    code: CodeForOperators,
    /// What happened, and what the operator can do.
    detail: String,
    /// The fields and parameters that are wrong.
    errors: Vec<ProblemField>,
    /// The id of the request. The gateway's log has it, too.
    request_id: String,
    /// Whether the command was executed: `none`, `done` or `unknown`.
    outcome: ProblemOutcome,
    /// Whether the same request can be sent again.
    safe_to_retry: bool,
    /// With `switch_refused`: each reason.
    reasons: Option<Vec<Reason>>,
    /// Always `null`.
    #[schema(required)]
    provider: Option<String>,
}

/// A field that is wrong.
#[derive(ToSchema)]
pub(super) struct ProblemField {
    /// A JSON Pointer into the body, or the name of a parameter.
    pointer: String,
    /// What is wrong.
    detail: String,
}

/// The errors of every operation.
#[derive(IntoResponses)]
pub(super) enum Problems {
    /// The request cannot be decoded, or the cursor is invalid.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// The request has no key of the operator.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The switch, the merchant or the path does not exist, or the operator's API has no key.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The body did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The switch has changed (`switch_changed`), or does not allow the command now (`switch_refused`).
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// The `Host` header does not name this listener.
    #[response(status = 421, content_type = "application/problem+json")]
    WrongHost(Problem),
    /// A field or a parameter is wrong.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// The address has sent too many wrong keys.
    #[response(status = 429, content_type = "application/problem+json", headers(
        ("Retry-After" = u64, description = "After how many seconds the address may try again."),
    ))]
    TooManyWrongKeys(Problem),
    /// The gateway failed.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// The store cannot be used now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
