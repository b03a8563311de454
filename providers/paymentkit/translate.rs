//! Between PaymentKit's language and the canonical one.

use http::header;

use super::wire;
use crate::{
    error::{Error, Kind},
    model::{Customer, CustomerFields, Field, Invoice, OverdueInvoices, Patch},
    plan::Answer,
    reading::{self, loose, present},
    text::{Source, Text, country::Region},
    wire::{
        JsonObject, Loose, Str, loose_of, parse, patch_address, patch_object, patch_text, raw_patch, str_of, str_patch,
    },
};

/// What update sends. `name` is the full name that the fields ask for.
pub(super) fn input<'f>(fields: &'f CustomerFields, name: &'f Patch<Text>) -> wire::CustomerInput<'f> {
    wire::CustomerInput {
        name: str_patch(name),
        email: str_patch(&fields.email),
        phone: str_patch(&fields.phone),
        address: wire::Address::asked(&fields.address),
        metadata: raw_patch(&fields.metadata),
    }
}

/// The bare customer in an answer.
pub(super) fn one(source: &Source, region: Option<Region>) -> Result<Customer, Error> {
    customer(parse(source)?, source, region)
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
    customer.metadata = reading::metadata(source, told.metadata, &mut customer.extra);
    customer.complete_names();
    reading::phone_number(&mut customer, Field::Phone, text(&told.phone), region);
    reading::address(&mut customer, told.address, source);
    reading::times(&mut customer, text(&told.created_at), text(&told.updated_at));
    Ok(customer)
}

/// A customer's overdue invoices. The customer itself and the number of its subscriptions have no place.
pub(super) fn overdue(source: &Source) -> Result<OverdueInvoices, Error> {
    let told: wire::Overdue<'_> = parse(source)?;
    Ok(OverdueInvoices {
        invoices: reading::each(told.invoices, "invoices", |told| invoice(told, source))?,
        summary: told.summary.and_then(|raw| JsonObject::of(raw, source)),
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

/// Refusals of status 400 that are about the credentials, not about the request [sdk].
const ABOUT_THE_KEY: [&str; 2] = ["Bad Request", "Access token found in multiple locations"];

/// An error in a string, in plain text, in a page, or in none of them.
pub(super) fn refusal(answer: &Answer) -> Error {
    let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (code, message) = match answer.error_body() {
        Some(wire::Failure { code, error }) => (code, Some(error)),
        None if content_type.is_some_and(|told| told.starts_with("text/plain")) => {
            (None, answer.source().ok().map(|source| source.as_str().to_owned()))
        }
        None => (None, None),
    };
    let message = message.as_deref();
    match answer.status().as_u16() {
        400 if message.is_some_and(|message| ABOUT_THE_KEY.contains(&message.trim())) => {
            answer.refusal_as(Kind::Unauthorized, code, message)
        }
        _ => answer.refusal(code, message),
    }
}

/// What a client asks of a record: the inverse of [`input`]. Empty text clears.
pub(super) fn fields(asked: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&asked.name),
        email: text(&asked.email),
        phone: text(&asked.phone),
        address: patch_address(source, &asked.address),
        metadata: patch_object(source, &asked.metadata),
        ..CustomerFields::default()
    }
}

/// A customer in PaymentKit's words: the inverse of [`customer`]. Its clients expect texts, if empty ones.
pub(super) fn told<'c>(customer: &'c Customer, name: Option<&'c Text>) -> wire::Customer<'c> {
    let text = |held: Option<&'c Text>| Some(Str::new(held.map_or("", |text| text)));
    wire::Customer {
        id: str_of(Some(&customer.id)),
        did: str_of(customer.did.as_ref()),
        livemode: customer.livemode,
        name: text(name),
        email: text(customer.email.as_ref()),
        phone: text(customer.phone.as_ref()),
        address: wire::Address::held(&customer.address),
        balance: Some(loose_of(customer.balance.as_ref()).unwrap_or(Loose("0".into()))),
        delinquent: Some(customer.delinquent == Some(true)),
        metadata: Some(customer.metadata.raw()),
        created_at: str_of(customer.created_at.as_ref()),
        updated_at: str_of(customer.updated_at.as_ref()),
        extra: customer.extra.clone(),
    }
}

/// An invoice in PaymentKit's words: the inverse of [`invoice`].
pub(super) fn told_invoice(invoice: &Invoice) -> wire::Invoice<'_> {
    wire::Invoice {
        id: str_of(Some(&invoice.id)),
        number: str_of(invoice.number.as_ref()),
        status: str_of(invoice.status.as_ref()),
        currency_id: str_of(invoice.currency.as_ref()),
        amount_due: loose_of(invoice.amount_due.as_ref()),
        amount_remaining: loose_of(invoice.amount_remaining.as_ref()),
        created_at: str_of(invoice.created_at.as_ref()),
        extra: invoice.extra.clone(),
    }
}
