//! The API: one file per resource, and the shapes they share. Handlers are short: read the request, plan,
//! answer.

pub mod answer;
pub mod cursor;
pub mod customers;
pub mod docs;
pub mod health;
pub mod lists;
pub mod openapi;
pub mod operations;
pub mod problem;
pub mod providers;
pub mod query;
pub mod request;
mod schema;
pub mod writes;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, post},
};
use passerelle_providers::model::{Operation, manifest::Manifest};

use crate::{app::App, drop_in};
use problem::{Code, Failure};

/// The routes of the API, readable as its table of contents.
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
        .route("/as/{provider}", any(drop_in::serve))
        .route("/as/{provider}/", any(drop_in::serve))
        .route("/as/{provider}/{*path}", any(drop_in::serve))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(docs::reference))
        .route("/docs/problems", get(docs::problems))
        .route("/docs/assets/{file}", get(docs::asset))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(|| async { Failure::new(Code::NotFound, "the API has no such path; GET /docs shows those it has") })
        .method_not_allowed_fallback(|| async {
            Failure::new(Code::MethodNotAllowed, "the path has no such method; `Allow` lists those it has")
        })
}

/// The methods that work for this provider on the path of an operation.
pub fn allowed_methods(manifest: &Manifest, operation: Operation) -> String {
    let on_the_path: &[(Operation, &str)] = match operation {
        Operation::Create | Operation::List => &[(Operation::List, "GET"), (Operation::Create, "POST")],
        Operation::Retrieve | Operation::Update | Operation::Delete => {
            &[(Operation::Retrieve, "GET"), (Operation::Update, "PATCH"), (Operation::Delete, "DELETE")]
        }
        Operation::Find
        | Operation::Block
        | Operation::Unblock
        | Operation::PaymentMethods
        | Operation::Payments
        | Operation::OverdueInvoices => &[],
    };
    let supported = on_the_path.iter().filter(|(operation, _)| manifest.operation(*operation).is_supported());
    supported.map(|(_, method)| *method).collect::<Vec<_>>().join(", ")
}
