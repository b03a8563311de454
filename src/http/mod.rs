//! The API for merchants' clients: one file per resource. A handler reads the request ([`request`]), makes a command, and
//! has it executed by [`answer`] (reads) or [`writes`].

pub mod answer;
pub mod customers;
pub mod docs;
pub mod health;
pub mod lists;
pub mod openapi;
pub mod operations;
pub mod providers;
pub mod query;
pub mod request;
mod schema;
pub mod writes;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::App;

/// The routes of the health checks alone.
pub fn health_routes() -> Router<Arc<App>> {
    Router::new().route("/livez", get(health::live)).route("/readyz", get(health::ready))
}

/// The routes of the API.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/customers", post(customers::create).get(lists::customers))
        .route("/v1/customers/lookup", get(customers::lookup))
        .route("/v1/customers/{id}", get(customers::retrieve).patch(customers::update).delete(customers::delete))
        .route("/v1/customers/{id}/block", post(customers::block))
        .route("/v1/customers/{id}/unblock", post(customers::unblock))
        .route("/v1/customers/{id}/payment_methods", get(lists::payment_methods))
        .route("/v1/customers/{id}/payments", get(lists::payments))
        .route("/v1/customers/{id}/overdue_invoices", get(lists::overdue_invoices))
        .route("/v1/operations", get(operations::all))
        .route("/v1/operations/{id}", get(operations::one))
        .route("/v1/merchant", get(providers::merchant))
        .route("/v1/providers", get(providers::all))
        .route("/v1/providers/{name}", get(providers::one))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(docs::reference))
        .route("/docs/problems", get(docs::problems))
        .route("/docs/assets/{file}", get(docs::asset))
        .merge(health_routes())
}
