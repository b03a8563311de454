//! Between Modem Pay's language and the canonical one.

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

/// What create and update send.
pub(super) fn input(fields: &CustomerFields, region: Option<Region>) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone: fields.phone.map(|number| Str::new(national(number, region))),
        balance: number_patch(&fields.balance),
        config: Patch::Absent,
    }
}

/// A number at home in national digits (seed); any other as it is, so that nothing of it is lost.
pub(super) fn national(number: &Text, region: Option<Region>) -> &str {
    phone::national(number, region).unwrap_or(number)
}

/// A customer as Modem Pay tells it.
pub(super) fn customer(told: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(told.id, "id")?,
        name: present(told.name),
        email: present(told.email),
        livemode: told.test_mode.map(|test| !test),
        extra: told.extra,
        ..BorrowedCustomer::default()
    };
    customer.complete_names();
    decode::phone_number(&mut customer, Field::Phone, present(told.phone), region);
    if let Some(digits) = loose(told.balance.map(|Number(digits)| digits)) {
        customer.fidelity.transformed(Field::Balance, decimal::FROM_NUMBER, &digits);
        customer.balance = decode::amount(Some(Loose(digits)));
    }
    decode::times(&mut customer, present(told.created_at), present(told.updated_at));
    Ok(customer)
}

/// A means of paying as Modem Pay tells it. Its details stay among the extra members, whole.
pub(super) fn payment_method(
    told: wire::PaymentMethod<'_>,
    source: &Source,
    region: Option<Region>,
) -> Result<PaymentMethod, Error> {
    let kept = |text: Option<Str<'_>>| text.map(|text| source.text(&text));
    let kind = kept(present(told.kind));
    let members = told.extra.members();
    let named = members.iter().find(|(key, _)| Some(&**key) == kind.as_deref());
    let detail: wire::Detail<'_> = named.and_then(|(_, detail)| json::from_str(detail.get()).ok()).unwrap_or_default();
    let number = kept(loose(detail.phone));
    Ok(PaymentMethod {
        id: source.text(&decode::id(told.id, "id")?),
        channel: kept(present(detail.gateway).or_else(|| present(detail.gateway_name))),
        last4: kept(loose(detail.last4)),
        phone: number.map(|number| phone::canonical_text(&number, region)),
        created_at: kept(decode::plain_time(present(told.created_at))),
        kind,
        extra: told.extra.into_owned(source),
    })
}

/// A page of anything: `meta.total` tells how many there are in all.
pub(super) fn page<W, T>(
    told: wire::Page<'_, W>,
    position: &Position,
    limit: u16,
    read: impl Fn(W) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let items = decode::each(told.data, "data", read)?;
    Ok(match told.meta.and_then(|meta| meta.total) {
        Some(total) => Page::of_total(items, position, total),
        None => Page::of_unknown_length(items, position, limit),
    })
}

/// An error. 427 is what others call 429, which a proxy in front may answer as well (err).
pub(super) fn refusal(answer: &Answer) -> Error {
    let told = answer.error_body().and_then(|wire::Failure { message, .. }| message);
    let message = told.map(|message| match message {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let kind = match answer.status().as_u16() {
        427 => Kind::RateLimited,
        status => Kind::of_status(status),
    };
    answer.refusal_as(kind, None, message.as_deref())
}

/// What a client asks of a record: the inverse of [`input`]. Empty text reads as absent later, so it clears.
pub(super) fn fields(asked: &wire::CustomerInput<'_>, source: &Source, region: Option<Region>) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&asked.name),
        email: text(&asked.email),
        phone: text(&asked.phone).map(|number| phone::canonical_text(number, region)),
        balance: match &asked.balance {
            Patch::Set(Number(digits)) => {
                decode::amount(Some(digits.clone())).map_or(Patch::Clear, |digits| Patch::Set(source.text(&digits)))
            }
            Patch::Clear => Patch::Clear,
            Patch::Absent => Patch::Absent,
        },
        ..CustomerFields::default()
    }
}

/// A customer in Modem Pay's words: the inverse of [`customer`].
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

/// A means of paying in Modem Pay's words: the inverse of [`payment_method`].
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
            extra.keep(kind, &detail);
        }
    }
    wire::PaymentMethod {
        id: str_of(Some(&method.id)),
        kind: str_of(method.kind.as_ref()),
        created_at: str_of(method.created_at.as_ref()),
        extra,
    }
}
