//! Pure translations between Bitnob's documents and the canonical customer. Tags such as (py) name a source in the
//! README.

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
    text::Str,
};

/// Bitnob's names for our fields, to translate errors. A dial code is a part of the phone.
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
/// The names of generation v2. It shares the others with the canonical model.
pub(super) const V2_WORDS: Words = Words(&[("customer_type", Field::Type), ("blacklist", Field::Blocked)]);

/// Bitnob's names of a dial code.
pub(super) const DIAL_CODES: [&str; 4] = ["country_code", "countryCode", "dial_code", "dialCode"];

/// The request body of a create or an update, with the name and the phone number in parts.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    let (first_name, last_name) = fields.split_name();
    let (country_code, phone) = fields.split_phone();
    let customer_type = fields.kind.map(|kind| Str::new(kind.as_str()));
    wire::CustomerInput { customer_type, first_name, last_name, email: str_patch(&fields.email), phone, country_code }
}

/// Decodes an answer that holds one customer.
pub(super) fn one(answer: &Answer, bitnob: Bitnob) -> Result<Box<Customer>, Error> {
    Ok(customer(envelope_data(answer)?, bitnob)?.into_owned(&answer.source()?).into())
}

/// Decodes a customer. Unknown members and an unknown `customer_type` go to `extra`.
fn customer(received: wire::Customer<'_>, bitnob: Bitnob) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(received.id, "id")?,
        first_name: present(received.first_name),
        last_name: present(received.last_name),
        email: present(received.email),
        kind: received.customer_type.as_deref().and_then(CustomerType::parse),
        blocked: received.blacklist,
        extra: received.extra,
        ..BorrowedCustomer::default()
    };
    if let (None, Some(unknown)) = (customer.kind, present(received.customer_type)) {
        customer.extra.add_text("customer_type", &unknown);
    }
    decode::metadata(&mut customer, received.metadata);
    customer.complete_names();
    let code = (if bitnob.is_v2 { "country_code" } else { "countryCode" }, present(received.country_code));
    decode::phone_in_parts(&mut customer, code, present(received.phone), bitnob.region);
    decode::times(&mut customer, present(received.created_at), present(received.updated_at));
    Ok(customer)
}

/// Decodes a page of customers.
pub(super) fn page<'a>(
    answer: &'a Answer,
    list: &ListCustomers,
    bitnob: Bitnob,
) -> Result<Page<BorrowedCustomer<'a>>, Error> {
    let listed: wire::Listed<'_, wire::Customer<'_>, wire::Meta<'_>> = envelope_data(answer)?;
    // Bitnob may write an empty list as `null`.
    let customers = listed.customers.or(listed.meta.as_ref().map(|_| Vec::new()));
    let items = decode::each(customers, "data.customers", |received| customer(received, bitnob))?;
    let meta = listed.meta.unwrap_or_default();
    let more = meta.has_next_page.or(meta.page_count.map(|pages| list.position.page(list.limit) < pages));
    // `itemCount` may count this page only (oldlive). Then the page reports no total.
    Ok(Page::of_reported(items, &list.position, list.limit, more, meta.item_count))
}

/// The `data` of an envelope. If it is missing, the error says why, where the answer does.
fn envelope_data<'a, T: FromJson<'a>>(answer: &'a Answer) -> Result<T, Error> {
    let wire::Envelope { data, .. } = parse(answer.text()?)?;
    if data.is_none() {
        check_success(answer)?;
    }
    decode::required(data, "data")
}

/// Refuses an answer with a success status whose body reports a failure. The official client looks at the body alone
/// (py).
pub(super) fn check_success(answer: &Answer) -> Result<(), Error> {
    let body: Value = answer.error_body().unwrap_or_default();
    let status = body["statusCode"].as_u64().or(body["status"].as_u64());
    match status.and_then(|status| answer.with_error_status(status)) {
        Some(refused) => Err(refusal(&refused)),
        None if body["status"] == false || body["success"] == false => Err(refusal_as(answer, Kind::Rejected)),
        None => Ok(()),
    }
}

/// Decodes an error in any of Bitnob's four shapes. An unknown shape gives an error by its status alone.
pub(super) fn refusal(answer: &Answer) -> Error {
    refusal_as(answer, Kind::of_status(answer.status().as_u16()))
}

fn refusal_as(answer: &Answer, kind: Kind) -> Error {
    let body: Value = answer.error_body().unwrap_or_default();
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str);
    // `message` is a text or a list of texts (py).
    let lines: Vec<&str> = match &body["message"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        line => line.as_str().into_iter().collect(),
    };
    let joined = (!lines.is_empty()).then(|| lines.join("; "));
    let problem = text("/type").and_then(|url| url.rsplit('/').next()).filter(|code| !code.is_empty());
    // With a `message`, `error` is its title. With `details`, `error` names what they are about (gp).
    let title = text("/error").filter(|_| joined.is_some());
    let code = text("/code").or(problem).or(text("/error/code")).or(title);
    let with_details = || Some(format!("{}: {}", text("/error")?, text("/details")?));
    let plain = || text("/error").or(text("/title")).map(str::to_owned);
    let message = text("/detail").map(str::to_owned).or(joined).or_else(with_details).or_else(plain);
    let fields = lines.iter().filter_map(|line| line.split_once(' ').filter(|(word, _)| WORDS.pointer(word).is_some()));
    let fields = field_errors(fields.map(|(word, detail)| (word, detail.to_owned())), &WORDS);
    answer.refusal_as(kind, code.map(str::to_owned), message.as_deref()).with_fields(fields)
}
