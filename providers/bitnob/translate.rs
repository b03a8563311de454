//! Between Bitnob's language and the canonical one.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, value::RawValue};

use super::{Bitnob, Generation, wire};
use crate::{
    error::{Error, Kind},
    fidelity::Fidelity,
    model::{Customer, CustomerFields, CustomerType, Field, ListCustomers, Page, Patch, Position},
    plan::{Answer, field_errors},
    reading::{self, present},
    text::{Source, Text, email, phone},
    wire::{Str, Words, parse, patch_text, str_of, str_patch},
};

/// The rule named when a type is sent that nobody gave.
const INDIVIDUAL: &str = "Bitnob wants a type: sent as `individual`";
/// Told of a field that the answer to a create holds otherwise.
const NOT_STORED: &str = "Bitnob answered the record it already had";

/// The fields whose names differ, for errors: Bitnob's word, ours.
pub(super) const WORDS: Words = Words(&[
    ("firstName", Field::FirstName),
    ("first_name", Field::FirstName),
    ("lastName", Field::LastName),
    ("last_name", Field::LastName),
    ("email", Field::Email),
    ("phone", Field::Phone),
    ("phone_number", Field::Phone),
    ("countryCode", Field::Phone),
    ("country_code", Field::Phone),
    ("dial_code", Field::Phone),
    ("customer_type", Field::Type),
    ("blacklist", Field::Blocked),
]);

/// The parts in which Bitnob holds a name and a phone number.
pub(super) struct Parts {
    first_name: Patch<Text>,
    last_name: Patch<Text>,
    phone: Patch<Text>,
    country_code: Patch<Text>,
}

impl Parts {
    fn new((first_name, last_name): (Patch<Text>, Patch<Text>), number: &Patch<Text>) -> Self {
        let (phone, country_code) = match number.set().and_then(phone::split) {
            Some((code, national)) => (Patch::Set(national), Patch::Set(code)),
            // A number that has no dial code of its own must not keep the one of another.
            None if number.is_absent() => (Patch::Absent, Patch::Absent),
            None => (number.clone(), Patch::Clear),
        };
        Self { first_name, last_name, phone, country_code }
    }

    /// What an update asks for.
    pub(super) fn updated(fields: &CustomerFields) -> Self {
        Self::new(fields.split_name(), &fields.phone)
    }

    /// What a create asks for, which has nothing to clear.
    pub(super) fn created(fields: &CustomerFields) -> Self {
        let mut parts = Self::updated(fields);
        for part in [&mut parts.last_name, &mut parts.country_code] {
            if *part == Patch::Clear {
                *part = Patch::Absent;
            }
        }
        parts
    }

    /// What a customer holds.
    pub(super) fn held(customer: &Customer) -> Self {
        let (first_name, last_name) = customer.split_name();
        Self::new((first_name.into(), last_name.into()), &customer.phone.clone().into())
    }

    /// Reports what was sent in another spelling.
    pub(super) fn report(&self, report: &mut Fidelity) {
        if self.country_code.set().is_some() {
            report.rewritten(Field::Phone, phone::TO_DIAL_CODE);
        }
    }
}

/// What create and update send.
pub(super) fn input<'f>(fields: &'f CustomerFields, parts: &'f Parts) -> wire::CustomerInput<'f> {
    wire::CustomerInput {
        customer_type: Patch::Absent,
        first_name: str_patch(&parts.first_name),
        last_name: str_patch(&parts.last_name),
        email: str_patch(&fields.email),
        phone: str_patch(&parts.phone),
        country_code: str_patch(&parts.country_code),
    }
}

/// The type of a new customer, which generation v2 requires [cli].
pub(super) fn customer_type(fields: &CustomerFields, report: &mut Fidelity) -> Patch<Str<'static>> {
    if fields.kind.is_absent() {
        report.derived(Field::Type, INDIVIDUAL);
    }
    Patch::Set(Str::new(fields.kind.set().unwrap_or(&CustomerType::Individual).as_str()))
}

/// The customer in its envelope; `None` where the answer only says that all went well.
pub(super) fn one(answer: &Answer, bitnob: Bitnob) -> Result<Option<Customer>, Error> {
    let source = answer.source()?;
    let envelope: wire::One<'_> = parse(&source)?;
    heed(answer, envelope.status, envelope.status_code)?;
    envelope.data.map(|told| customer(told, &source, bitnob)).transpose()
}

/// A customer as Bitnob tells it.
pub(super) fn customer(told: wire::Customer<'_>, source: &Source, bitnob: Bitnob) -> Result<Customer, Error> {
    let text = |member: &Option<Str<'_>>| present(source, member.as_ref());
    let mut customer = Customer {
        id: reading::id(source, told.id.as_ref(), "id")?,
        first_name: text(&told.first_name),
        last_name: text(&told.last_name),
        email: text(&told.email),
        blocked: told.blacklist,
        extra: told.extra,
        ..Customer::default()
    };
    if let Some(word) = text(&told.customer_type) {
        customer.kind = CustomerType::parse(&word);
        if customer.kind.is_none() {
            customer.extra.keep_text("customer_type", &word);
        }
    }
    customer.metadata = reading::metadata(source, told.metadata, &mut customer.extra);
    customer.complete_names();
    number(&mut customer, text(&told.phone), text(&told.country_code), bitnob);
    reading::times(&mut customer, text(&told.created_at), text(&told.updated_at));
    Ok(customer)
}

/// A phone number from its two fields. A dial code that explains nothing stays among the extra members.
fn number(customer: &mut Customer, told: Option<Text>, code: Option<Text>, bitnob: Bitnob) {
    let read = told.as_ref().map(|told| match &code {
        Some(code) => phone::join(code, told),
        None => phone::canonical(told, bitnob.region),
    });
    if let Some(code) = code
        && !read.as_ref().is_some_and(|read| read.text.starts_with(&*code))
    {
        let word = if bitnob.generation == Generation::V1 { "countryCode" } else { "country_code" };
        customer.extra.keep_text(word, &code);
    }
    if let (Some(read), Some(told)) = (read, told) {
        reading::keep_phone(customer, Field::Phone, read, &told);
    }
}

/// The customer that a create answered, if it is the one that was meant: a known e-mail or BVN is answered
/// with the existing record, as a success [nb].
pub(super) fn own(mut customer: Customer, sent: &CustomerFields) -> Result<Customer, Error> {
    let words = |text: &Text| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    let (email, name) = (sent.email.set(), sent.full_name());
    let same_email = email.is_none_or(|sent| customer.email.as_ref().is_some_and(|held| email::same(held, sent)));
    let same_name = name.set().is_none_or(|sent| customer.name.as_ref().map(words) == Some(words(sent)));
    if !(same_email && same_name) {
        let told = "Bitnob answered an existing customer with another e-mail or name than sent";
        return Err(Error::new(Kind::SharedRecord, told).with_existing(&*customer.id));
    }
    if sent.phone.set().is_some_and(|sent| customer.phone.as_ref() != Some(sent)) {
        customer.fidelity.lost(Field::Phone, NOT_STORED);
    }
    if sent.kind.set().is_some_and(|sent| customer.kind.is_some_and(|held| held != *sent)) {
        customer.fidelity.lost(Field::Type, NOT_STORED);
    }
    Ok(customer)
}

/// A page of customers.
pub(super) fn page(answer: &Answer, asked: &ListCustomers, bitnob: Bitnob) -> Result<Page<Customer>, Error> {
    let source = answer.source()?;
    let envelope: wire::Page<'_> = parse(&source)?;
    heed(answer, envelope.status, envelope.status_code)?;
    let listed = reading::required(envelope.data, "data")?;
    // An empty list may be written as `null`.
    let told = listed.customers.or_else(|| listed.meta.as_ref().map(|_| Vec::new()));
    let items = reading::each(told, "data.customers", |told| customer(told, &source, bitnob))?;
    let (position, limit) = (&asked.position, asked.limit);
    let meta = listed.meta.unwrap_or_default();
    let number = meta.page.unwrap_or_else(|| position.page(limit));
    let has_next = meta.has_next_page.or_else(|| Some(number < meta.page_count?));
    let take = meta.take.unwrap_or(limit.into());
    let end = number.saturating_sub(1).saturating_mul(take) + items.len() as u64;
    let Some(has_next) = has_next.or_else(|| Some(end < meta.item_count?)) else {
        return Ok(Page::of_unknown_length(items, position, limit));
    };
    // The vendor may cut pages shorter than asked, and its count may be that of the page [oldlive].
    let total = meta.item_count.filter(|total| if has_next { *total > end } else { *total == end });
    let next = (has_next && !items.is_empty()).then(|| Position::of_page(position.page(limit) + 1, limit));
    Ok(Page { items, next, total })
}

/// The spellings in which a number may be stored: the filter by phone compares the text [gp].
pub(super) fn stored_spellings(number: &Text) -> Vec<Text> {
    match phone::split(number) {
        Some((_, national)) => vec![national.clone(), Text::from(format!("0{national}")), number.clone()],
        None => vec![number.clone()],
    }
}

/// Refuses a success whose body says otherwise: the official client decides by the body alone [py].
fn heed(answer: &Answer, status: Option<&RawValue>, status_code: Option<&RawValue>) -> Result<(), Error> {
    let fine = status_code.is_none() && status.is_none_or(|status| status.get() == "true");
    if fine { Ok(()) } else { carried_out(answer) }
}

/// Whether a success is one, whatever else its body holds.
pub(super) fn carried_out(answer: &Answer) -> Result<(), Error> {
    let told: wire::Failure = answer.error_body().unwrap_or_default();
    let status = told.status_code.as_u64().or(told.status.as_u64()).filter(|status| *status >= 400);
    match status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok()) {
        Some(status) => Err(refusal(&answer.with_status(status))),
        None if told.status == false || told.success == false => Err(refusal_as(answer, Kind::Rejected)),
        None => Ok(()),
    }
}

/// An error in any of Bitnob's four shapes, or in none.
pub(super) fn refusal(answer: &Answer) -> Error {
    refusal_as(answer, Kind::of_status(answer.status().as_u16()))
}

fn refusal_as(answer: &Answer, kind: Kind) -> Error {
    let told: wire::Failure = answer.error_body().unwrap_or_default();
    let lines: Vec<&str> = match &told.message {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        line => line.as_str().into_iter().collect(),
    };
    let title = told.error.as_str();
    let problem = told.r#type.as_str().and_then(|url| url.rsplit('/').next()).filter(|code| !code.is_empty());
    let code = told.code.as_str().or(problem).or(told.error["code"].as_str()).or(title.filter(|_| !lines.is_empty()));
    let message = match (told.detail.as_str(), title, told.details.as_str()) {
        (Some(detail), ..) => Some(Cow::from(detail)),
        _ if !lines.is_empty() => Some(Cow::from(lines.join("; "))),
        (_, Some(error), Some(details)) => Some(Cow::from(format!("{error}: {details}"))),
        _ => title.or(told.title.as_str()).map(Cow::from),
    };
    let fields = lines.iter().filter_map(|line| {
        let (word, wrong) = line.split_once(' ')?;
        WORDS.pointer(word).map(|_| (word, wrong.to_owned()))
    });
    let error = answer.refusal_as(kind, code.map(str::to_owned), message.as_deref());
    // How long to wait is told in words [gp].
    let wait = message.as_ref().and_then(|told| told.split_once("wait ")?.1.split(' ').next()?.parse().ok());
    let retry_after = error.retry_after.or(wait.filter(|_| kind == Kind::RateLimited));
    error.with_retry_after(retry_after).with_fields(field_errors(fields, &WORDS))
}

/// What a client asks of a record: the inverse of [`input`]. The official v2 client sends what it was not
/// given as empty text [cli], which changes nothing here.
pub(super) fn fields(asked: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Absent);
    let phone = match (text(&asked.phone), text(&asked.country_code)) {
        (Patch::Set(national), Patch::Set(code)) => Patch::Set(phone::join(&code, &national).text),
        (phone, _) => phone,
    };
    CustomerFields {
        first_name: text(&asked.first_name),
        last_name: text(&asked.last_name),
        email: text(&asked.email),
        phone,
        kind: asked.customer_type.set().and_then(|word| CustomerType::parse(word)).into(),
        ..CustomerFields::default()
    }
}

/// A customer in Bitnob's words: the inverse of [`customer`]. Generation v1 writes `null` for what is
/// absent [oldlive], v2 an empty text [cli].
pub(super) fn told<'c>(
    customer: &'c Customer,
    parts: &'c Parts,
    metadata: Option<&'c RawValue>,
    generation: Generation,
) -> wire::Customer<'c> {
    let blank = || (generation == Generation::V2).then(|| Str::new(""));
    let text = |part: Option<&'c Text>| str_of(part).or_else(blank);
    wire::Customer {
        id: str_of(Some(&customer.id)),
        email: text(customer.email.as_ref()),
        metadata,
        customer_type: customer.kind.map(|kind| Str::new(kind.as_str())),
        first_name: text(parts.first_name.set()),
        last_name: text(parts.last_name.set()),
        phone: text(parts.phone.set()),
        country_code: text(parts.country_code.set()),
        blacklist: Some(customer.blocked == Some(true)),
        created_at: str_of(customer.created_at.as_ref()),
        updated_at: str_of(customer.updated_at.as_ref()),
        extra: customer.extra.clone(),
    }
}
