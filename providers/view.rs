//! Canonical values as JSON: the bodies of the API, written straight from the model into one buffer.

use serde::{Serialize, Serializer, ser::SerializeSeq};
use serde_json::value::RawValue;

use crate::{
    error::{Error, FieldError},
    fidelity::Fidelity,
    model::{Customer, Invoice, OverdueInvoices, Payment, PaymentMethod},
    wire::{Extra, JsonObject},
};

/// Where an answer came from.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Origin<'a> {
    /// The provider's name.
    #[serde(rename = "name")]
    pub provider: &'a str,
    /// The merchant's name for the connection.
    pub connection: &'a str,
}

/// A customer of the API.
#[derive(Debug, Serialize)]
pub struct CustomerView<'a> {
    object: &'static str,
    id: &'a str,
    name: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    email: Option<&'a str>,
    phone: Option<&'a str>,
    whatsapp: Option<&'a str>,
    address: AddressView<'a>,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    did: Option<&'a str>,
    balance: Option<&'a str>,
    delinquent: Option<bool>,
    blocked: Option<bool>,
    livemode: Option<bool>,
    metadata: &'a JsonObject,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
    provider: ProviderView<'a>,
    fidelity: FidelityView<'a>,
}

#[derive(Debug, Serialize)]
struct AddressView<'a> {
    line1: Option<&'a str>,
    line2: Option<&'a str>,
    city: Option<&'a str>,
    state: Option<&'a str>,
    postal_code: Option<&'a str>,
    country: Option<&'a str>,
}

/// Who holds the record, under which id, and what else it tells.
#[derive(Debug, Serialize)]
struct ProviderView<'a> {
    name: &'a str,
    connection: &'a str,
    id: &'a str,
    extra: &'a Extra,
}

impl<'a> CustomerView<'a> {
    /// A customer as the API shows it.
    pub fn new(customer: &'a Customer, origin: Origin<'a>) -> Self {
        let address = &customer.address;
        Self {
            object: "customer",
            id: &customer.id,
            name: customer.name.as_deref(),
            first_name: customer.first_name.as_deref(),
            last_name: customer.last_name.as_deref(),
            email: customer.email.as_deref(),
            phone: customer.phone.as_deref(),
            whatsapp: customer.whatsapp.as_deref(),
            address: AddressView {
                line1: address.line1.as_deref(),
                line2: address.line2.as_deref(),
                city: address.city.as_deref(),
                state: address.state.as_deref(),
                postal_code: address.postal_code.as_deref(),
                country: address.country.as_deref(),
            },
            kind: customer.kind.map(crate::model::CustomerType::as_str),
            did: customer.did.as_deref(),
            balance: customer.balance.as_deref(),
            delinquent: customer.delinquent,
            blocked: customer.blocked,
            livemode: customer.livemode,
            metadata: &customer.metadata,
            created_at: customer.created_at.as_deref(),
            updated_at: customer.updated_at.as_deref(),
            provider: ProviderView {
                name: origin.provider,
                connection: origin.connection,
                id: &customer.id,
                extra: &customer.extra,
            },
            fidelity: FidelityView(&customer.fidelity),
        }
    }
}

/// A fidelity report of the API.
#[derive(Debug, Clone, Copy)]
pub struct FidelityView<'a>(pub &'a Fidelity);

#[derive(Serialize)]
struct EntryView<'a> {
    field: &'static str,
    outcome: &'static str,
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
}

impl Serialize for FidelityView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.entries();
        let mut list = serializer.serialize_seq(Some(entries.len()))?;
        for entry in entries {
            list.serialize_element(&EntryView {
                field: entry.field.name(),
                outcome: entry.outcome.as_str(),
                rule: entry.rule,
                from: entry.from.as_deref(),
            })?;
        }
        list.end()
    }
}

/// What the API shows of a model.
pub trait Shown {
    /// How it is shown.
    type View<'a>: Serialize
    where
        Self: 'a;

    /// Shows it.
    fn shown(&self) -> Self::View<'_>;
}

macro_rules! shown {
    ($($model:ident as $view:ident),*) => {$(
        impl Shown for $model {
            type View<'a> = $view<'a>;

            fn shown(&self) -> $view<'_> {
                self.into()
            }
        }
    )*};
}
shown!(PaymentMethod as PaymentMethodView, Payment as PaymentView, Invoice as InvoiceView);

/// Customers of one origin, each shown as it is written.
#[derive(Debug)]
pub struct CustomersView<'a> {
    /// The customers.
    pub customers: &'a [Customer],
    /// Where they came from.
    pub origin: Origin<'a>,
}

impl Serialize for CustomersView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.customers.iter().map(|customer| CustomerView::new(customer, self.origin)))
    }
}

/// Entries of a list, each shown as it is written.
#[derive(Debug)]
pub struct EachView<'a, T>(pub &'a [T]);

impl<T: Shown> Serialize for EachView<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Shown::shown))
    }
}

/// A payment method of the API.
#[derive(Debug, Serialize)]
pub struct PaymentMethodView<'a> {
    object: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    channel: Option<&'a str>,
    last4: Option<&'a str>,
    phone: Option<&'a str>,
    created_at: Option<&'a str>,
    extra: &'a Extra,
}

impl<'a> From<&'a PaymentMethod> for PaymentMethodView<'a> {
    fn from(method: &'a PaymentMethod) -> Self {
        Self {
            object: "payment_method",
            id: &method.id,
            kind: method.kind.as_deref(),
            channel: method.channel.as_deref(),
            last4: method.last4.as_deref(),
            phone: method.phone.as_deref(),
            created_at: method.created_at.as_deref(),
            extra: &method.extra,
        }
    }
}

/// A payment of the API.
#[derive(Debug, Serialize)]
pub struct PaymentView<'a> {
    object: &'static str,
    id: &'a str,
    reference: Option<&'a str>,
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    status: Option<&'a str>,
    created_at: Option<&'a str>,
    extra: &'a Extra,
}

impl<'a> From<&'a Payment> for PaymentView<'a> {
    fn from(payment: &'a Payment) -> Self {
        Self {
            object: "payment",
            id: &payment.id,
            reference: payment.reference.as_deref(),
            amount: payment.amount.as_deref(),
            currency: payment.currency.as_deref(),
            status: payment.status.as_deref(),
            created_at: payment.created_at.as_deref(),
            extra: &payment.extra,
        }
    }
}

/// An invoice of the API.
#[derive(Debug, Serialize)]
pub struct InvoiceView<'a> {
    object: &'static str,
    id: &'a str,
    number: Option<&'a str>,
    status: Option<&'a str>,
    amount_due: Option<&'a str>,
    amount_remaining: Option<&'a str>,
    currency: Option<&'a str>,
    created_at: Option<&'a str>,
    extra: &'a Extra,
}

impl<'a> From<&'a Invoice> for InvoiceView<'a> {
    fn from(invoice: &'a Invoice) -> Self {
        Self {
            object: "invoice",
            id: &invoice.id,
            number: invoice.number.as_deref(),
            status: invoice.status.as_deref(),
            amount_due: invoice.amount_due.as_deref(),
            amount_remaining: invoice.amount_remaining.as_deref(),
            currency: invoice.currency.as_deref(),
            created_at: invoice.created_at.as_deref(),
            extra: &invoice.extra,
        }
    }
}

/// The sums of overdue invoices, as the provider tells them.
pub fn summary(invoices: &OverdueInvoices) -> Option<&RawValue> {
    invoices.summary.as_ref().map(JsonObject::raw)
}

/// A wrong field in a problem.
#[derive(Debug, Serialize)]
pub struct FieldErrorView<'a> {
    /// A JSON Pointer into the body, or the name of a query parameter.
    pub pointer: &'a str,
    /// What is wrong.
    pub detail: &'a str,
}

impl<'a> From<&'a FieldError> for FieldErrorView<'a> {
    fn from(wrong: &'a FieldError) -> Self {
        Self { pointer: &wrong.pointer, detail: &wrong.detail }
    }
}

/// What the provider said, in a problem.
#[derive(Debug, Default, Serialize)]
pub struct VendorView<'a> {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The provider's error code.
    pub code: Option<&'a str>,
    /// The provider's message.
    pub message: Option<&'a str>,
}

impl<'a> From<&'a Error> for VendorView<'a> {
    fn from(error: &'a Error) -> Self {
        error.vendor.as_ref().map_or_else(Self::default, |vendor| Self {
            status: vendor.status,
            code: vendor.code.as_deref(),
            message: vendor.message.as_deref(),
        })
    }
}
