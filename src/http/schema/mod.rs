//! The documents of the API as OpenAPI describes them. The doc comments here become the descriptions in the OpenAPI
//! document, so they are written for the people who call the API. The tests compare every answer with these types.

#![expect(dead_code, reason = "these types only describe; the views of the model write the documents")]

mod customer;
mod explanation;
mod lists;
mod parameters;
mod problem;

use utoipa::ToSchema;

use crate::openapi::HealthStatus;

pub(super) use customer::{Customer, CustomerFields, Deleted, FidelityEntry};
pub(super) use explanation::{Exchange, Explanation};
pub(super) use lists::{CustomerList, InvoiceList, PaymentList, PaymentMethodList};
pub(super) use parameters::{
    CommonParameters, ErasureParameters, FilterParameters, IdempotencyHeaders, LookupParameters, PageParameters,
};
pub(super) use problem::{HeadProblems, Problem, Problems};

/// The health of the gateway.
#[derive(ToSchema)]
pub(super) struct Health {
    /// `ok`, `draining`, or `store unavailable: reads only`.
    #[schema(inline)]
    status: HealthStatus,
}
