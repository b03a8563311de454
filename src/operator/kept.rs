//! The handlers for what the store keeps of all merchants: the writes, and the audit. So the commands `operations` and
//! `audit` need no file of the store.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use data_encoding::HEXLOWER;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    access::{Authorized, page},
    answer::{document, store_unavailable},
    schema::Problems,
};
use crate::{
    http::operations::OperationView,
    openapi::{AuditVerificationObject, ListObject, OperationOutcome},
    problem::{Code, Problem},
    state::App,
    store::{AuditRecord, Record, State as Progress},
};

/// A write of a merchant, and its outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationOfMerchant)]
pub(super) struct OperationOfMerchantView {
    /// The merchant.
    merchant: String,
    #[serde(flatten)]
    operation: OperationView,
}

/// A page of writes, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationOfMerchantList)]
pub struct OperationOfMerchantList {
    /// Always `list`.
    #[schema(value_type = ListObject, inline)]
    object: &'static str,
    /// The writes.
    data: Vec<OperationOfMerchantView>,
    /// Whether there are more.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl OperationOfMerchantList {
    /// A page of `limit` writes. The caller reads one more, which shows whether there is a next page.
    pub fn of(mut records: Vec<Record>, limit: usize) -> Self {
        let has_more = records.len() > limit;
        records.truncate(limit);
        let next_cursor = records.last().filter(|_| has_more).map(|record| record.id.to_string());
        let view = |record: &Record| OperationOfMerchantView {
            merchant: record.merchant.clone(),
            operation: OperationView::new(record, record.customer.clone()),
        };
        Self { object: "list", data: records.iter().map(view).collect(), has_more, next_cursor }
    }
}

/// `GET /v1/operations`
#[utoipa::path(
    get, path = "/v1/operations", operation_id = "list_operations", tag = "records of the gateway", summary = "List the writes of all merchants",
    description = "The writes of all merchants as the store has them, the newest first.",
    params(
        ("merchant" = Option<String>, Query, min_length = 1, pattern = r"^[^\x00]+$", description = "Only writes of this merchant."),
        ("outcome" = Option<OperationOutcome>, Query, description = "Only writes with this outcome: `sending`, `done`, `failed` or `unknown`."),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "How many writes a page has at most. The default is 20."),
        ("cursor" = Option<String>, Query, pattern = "^op_[0-9a-f]{32}$", description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, the newest first. Customers have their ids at the provider.", body = OperationOfMerchantList), Problems),
)]
pub(super) async fn operations(State(app): State<Arc<App>>, caller: Authorized) -> Result<Response, Problem> {
    let query = caller.query(&["merchant", "outcome", "limit", "cursor"])?;
    let outcome = match query.text("outcome")? {
        None => None,
        Some(word) => Some(
            Progress::parse(word)
                .ok_or_else(|| Problem::invalid_one("outcome", "must be `sending`, `done`, `failed` or `unknown`"))?,
        ),
    };
    let (limit, after) = page(&query)?;
    let after = after.map(|cursor| {
        cursor.parse().map_err(|_| Problem::new(Code::InvalidCursor, "the cursor is not one that this list returned"))
    });
    let records = app.store.operations().list(query.text("merchant")?, outcome, after.transpose()?, limit + 1).await;
    Ok(document(StatusCode::OK, &OperationOfMerchantList::of(records.map_err(store_unavailable)?, limit)))
}

/// One record of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct AuditView {
    /// The place of the record. There are no gaps.
    sequence: u64,
    /// When it was written.
    #[schema(format = DateTime)]
    at: String,
    /// What happened.
    event: &'static str,
    /// The merchant.
    merchant: String,
    /// The connection.
    connection: String,
    /// The operation.
    operation: String,
    /// The id of the write.
    operation_id: String,
    /// Which attempt it was.
    attempt: u32,
    /// The hash of the request; empty for a command of the operator.
    request_hash: String,
    /// Of the intent of a write that a client requested with a key that has a name: the name (`key`). Of a command of the
    /// operator, whose operation begins with `switch.`: who gave it (`by`), about which switch, with which
    /// options, from which state and epoch (`from`) to which (`to`), or why it was `refused`. Of `store.accept_restore`, the
    /// newest record that was written (`from`) and that of the restored store (`to`).
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
    /// The hash of this record and the one before.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
}

impl From<&AuditRecord> for AuditView {
    fn from(record: &AuditRecord) -> Self {
        Self {
            sequence: record.sequence,
            at: record.at.to_string(),
            event: record.event.as_str(),
            merchant: record.merchant.clone(),
            connection: record.connection.clone(),
            operation: record.operation.clone(),
            operation_id: record.id.to_string(),
            attempt: record.attempt,
            request_hash: HEXLOWER.encode(&record.request_hash),
            detail: record.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok()),
            hash: HEXLOWER.encode(&record.hash),
        }
    }
}

/// A page of the audit, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditList {
    /// Always `list`.
    #[schema(value_type = ListObject, inline)]
    object: &'static str,
    /// The records.
    data: Vec<AuditView>,
    /// Whether there are more.
    has_more: bool,
    /// The `cursor` of the next page: the sequence number of the last record.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// `GET /v1/audit`
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit", tag = "records of the gateway", summary = "List the audit",
    description = "Every attempt of a write and every command of an operator, in the order in which they were written.",
    params(
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "How many records a page has at most. The default is 20."),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,18}$", description = "Only records after this sequence number."),
    ),
    responses((status = 200, description = "A page, the oldest first.", body = AuditList), Problems),
)]
pub(super) async fn audit(State(app): State<Arc<App>>, caller: Authorized) -> Result<Response, Problem> {
    let query = caller.query(&["limit", "cursor"])?;
    let (limit, after) = page(&query)?;
    let after = after.map(|cursor| {
        cursor.parse().map_err(|_| Problem::new(Code::InvalidCursor, "the cursor is not a sequence number"))
    });
    let mut records =
        app.store.audit().records(after.transpose()?.unwrap_or(0), limit + 1).await.map_err(store_unavailable)?;
    let has_more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| has_more).map(|record| record.sequence.to_string());
    let data = records.iter().map(AuditView::from).collect();
    Ok(document(StatusCode::OK, &AuditList { object: "list", data, has_more, next_cursor }))
}

/// Whether the audit is whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditVerification {
    /// Always `audit_verification`.
    #[schema(value_type = AuditVerificationObject, inline)]
    object: &'static str,
    /// The number of records; `null` if one is wrong.
    #[schema(required)]
    records: Option<u64>,
    /// What is wrong; `null` if no record is missing or changed.
    #[schema(required)]
    broken: Option<String>,
}

/// `GET /v1/audit/verification`
#[utoipa::path(
    get, path = "/v1/audit/verification", operation_id = "verify_audit", tag = "records of the gateway", summary = "Check that no record of the audit is missing or changed",
    description = "Computes the chain of hashes again, from the first record.",
    responses((status = 200, description = "The result.", body = AuditVerification), Problems),
)]
pub(super) async fn verify_audit(State(app): State<Arc<App>>, caller: Authorized) -> Result<Response, Problem> {
    caller.query(&[])?;
    let object = "audit_verification";
    let verification = match app.store.audit().verify().await.map_err(store_unavailable)? {
        Ok(head) => AuditVerification { object, records: Some(head.sequence), broken: None },
        Err(broken) => AuditVerification { object, records: None, broken: Some(broken.to_string()) },
    };
    Ok(document(StatusCode::OK, &verification))
}
