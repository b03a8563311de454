//! Between Notch Pay's language and the canonical one.

use serde_json::Value;

use super::{NotchPay, wire};
use crate::{
    json::{Loose, Number, Perhaps},
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

/// What create and update send.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone: str_patch(&fields.phone).map(|phone| Loose(phone.clone())),
        metadata: raw_patch(&fields.metadata),
        address: wire::Address::asked(&fields.address),
    }
}

/// The customer in an answer; `None` for an answer that lacks it.
pub(super) fn one(answer: &Answer, region: Option<Region>) -> Result<Option<Customer>, Error> {
    let source = answer.source()?;
    match parse::<wire::One<'_>>(source.as_str())?.customer {
        Some(Perhaps::Object(told)) => Ok(Some(customer(told, region)?.into_owned(&source))),
        _ => Ok(None),
    }
}

/// A customer as Notch Pay tells it.
pub(super) fn customer(told: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(told.id, "id")?,
        name: present(told.name),
        email: present(told.email),
        blocked: told.blocked,
        livemode: told.sandbox.map(|sandbox| !sandbox),
        extra: told.extra,
        ..BorrowedCustomer::default()
    };
    decode::metadata(&mut customer, told.metadata);
    customer.complete_names();
    if let Some(number) = decode::loose(told.phone) {
        let read = phone::canonical_without_plus(&number, region);
        decode::keep_phone(&mut customer, Field::Phone, read, number);
    }
    decode::address(&mut customer, told.address);
    decode::times(&mut customer, present(told.created_at), present(told.updated_at));
    Ok(customer)
}

/// A payment as Notch Pay tells it. Its amount is a number (prose).
pub(super) fn payment(told: wire::Payment<'_>, source: &Source) -> Result<Payment, Error> {
    let kept = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    Ok(Payment {
        id: source.text(&decode::id(told.id, "id")?),
        reference: kept(present(told.reference)),
        amount: kept(decode::amount(told.amount.map(|Number(digits)| digits))),
        currency: kept(present(told.currency)),
        status: kept(present(told.status)),
        created_at: kept(decode::plain_time(present(told.created_at))),
        extra: told.extra.into_owned(source),
    })
}

/// A payment method as Notch Pay tells it.
pub(super) fn payment_method(told: wire::PaymentMethod<'_>, source: &Source) -> Result<PaymentMethod, Error> {
    let kept = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    Ok(PaymentMethod {
        id: source.text(&decode::id(told.id, "id")?),
        kind: kept(present(told.kind)),
        channel: kept(present(told.channel)),
        last4: None,
        phone: kept(decode::loose(told.phone)),
        created_at: kept(decode::plain_time(present(told.created_at))),
        extra: told.extra.into_owned(source),
    })
}

/// A page of a list. Its number decides whether another follows (respdoc); where none is told, its length.
pub(super) fn page<W, T>(
    told: wire::Page<'_, W>,
    position: &Position,
    limit: u16,
    read: impl Fn(W) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let items = decode::each(told.items.or(told.payments), "items", read)?;
    let number = position.page(limit);
    let more = told.last_page.map_or(items.len() >= usize::from(limit.max(1)), |last| number < last);
    Ok(Page { items, next: more.then(|| Position::of_page(number + 1, limit)), total: told.totals })
}

/// An error, whose code is a number or a string and whose fields may stand below `customer`.
pub(super) fn refusal(answer: &Answer) -> Error {
    let told: wire::Failure = answer.error_body().unwrap_or_default();
    let code = told.code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    let by_field = told.errors.as_ref().and_then(Value::as_object).into_iter().flatten();
    let by_field = by_field.map(|(field, wrong)| (field.strip_prefix("customer.").unwrap_or(field), &wrong[0]));
    let fields = by_field.filter_map(|(field, wrong)| Some((field, wrong.as_str()?.to_owned())));
    answer.refusal(code, told.message.as_deref()).with_fields(field_errors(fields, &NotchPay::WORDS))
}

/// What a client asks of a record: the inverse of [`input`]. Empty text means `null` here.
pub(super) fn fields(asked: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&asked.name),
        email: text(&asked.email),
        phone: text(&asked.phone.map(|phone| phone.0.clone())),
        address: patch_address(source, &asked.address),
        metadata: patch_object(source, &asked.metadata),
        ..CustomerFields::default()
    }
}

/// A customer in Notch Pay's words: the inverse of [`customer`].
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

/// A payment in Notch Pay's words: the inverse of [`payment`].
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

/// A payment method in Notch Pay's words: the inverse of [`payment_method`].
pub(super) fn encode_payment_method(method: &PaymentMethod) -> wire::PaymentMethod<'_> {
    wire::PaymentMethod {
        id: str_of(Some(&method.id)),
        kind: str_of(method.kind.as_ref()),
        channel: str_of(method.channel.as_ref()),
        phone: method.phone.as_ref().map(|phone| Loose((&**phone).into())),
        created_at: str_of(method.created_at.as_ref()),
        extra: method.extra.borrowed(),
    }
}
