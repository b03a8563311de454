//! Lists, and what belongs to a customer.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::{Customer, Exchange, FidelityEntry};

macro_rules! lists {
    ($( $(#[$meta:meta])* $name:ident of $entry:ident; )*) => {$(
        $(#[$meta])*
        #[derive(ToSchema)]
        pub(in crate::http) struct $name {
            /// Always `list`.
            #[schema(example = "list")]
            object: String,
            /// The entries, in the provider's order.
            data: Vec<$entry>,
            /// Whether there may be more. A filtered page can be short, or empty, while there are.
            has_more: bool,
            /// Give it as `cursor` for the next page, with the same filters.
            #[schema(required)]
            next_cursor: Option<String>,
            /// How many there are in all, where the provider tells.
            #[schema(required)]
            total_count: Option<u64>,
            /// `provider` or `gateway`; `null` without a filter.
            #[schema(required)]
            filtered_by: Option<String>,
            /// What holds for every entry.
            fidelity: Vec<FidelityEntry>,
            /// With `include=raw`: what the provider answered.
            raw: Option<Vec<Exchange>>,
            /// Overdue invoices only: the provider's sums by currency.
            summary: Option<BTreeMap<String, Value>>,
        }
    )*};
}

lists! {
    /// A page of customers.
    CustomerList of Customer;
    /// A page of payment methods.
    PaymentMethodList of PaymentMethod;
    /// A page of payments.
    PaymentList of Payment;
    /// A customer's overdue invoices.
    InvoiceList of Invoice;
}

/// A means of paying.
#[derive(ToSchema)]
pub(in crate::http) struct PaymentMethod {
    /// Always `payment_method`.
    object: String,
    /// The id at the provider.
    id: String,
    /// The provider's word for its sort.
    #[schema(required)]
    r#type: Option<String>,
    /// The provider's channel.
    #[schema(required)]
    channel: Option<String>,
    /// The last four digits.
    #[schema(required)]
    last4: Option<String>,
    /// The phone number it is bound to.
    #[schema(required)]
    phone: Option<String>,
    /// RFC 3339 in UTC.
    #[schema(required)]
    created_at: Option<String>,
    /// Everything else the provider tells.
    extra: BTreeMap<String, Value>,
}

/// A payment.
#[derive(ToSchema)]
pub(in crate::http) struct Payment {
    /// Always `payment`.
    object: String,
    /// The id at the provider.
    id: String,
    /// The merchant's reference.
    #[schema(required)]
    reference: Option<String>,
    /// A decimal string, in the provider's unit.
    #[schema(required, example = "5000")]
    amount: Option<String>,
    /// The provider's currency code.
    #[schema(required, example = "XAF")]
    currency: Option<String>,
    /// The provider's word.
    #[schema(required, example = "complete")]
    status: Option<String>,
    /// RFC 3339 in UTC.
    #[schema(required)]
    created_at: Option<String>,
    /// Everything else the provider tells.
    extra: BTreeMap<String, Value>,
}

/// An invoice that was not paid.
#[derive(ToSchema)]
pub(in crate::http) struct Invoice {
    /// Always `invoice`.
    object: String,
    /// The id at the provider.
    id: String,
    /// The number printed on it.
    #[schema(required)]
    number: Option<String>,
    /// The provider's word.
    #[schema(required)]
    status: Option<String>,
    /// A decimal string, in the provider's unit; it may have more digits than any number type.
    #[schema(required)]
    amount_due: Option<String>,
    /// As `amount_due`.
    #[schema(required)]
    amount_remaining: Option<String>,
    /// The provider's currency code or id.
    #[schema(required)]
    currency: Option<String>,
    /// RFC 3339 in UTC.
    #[schema(required)]
    created_at: Option<String>,
    /// Everything else the provider tells.
    extra: BTreeMap<String, Value>,
}
