//! Between PaymentKit's language and the canonical one.

use http::header::CONTENT_TYPE;

use super::wire;
use crate::{
    error::{Error, Kind},
    model::{Customer, CustomerFields, Field, Invoice, OverdueInvoices},
    plan::Answer,
    reading::{self, loose, present},
    text::{Source, country::Region},
    wire::{JsonObject, Str, parse, raw_patch, str_patch},
};

/// What update sends.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone: str_patch(&fields.phone),
        address: wire::Address::asked(&fields.address),
        metadata: raw_patch(&fields.metadata),
    }
}

/// A customer as PaymentKit tells it.
pub(super) fn customer(told: wire::Customer<'_>, source: &Source, region: Option<Region>) -> Result<Customer, Error> {
    let text = |member: &Option<Str<'_>>| present(source, member.as_ref());
    let mut customer = Customer {
        id: reading::id(source, told.id.as_ref(), "id")?,
        did: text(&told.did),
        livemode: told.livemode,
        name: text(&told.name),
        email: text(&told.email),
        // Three documents disagree on its unit and its sign: it stays as it is.
        balance: loose(source, told.balance.as_ref()),
        delinquent: told.delinquent,
        extra: told.extra,
        ..Customer::default()
    };
    reading::metadata(&mut customer, source, told.metadata);
    customer.complete_names();
    reading::phone_number(&mut customer, Field::Phone, text(&told.phone), region);
    reading::address(&mut customer, told.address, source);
    reading::times(&mut customer, text(&told.created_at), text(&told.updated_at));
    Ok(customer)
}

/// A customer's overdue invoices. The customer itself and the number of its subscriptions have no place.
pub(super) fn overdue(source: &Source) -> Result<OverdueInvoices, Error> {
    let wire::Overdue { invoices, summary, .. } = parse(source)?;
    Ok(OverdueInvoices {
        invoices: reading::each(invoices, "invoices", |told| invoice(told, source))?,
        summary: summary.and_then(|raw| JsonObject::of(raw, source)),
    })
}

/// An invoice. Its amounts keep every digit: a token has eighteen decimals.
fn invoice(told: wire::Invoice<'_>, source: &Source) -> Result<Invoice, Error> {
    let text = |member: &Option<Str<'_>>| present(source, member.as_ref());
    Ok(Invoice {
        id: reading::id(source, told.id.as_ref(), "invoices.id")?,
        number: text(&told.number),
        status: text(&told.status),
        amount_due: loose(source, told.amount_due.as_ref()),
        amount_remaining: loose(source, told.amount_remaining.as_ref()),
        currency: text(&told.currency_id),
        created_at: reading::plain_time(text(&told.created_at)),
        extra: told.extra,
    })
}

/// An error in a string, in plain text, in a page, or in none of them.
pub(super) fn refusal(answer: &Answer) -> Error {
    let is_text = answer.headers().get(CONTENT_TYPE).is_some_and(|told| told.as_bytes().starts_with(b"text/plain"));
    let (code, message) = match answer.error_body() {
        Some(wire::Failure { code, error }) => (code, Some(error)),
        None => (None, answer.source().ok().filter(|_| is_text).map(|text| text.as_str().trim().to_owned())),
    };
    let kind = match (answer.status().as_u16(), message.as_deref()) {
        // About the credentials, not about the request [sdk].
        (400, Some("Bad Request" | "Access token found in multiple locations")) => Kind::Unauthorized,
        (status, _) => Kind::of_status(status),
    };
    answer.refusal_as(kind, code, message.as_deref())
}
