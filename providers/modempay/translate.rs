//! Pure translations between Modem Pay's documents and the canonical customer.

use serde_json::{Value, value::to_raw_value};

use super::wire;
use crate::{
    json::{self, Loose, Number},
    kit::{
        Answer,
        decode::{self, loose, present},
        members::{loose_of, number_patch, patch_text, str_of},
    },
    model::{
        BorrowedCustomer, Customer, CustomerFields, Error, Field, Kind, Page, Patch, PaymentMethod, Position, str_patch,
    },
    text::{Source, Str, Text, country::Region, decimal, phone},
};

/// The request body of a create or an update.
pub(super) fn input(fields: &CustomerFields, region: Option<Region>) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone: fields.phone.map(|number| Str::new(national(number, region))),
        balance: number_patch(&fields.balance),
        config: Patch::Absent,
    }
}

/// A number of the merchant's region in national digits (docs). Any other number stays complete: its dial code would be
/// lost.
pub(super) fn national(number: &Text, region: Option<Region>) -> &str {
    phone::national(number, region).unwrap_or(number)
}

/// Decodes a customer. Unknown members go to `extra`.
pub(super) fn customer(received: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(received.id, "id")?,
        name: present(received.name),
        email: present(received.email),
        livemode: received.test_mode.map(|test| !test),
        extra: received.extra,
        ..BorrowedCustomer::default()
    };
    customer.complete_names();
    decode::phone_number(&mut customer, Field::Phone, present(received.phone), region);
    if let Some(digits) = loose(received.balance.map(|Number(digits)| digits)) {
        customer.fidelity.transformed(Field::Balance, decimal::FROM_NUMBER, &digits);
        customer.balance = decode::amount(Some(Loose(digits)));
    }
    decode::times(&mut customer, present(received.created_at), present(received.updated_at));
    Ok(customer)
}

/// Decodes a payment method. `type` names the member with its details, which also stays in `extra` unchanged.
pub(super) fn payment_method(
    received: wire::PaymentMethod<'_>,
    source: &Source,
    region: Option<Region>,
) -> Result<PaymentMethod, Error> {
    let owned = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    let kind = owned(present(received.kind));
    let mut named = None;
    // The reader has read this text before, so it has no mistake.
    let _ = json::each_member(received.extra.as_str(), |key, detail| {
        if named.is_none() && Some(&*key) == kind.as_deref() {
            named = Some(detail);
        }
    });
    let detail: wire::Detail<'_> = named.and_then(|detail| json::from_str(detail.get()).ok()).unwrap_or_default();
    let number = owned(loose(detail.phone));
    Ok(PaymentMethod {
        id: source.text(&decode::id(received.id, "id")?),
        channel: owned(present(detail.gateway).or_else(|| present(detail.gateway_name))),
        last4: owned(loose(detail.last4)),
        phone: number.map(|number| phone::canonical_text(&number, region)),
        created_at: owned(decode::time_without_report(present(received.created_at))),
        kind,
        extra: received.extra.into_owned(source),
    })
}

/// Decodes a page of any list. `meta.total` is the length of the whole list.
pub(super) fn page<W, T>(
    received: wire::Page<'_, W>,
    position: &Position,
    limit: u16,
    read: impl Fn(W) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let items = decode::each(received.data, "data", read)?;
    Ok(match received.meta.and_then(|meta| meta.total) {
        Some(total) => Page::of_total(items, position, total),
        None => Page::of_unknown_length(items, position, limit),
    })
}

/// Decodes an error. Modem Pay answers 427 for too many requests; a proxy in front of it may answer 429 (err).
pub(super) fn refusal(answer: &Answer) -> Error {
    let message = answer.error_body().and_then(|wire::Failure { message, .. }| message);
    let message = message.map(|message| match message {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let kind = match answer.status().as_u16() {
        427 => Kind::RateLimited,
        status => Kind::of_status(status),
    };
    answer.refusal_as(kind, None, message.as_deref())
}

/// The fields of a create or an update: the inverse of [`input`]. Empty text is later read as absent, so it clears.
pub(super) fn fields(input: &wire::CustomerInput<'_>, source: &Source, region: Option<Region>) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&input.name),
        email: text(&input.email),
        phone: text(&input.phone).map(|number| phone::canonical_text(number, region)),
        balance: match &input.balance {
            Patch::Set(Number(digits)) => {
                decode::amount(Some(digits.clone())).map_or(Patch::Clear, |digits| Patch::Set(source.text(&digits)))
            }
            Patch::Clear => Patch::Clear,
            Patch::Absent => Patch::Absent,
        },
        ..CustomerFields::default()
    }
}

/// Writes a customer as Modem Pay does: the inverse of [`customer`].
pub(super) fn encode(customer: &Customer, region: Option<Region>) -> wire::Customer<'_> {
    wire::Customer {
        id: str_of(Some(&customer.id)),
        name: customer.full_name(),
        email: str_of(customer.email.as_ref()),
        phone: customer.phone.as_ref().map(|number| Str::new(national(number, region))),
        balance: customer.balance.as_deref().map(Number::new),
        test_mode: customer.livemode.map(|live| !live),
        created_at: str_of(customer.created_at.as_ref()),
        updated_at: str_of(customer.updated_at.as_ref()),
        extra: customer.extra.borrowed(),
    }
}

/// Writes a payment method as Modem Pay does: the inverse of [`payment_method`].
pub(super) fn encode_method(method: &PaymentMethod) -> wire::PaymentMethod<'_> {
    let mut extra = method.extra.borrowed();
    if let Some(kind) = method.kind.as_deref()
        && !extra.members().iter().any(|(key, _)| key == kind)
    {
        let detail = wire::Detail {
            kind: Some(Str::new(kind)),
            last4: loose_of(method.last4.as_ref()),
            gateway: str_of(method.channel.as_ref()),
            phone: loose_of(method.phone.as_ref()),
            ..wire::Detail::default()
        };
        if let Ok(detail) = to_raw_value(&detail) {
            extra.add(kind, &detail);
        }
    }
    wire::PaymentMethod {
        id: str_of(Some(&method.id)),
        kind: str_of(method.kind.as_ref()),
        created_at: str_of(method.created_at.as_ref()),
        extra,
    }
}
