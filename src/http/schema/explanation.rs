//! Explanations, and raw answers of providers.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::FidelityEntry;
use crate::openapi::{ExplanationObject, OperationName, RequestMethod};

/// The answer of an operation with `explain=true`: the requests that the gateway would send, and what happens to each
/// field.
#[derive(ToSchema)]
pub(in crate::http) struct Explanation {
    /// Always `explanation`.
    #[schema(inline)]
    object: ExplanationObject,
    /// The operation.
    operation: OperationName,
    /// The provider that would be called.
    provider: ExplainedProvider,
    /// The requests, in order.
    requests: Vec<ExplainedRequest>,
    /// What happens to the fields.
    fidelity: Vec<FidelityEntry>,
}

/// The provider that would be called.
#[derive(ToSchema)]
pub(in crate::http) struct ExplainedProvider {
    /// The provider.
    name: String,
    /// The connection.
    connection: String,
}

/// A request that the gateway would send.
#[derive(ToSchema)]
pub(in crate::http) struct ExplainedRequest {
    /// The method.
    #[schema(inline)]
    method: RequestMethod,
    /// The full URL.
    url: String,
    /// The headers. Secrets are masked.
    headers: BTreeMap<String, String>,
    /// The JSON body. A value that comes from the customer's record, which is read first, is shown as
    /// `<from the record>`. A joined text has it in the place of its part, such as `<from the record> Sow`. As a name in
    /// metadata, it stands for all keys of the record that the update does not mention. A member whose value the record
    /// lacks is not sent.
    #[schema(required)]
    body: Option<Value>,
    /// Whether this request depends on the answer to an earlier one.
    depends_on_previous: Option<bool>,
    /// The members of the body that hold `<from the record>`, as JSON Pointers. Missing if there are none.
    #[schema(example = json!(["/name"]))]
    from_record: Option<Vec<String>>,
}

/// A raw answer of the provider.
#[derive(ToSchema)]
pub(in crate::http) struct Exchange {
    /// The HTTP status.
    status: u16,
    /// Selected headers.
    headers: BTreeMap<String, String>,
    /// The body as JSON. A body that is not JSON is a string.
    body: Value,
}
