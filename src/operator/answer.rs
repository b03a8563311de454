//! Answers of the operator's API: documents, and problems of what the service refuses.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::{
    http::answer,
    problem::{Code, Problem, ProblemReason},
    store::StoreError,
    switch::service::{Refused, RefusedKind},
};

/// A document.
pub(super) fn document(status: StatusCode, body: &impl Serialize) -> Response {
    answer::json(status, body, 4096)
}

/// A refusal of the service as a problem.
pub(crate) fn problem(refused: Refused) -> Problem {
    let code = match refused.kind {
        RefusedKind::NotFound => Code::NotFound,
        RefusedKind::Changed => Code::SwitchChanged,
        RefusedKind::NotAllowed => Code::SwitchRefused,
        RefusedKind::Invalid => Code::InvalidRequest,
        RefusedKind::KeyReused => Code::IdempotencyKeyReused,
        RefusedKind::StoreUnavailable => Code::StoreUnavailable,
    };
    let reasons = refused.reasons.into_iter().map(|reason| ProblemReason { code: reason.code, detail: reason.detail });
    Problem::new(code, refused.detail).with_reasons(reasons.collect())
}

/// A failure of the store as a problem. The log has its cause.
pub(crate) fn store_unavailable(error: StoreError) -> Problem {
    tracing::error!("the store cannot be used for the operator: {error}");
    Problem::new(Code::StoreUnavailable, "the store cannot be used now")
}
