//! The handlers for operations: the writes that the store has recorded, with their outcomes. A client reads here what
//! happened to a write whose outcome was not known when it was answered.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer::json, query::Query, request::Caller, schema, writes::operation_id};
use crate::{
    execution,
    merchant::{Action, Merchant},
    openapi::{ListObject, OperationObject, OperationOutcome, WriteName},
    problem::{Code, Problem},
    state::App,
    store::{Record, State as Progress, StoreError},
};

const DEFAULT_LIMIT: u16 = 20;

/// A write and its outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView {
    /// Always `operation`.
    #[schema(value_type = OperationObject, inline)]
    object: &'static str,
    /// The id, as the header `X-Operation-Id` of the write's answer has it.
    #[schema(pattern = "^op_[0-9a-f]{32}$")]
    id: String,
    /// The operation: `create`, `update`, `delete`, `block`, `unblock`.
    #[schema(value_type = WriteName, inline)]
    operation: String,
    /// `sending`, `done`, `failed` (the provider did not execute it) or `unknown`.
    #[schema(value_type = OperationOutcome)]
    outcome: &'static str,
    /// Whether an unknown outcome waits for a person: the gateway neither reconciles it nor sends it again.
    held: bool,
    /// The connection that it was sent through.
    connection: String,
    /// The customer's id, if it is known.
    #[schema(required)]
    customer: Option<String>,
    /// Whether it came with an `Idempotency-Key`.
    idempotent: bool,
    /// The HTTP status of its answer.
    #[schema(required)]
    status: Option<u16>,
    /// How often the gateway sent or reconciled it.
    attempts: u32,
    /// When the client sent it.
    #[schema(format = DateTime)]
    created_at: String,
    /// When its outcome became known.
    #[schema(required, format = DateTime)]
    finished_at: Option<String>,
    /// When the gateway reconciles an unknown outcome again.
    #[schema(required, format = DateTime)]
    reconcile_after: Option<String>,
}

impl OperationView {
    /// A record, with its customer's id as the merchant knows it.
    pub fn new(record: &Record, customer: Option<String>) -> Self {
        Self {
            object: "operation",
            id: record.id.to_string(),
            operation: record.operation.clone(),
            outcome: record.state.as_str(),
            held: record.state == Progress::Unknown && record.reconcile_after.is_none(),
            connection: record.connection.clone(),
            customer,
            idempotent: record.keyed,
            status: record.status,
            attempts: record.attempt,
            created_at: record.created_at.to_string(),
            finished_at: record.finished_at.map(|at| at.to_string()),
            reconcile_after: record.reconcile_after.map(|at| at.to_string()),
        }
    }
}

/// A page of writes, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationList {
    /// Always `list`.
    #[schema(value_type = ListObject, inline)]
    object: &'static str,
    /// The writes.
    data: Vec<OperationView>,
    /// Whether there are more.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl OperationList {
    /// A page of writes as the store has them: customers by their ids at the provider.
    pub fn of(records: Vec<Record>, limit: usize) -> Self {
        let (records, next_cursor) = page(records, limit);
        let data = records.iter().map(|record| OperationView::new(record, record.customer.clone())).collect();
        Self::of_page(data, next_cursor)
    }

    const fn of_page(data: Vec<OperationView>, next_cursor: Option<String>) -> Self {
        Self { object: "list", data, has_more: next_cursor.is_some(), next_cursor }
    }
}

/// Makes a page of `limit` records, and the cursor of the next page. The caller reads one record more, which shows whether
/// there is a next page.
fn page(mut records: Vec<Record>, limit: usize) -> (Vec<Record>, Option<String>) {
    let has_more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| has_more).map(|record| record.id.to_string());
    (records, next_cursor)
}

/// Records as their merchant may see them.
async fn views(merchant: &Merchant, records: &[Record]) -> Result<Vec<OperationView>, Problem> {
    let known = records.iter().filter_map(|record| Some((record.connection.clone(), record.customer.clone()?)));
    let ids = execution::public_ids(merchant, known.collect()).await.map_err(|error| {
        tracing::error!("the ids of customers cannot be read: {error}");
        Problem::new(Code::StoreUnavailable, "the ids of customers cannot be read now")
    })?;
    let mut ids = ids.into_iter();
    Ok(records
        .iter()
        .map(|record| OperationView::new(record, record.customer.as_ref().and_then(|_| ids.next())))
        .collect())
}

/// `GET /v1/operations/{id}`
#[utoipa::path(
    get, path = "/v1/operations/{id}", operation_id = "retrieve_operation", tag = "operations", summary = "Retrieve a write and its outcome",
    description = "Says what became of a write. Ask here after a problem with `outcome: unknown`, before you send the write again.",
    params(("id" = String, Path, pattern = "^op_[0-9a-f]{32}$", description = "The id, from the header `X-Operation-Id` of an answer, or from `operation_id` of a problem.")),
    responses((status = 200, description = "The write, with the outcome that is known now.", body = OperationView), schema::Problems),
)]
pub async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let merchant = caller.merchant(Action::OwnWrites)?;
    let Ok(Path(id)) = id else { return Err(Problem::new(Code::InvalidId, "the id in the path is not UTF-8 text")) };
    let record = app.store.operations().get(&merchant.name, operation_id(&id)?).await.map_err(unavailable)?;
    match views(merchant, record.as_slice()).await?.first() {
        Some(view) => Ok(json(StatusCode::OK, view, 512)),
        None => Err(Problem::new(Code::NotFound, "there is no such write, or it was never sent")),
    }
}

/// `GET /v1/operations`
#[utoipa::path(
    get, path = "/v1/operations", operation_id = "list_operations", tag = "operations", summary = "List writes",
    description = "The merchant's writes as the gateway's store has them, the newest first. Writes that were refused before anything was sent are not among them.",
    params(
        ("outcome" = Option<OperationOutcome>, Query, description = "Only writes with this outcome: `sending`, `done`, `failed` or `unknown`."),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "How many writes a page has at most: 1 to 100. The default is 20."),
        ("cursor" = Option<String>, Query, pattern = "^op_[0-9a-f]{32}$", description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, the newest first.", body = OperationList), schema::Problems),
)]
pub async fn all(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    let merchant = caller.merchant(Action::OwnWrites)?;
    let query = Query::read(caller.query(), &[&["outcome", "limit", "cursor"]])?;
    let outcome = match query.text("outcome")? {
        None => None,
        Some(word) => Some(
            Progress::parse(word)
                .ok_or_else(|| Problem::invalid_one("outcome", "must be `sending`, `done`, `failed` or `unknown`"))?,
        ),
    };
    let limit = usize::from(query.limit()?.unwrap_or(DEFAULT_LIMIT));
    let after = match query.get("cursor") {
        None => None,
        Some(cursor) => {
            let message = "the cursor is not one that this list returned";
            Some(cursor.parse().map_err(|_| Problem::new(Code::InvalidCursor, message))?)
        }
    };
    let records = app.store.operations().list(Some(&merchant.name), outcome, after, limit + 1).await;
    let (records, next_cursor) = page(records.map_err(unavailable)?, limit);
    let data = views(merchant, &records).await?;
    Ok(json(StatusCode::OK, &OperationList::of_page(data, next_cursor), 4096))
}

fn unavailable(error: StoreError) -> Problem {
    tracing::error!("the records of writes cannot be read: {error}");
    Problem::new(Code::StoreUnavailable, "the records of writes cannot be read now")
}
