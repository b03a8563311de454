//! Explanations, and what the provider answered.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::FidelityEntry;

/// With `explain=true`, what any operation answers: what would be sent, and what becomes of each field.
#[derive(ToSchema)]
pub(in crate::http) struct Explanation {
    /// Always `explanation`.
    object: String,
    /// The operation.
    operation: String,
    /// Who would be asked.
    provider: ExplainedProvider,
    /// The requests in order.
    requests: Vec<ExplainedRequest>,
    /// What becomes of the fields.
    fidelity: Vec<FidelityEntry>,
}

/// Who would be asked.
#[derive(ToSchema)]
pub(in crate::http) struct ExplainedProvider {
    /// The provider.
    name: String,
    /// The connection.
    connection: String,
}

/// A request that would be sent.
#[derive(ToSchema)]
pub(in crate::http) struct ExplainedRequest {
    /// The method.
    method: String,
    /// The full URL.
    url: String,
    /// The headers, secrets masked.
    headers: BTreeMap<String, String>,
    /// The JSON body.
    #[schema(required)]
    body: Option<Value>,
    /// Whether an earlier answer decides on it.
    depends_on_previous: Option<bool>,
}

/// What a provider answered.
#[derive(ToSchema)]
pub(in crate::http) struct Exchange {
    /// The HTTP status.
    status: u16,
    /// Selected headers.
    headers: BTreeMap<String, String>,
    /// The body: JSON, or text as a string.
    body: Value,
}
