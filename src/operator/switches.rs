//! The handlers for switches: plan, run, steer, decide, verify, cut over, roll back, and end.

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Operator,
    access::{Authorized, Named, page},
    answer::{document, problem},
    listed,
    requests::{AbandonBody, ActiveBody, ConditionsBody, DecisionsBody, PlanBody, RateBody, RunBody, VerifyBody},
    schema::Problems,
};
use crate::{
    openapi::ActiveObject,
    problem::{Code, Problem},
    switch::{
        service::{Decided, PlanOptions, Refused, RunOptions, Tried, VerifyOptions},
        view::{ListObject, Steps, SwitchList, SwitchView},
    },
    writes::over_http::idempotency,
};

/// How many customers the report of a plan shows before and after, if the request does not say it.
const SAMPLE: u32 = 20;

/// The most decisions of one request.
const MOST_DECISIONS: usize = 5000;

type Answer = Result<Response, Problem>;

fn switch(status: StatusCode, switch: Result<SwitchView, Refused>) -> Answer {
    switch.map(|switch| document(status, &switch)).map_err(problem)
}

/// `POST /v1/switches`
#[utoipa::path(
    post, path = "/v1/switches", operation_id = "plan_switch", tag = "switches", summary = "Plan a switch",
    description = "Reads both connections in the background, compares their customers, and forecasts what becomes of each field. Nothing is written to a provider. With `Content-Type: application/x-ndjson`, the body is a list of customers, one JSON object a line with at least `id`; the other options are then parameters.",
    params(
        ("merchant" = Option<String>, Query, description = "With a list of customers: the merchant."),
        ("to" = Option<String>, Query, description = "With a list of customers: the connection that becomes active."),
        ("sample" = Option<u32>, Query, maximum = 1000, description = "With a list of customers: how many customers the report shows before and after."),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$", description = "1 to 255 visible ASCII characters. A request with the same key gets the switch that the first one has made."),
    ),
    request_body(content((PlanBody = "application/json"), (String = "application/x-ndjson")), description = "What to plan."),
    responses((status = 201, description = "The switch, which is being planned.", body = SwitchView), Problems),
)]
pub(super) async fn plan(State(operator): State<Operator>, caller: Authorized, body: Body) -> Answer {
    let idempotency_key = idempotency(caller.headers())?.key;
    let (plan, listed) = if caller.has_body_of("application/x-ndjson") {
        let query = caller.query(&["merchant", "to", "sample"])?;
        let named = |name: &'static str| match query.text(name)? {
            Some(value) => Ok(value.to_owned()),
            None => Err(Problem::invalid_one(name, "is needed with a list of customers")),
        };
        let sample = query
            .text("sample")?
            .map(|text| text.parse().map_err(|_| Problem::invalid_one("sample", "must be a number from 0 to 1000")));
        let plan = PlanBody { merchant: named("merchant")?, to: named("to")?, sample: sample.transpose()? };
        (plan, Some(listed::customers(body, caller.limits().timeout)))
    } else {
        caller.query(&[])?;
        (caller.body::<PlanBody>(body).await?, None)
    };
    let sample = plan.sample.unwrap_or(SAMPLE);
    if sample > 1000 {
        return Err(Problem::invalid_one("sample", "must be a number from 0 to 1000"));
    }
    let options = PlanOptions { to: plan.to, sample, idempotency_key };
    switch(StatusCode::CREATED, caller.acting(operator.switches.plan(&plan.merchant, options, listed)).await)
}

/// `GET /v1/switches`
#[utoipa::path(
    get, path = "/v1/switches", operation_id = "list_switches", tag = "switches", summary = "List switches",
    description = "The switches of all merchants or of one, also those that have ended.",
    params(
        ("merchant" = Option<String>, Query, min_length = 1, pattern = r"^[^\x00]+$", description = "Only switches of this merchant."),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "How many switches a page has at most. The default is 20."),
        ("cursor" = inline(Option<crate::openapi::SwitchId>), Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, the newest first.", body = SwitchList), Problems),
)]
pub(super) async fn all(State(operator): State<Operator>, caller: Authorized) -> Answer {
    let query = caller.query(&["merchant", "limit", "cursor"])?;
    let (limit, after) = page(&query)?;
    if after.is_some_and(|cursor| !is_switch_id(cursor)) {
        return Err(Problem::new(Code::InvalidCursor, "the cursor is not one that this list returned"));
    }
    let mut data = operator.switches.list(query.text("merchant")?, after, limit + 1).await.map_err(problem)?;
    let has_more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = data.last().filter(|_| has_more).map(|last| last.id.clone());
    Ok(document(StatusCode::OK, &SwitchList { object: ListObject::List, data, has_more, next_cursor }))
}

/// Whether a text has the form of a switch's id.
fn is_switch_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sw_").is_some_and(|digits| digits.len() == 32 && digits.bytes().all(is_digit))
}

/// `GET /v1/switches/{id}`
#[utoipa::path(
    get, path = "/v1/switches/{id}", operation_id = "retrieve_switch", tag = "switches", summary = "Retrieve a switch",
    description = "How far a switch is, what it waits for, and the next command.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")),
    responses((status = 200, description = "The switch as it is now.", body = SwitchView), Problems),
)]
pub(super) async fn one(State(operator): State<Operator>, caller: Authorized, Named(id): Named) -> Answer {
    caller.query(&[])?;
    switch(StatusCode::OK, operator.switches.get(&id).await)
}

/// `GET /v1/merchants/{merchant}/switch`
#[utoipa::path(
    get, path = "/v1/merchants/{merchant}/switch", operation_id = "retrieve_switch_of_merchant", tag = "switches", summary = "Retrieve the newest switch of a merchant",
    description = "The same document as `retrieve_switch`, for who knows only the merchant.",
    params(("merchant" = String, Path, description = "The merchant.")),
    responses((status = 200, description = "The newest switch, open or not.", body = SwitchView), Problems),
)]
pub(super) async fn of_merchant(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(merchant): Named,
) -> Answer {
    caller.query(&[])?;
    let mut found = operator.switches.list(Some(&merchant), None, 1).await.map_err(problem)?;
    if let Some(found) = found.pop() {
        return Ok(document(StatusCode::OK, &found));
    }
    let next = format!("begin one with `passerelle switch plan {merchant} --to CONNECTION`");
    Err(Problem::new(Code::NotFound, format!("merchant `{merchant}` has no switch; {next}")))
}

/// `POST /v1/switches/{id}/run`
#[utoipa::path(
    post, path = "/v1/switches/{id}/run", operation_id = "run_switch", tag = "switches", summary = "Copy customers",
    description = "Copies in the background, or goes on after `stop`. From now on changes reach both sides until the switch is complete.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = RunBody,
    responses((status = 200, description = "The switch; with `dry_run` the steps.", body = inline(SwitchOrSteps)), Problems),
)]
pub(super) async fn run(State(operator): State<Operator>, caller: Authorized, Named(id): Named, body: Body) -> Answer {
    caller.query(&[])?;
    let RunBody { decided, first, only, except, dry_run } = caller.body(body).await?;
    if first == Some(0) {
        return Err(Problem::invalid_one("/first", "must be at least 1"));
    }
    let options = RunOptions { first, only, except };
    if dry_run {
        return steps(&operator, &id, Tried::Run(options), decided).await;
    }
    switch(StatusCode::OK, caller.acting(operator.switches.run(&id, options, decided)).await)
}

async fn steps(operator: &Operator, id: &str, command: Tried, decided: Decided) -> Answer {
    let steps = operator.switches.steps(id, command, decided).await.map_err(problem)?;
    Ok(document(StatusCode::OK, &steps))
}

/// A switch, or with `dry_run` the steps of the command.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes")]
enum SwitchOrSteps {
    Switch(Box<SwitchView>),
    Steps(Steps),
}

/// `POST /v1/switches/{id}/stop`
#[utoipa::path(
    post, path = "/v1/switches/{id}/stop", operation_id = "stop_switch", tag = "switches", summary = "Stop sending",
    description = "Ends sending within a second of what is in flight. `run` goes on.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")),
    responses((status = 200, description = "The switch.", body = SwitchView), Problems),
)]
pub(super) async fn stop(State(operator): State<Operator>, caller: Authorized, Named(id): Named) -> Answer {
    caller.query(&[])?;
    switch(StatusCode::OK, caller.acting(operator.switches.stop(&id)).await)
}

/// `POST /v1/switches/{id}/rate`
#[utoipa::path(
    post, path = "/v1/switches/{id}/rate", operation_id = "set_rate_of_switch", tag = "switches", summary = "Set the limit of a switch",
    description = "The limit counts customers: each page, each copied customer and each verified customer is one. The `rate_limit` of a connection holds as well.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = RateBody,
    responses((status = 200, description = "The switch.", body = SwitchView), Problems),
)]
pub(super) async fn rate(State(operator): State<Operator>, caller: Authorized, Named(id): Named, body: Body) -> Answer {
    caller.query(&[])?;
    let RateBody { limit } = caller.body(body).await?;
    switch(StatusCode::OK, caller.acting(operator.switches.set_rate(&id, limit)).await)
}

/// `POST /v1/switches/{id}/decisions`
#[utoipa::path(
    post, path = "/v1/switches/{id}/decisions", operation_id = "decide_records", tag = "switches", summary = "Decide about records",
    description = "Says for records that need a decision whether they are created at the other side, linked with a record there, or left. All decisions of a request are taken, or none.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = DecisionsBody,
    responses((status = 200, description = "The switch.", body = SwitchView), Problems),
)]
pub(super) async fn decisions(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let DecisionsBody { decided, decisions } = caller.body(body).await?;
    if decisions.is_empty() || decisions.len() > MOST_DECISIONS {
        return Err(Problem::invalid_one("/decisions", "must have 1 to 5000 decisions; send more in several requests"));
    }
    switch(StatusCode::OK, caller.acting(operator.switches.decide(&id, decisions, decided)).await)
}

/// `POST /v1/switches/{id}/verify`
#[utoipa::path(
    post, path = "/v1/switches/{id}/verify", operation_id = "verify_switch", tag = "switches", summary = "Compare both sides",
    description = "Begins a verification in the background, or goes on with the one that has not ended.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = VerifyBody,
    responses((status = 200, description = "The switch. `verified.complete` says when the verification has ended.", body = SwitchView), Problems),
)]
pub(super) async fn verify(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let VerifyBody { decided, sample, ids_only, repair } = caller.body(body).await?;
    switch(
        StatusCode::OK,
        caller.acting(operator.switches.verify(&id, VerifyOptions { sample, ids_only, repair }, decided)).await,
    )
}

/// `POST /v1/switches/{id}/cutover`
#[utoipa::path(
    post, path = "/v1/switches/{id}/cutover", operation_id = "cut_over", tag = "switches", summary = "Make the target active",
    description = "New customers are created at the target from now on, those that were copied move there, and changes are copied back to the source. With `dry_run`, the answer has the steps, and nothing changes.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = ConditionsBody,
    responses((status = 200, description = "The switch; with `dry_run` the steps.", body = inline(SwitchOrSteps)), Problems),
)]
pub(super) async fn cutover(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let ConditionsBody { decided, accept, dry_run } = caller.body(body).await?;
    match dry_run {
        true => steps(&operator, &id, Tried::Cutover(accept), decided).await,
        false => switch(StatusCode::OK, caller.acting(operator.switches.cutover(&id, accept, decided)).await),
    }
}

/// `POST /v1/switches/{id}/rollback`
#[utoipa::path(
    post, path = "/v1/switches/{id}/rollback", operation_id = "roll_back", tag = "switches", summary = "Make the source active again",
    description = "Makes the source active again after a cutover. With `dry_run`, the answer has the steps, and nothing changes.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = ConditionsBody,
    responses((status = 200, description = "The switch; with `dry_run` the steps.", body = inline(SwitchOrSteps)), Problems),
)]
pub(super) async fn rollback(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let ConditionsBody { decided, accept, dry_run } = caller.body(body).await?;
    match dry_run {
        true => steps(&operator, &id, Tried::Rollback(accept), decided).await,
        false => switch(StatusCode::OK, caller.acting(operator.switches.rollback(&id, accept, decided)).await),
    }
}

/// `POST /v1/switches/{id}/complete`
#[utoipa::path(
    post, path = "/v1/switches/{id}/complete", operation_id = "complete_switch", tag = "switches", summary = "End a switch for ever",
    description = "Ends copying back. This cannot be undone. The ids that the merchant knows stay valid.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = ConditionsBody,
    responses((status = 200, description = "The switch; with `dry_run` the steps.", body = inline(SwitchOrSteps)), Problems),
)]
pub(super) async fn complete(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let ConditionsBody { decided, accept, dry_run } = caller.body(body).await?;
    match dry_run {
        true => steps(&operator, &id, Tried::Complete(accept), decided).await,
        false => switch(StatusCode::OK, caller.acting(operator.switches.complete(&id, accept, decided)).await),
    }
}

/// `POST /v1/switches/{id}/abandon`
#[utoipa::path(
    post, path = "/v1/switches/{id}/abandon", operation_id = "abandon_switch", tag = "switches", summary = "End a switch before its cutover",
    description = "Ends a switch whose target never became active. With `undo`, what the switch created at the target is deleted. With `dry_run`, the answer has the steps, and nothing changes.",
    params(("id" = inline(crate::openapi::SwitchId), Path, description = "The id.")), request_body = AbandonBody,
    responses((status = 200, description = "The switch; with `dry_run` the steps.", body = inline(SwitchOrSteps)), Problems),
)]
pub(super) async fn abandon(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(id): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let AbandonBody { decided, accept: accepted, undo, dry_run } = caller.body(body).await?;
    match dry_run {
        true => steps(&operator, &id, Tried::Abandon { accepted, undo }, decided).await,
        false => switch(StatusCode::OK, caller.acting(operator.switches.abandon(&id, accepted, undo, decided)).await),
    }
}

/// The active connection of a merchant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ActiveView {
    /// Always `active_connection`.
    #[schema(value_type = ActiveObject, inline)]
    object: &'static str,
    /// The merchant.
    merchant: String,
    /// The connection.
    connection: String,
    /// The new epoch.
    epoch: u64,
}

/// `PUT /v1/merchants/{merchant}/active`
#[utoipa::path(
    put, path = "/v1/merchants/{merchant}/active", operation_id = "set_active", tag = "switches", summary = "Say which connection is active, after a restored backup",
    description = "Only for a merchant whose reads and writes are stopped, because the store has a lower epoch than was seen. To switch providers, use `cutover`.",
    params(("merchant" = String, Path, description = "The merchant.")), request_body = ActiveBody,
    responses((status = 200, description = "The connection is active.", body = ActiveView), Problems),
)]
pub(super) async fn active(
    State(operator): State<Operator>,
    caller: Authorized,
    Named(merchant): Named,
    body: Body,
) -> Answer {
    caller.query(&[])?;
    let ActiveBody { connection } = caller.body(body).await?;
    let epoch = caller.acting(operator.switches.set_active(&merchant, &connection)).await.map_err(problem)?;
    Ok(document(StatusCode::OK, &ActiveView { object: "active_connection", merchant, connection, epoch }))
}
