//! The API's documents as its OpenAPI document describes them. The tests hold every answer of the gateway
//! against these.

#![expect(dead_code, reason = "these types describe; the views of the model write")]

mod customer;
mod explanation;
mod lists;
mod parameters;
mod problem;

use utoipa::ToSchema;

pub(super) use customer::{Customer, CustomerFields, Deleted, FidelityEntry};
pub(super) use explanation::{Exchange, Explanation};
pub(super) use lists::{CustomerList, InvoiceList, PaymentList, PaymentMethodList};
pub(super) use parameters::{By, Everywhere, Filters, Repeated, Walk};
pub(super) use problem::{Problem, Problems};

/// Whether the process is well.
#[derive(ToSchema)]
pub(super) struct Health {
    /// `ok` or `draining`.
    status: String,
}
