//! Records that belong to a customer: payment methods, payments and invoices.

use std::fmt;

use crate::{
    json::{Extra, JsonObject},
    model::Customer,
    text::Text,
};

/// A payment method that a provider stores for a customer.
#[derive(Clone, Default, PartialEq)]
pub struct PaymentMethod {
    /// The id at the provider.
    pub id: Text,
    /// The provider's word for its type.
    pub kind: Option<Text>,
    /// The provider's channel or gateway.
    pub channel: Option<Text>,
    /// The last four digits.
    pub last4: Option<Text>,
    /// The phone number of the payment method.
    pub phone: Option<Text>,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// The members that have no canonical field.
    pub extra: Extra,
}

/// A payment that a customer made.
#[derive(Clone, Default, PartialEq)]
pub struct Payment {
    /// The id at the provider.
    pub id: Text,
    /// The merchant's reference.
    pub reference: Option<Text>,
    /// A decimal string, in the provider's unit.
    pub amount: Option<Text>,
    /// The provider's currency code.
    pub currency: Option<Text>,
    /// The status, in the provider's words.
    pub status: Option<Text>,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// The members that have no canonical field.
    pub extra: Extra,
}

/// An invoice that a customer has not paid.
#[derive(Clone, Default, PartialEq)]
pub struct Invoice {
    /// The id at the provider.
    pub id: Text,
    /// The number printed on it.
    pub number: Option<Text>,
    /// The status, in the provider's words.
    pub status: Option<Text>,
    /// A decimal string, in the provider's unit.
    pub amount_due: Option<Text>,
    /// A decimal string, in the provider's unit.
    pub amount_remaining: Option<Text>,
    /// The provider's currency code or id.
    pub currency: Option<Text>,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// The members that have no canonical field.
    pub extra: Extra,
}

/// A customer's overdue invoices.
#[derive(Clone, Default, PartialEq)]
pub struct OverdueInvoices {
    /// The customer, if the provider shows it with the invoices.
    pub customer: Option<Box<Customer>>,
    /// The invoices.
    pub invoices: Vec<Invoice>,
    /// The provider's sums by currency, unchanged.
    pub summary: Option<JsonObject>,
}

macro_rules! debug_by_id {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($name)).field("id", &self.id).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_id!(PaymentMethod, Payment, Invoice);

impl fmt::Debug for OverdueInvoices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.invoices).finish()
    }
}
