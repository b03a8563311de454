//! Between PaymentKit's language and the canonical one.

use http::header::CONTENT_TYPE;

use super::wire;
use crate::{
    json::JsonObject,
    kit::{
        Answer,
        decode::{self, loose, present},
        document::parse,
        members::raw_patch,
    },
    model::{BorrowedCustomer, CustomerFields, Error, Field, Invoice, Kind, OverdueInvoices, str_patch},
    text::{Source, Str, country::Region},
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
pub(super) fn customer(told: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(told.id, "id")?,
        did: present(told.did),
        livemode: told.livemode,
        name: present(told.name),
        email: present(told.email),
        // Three documents disagree on its unit and its sign: it stays as it is.
        balance: loose(told.balance),
        delinquent: told.delinquent,
        extra: told.extra,
        ..BorrowedCustomer::default()
    };
    decode::metadata(&mut customer, told.metadata);
    customer.complete_names();
    decode::phone_number(&mut customer, Field::Phone, present(told.phone), region);
    decode::address(&mut customer, told.address);
    decode::times(&mut customer, present(told.created_at), present(told.updated_at));
    Ok(customer)
}

/// A customer's overdue invoices. The customer itself and the number of its subscriptions have no place.
pub(super) fn overdue(source: &Source) -> Result<OverdueInvoices, Error> {
    let wire::Overdue { invoices, summary, .. } = parse(source.as_str())?;
    Ok(OverdueInvoices {
        invoices: decode::each(invoices, "invoices", |told| invoice(told, source))?,
        summary: summary.and_then(|raw| JsonObject::owned(raw, source)),
    })
}

/// An invoice. Its amounts keep every digit: a token has eighteen decimals.
fn invoice(told: wire::Invoice<'_>, source: &Source) -> Result<Invoice, Error> {
    let kept = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    Ok(Invoice {
        id: source.text(&decode::id(told.id, "invoices.id")?),
        number: kept(present(told.number)),
        status: kept(present(told.status)),
        amount_due: kept(loose(told.amount_due)),
        amount_remaining: kept(loose(told.amount_remaining)),
        currency: kept(present(told.currency_id)),
        created_at: kept(decode::plain_time(present(told.created_at))),
        extra: told.extra.into_owned(source),
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
