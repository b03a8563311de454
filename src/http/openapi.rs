//! The OpenAPI document, generated from the code: the paths from the handlers, the documents from the types in
//! `schema`.

use std::sync::OnceLock;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Ref, RefOr,
        path::Parameter,
        schema::{Discriminator, OneOfBuilder},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{customers, health, lists, operations, providers, schema};
use crate::{capabilities, openapi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Passerelle",
        description = "One customers API in front of many payment providers. A line of the gateway's configuration \
                       says which provider answers, and this API stays the same. Every answer says what the provider \
                       stored differently or could not store (`fidelity`). Every error says whether the provider \
                       executed the request (`outcome`).",
        contact(name = "The operator of this gateway"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "this gateway")),
    security(("key" = [])),
    modifiers(&Key, &Explained),
    paths(
        customers::create, lists::customers, customers::lookup, customers::retrieve, customers::update,
        customers::delete, customers::block, customers::unblock, lists::payment_methods, lists::payments,
        lists::overdue_invoices, operations::one, operations::all, providers::merchant, providers::all, providers::one, providers::version, health::live, health::ready,
    ),
    components(schemas(
        schema::Explanation, schema::Problem, openapi::Include, openapi::Coalesce, capabilities::ProviderView, capabilities::OperationSupport,
        capabilities::FieldView, capabilities::RequirementView, capabilities::ClearsView, capabilities::FilterView, capabilities::PagingView,
    )),
    tags(
        (name = "customers", description = "Single customers, and lists of customers."),
        (name = "of a customer", description = "What belongs to a customer."),
        (name = "operations", description = "Writes and their outcomes, also of writes whose outcome was not known at first."),
        (name = "capabilities", description = "What the merchant's provider supports, and what every provider supports."),
        (name = "health", description = "For load balancers and orchestrators. No key is needed."),
    ),
)]
struct Contract;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key of the merchant. `passerelle keys new` makes one."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// Adds the explanation to the possible answers of every operation that takes `explain`.
struct Explained;

impl Modify for Explained {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let operations = document.paths.paths.values_mut().flat_map(openapi::operations_of);
        for operation in operations {
            let parameters = operation.parameters.iter().flatten();
            let names_explain =
                |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if known.name == "explain");
            if !parameters.into_iter().any(names_explain) {
                continue;
            }
            let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { continue };
            for content in response.content.values_mut() {
                let RefOr::T(content) = content else { continue };
                let Some(result) = content.schema.take() else { continue };
                let RefOr::Ref(result) = result else { continue };
                let explanation = Ref::from_schema_name("Explanation");
                // The member `object` tells an explanation from a result.
                let object = if result.ref_location.ends_with("List") { "list" } else { "customer" };
                let either = [(object, result.ref_location.clone()), ("explanation", explanation.ref_location.clone())];
                let discriminator = Discriminator::with_mapping("object", either);
                let one_of = OneOfBuilder::new().item(result).item(explanation).discriminator(Some(discriminator));
                content.schema = Some(RefOr::T(one_of.build().into()));
            }
        }
    }
}

/// The OpenAPI document as JSON.
pub fn json() -> String {
    openapi::document(Contract::openapi(), include_str!("openapi.examples.json"))
}

/// `GET /openapi.json`
pub async fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| Bytes::from(json())).clone();
    let mut response = Response::new(document.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
