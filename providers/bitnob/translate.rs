//! Between Bitnob's language and the canonical one.

use serde_json::Value;

use super::{Bitnob, wire};
use crate::{
    json::FromJson,
    kit::{
        Answer, Words,
        decode::{self, present},
        document::parse,
        field_errors,
    },
    model::{
        BorrowedCustomer, Customer, CustomerFields, CustomerType, Error, Field, Kind, ListCustomers, Page, str_patch,
    },
    text::{Str, email},
};

/// Bitnob's words for the fields that it calls otherwise, for errors. A dial code is a part of the phone.
pub(super) const WORDS: Words = Words(&[
    ("firstName", Field::FirstName),
    ("lastName", Field::LastName),
    ("phone", Field::Phone),
    ("phone_number", Field::Phone),
    ("countryCode", Field::Phone),
    ("country_code", Field::Phone),
    ("dial_code", Field::Phone),
    ("customer_type", Field::Type),
]);
/// Those of generation v2, which calls the others as we do.
pub(super) const V2_WORDS: Words = Words(&[("customer_type", Field::Type), ("blacklist", Field::Blocked)]);

/// What create and update send: the name and the number in their parts.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    let (first_name, last_name) = fields.split_name();
    let (country_code, phone) = fields.split_phone();
    let customer_type = fields.kind.map(|kind| Str::new(kind.as_str()));
    wire::CustomerInput { customer_type, first_name, last_name, email: str_patch(&fields.email), phone, country_code }
}

/// The customer in an answer.
pub(super) fn one(answer: &Answer, bitnob: Bitnob) -> Result<Customer, Error> {
    Ok(customer(held(answer)?, bitnob)?.into_owned(&answer.source()?))
}

/// A customer as Bitnob tells it.
fn customer(told: wire::Customer<'_>, bitnob: Bitnob) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(told.id, "id")?,
        first_name: present(told.first_name),
        last_name: present(told.last_name),
        email: present(told.email),
        kind: told.customer_type.as_deref().and_then(CustomerType::parse),
        blocked: told.blacklist,
        extra: told.extra,
        ..BorrowedCustomer::default()
    };
    if let (None, Some(unknown)) = (customer.kind, present(told.customer_type)) {
        customer.extra.keep_text("customer_type", &unknown);
    }
    decode::metadata(&mut customer, told.metadata);
    customer.complete_names();
    let code = (if bitnob.is_v2 { "country_code" } else { "countryCode" }, present(told.country_code));
    decode::phone_in_parts(&mut customer, code, present(told.phone), bitnob.region);
    decode::times(&mut customer, present(told.created_at), present(told.updated_at));
    Ok(customer)
}

/// The customer that a create answered, if it is not somebody else's (nb).
pub(super) fn own(mut customer: Customer, sent: &CustomerFields) -> Result<Customer, Error> {
    const NOT_STORED: &str = "Bitnob answered the record it already had";
    let words = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    let same_name = sent.full_name().set().is_none_or(|sent| customer.name.as_deref().map(words) == Some(words(sent)));
    let same_email = sent.email.set().is_none_or(|sent| email::same(customer.email.as_deref().unwrap_or(""), sent));
    if !(same_email && same_name) {
        let told = "Bitnob answered an existing customer with another e-mail or name than sent";
        return Err(Error::new(Kind::SharedRecord, told).with_existing(&*customer.id));
    }
    if sent.phone.set().is_some() && customer.phone.as_ref() != sent.phone.set() {
        customer.fidelity.lost(Field::Phone, NOT_STORED);
    }
    if customer.kind.is_some() && sent.kind.set().is_some_and(|sent| customer.kind != Some(*sent)) {
        customer.fidelity.lost(Field::Type, NOT_STORED);
    }
    Ok(customer)
}

/// A page of customers.
pub(super) fn page<'a>(
    answer: &'a Answer,
    asked: &ListCustomers,
    bitnob: Bitnob,
) -> Result<Page<BorrowedCustomer<'a>>, Error> {
    let listed: wire::Listed<'_, wire::Customer<'_>, wire::Meta<'_>> = held(answer)?;
    // An empty list may be written as `null`.
    let customers = listed.customers.or(listed.meta.as_ref().map(|_| Vec::new()));
    let items = decode::each(customers, "data.customers", |told| customer(told, bitnob))?;
    let meta = listed.meta.unwrap_or_default();
    let more = meta.has_next_page.or(meta.page_count.map(|pages| asked.position.page(asked.limit) < pages));
    // The count may be that of the page [oldlive].
    Ok(Page::of_told(items, &asked.position, asked.limit, more, meta.item_count))
}

/// What an envelope holds, or why it holds nothing.
fn held<'a, T: FromJson<'a>>(answer: &'a Answer) -> Result<T, Error> {
    let wire::Envelope { data, .. } = parse(answer.text()?)?;
    if data.is_none() {
        carried_out(answer)?;
    }
    decode::required(data, "data")
}

/// Whether a success is one: the official client decides by the body alone (py).
pub(super) fn carried_out(answer: &Answer) -> Result<(), Error> {
    let told: Value = answer.error_body().unwrap_or_default();
    let status = told["statusCode"].as_u64().or(told["status"].as_u64());
    match status.and_then(|status| answer.refused_with(status)) {
        Some(refused) => Err(refusal(&refused)),
        None if told["status"] == false || told["success"] == false => Err(refusal_as(answer, Kind::Rejected)),
        None => Ok(()),
    }
}

/// An error in any of Bitnob's four shapes, or in none.
pub(super) fn refusal(answer: &Answer) -> Error {
    refusal_as(answer, Kind::of_status(answer.status().as_u16()))
}

fn refusal_as(answer: &Answer, kind: Kind) -> Error {
    let told: Value = answer.error_body().unwrap_or_default();
    let text = |pointer| told.pointer(pointer).and_then(Value::as_str);
    // A text, or a list of them [py].
    let lines: Vec<&str> = match &told["message"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        line => line.as_str().into_iter().collect(),
    };
    let said = (!lines.is_empty()).then(|| lines.join("; "));
    let problem = text("/type").and_then(|url| url.rsplit('/').next()).filter(|code| !code.is_empty());
    // Beside a message, `error` is its title; beside details, what they are of [gp].
    let title = text("/error").filter(|_| said.is_some());
    let code = text("/code").or(problem).or(text("/error/code")).or(title);
    let with_details = || Some(format!("{}: {}", text("/error")?, text("/details")?));
    let plain = || text("/error").or(text("/title")).map(str::to_owned);
    let message = text("/detail").map(str::to_owned).or(said).or_else(with_details).or_else(plain);
    let fields = lines.iter().filter_map(|line| line.split_once(' ').filter(|(word, _)| WORDS.pointer(word).is_some()));
    let fields = field_errors(fields.map(|(word, wrong)| (word, wrong.to_owned())), &WORDS);
    answer.refusal_as(kind, code.map(str::to_owned), message.as_deref()).with_fields(fields)
}
