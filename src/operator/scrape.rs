//! `GET /metrics` of the operator's listener.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use http::header;

use crate::state::App;

/// Shows the metrics. One request at a time reads what is read only now.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.metrics_text().await)
}
