//! One write: what became of it, what to do, and its records in the audit.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Console,
    layout::Section,
    operations::Write,
    viewer::{Page, Viewer},
};
use crate::{
    operator::answer::store_unavailable,
    problem::{Code, Problem},
    store::AuditRecord,
};

/// The most records of a write that are shown. A write has a few of them.
const MOST_RECORDS: usize = 200;

/// The page of one write.
#[derive(Debug, Template, Serialize)]
#[template(path = "operation.html")]
struct Operation {
    #[serde(flatten)]
    write: Write,
    audit: Vec<AuditRow>,
}

/// A record of the audit.
#[derive(Debug, Serialize)]
struct AuditRow {
    sequence: u64,
    at: String,
    event: &'static str,
    attempt: u32,
    connection: String,
    /// The name of the client's key, where it has one.
    key: Option<String>,
}

impl AuditRow {
    /// What the event means.
    fn meaning(&self) -> &'static str {
        match self.event {
            "intent" => "It was recorded before it was sent.",
            "taken_over" => "Another attempt took it over, to find out what became of it.",
            "done" => "The provider executed it.",
            "failed" => "The provider did not execute it.",
            "unknown" => "No answer says whether it was executed.",
            "held" => "The gateway cannot find it out: a person decides.",
            "not_sent" => "Nothing was sent, which is certain.",
            _ => "",
        }
    }
}

impl From<AuditRecord> for AuditRow {
    fn from(record: AuditRecord) -> Self {
        let detail = record.detail.as_deref().and_then(|detail| serde_json::from_str::<Value>(detail).ok());
        Self {
            sequence: record.sequence,
            at: super::time(record.at),
            event: record.event.as_str(),
            attempt: record.attempt,
            connection: record.connection,
            key: detail.and_then(|detail| detail["key"].as_str().map(str::to_owned)),
        }
    }
}

impl Page for Operation {
    const SECTION: Option<Section> = Some(Section::Operations);

    fn title(&self) -> String {
        format!("Operation {}", self.write.id)
    }
}

/// `GET /console/operations/{merchant}/{id}`
pub(super) async fn page(
    viewer: Viewer,
    State(console): State<Console>,
    Path((merchant, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    viewer.query(&[])?;
    let absent = || Problem::new(Code::NotFound, "there is no such write of this merchant, or it was never sent");
    let id = id.parse().map_err(|_| absent())?;
    let store = &console.app.store;
    let record = store.operations().get(&merchant, id).await.map_err(store_unavailable)?.ok_or_else(absent)?;
    let records = store.audit().of_operation(id, record.created_at, record.finished_at, MOST_RECORDS).await;
    let audit = records.map_err(store_unavailable)?.into_iter().map(AuditRow::from).collect();
    viewer.show(&Operation { write: Write::from(&record), audit })
}
