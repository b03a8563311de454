//! The handlers for the records of a switch: pages of JSON, CSV files that are written while they are sent, and the
//! report.

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};

use super::{
    Operator,
    access::{Authorized, Named, page},
    answer::{document, problem},
    schema::Problems,
};
use crate::{
    problem::Problem,
    report::{self, Examples, Samples},
    switch::{
        files::{self, MapFormat, Rows},
        service::{Page, Refused},
        view::{ListObject, MapEntry, Outcome, SwitchRecord, SwitchRecordList, SwitchView},
    },
};

/// How many rows of a file are read from the store at a time.
const CHUNK: usize = 500;

/// How many records that need a person the report counts by their codes.
const EXAMPLES: usize = 2000;

/// `GET /v1/switches/{id}/records`
#[utoipa::path(
    get, path = "/v1/switches/{id}/records", operation_id = "list_records", tag = "files", summary = "List the records of a switch",
    description = "What became of each customer, in pages.",
    params(
        ("id" = inline(crate::openapi::SwitchId), Path, description = "The id of the switch."),
        ("outcome" = Option<Outcome>, Query, description = "Only records with this outcome."),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "How many records a page has at most. The default is 20."),
        ("cursor" = Option<String>, Query, min_length = 1, pattern = r"^[^\x00]+$", description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = SwitchRecordList), Problems),
)]
pub(super) async fn records(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
) -> Result<Response, Problem> {
    let query = caller.query(&["outcome", "limit", "cursor"])?;
    let outcome = match query.text("outcome")? {
        None => None,
        Some(word) => Some(Outcome::parse(word).ok_or_else(|| {
            Problem::invalid_one(
                "outcome",
                "must be pending, created, linked, already_linked, refused, needs_decision, in_doubt, left, deleted or gone",
            )
        })?),
    };
    let (limit, after) = page(&query)?;
    let Page { entries, next } = operator.switches.records(&id, outcome, after, limit).await.map_err(problem)?;
    let list =
        SwitchRecordList { object: ListObject::List, data: entries, has_more: next.is_some(), next_cursor: next };
    Ok(document(StatusCode::OK, &list))
}

/// `GET /v1/switches/{id}/map.csv`
#[utoipa::path(
    get, path = "/v1/switches/{id}/map.csv", operation_id = "download_map", tag = "files", summary = "The ids of every customer, both ways",
    description = "The ids of every customer at both sides and the id that the merchant knows, for other systems that have stored ids.",
    params(
        ("id" = inline(crate::openapi::SwitchId), Path, description = "The id of the switch."),
        ("format" = inline(Option<crate::openapi::MapFormat>), Query, description = "`stripe`: the two columns `old_customer_id` and `stripe_customer_id`, only of customers at both sides."),
    ),
    responses((status = 200, description = "CSV with the columns public_id, source_id, target_id, home. An answer that ends early is not complete.", body = String, content_type = "text/csv"), Problems),
)]
pub(super) async fn map(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
) -> Result<Response, Problem> {
    let query = caller.query(&["format"])?;
    let format = match query.text("format")? {
        None => MapFormat::Passerelle,
        Some("stripe") => MapFormat::Stripe,
        Some(_) => return Err(Problem::invalid_one("format", "must be `stripe`")),
    };
    let switch = operator.switches.get(&id).await.map_err(problem)?;
    let walk = Walk::Map { format };
    Ok(csv(operator, &switch, "map.csv", Rows::default().map_header(format), walk))
}

/// `GET /v1/switches/{id}/results.csv`
#[utoipa::path(
    get, path = "/v1/switches/{id}/results.csv", operation_id = "download_results", tag = "files", summary = "What became of every record",
    description = "The outcome of every record, with its reason.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id of the switch.")),
    responses((status = 200, description = "CSV with one row a record. An answer that ends early is not complete.", body = String, content_type = "text/csv"), Problems),
)]
pub(super) async fn results(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
) -> Result<Response, Problem> {
    caller.query(&[])?;
    let switch = operator.switches.get(&id).await.map_err(problem)?;
    Ok(csv(operator, &switch, "results.csv", Rows::default().results_header(), Walk::Results))
}

/// `GET /v1/switches/{id}/errors.csv`
#[utoipa::path(
    get, path = "/v1/switches/{id}/errors.csv", operation_id = "download_errors", tag = "files", summary = "The records that need a person",
    description = "The records that were refused, need a decision or are in doubt.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id of the switch.")),
    responses((status = 200, description = "CSV with the columns of decisions.csv. An answer that ends early is not complete.", body = String, content_type = "text/csv"), Problems),
)]
pub(super) async fn errors(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
) -> Result<Response, Problem> {
    caller.query(&[])?;
    let switch = operator.switches.get(&id).await.map_err(problem)?;
    let walk = Walk::Undecided { outcomes: files::ERRORS };
    Ok(csv(operator, &switch, "errors.csv", Rows::default().decisions_header(), walk))
}

/// `GET /v1/switches/{id}/decisions.csv`
#[utoipa::path(
    get, path = "/v1/switches/{id}/decisions.csv", operation_id = "download_decisions", tag = "files", summary = "The records that need a decision",
    description = "The file for a person to fill in.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id of the switch.")),
    responses((status = 200, description = "CSV. Write `create`, `link` or `leave` into `decision`, with `link` an id into `link_id`, and feed it back with `passerelle switch decide`. An answer that ends early is not complete.", body = String, content_type = "text/csv"), Problems),
)]
pub(super) async fn undecided(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
) -> Result<Response, Problem> {
    caller.query(&[])?;
    let switch = operator.switches.get(&id).await.map_err(problem)?;
    let walk = Walk::Undecided { outcomes: files::UNDECIDED };
    Ok(csv(operator, &switch, "decisions.csv", Rows::default().decisions_header(), walk))
}

/// Which rows a file has.
#[derive(Debug, Clone, Copy)]
enum Walk {
    Map { format: MapFormat },
    Results,
    Undecided { outcomes: &'static [Outcome] },
}

/// Where the next rows of a file begin.
#[derive(Debug)]
struct Position {
    /// The place in the list of outcomes.
    part: usize,
    after: Option<String>,
}

impl Walk {
    /// The next rows, and the position after them if there are more.
    async fn rows(self, operator: &Operator, id: &str, at: Position) -> Result<(Rows, Option<Position>), Refused> {
        let mut rows = Rows::default();
        let after = at.after.as_deref();
        let (next, parts) = match self {
            Self::Map { format } => {
                let Page::<MapEntry> { entries, next } = operator.switches.map(id, after, CHUNK).await?;
                for entry in &entries {
                    rows.map(entry, format);
                }
                (next, 1)
            }
            Self::Results => {
                let Page::<SwitchRecord> { entries, next } = operator.switches.records(id, None, after, CHUNK).await?;
                for record in &entries {
                    rows.result(record);
                }
                (next, 1)
            }
            Self::Undecided { outcomes } => {
                let outcome = outcomes.get(at.part).copied();
                let Page { entries, next } = operator.switches.records(id, outcome, after, CHUNK).await?;
                for record in &entries {
                    rows.undecided(record);
                }
                (next, outcomes.len())
            }
        };
        let next = match next {
            Some(after) => Some(Position { part: at.part, after: Some(after) }),
            None => (at.part + 1 < parts).then_some(Position { part: at.part + 1, after: None }),
        };
        Ok((rows, next))
    }
}

/// A file that is written while it is sent: the memory does not grow with the number of records. If the store fails, the
/// answer is broken off, so that a client notices it.
fn csv(operator: Operator, switch: &SwitchView, file: &str, header_row: Rows, walk: Walk) -> Response {
    let name = files::name(switch, file);
    let begin = Some(Position { part: 0, after: None });
    let pages = stream::unfold((operator, switch.id.clone(), begin), move |(operator, id, at)| async move {
        match walk.rows(&operator, &id, at?).await {
            Ok((rows, next)) => Some((Ok(Bytes::from(rows.into_bytes())), (operator, id, next))),
            Err(refused) => {
                tracing::warn!("a file of switch {id} was broken off: {refused}");
                Some((Err(refused), (operator, id, None)))
            }
        }
    });
    let first: Result<Bytes, Refused> = Ok(Bytes::from(header_row.into_bytes()));
    let body = Body::from_stream(futures_util::StreamExt::chain(stream::iter([first]), pages));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

// The page has no script and requests nothing, and may not begin to.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /v1/switches/{id}/report.html`
#[utoipa::path(
    get, path = "/v1/switches/{id}/report.html", operation_id = "download_report", tag = "files", summary = "The report of a switch",
    description = "A page to print or to send: counts, the forecast of each field, samples and the verification.",
    params(
        ("id" = inline(crate::openapi::SwitchId), Path, description = "The id of the switch."),
        ("show_values" = Option<bool>, Query, description = "Whether the samples of a plan are shown with the values of the customers. Without it they are masked."),
    ),
    responses((status = 200, description = "One page with counts, forecast, samples and verification. It has no script, and requests nothing.", body = String, content_type = "text/html"), Problems),
)]
pub(super) async fn report(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
) -> Result<Response, Problem> {
    let query = caller.query(&["show_values"])?;
    let shows_values = match query.text("show_values")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid_one("show_values", "must be true or false")),
    };
    let switch = operator.switches.get(&id).await.map_err(problem)?;
    let samples = Samples { list: operator.switches.samples(&id).await.map_err(problem)?, shows_values };
    let mut examples = Examples::default();
    for outcome in files::ERRORS {
        let mut after = None;
        loop {
            let found =
                operator.switches.records(&id, Some(*outcome), after.as_deref(), CHUNK).await.map_err(problem)?;
            for record in &found.entries {
                examples.add(record);
            }
            after = found.next;
            if after.is_none() {
                break;
            }
            if examples.counted() >= EXAMPLES {
                examples.has_more = true;
                break;
            }
        }
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let page = report::page(&switch, &examples, &samples, &now);
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
