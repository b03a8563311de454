//! Writes as the gateway knows them: what became of each, above all of those whose outcome was not known when they
//! were answered.

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
    problem::{Code, Problem},
    state::App,
    store::{Record, State as Progress, StoreError},
};

const USUAL_LIMIT: u16 = 20;

/// A write, and what is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView {
    /// Always `operation`.
    object: &'static str,
    /// The id that the write's answer told as `X-Operation-Id`.
    id: String,
    /// What was done: `create`, `update`, `delete`, `block`, `unblock`.
    operation: String,
    /// `sending`, `done`, `failed` (surely nothing happened) or `unknown`.
    outcome: &'static str,
    /// Whether an unknown outcome is left to a person: nothing more is looked up or sent by itself.
    held: bool,
    /// The connection that it went through.
    connection: String,
    /// The customer, where it is known.
    #[schema(required)]
    customer: Option<String>,
    /// Whether it came with an `Idempotency-Key`.
    idempotent: bool,
    /// The HTTP status that it was answered with.
    #[schema(required)]
    status: Option<u16>,
    /// How often it was sent or looked for.
    attempts: u32,
    /// When it was asked for.
    created_at: String,
    /// When its outcome became known.
    #[schema(required)]
    finished_at: Option<String>,
    /// When an unknown outcome is looked up again.
    #[schema(required)]
    reconcile_after: Option<String>,
}

impl From<&Record> for OperationView {
    fn from(record: &Record) -> Self {
        Self {
            object: "operation",
            id: record.id.to_string(),
            operation: record.operation.clone(),
            outcome: record.state.as_str(),
            held: record.state == Progress::Unknown && record.reconcile_after.is_none(),
            connection: record.connection.clone(),
            customer: record.customer.clone(),
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
    object: &'static str,
    /// The writes.
    data: Vec<OperationView>,
    /// Whether there are more.
    has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl OperationList {
    /// A page out of one record more than it shows.
    pub fn of(mut records: Vec<Record>, limit: usize) -> Self {
        let has_more = records.len() > limit;
        records.truncate(limit);
        let next_cursor = records.last().filter(|_| has_more).map(|record| record.id.to_string());
        Self { object: "list", data: records.iter().map(OperationView::from).collect(), has_more, next_cursor }
    }
}

/// `GET /v1/operations/{id}`
#[utoipa::path(
    get, path = "/v1/operations/{id}", operation_id = "retrieve_operation", tag = "operations", summary = "What became of a write",
    params(("id" = String, Path, description = "The id, as `X-Operation-Id` or `operation_id` told it.")),
    responses((status = 200, description = "The write, as it is known now.", body = OperationView), schema::Problems),
)]
pub async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Ok(Path(id)) = id else { return Err(Problem::new(Code::InvalidId, "the id in the path is not UTF-8 text")) };
    let record = app.store.operations().get(&caller.merchant.name, operation_id(&id)?).await.map_err(unavailable)?;
    match record {
        Some(record) => Ok(json(StatusCode::OK, &OperationView::from(&record), 512)),
        None => Err(Problem::new(Code::NotFound, "there is no such write, or it was never sent")),
    }
}

/// `GET /v1/operations`
#[utoipa::path(
    get, path = "/v1/operations", operation_id = "list_operations", tag = "operations", summary = "List writes",
    params(
        ("outcome" = Option<String>, Query, description = "Only `sending`, `done`, `failed` or `unknown` ones."),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "At most so many, 1 to 100; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, the newest first.", body = OperationList), schema::Problems),
)]
pub async fn all(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    let query = Query::read(caller.query(), &[&["outcome", "limit", "cursor"]])?;
    let outcome = match query.text("outcome")? {
        None => None,
        Some(word) => Some(
            Progress::parse(word)
                .ok_or_else(|| Problem::invalid_one("outcome", "can be `sending`, `done`, `failed` or `unknown`"))?,
        ),
    };
    let limit = usize::from(query.limit()?.unwrap_or(USUAL_LIMIT));
    let after = match query.get("cursor") {
        None => None,
        Some(cursor) => {
            let told = "the cursor is none that this list gave";
            Some(cursor.parse().map_err(|_| Problem::new(Code::InvalidCursor, told))?)
        }
    };
    let records = app.store.operations().list(Some(&caller.merchant.name), outcome, after, limit + 1).await;
    Ok(json(StatusCode::OK, &OperationList::of(records.map_err(unavailable)?, limit), 4096))
}

fn unavailable(error: StoreError) -> Problem {
    tracing::error!("the records of writes cannot be read: {error}");
    Problem::new(Code::StoreUnavailable, "the records of writes cannot be read now")
}
