//! The health checks: `/livez` says whether the process runs, `/readyz` whether it accepts requests. Neither depends on
//! a provider, because an outage of a provider must not restart the gateway. While its store cannot record writes (a full
//! disk, a damaged or missing file, a database that does not answer), the gateway still executes reads, so `/readyz`
//! reports the store but stays 200. The log says what is wrong with the store.

use std::sync::{Arc, atomic::Ordering};

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use super::{answer, schema};
use crate::state::App;

/// `GET /livez`
#[utoipa::path(get, path = "/livez", operation_id = "live", tag = "health", summary = "Whether the process runs", description = "It does not depend on the store or a provider, so that their failures do not restart the gateway.", security(()), responses((status = 200, description = "It runs.", body = schema::Health), schema::HeadProblems))]
pub async fn live() -> Response {
    answer::json(StatusCode::OK, &json!({ "status": "ok" }), 32)
}

/// `GET /readyz`
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "health", summary = "Whether the gateway accepts requests", description = "It is 503 while the gateway stops. Without its store, the gateway still executes reads, so it stays 200 and says so.", security(()), responses((status = 200, description = "It accepts requests. Without its store, only reads.", body = schema::Health), (status = 503, description = "It is stopping.", body = schema::Health), schema::HeadProblems))]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.draining.load(Ordering::Relaxed) {
        return answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" }), 32);
    }
    match app.store.ready().await {
        Ok(()) => answer::json(StatusCode::OK, &json!({ "status": "ok" }), 32),
        Err(_) => answer::json(StatusCode::OK, &json!({ "status": "store unavailable: reads only" }), 64),
    }
}
