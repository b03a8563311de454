//! The API for merchants' clients: one file per resource. A handler reads the request ([`request`]), makes a command, and
//! has it executed by [`answer`] (reads) or [`writes`].

pub mod accept;
pub mod answer;
pub mod customers;
pub mod docs;
mod erasure;
pub mod health;
mod homes;
pub mod in_name;
pub mod lists;
pub mod openapi;
pub mod operations;
pub mod providers;
pub mod query;
pub mod request;
mod schema;
pub mod writes;

use std::sync::Arc;

use axum::routing::{MethodRouter, get, post};

use crate::state::App;

/// The routes of the health checks alone.
pub fn health_routes() -> [(&'static str, MethodRouter<Arc<App>>); 2] {
    [("/livez", get(health::live)), ("/readyz", get(health::ready))]
}

/// What the API says about a path that it does not have.
pub const UNKNOWN_PATH: &str = "the API does not have this path; GET /docs lists the paths";

/// The routes of the API.
pub fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let mut routes = vec![
        ("/v1/customers", post(customers::create).get(lists::customers)),
        ("/v1/customers/lookup", get(customers::lookup)),
        ("/v1/customers/{id}", get(customers::retrieve).patch(customers::update).delete(customers::delete)),
        ("/v1/customers/{id}/block", post(customers::block)),
        ("/v1/customers/{id}/unblock", post(customers::unblock)),
        ("/v1/customers/{id}/payment_methods", get(lists::payment_methods)),
        ("/v1/customers/{id}/payments", get(lists::payments)),
        ("/v1/customers/{id}/overdue_invoices", get(lists::overdue_invoices)),
        ("/v1/operations", get(operations::all)),
        ("/v1/operations/{id}", get(operations::one)),
        ("/v1/merchant", get(providers::merchant)),
        ("/v1/providers", get(providers::all)),
        ("/v1/version", get(providers::version)),
        ("/v1/providers/{name}", get(providers::one)),
        ("/openapi.json", get(openapi::document)),
        ("/", get(docs::root)),
        ("/docs", get(docs::reference)),
        ("/docs/problems", get(docs::problems)),
        ("/docs/assets/{file}", get(docs::asset)),
    ];
    routes.extend(health_routes());
    routes
}
