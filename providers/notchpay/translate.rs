//! Pure translations between Notch Pay's documents and the canonical customer.

use serde_json::Value;

use super::{NotchPay, wire};
use crate::{
    json::{Loose, Number, ObjectOrOther},
    kit::{
        Answer, NestsAddress,
        decode::{self, present},
        document::parse,
        field_errors,
        members::{patch_address, patch_object, patch_text, raw_patch, str_of},
    },
    model::{
        BorrowedCustomer, Customer, CustomerFields, Error, Field, Page, Patch, Payment, PaymentMethod, Position,
        str_patch,
    },
    text::{Source, Str, country::Region, phone},
};

/// The request body of a create or an update.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone: str_patch(&fields.phone).map(|phone| Loose(phone.clone())),
        metadata: raw_patch(&fields.metadata),
        address: wire::Address::asked(&fields.address),
    }
}

/// The part of a phone number that every spelling contains which [`customer`] reads as this number: Notch Pay may store it
/// without the plus, and a number of the merchant's region without the dial code.
pub(super) fn searched_digits(number: &str, region: Option<Region>) -> &str {
    phone::national(number, region).unwrap_or_else(|| number.trim_start_matches('+'))
}

/// Decodes an answer that should hold one customer. `None`: the answer lacks it.
pub(super) fn one(answer: &Answer, region: Option<Region>) -> Result<Option<Box<Customer>>, Error> {
    let source = answer.source()?;
    match parse::<wire::One<'_>>(source.as_str())?.customer {
        Some(ObjectOrOther::Object(received)) => Ok(Some(customer(received, region)?.into_owned(&source).into())),
        _ => Ok(None),
    }
}

/// Decodes a customer. Unknown members go to `extra`.
pub(super) fn customer(received: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(received.id, "id")?,
        name: present(received.name),
        email: present(received.email),
        blocked: received.blocked,
        livemode: received.sandbox.map(|sandbox| !sandbox),
        extra: received.extra,
        ..BorrowedCustomer::default()
    };
    decode::metadata(&mut customer, received.metadata);
    customer.complete_names();
    if let Some(number) = decode::loose(received.phone) {
        let canonical = phone::canonical_without_plus(&number, region);
        decode::store_phone(&mut customer, Field::Phone, canonical, number, |text| phone::why_as_written(text, region));
    }
    decode::address(&mut customer, received.address);
    decode::times(&mut customer, present(received.created_at), present(received.updated_at));
    Ok(customer)
}

/// Decodes a payment. Its amount is a JSON number (prose).
pub(super) fn payment(received: wire::Payment<'_>, source: &Source) -> Result<Payment, Error> {
    let owned = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    Ok(Payment {
        id: source.text(&decode::id(received.id, "id")?),
        reference: owned(present(received.reference)),
        amount: owned(decode::amount(received.amount.map(|Number(digits)| digits))),
        currency: owned(present(received.currency)),
        status: owned(present(received.status)),
        created_at: owned(decode::time_without_report(present(received.created_at))),
        extra: received.extra.into_owned(source),
    })
}

/// Decodes a payment method.
pub(super) fn payment_method(received: wire::PaymentMethod<'_>, source: &Source) -> Result<PaymentMethod, Error> {
    let owned = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    Ok(PaymentMethod {
        id: source.text(&decode::id(received.id, "id")?),
        kind: owned(present(received.kind)),
        channel: owned(present(received.channel)),
        last4: None,
        phone: owned(decode::loose(received.phone)),
        created_at: owned(decode::time_without_report(present(received.created_at))),
        extra: received.extra.into_owned(source),
    })
}

/// Decodes a page of any list. Another page follows if this one's number is below `last_page` (respdoc). Without
/// `last_page`, another one may follow a full page.
pub(super) fn page<W, T>(
    received: wire::Page<'_, W>,
    position: &Position,
    limit: u16,
    read: impl Fn(W) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let items = decode::each(received.items.or(received.payments), "items", read)?;
    let number = position.page(limit);
    let more = received.last_page.map_or(items.len() >= usize::from(limit.max(1)), |last| number < last);
    // A page that is longer than was asked for may be the whole list.
    let end = position.offset().saturating_add(items.len() as u64);
    let more = more && received.totals.is_none_or(|total| items.len() <= usize::from(limit.max(1)) || end < total);
    Ok(Page { items, next: more.then(|| Position::of_page(number + 1, limit)), total: received.totals })
}

/// Decodes an error. Its code is a number or a string, and its field names may begin with `customer.`.
pub(super) fn refusal(answer: &Answer) -> Error {
    let failure: wire::Failure = answer.error_body().unwrap_or_default();
    let code = failure.code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    let by_field = failure.errors.as_ref().and_then(Value::as_object).into_iter().flatten();
    let by_field = by_field.map(|(field, messages)| (field.strip_prefix("customer.").unwrap_or(field), &messages[0]));
    let fields = by_field.filter_map(|(field, message)| Some((field, message.as_str()?.to_owned())));
    answer.refusal(code, failure.message.as_deref()).with_fields(field_errors(fields, &NotchPay::WORDS))
}

/// The fields of a create or an update: the inverse of [`input`]. Empty text clears, as `null` does.
pub(super) fn fields(input: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&input.name),
        email: text(&input.email),
        phone: text(&input.phone.map(|phone| phone.0.clone())),
        address: patch_address(source, &input.address),
        metadata: patch_object(source, &input.metadata),
        ..CustomerFields::default()
    }
}

/// Writes a customer as Notch Pay does: the inverse of [`customer`].
pub(super) fn encode(customer: &Customer) -> wire::Customer<'_> {
    wire::Customer {
        id: str_of(Some(&customer.id)),
        name: customer.full_name(),
        email: str_of(customer.email.as_ref()),
        phone: customer.phone.as_ref().map(|phone| Loose((&**phone).into())),
        metadata: Some(customer.metadata.raw()),
        address: wire::Address::held(&customer.address),
        blocked: customer.blocked,
        sandbox: customer.livemode.map(|live| !live),
        created_at: str_of(customer.created_at.as_ref()),
        updated_at: str_of(customer.updated_at.as_ref()),
        extra: customer.extra.borrowed(),
    }
}

/// Writes a payment as Notch Pay does: the inverse of [`payment`].
pub(super) fn encode_payment(payment: &Payment) -> wire::Payment<'_> {
    wire::Payment {
        id: str_of(Some(&payment.id)),
        reference: str_of(payment.reference.as_ref()),
        amount: payment.amount.as_deref().map(Number::new),
        currency: str_of(payment.currency.as_ref()),
        status: str_of(payment.status.as_ref()),
        created_at: str_of(payment.created_at.as_ref()),
        extra: payment.extra.borrowed(),
    }
}

/// The channel of a payment method. Notch Pay's client refuses the whole list if one channel is not of its own (py), such as
/// `card` or `cm.mtn`, a country and an operator. A channel of another provider becomes the general one of its kind.
fn channel(method: &PaymentMethod) -> &str {
    const WITHOUT_COUNTRY: [&str; 5] = ["bank", "card", "eumm", "paypal", "yoomee"];
    let is_own = |channel: &str| {
        WITHOUT_COUNTRY.contains(&channel) || channel.split_once('.').is_some_and(|(country, _)| country.len() == 2)
    };
    let kind = method.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
    match method.channel.as_deref() {
        Some(channel) if is_own(channel) => channel,
        _ if kind.contains("card") => "card",
        _ if kind.contains("bank") => "bank",
        _ => "cm.mobile",
    }
}

/// Writes a payment method as Notch Pay does: the inverse of [`payment_method`].
pub(super) fn encode_payment_method(method: &PaymentMethod) -> wire::PaymentMethod<'_> {
    wire::PaymentMethod {
        id: str_of(Some(&method.id)),
        kind: str_of(method.kind.as_ref()),
        channel: Some(Str::new(channel(method))),
        phone: method.phone.as_ref().map(|phone| Loose((&**phone).into())),
        created_at: str_of(method.created_at.as_ref()),
        extra: method.extra.borrowed(),
    }
}
