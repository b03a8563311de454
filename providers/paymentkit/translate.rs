//! Pure translations between PaymentKit's documents and the canonical customer.

use http::header::CONTENT_TYPE;

use super::wire;
use crate::{
    json::{JsonObject, ObjectOrOther},
    kit::{
        Answer,
        decode::{self, loose, present},
        document::parse,
        members::raw_patch,
    },
    model::{BorrowedCustomer, CustomerFields, Error, Field, Invoice, Kind, OverdueInvoices, str_patch},
    text::{Source, Str, country::Region},
};

/// The request body of an update.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone: str_patch(&fields.phone),
        address: wire::Address::asked(&fields.address),
        metadata: raw_patch(&fields.metadata),
    }
}

/// Decodes a customer. Unknown members go to `extra`.
pub(super) fn customer(received: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    // With the two swapped, the id that the merchant stores would be the DID.
    if received.did.as_ref().is_some_and(|did| did.starts_with("cus_")) {
        return Err(Error::bad_response("a customer whose DID is an id"));
    }
    let mut customer = BorrowedCustomer {
        id: decode::id(received.id, "id")?,
        did: present(received.did),
        livemode: received.livemode,
        name: present(received.name),
        email: present(received.email),
        // Three documents disagree on its unit and its sign, so it stays unchanged.
        balance: loose(received.balance),
        delinquent: received.delinquent,
        extra: received.extra,
        ..BorrowedCustomer::default()
    };
    decode::metadata(&mut customer, received.metadata);
    customer.complete_names();
    decode::phone_number(&mut customer, Field::Phone, present(received.phone), region);
    decode::address(&mut customer, received.address);
    decode::times(&mut customer, present(received.created_at), present(received.updated_at));
    Ok(customer)
}

/// Decodes a customer's overdue invoices. The canonical answer has no place for the number of its subscriptions.
pub(super) fn overdue(source: &Source, region: Option<Region>) -> Result<OverdueInvoices, Error> {
    let wire::Overdue { customer: received, invoices, summary, .. } = parse(source.as_str())?;
    Ok(OverdueInvoices {
        customer: match received {
            Some(ObjectOrOther::Object(received)) => Some(customer(received, region)?.into_owned(source).into()),
            Some(ObjectOrOther::Other(_)) | None => None,
        },
        invoices: decode::each(invoices, "invoices", |received| invoice(received, source))?,
        summary: summary.and_then(|raw| JsonObject::owned(raw, source)),
    })
}

/// Decodes an invoice. Its amounts keep every digit, because a token can have eighteen decimals.
fn invoice(received: wire::Invoice<'_>, source: &Source) -> Result<Invoice, Error> {
    let owned = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    Ok(Invoice {
        id: source.text(&decode::id(received.id, "invoices.id")?),
        number: owned(present(received.number)),
        status: owned(present(received.status)),
        amount_due: owned(loose(received.amount_due)),
        amount_remaining: owned(loose(received.amount_remaining)),
        currency: owned(present(received.currency_id)),
        created_at: owned(decode::time_without_report(present(received.created_at))),
        extra: received.extra.into_owned(source),
    })
}

/// Decodes an error: one string in JSON, or plain text. Any other body gives an error by its status alone.
pub(super) fn refusal(answer: &Answer) -> Error {
    let is_text = answer.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    let (code, message) = match answer.error_body() {
        Some(wire::Failure { code, error }) => (code, Some(error)),
        None => (None, answer.source().ok().filter(|_| is_text).map(|text| text.as_str().trim().to_owned())),
    };
    let kind = match (answer.status().as_u16(), message.as_deref()) {
        // The credentials are wrong, not the request (sdk).
        (400, Some("Bad Request" | "Access token found in multiple locations")) => Kind::Unauthorized,
        (status, _) => Kind::of_status(status),
    };
    answer.refusal_as(kind, code, message.as_deref())
}
