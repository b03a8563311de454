//! Decodes a page of customers into a small model with any text type, so that only that type differs between two
//! measurements.

use std::borrow::Cow;

use serde::Deserialize;

/// A newtype, because serde copies a bare `Cow` inside an `Option`.
#[derive(Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of one customer.
#[derive(Debug)]
#[expect(dead_code, reason = "what is decoded is dropped, not read")]
pub(crate) struct Customer<T> {
    id: Option<T>,
    name: Option<T>,
    email: Option<T>,
    phone: Option<T>,
    line1: Option<T>,
    city: Option<T>,
    country: Option<T>,
    created_at: Option<T>,
    updated_at: Option<T>,
}

#[derive(Deserialize)]
struct Page<C> {
    data: Vec<C>,
}

#[derive(Deserialize)]
struct BorrowedCustomer<'a> {
    #[serde(borrow)]
    customer_id: Option<Str<'a>>,
    name: Option<Str<'a>>,
    email: Option<Str<'a>>,
    phone_number: Option<Str<'a>>,
    address: Option<Str<'a>>,
    city: Option<Str<'a>>,
    country: Option<Str<'a>>,
    created_at: Option<Str<'a>>,
    updated_at: Option<Str<'a>>,
}

/// Decodes a page. `text` converts the text that the JSON parser found into the text type of the model.
pub(crate) fn decode<'a, T>(page: &'a str, text: impl Fn(Cow<'a, str>) -> T) -> Vec<Customer<T>> {
    let page: Page<BorrowedCustomer<'a>> = serde_json::from_str(page).expect("the page is JSON");
    let text = |member: Option<Str<'a>>| member.map(|found| text(found.0));
    let customers = page.data.into_iter().map(|customer| Customer {
        id: text(customer.customer_id),
        name: text(customer.name),
        email: text(customer.email),
        phone: text(customer.phone_number),
        line1: text(customer.address),
        city: text(customer.city),
        country: text(customer.country),
        created_at: text(customer.created_at),
        updated_at: text(customer.updated_at),
    });
    customers.collect()
}

#[derive(Deserialize)]
struct Flattened<'a> {
    #[serde(flatten, borrow)]
    _customer: BorrowedCustomer<'a>,
    #[serde(flatten)]
    _extra: serde_json::Map<String, serde_json::Value>,
}

/// Decodes a page with serde's `flatten`, the usual way to keep unknown members.
pub(crate) fn decode_flattened(page: &str) -> usize {
    let page: Page<Flattened<'_>> = serde_json::from_str(page).expect("the page is JSON");
    page.data.len()
}
