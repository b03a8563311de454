//! Between Notch Pay's language and the canonical one.

use serde_json::Value;

use super::{NotchPay, wire};
use crate::{
    error::{Error, Kind},
    model::{Customer, CustomerFields, Field, Page, Patch, Payment, PaymentMethod, Position},
    plan::{Answer, field_errors},
    reading::{self, present},
    text::{Source, Text, country::Region, phone},
    wire::{
        Loose, NestsAddress, Perhaps, Str, parse, patch_address, patch_object, patch_text, raw_patch, str_of, str_patch,
    },
};

/// What create and update send. `name` is the full name that the fields ask for.
pub(super) fn input<'f>(fields: &'f CustomerFields, name: &'f Patch<Text>) -> wire::CustomerInput<'f> {
    wire::CustomerInput {
        name: str_patch(name),
        email: str_patch(&fields.email),
        phone: str_patch(&fields.phone).map(|phone| Loose(phone.0.clone())),
        metadata: raw_patch(&fields.metadata),
        address: wire::Address::asked(&fields.address),
    }
}

/// The customer in an answer, enveloped or bare; `None` for an answer that lacks it.
pub(super) fn one(source: &Source, region: Option<Region>) -> Result<Option<Customer>, Error> {
    let envelope: wire::One<'_> = parse(source)?;
    let found = match envelope.customer {
        Some(Perhaps::Object(found)) => found,
        Some(Perhaps::Other(_)) => return Ok(None),
        None => parse(source)?,
    };
    if found.id.is_none() {
        return Ok(None);
    }
    customer(found, source, region).map(Some)
}

/// A customer as Notch Pay tells it.
pub(super) fn customer(told: wire::Customer<'_>, source: &Source, region: Option<Region>) -> Result<Customer, Error> {
    let text = |member: &Option<Str<'_>>| present(source, member.as_ref());
    let mut customer = Customer {
        id: reading::id(source, told.id.as_ref(), "id")?,
        name: text(&told.name),
        email: text(&told.email),
        blocked: told.blocked,
        livemode: told.sandbox.map(|sandbox| !sandbox),
        extra: told.extra,
        ..Customer::default()
    };
    customer.metadata = reading::metadata(source, told.metadata, &mut customer.extra);
    customer.complete_names();
    if let Some(number) = reading::loose(source, told.phone.as_ref()) {
        let read = phone::canonical_without_plus(&number, region);
        reading::keep_phone(&mut customer, Field::Phone, read, &number);
    }
    reading::address(&mut customer, told.address, source);
    reading::times(&mut customer, text(&told.created_at), text(&told.updated_at));
    Ok(customer)
}

/// A payment as Notch Pay tells it. Its amount is a number [prose].
pub(super) fn payment(told: wire::Payment<'_>, source: &Source) -> Result<Payment, Error> {
    let text = |member: &Option<Str<'_>>| present(source, member.as_ref());
    let mut extra = told.extra;
    let amount = told.amount.and_then(|raw| reading::amount(source, serde_json::from_str(raw.get()).ok().as_ref()));
    if let (Some(unread), None) = (told.amount, &amount) {
        extra.keep("amount", unread);
    }
    Ok(Payment {
        id: reading::id(source, told.id.as_ref(), "id")?,
        reference: text(&told.reference),
        amount,
        currency: text(&told.currency),
        status: text(&told.status),
        created_at: reading::plain_time(text(&told.created_at)),
        extra,
    })
}

/// A payment method as Notch Pay tells it.
pub(super) fn payment_method(told: wire::PaymentMethod<'_>, source: &Source) -> Result<PaymentMethod, Error> {
    let text = |member: &Option<Str<'_>>| present(source, member.as_ref());
    Ok(PaymentMethod {
        id: reading::id(source, told.id.as_ref(), "id")?,
        kind: text(&told.kind),
        channel: text(&told.channel),
        last4: None,
        phone: reading::loose(source, told.phone.as_ref()),
        created_at: reading::plain_time(text(&told.created_at)),
        extra: told.extra,
    })
}

/// A page of a list. The page numbers decide whether there is another, else the total, else whether it is full.
pub(super) fn page<T>(items: Vec<T>, told: wire::Pages, position: &Position, limit: u16) -> Page<T> {
    let asked = position.page(limit);
    let more = match (told.last, told.total) {
        // Never back to a page that was read already, whatever the provider says it answered.
        (Some(last), _) => told.current.map_or(asked, |current| current.max(asked)) < last,
        (None, Some(total)) => !items.is_empty() && position.offset() + (items.len() as u64) < total,
        (None, None) => items.len() >= usize::from(limit.max(1)),
    };
    Page { items, next: more.then(|| Position::of_page(asked + 1, limit)), total: told.total }
}

/// An error, whose code is a number or a string and whose fields may stand below `customer`.
pub(super) fn refusal(answer: &Answer) -> Error {
    let Some(told) = answer.error_body::<wire::Failure>() else {
        return answer.refusal(None, None);
    };
    let message = told.message.as_deref();
    let code = told.code.as_ref().map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    let by_field = told.errors.as_ref().and_then(Value::as_object).into_iter().flatten();
    let fields = by_field.filter_map(|(field, wrong)| {
        let said = wrong.as_str().or_else(|| wrong.get(0)?.as_str())?;
        Some((field.strip_prefix("customer.").unwrap_or(field), said.to_owned()))
    });
    let error = answer.refusal(code, message).with_fields(field_errors(fields, &NotchPay::WORDS));
    if error.kind == Kind::RateLimited && error.retry_after.is_none() {
        return error.with_retry_after(message.and_then(seconds_told));
    }
    error
}

/// The seconds in `Rate limit exceeded. Try again in 30 seconds` [errdoc].
fn seconds_told(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("again in ")?;
    rest.split_once(" second")?.0.parse().ok()
}

/// What a client asks of a record: the inverse of [`input`]. Empty text means `null` here.
pub(super) fn fields(asked: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&asked.name),
        email: text(&asked.email),
        phone: text(&asked.phone.map(|phone| Str(phone.0.clone()))),
        address: patch_address(source, &asked.address),
        metadata: patch_object(source, &asked.metadata),
        ..CustomerFields::default()
    }
}

/// A customer in Notch Pay's words: the inverse of [`customer`].
pub(super) fn told<'c>(customer: &'c Customer, name: Option<&'c Text>) -> wire::Customer<'c> {
    wire::Customer {
        id: str_of(Some(&customer.id)),
        name: str_of(name),
        email: str_of(customer.email.as_ref()),
        phone: customer.phone.as_ref().map(|phone| Loose((&**phone).into())),
        metadata: Some(customer.metadata.raw()),
        address: wire::Address::held(&customer.address),
        blocked: customer.blocked,
        sandbox: customer.livemode.map(|live| !live),
        created_at: str_of(customer.created_at.as_ref()),
        updated_at: str_of(customer.updated_at.as_ref()),
        extra: customer.extra.clone(),
    }
}

/// A payment in Notch Pay's words: the inverse of [`payment`]. A decimal string is a JSON number as it stands.
pub(super) fn told_payment(payment: &Payment) -> wire::Payment<'_> {
    wire::Payment {
        id: str_of(Some(&payment.id)),
        reference: str_of(payment.reference.as_ref()),
        amount: payment.amount.as_ref().and_then(|amount| serde_json::from_str(amount).ok()),
        currency: str_of(payment.currency.as_ref()),
        status: str_of(payment.status.as_ref()),
        created_at: str_of(payment.created_at.as_ref()),
        extra: payment.extra.clone(),
    }
}

/// A payment method in Notch Pay's words: the inverse of [`payment_method`].
pub(super) fn told_payment_method(method: &PaymentMethod) -> wire::PaymentMethod<'_> {
    wire::PaymentMethod {
        id: str_of(Some(&method.id)),
        kind: str_of(method.kind.as_ref()),
        channel: str_of(method.channel.as_ref()),
        phone: method.phone.as_ref().map(|phone| Loose((&**phone).into())),
        created_at: str_of(method.created_at.as_ref()),
        extra: method.extra.clone(),
    }
}
