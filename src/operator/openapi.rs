//! The OpenAPI document of the operator's API, generated from the code.

use std::sync::OnceLock;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{access::Addressed, files, kept, schema, switches};
use crate::{http::health, openapi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Passerelle for operators",
        description = "Switches merchants from one provider to another, and shows what the gateway has recorded. It is \
                       served by the operator's listener (`operator.listen`), to keys of the operator only. A command \
                       carries the state and the epoch that it was decided on, and is refused if they have changed, so \
                       the same command is never executed twice.",
        contact(name = "The operator of this gateway"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "the operator's listener of this gateway")),
    security(("key" = [])),
    modifiers(&Key),
    paths(
        switches::plan, switches::all, switches::one, switches::run, switches::stop, switches::rate,
        switches::decisions, switches::verify, switches::cutover, switches::rollback, switches::complete,
        switches::abandon, switches::active, switches::of_merchant, files::records, files::map, files::results,
        files::errors, files::undecided, files::report, kept::operations, kept::audit, kept::verify_audit,
        health::live, health::ready,
    ),
    components(schemas(schema::Problem)),
    tags(
        (name = "switches", description = "A switch of a merchant from one connection to another."),
        (name = "files", description = "The records of a switch, its files and its report."),
        (name = "records of the gateway", description = "The writes of all merchants, and the audit."),
        (name = "health", description = "For load balancers and orchestrators. No key is needed."),
    ),
)]
struct Contract;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key of `operator.keys`. `passerelle keys new` makes one."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document as JSON.
pub fn json() -> String {
    openapi::document(Contract::openapi(), include_str!("openapi.examples.json"))
}

/// `GET /openapi.json`
pub(super) async fn document(_: Addressed) -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| Bytes::from(json())).clone();
    let mut response = Response::new(document.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
