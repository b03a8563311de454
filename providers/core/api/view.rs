//! The answer bodies of the merchants' API, written from the model straight into one buffer. `src/http` writes its
//! answers with these types.

use serde::{Serialize, Serializer};

pub use super::deleted::{DeletedView, Receipt};
use crate::{
    json::{
        Extra, Json, JsonObject, Raw, to_raw,
        write::{flag, member, raw},
    },
    model::{Address, Customer, CustomerType, Fidelity, FieldError, Invoice, OverdueInvoices, Payment, PaymentMethod},
    text::{JsonText, Str, Text},
};

/// The provider and the connection that an answer comes from.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Origin<'a> {
    /// The provider's name.
    #[serde(rename = "name")]
    pub provider: &'a str,
    /// The merchant's name for the connection.
    pub connection: &'a str,
}

/// A customer of the API.
#[derive(Debug, Clone, Copy)]
pub struct CustomerView<'a, T = Text> {
    /// The customer.
    pub customer: &'a Customer<T>,
    /// The provider and the connection that it comes from.
    pub origin: Origin<'a>,
}

impl<T: JsonText> Json for CustomerView<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.customer.write_with(&self.origin.members(), out);
    }
}

impl Origin<'_> {
    /// The beginning of a customer's `provider` member, which is equal for all customers of a page.
    fn members(&self) -> Vec<u8> {
        let mut members = Vec::with_capacity(64);
        member!(&mut members, r#","provider":{"name":"#, Some(&Str::new(self.provider)));
        member!(&mut members, r#","connection":"#, Some(&Str::new(self.connection)));
        members
    }
}

impl<T: JsonText> Customer<T> {
    fn write_with(&self, origin: &[u8], out: &mut Vec<u8>) {
        let Self {
            id,
            provider_id,
            name,
            first_name,
            last_name,
            email,
            phone,
            whatsapp,
            address: Address { line1, line2, city, state, postal_code, country },
            kind,
            did,
            balance,
            delinquent,
            blocked,
            livemode,
            metadata,
            marker: _,
            created_at,
            updated_at,
            extra,
            fidelity,
        } = self;
        member!(out, r#"{"object":"customer","id":"#, Some(id));
        member!(out, r#","name":"#, name.as_ref());
        member!(out, r#","first_name":"#, first_name.as_ref());
        member!(out, r#","last_name":"#, last_name.as_ref());
        member!(out, r#","email":"#, email.as_ref());
        member!(out, r#","phone":"#, phone.as_ref());
        member!(out, r#","whatsapp":"#, whatsapp.as_ref());
        member!(out, r#","address":{"line1":"#, line1.as_ref());
        member!(out, r#","line2":"#, line2.as_ref());
        member!(out, r#","city":"#, city.as_ref());
        member!(out, r#","state":"#, state.as_ref());
        member!(out, r#","postal_code":"#, postal_code.as_ref());
        member!(out, r#","country":"#, country.as_ref());
        member!(out, r#"},"type":"#, kind.map(CustomerType::as_str).map(Str::new).as_ref());
        member!(out, r#","did":"#, did.as_ref());
        member!(out, r#","balance":"#, balance.as_ref());
        flag(out, r#","delinquent":"#, *delinquent);
        flag(out, r#","blocked":"#, *blocked);
        flag(out, r#","livemode":"#, *livemode);
        raw(out, r#","metadata":"#, metadata.as_str());
        member!(out, r#","created_at":"#, created_at.as_ref());
        member!(out, r#","updated_at":"#, updated_at.as_ref());
        out.extend_from_slice(origin);
        member!(out, r#","id":"#, Some(provider_id.as_ref().unwrap_or(id)));
        raw(out, r#","extra":{"#, extra.as_str());
        out.extend_from_slice(br#"}},"fidelity":"#);
        FidelityView(fidelity).write(out);
        out.push(b'}');
    }
}

/// A fidelity report of the API.
#[derive(Debug, Clone, Copy)]
pub struct FidelityView<'a, T = Text>(pub &'a Fidelity<T>);

impl<T: JsonText> Json for FidelityView<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, entry) in self.0.entries().iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
            member!(out, r#""field":"#, Some(&Str::new(entry.field.name())));
            member!(out, r#","outcome":"#, Some(&Str::new(entry.outcome.as_str())));
            member!(out, r#","rule":"#, Some(&Str::new(entry.rule)));
            if let Some(from) = &entry.from {
                member!(out, r#","from":"#, Some(from));
            }
            out.push(b'}');
        }
        out.push(b']');
    }
}

impl Serialize for FidelityView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        to_raw(self).serialize(serializer)
    }
}

/// A list of the API.
#[derive(Debug)]
pub struct ListView<'a, D, T = Text> {
    /// The entries.
    pub data: D,
    /// The sealed cursor of the next page.
    pub next_cursor: Option<String>,
    /// The total number of entries.
    pub total_count: Option<u64>,
    /// Who applied the filter.
    pub filtered_by: Option<&'static str>,
    /// The fidelity entries that all customers of the page share.
    pub fidelity: &'a Fidelity<T>,
    /// For overdue invoices only.
    pub overdue: Option<OverdueView<'a>>,
}

/// What a list of overdue invoices has besides the invoices.
#[derive(Debug)]
pub struct OverdueView<'a> {
    /// The customer, if the provider shows it with the invoices.
    pub customer: Option<CustomerView<'a>>,
    /// The provider's sums, unchanged.
    pub summary: Option<Raw<'a>>,
}

impl<D: Json, T: JsonText> Json for ListView<'_, D, T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"object":"list","data":"#);
        self.data.write(out);
        flag(out, r#","has_more":"#, Some(self.next_cursor.is_some()));
        member!(out, r#","next_cursor":"#, self.next_cursor.as_deref().map(Str::new).as_ref());
        out.extend_from_slice(br#","total_count":"#);
        let _ = serde_json::to_writer(&mut *out, &self.total_count);
        member!(out, r#","filtered_by":"#, self.filtered_by.map(Str::new).as_ref());
        out.extend_from_slice(br#","fidelity":"#);
        FidelityView(self.fidelity).write(out);
        if let Some(OverdueView { customer, summary }) = &self.overdue {
            out.extend_from_slice(br#","customer":"#);
            match customer {
                Some(customer) => customer.write(out),
                None => out.extend_from_slice(b"null"),
            }
            raw(out, r#","summary":"#, summary.map_or("null", Raw::get));
        }
        out.push(b'}');
    }
}

/// A model type with an API form that serde writes.
pub trait Shown {
    /// The API form.
    type View<'a>: Serialize
    where
        Self: 'a;

    /// Converts to the API form.
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

/// Customers, as a JSON array.
#[derive(Debug)]
pub struct CustomersView<'a, T = Text> {
    /// The customers.
    pub customers: &'a [Customer<T>],
    /// The provider and the connection that they come from.
    pub origin: Origin<'a>,
    /// The origin of each customer, where they differ.
    pub origins: &'a [Origin<'a>],
}

impl<T: JsonText> Json for CustomersView<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        let origin = self.origin.members();
        for (index, customer) in self.customers.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match self.origins.get(index) {
                Some(own) => customer.write_with(&own.members(), out),
                None => customer.write_with(&origin, out),
            }
        }
        out.push(b']');
    }
}

/// Entries of a list, each converted to its API form while it is written.
#[derive(Debug)]
pub struct EachView<'a, T>(pub &'a [T]);

impl<T: Shown> Json for EachView<'_, T> {
    fn write(&self, out: &mut Vec<u8>) {
        let _ = serde_json::Serializer::new(out).collect_seq(self.0.iter().map(Shown::shown));
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

/// The provider's sums of overdue invoices.
pub fn summary(invoices: &OverdueInvoices) -> Option<Raw<'_>> {
    invoices.summary.as_ref().map(JsonObject::raw)
}

/// A field error in a problem.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_with_special_characters_are_escaped() {
        for connection in ["main", "a\"b", "a\\b", "a\nb", "é"] {
            let customers: [Customer; 2] =
                [Customer::default(), Customer { name: Some("Awa \"Fifi\" Diop".into()), ..Default::default() }];
            let origin = Origin { provider: "lomi", connection };
            let mut out = Vec::new();
            CustomersView { customers: &customers, origin, origins: &[] }.write(&mut out);
            let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!(written[1]["name"], "Awa \"Fifi\" Diop");
            assert_eq!(
                (&written[0]["provider"]["connection"], &written[1]["provider"]["connection"]),
                (&connection.into(), &connection.into())
            );
        }
    }

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_writes_it(text in r#"[ -~é€😀"\\\x00-\x20\x7f]{0,40}"#) {
            let mut written = Vec::new();
            member!(&mut written, "", Some(&Str::new(&text)));
            prop_assert_eq!(String::from_utf8(written).expect("text"), serde_json::to_string(&text).expect("JSON"));
        }
    }
}
