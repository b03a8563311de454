//! Whether the process lives, and whether it wants requests. Providers never decide on either: their
//! outage must not restart the gateway. A store that cannot be reached is told, but reads go on without it, so
//! the gateway stays in service.

use std::sync::{Arc, atomic::Ordering};

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use super::{answer, schema};
use crate::state::App;

/// `GET /livez`
#[utoipa::path(get, path = "/livez", operation_id = "live", tag = "health", summary = "Whether the process lives", security(()), responses((status = 200, description = "It lives.", body = schema::Health)))]
pub async fn live() -> Response {
    answer::json(StatusCode::OK, &json!({ "status": "ok" }), 32)
}

/// `GET /readyz`
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "health", summary = "Whether it wants requests", security(()), responses((status = 200, description = "It does.", body = schema::Health), (status = 503, description = "It is about to stop.", body = schema::Health)))]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.draining.load(Ordering::Relaxed) {
        return answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" }), 32);
    }
    match app.store.ready().await {
        Ok(()) => answer::json(StatusCode::OK, &json!({ "status": "ok" }), 32),
        Err(_) => answer::json(StatusCode::OK, &json!({ "status": "store unavailable: reads only" }), 64),
    }
}
