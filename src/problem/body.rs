//! The JSON document of a problem.

use passerelle_providers::api::view::FieldErrorView;
use serde::Serialize;

use crate::execution::Exchange;

/// One of several reasons of a refusal.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemReason {
    /// The code of the reason.
    pub code: String,
    /// What is wrong, and what to do. It contains neither secrets nor personal data.
    pub detail: String,
}

#[derive(Serialize)]
pub(super) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) detail: &'a str,
    pub(super) errors: Vec<FieldErrorView<'a>>,
    pub(super) request_id: &'a str,
    pub(super) outcome: &'static str,
    pub(super) safe_to_retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) ids: &'a [String],
    #[serde(skip_serializing_if = "<[ProblemReason]>::is_empty")]
    pub(super) reasons: &'a [ProblemReason],
    pub(super) provider: Option<ProblemBodyProvider<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<&'a [Exchange]>,
}

#[derive(Serialize)]
pub(super) struct ProblemBodyProvider<'a> {
    pub(super) name: &'static str,
    pub(super) connection: &'a str,
    pub(super) status: Option<u16>,
    pub(super) code: Option<&'a str>,
    pub(super) message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
}
