//! The writes of all merchants: first those that wait, with what to do about each, then all of them, the newest first.

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Serialize;

use super::{
    Console,
    customers::path_of,
    encoded,
    layout::Section,
    viewer::{Page, Viewer},
};
use crate::{
    operator::answer::store_unavailable,
    problem::{Code, Problem},
    store::{Record, State as Progress},
};

/// How many writes a page has.
const LIMIT: usize = 50;

/// The page of the writes.
#[derive(Debug, Template, Serialize)]
#[template(path = "operations.html")]
struct Operations {
    merchant: Option<String>,
    outcome: Option<&'static str>,
    /// The writes whose outcome is not known, those that wait for a person first. Only on the first page without an `outcome`.
    waiting: Vec<Write>,
    /// Whether more of them wait than are shown.
    more_wait: bool,
    /// All writes, the newest first.
    operations: Vec<Write>,
    next_cursor: Option<String>,
    #[serde(skip)]
    merchants: Vec<String>,
    #[serde(skip)]
    is_first: bool,
}

/// A write.
#[derive(Debug, Serialize)]
pub(super) struct Write {
    pub(super) merchant: String,
    pub(super) id: String,
    pub(super) operation: String,
    /// `sending`, `done`, `failed` or `unknown`.
    pub(super) outcome: &'static str,
    /// Whether an unknown outcome waits for a person.
    pub(super) held: bool,
    pub(super) connection: String,
    /// The customer's id at the provider.
    pub(super) customer: Option<String>,
    pub(super) idempotent: bool,
    pub(super) status: Option<u16>,
    pub(super) attempts: u32,
    pub(super) is_copy: bool,
    pub(super) created_at: String,
    pub(super) finished_at: Option<String>,
    pub(super) reconcile_after: Option<String>,
    /// What it means, and what to do.
    pub(super) advice: &'static str,
}

impl Page for Operations {
    const SECTION: Option<Section> = Some(Section::Operations);

    fn title(&self) -> String {
        "Operations".to_owned()
    }
}

impl Operations {
    fn next(&self) -> Option<String> {
        let mut query = url::form_urlencoded::Serializer::new("/console/operations?".to_owned());
        query.extend_pairs(self.merchant.as_ref().map(|merchant| ("merchant", merchant)));
        query.extend_pairs(self.outcome.map(|outcome| ("outcome", outcome)));
        let cursor = self.next_cursor.as_ref()?;
        Some(query.append_pair("cursor", cursor).finish().replacen("?&", "?", 1))
    }
}

impl Write {
    /// The tone of its outcome.
    pub(super) fn tone(&self) -> &'static str {
        match self.outcome {
            _ if self.held => "bad",
            "done" => "good",
            "unknown" => "warn",
            _ => "",
        }
    }

    pub(super) fn path(&self) -> String {
        format!("/console/operations/{}/{}", encoded(&self.merchant), self.id)
    }

    /// The page of its customer.
    pub(super) fn customer_path(&self) -> Option<String> {
        self.customer.as_ref().map(|id| path_of(&self.merchant, id))
    }
}

impl From<&Record> for Write {
    fn from(record: &Record) -> Self {
        let held = record.state == Progress::Unknown && record.reconcile_after.is_none();
        Self {
            merchant: record.merchant.clone(),
            id: record.id.to_string(),
            operation: record.operation.clone(),
            outcome: record.state.as_str(),
            held,
            connection: record.connection.clone(),
            customer: record.customer.clone(),
            idempotent: record.keyed,
            status: record.status,
            attempts: record.attempt,
            is_copy: record.is_copy,
            created_at: super::time(record.created_at),
            finished_at: record.finished_at.map(super::time),
            reconcile_after: record.reconcile_after.map(super::time),
            advice: advice(record, held),
        }
    }
}

/// What a person does about a write: the meaning of the runbook in `docs/operating.md`.
fn advice(record: &Record, held: bool) -> &'static str {
    match record.state {
        Progress::Sending => {
            "It is being sent. If its process has died, another one takes it over after the lease of the store and reconciles \
             it. Nothing is to be done."
        }
        Progress::Unknown if !held => {
            "The provider may have executed it. The gateway looks for its effect by itself, at the latest every 5 minutes, and \
             sends nothing twice. If it stays like this, bring the connection back: its credentials, the network, the provider."
        }
        Progress::Unknown if record.is_copy => {
            "A switch sent it, and the gateway cannot find out whether it was executed. Look at the provider's dashboard for \
             the time of the write. Then decide about the customer on the page of the switch."
        }
        Progress::Unknown if record.keyed => {
            "The gateway cannot find out whether it was executed. Look at the provider's dashboard for the time of the write. If \
             it was executed, the client repeats the request with the same key, which reconciles it once more. If not, the \
             client sends it with a new key."
        }
        Progress::Unknown => {
            "The gateway cannot find out whether it was executed, and its client gave no key. Look at the provider's dashboard \
             for the time of the write. If it was not executed, the client sends it again, with a key."
        }
        Progress::Done => "The provider executed it.",
        Progress::Failed => "The provider did not execute it. Its client got the reason.",
    }
}

/// `GET /console/operations`
pub(super) async fn page(viewer: Viewer, State(console): State<Console>) -> Result<Response, Problem> {
    let query = viewer.query(&["merchant", "outcome", "cursor"])?;
    let merchant = query.get("merchant").filter(|merchant| !merchant.is_empty()).map(str::to_owned);
    if merchant.as_ref().is_some_and(|merchant| viewer.gateway.merchant_named(merchant).is_none()) {
        return Err(crate::http::in_name::unknown_merchant());
    }
    let outcome = match query.get("outcome").filter(|outcome| !outcome.is_empty()) {
        None => None,
        Some(word) => Some(
            Progress::parse(word)
                .ok_or_else(|| Problem::invalid_one("outcome", "must be `sending`, `done`, `failed` or `unknown`"))?,
        ),
    };
    let after = query.text("cursor")?.map(|cursor| {
        cursor.parse().map_err(|_| Problem::new(Code::InvalidCursor, "the cursor is not one that this list returned"))
    });
    let after = after.transpose()?;
    let log = console.app.store.operations();
    let is_first = after.is_none();
    let (mut waiting, mut more_wait) = (Vec::new(), false);
    if is_first && outcome.is_none() {
        let unknown = log.list(merchant.as_deref(), Some(Progress::Unknown), None, LIMIT + 1).await;
        waiting = unknown.map_err(store_unavailable)?.iter().map(Write::from).collect();
        more_wait = waiting.len() > LIMIT;
        waiting.truncate(LIMIT);
        waiting.sort_by_key(|write| !write.held);
    }
    let mut records = log.list(merchant.as_deref(), outcome, after, LIMIT + 1).await.map_err(store_unavailable)?;
    let has_more = records.len() > LIMIT;
    records.truncate(LIMIT);
    let next_cursor = records.last().filter(|_| has_more).map(|record| record.id.to_string());
    let merchants = viewer.gateway.merchants().map(|merchant| merchant.name.clone()).collect();
    viewer.show(&Operations {
        merchant,
        outcome: outcome.map(Progress::as_str),
        waiting,
        more_wait,
        operations: records.iter().map(Write::from).collect(),
        next_cursor,
        merchants,
        is_first,
    })
}
