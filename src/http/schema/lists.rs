//! Lists, and the entries that belong to a customer.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::{Customer, Exchange, FidelityEntry};
use crate::openapi::{FilteredBy, InvoiceObject, ListObject, PaymentMethodObject, PaymentObject};

macro_rules! lists {
    ($( $(#[$meta:meta])* $name:ident of $entry:ident; )*) => {$(
        $(#[$meta])*
        #[derive(ToSchema)]
        pub(in crate::http) struct $name {
            /// Always `list`.
            #[schema(inline)]
            object: ListObject,
            /// The entries, in the provider's order.
            data: Vec<$entry>,
            /// Whether there may be more entries. A filtered page can be short or empty although there are more.
            has_more: bool,
            /// The `cursor` of the next page. Send it with the same filters.
            #[schema(required)]
            next_cursor: Option<String>,
            /// The number of all entries, if the provider returns it.
            #[schema(required)]
            total_count: Option<u64>,
            /// Who applied the filter: `provider` or `gateway`. `null` without a filter.
            #[schema(required)]
            filtered_by: Option<FilteredBy>,
            /// What happened to fields in the same way for every entry.
            fidelity: Vec<FidelityEntry>,
            /// With `include=raw`: the provider's raw answers.
            raw: Option<Vec<Exchange>>,
            /// For overdue invoices only: the customer, or `null` if the provider does not show it with the invoices.
            customer: Option<Customer>,
            /// For overdue invoices only: the provider's sums by currency.
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

/// A payment method.
#[derive(ToSchema)]
pub(in crate::http) struct PaymentMethod {
    /// Always `payment_method`.
    #[schema(inline)]
    object: PaymentMethodObject,
    /// The id at the provider.
    #[schema(pattern = "^[!-.0-~]+$")]
    id: String,
    /// The type, in the provider's own values.
    #[schema(required)]
    r#type: Option<String>,
    /// The channel, in the provider's own values.
    #[schema(required)]
    channel: Option<String>,
    /// The last four digits.
    #[schema(required)]
    last4: Option<String>,
    /// The phone number of the payment method.
    #[schema(required)]
    phone: Option<String>,
    /// When it was created: RFC 3339 in UTC.
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    /// Every other field that the provider returns.
    extra: BTreeMap<String, Value>,
}

/// A payment.
#[derive(ToSchema)]
pub(in crate::http) struct Payment {
    /// Always `payment`.
    #[schema(inline)]
    object: PaymentObject,
    /// The id at the provider.
    #[schema(pattern = "^[!-.0-~]+$")]
    id: String,
    /// The merchant's reference.
    #[schema(required)]
    reference: Option<String>,
    /// The amount as a decimal string, in the provider's unit.
    #[schema(required, example = "5000")]
    amount: Option<String>,
    /// The provider's currency code.
    #[schema(required, example = "XAF")]
    currency: Option<String>,
    /// The status, in the provider's own values.
    #[schema(required, example = "complete")]
    status: Option<String>,
    /// When it was created: RFC 3339 in UTC.
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    /// Every other field that the provider returns.
    extra: BTreeMap<String, Value>,
}

/// An invoice that is overdue.
#[derive(ToSchema)]
pub(in crate::http) struct Invoice {
    /// Always `invoice`.
    #[schema(inline)]
    object: InvoiceObject,
    /// The id at the provider.
    #[schema(pattern = "^[!-.0-~]+$")]
    id: String,
    /// The number printed on it.
    #[schema(required)]
    number: Option<String>,
    /// The status, in the provider's own values.
    #[schema(required)]
    status: Option<String>,
    /// The amount that is due, as a decimal string in the provider's unit. It can have more digits than a number type can
    /// represent.
    #[schema(required)]
    amount_due: Option<String>,
    /// The amount that is not paid yet, in the same form as `amount_due`.
    #[schema(required)]
    amount_remaining: Option<String>,
    /// The provider's currency code or id.
    #[schema(required)]
    currency: Option<String>,
    /// When it was created: RFC 3339 in UTC.
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    /// Every other field that the provider returns.
    extra: BTreeMap<String, Value>,
}
