//! The server side of a vendor: reads a client's request in the vendor's format into a command, and writes the reply in
//! the vendor's envelopes, status codes and error bodies. Twins and drop-in use it.

use std::fmt::Debug;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    kit::{Words, vendor_request::given_members},
    model::{
        Command, Customer, CustomerFilter, Error, Field, FieldError, IdPattern, Kind, Page, Patch, PaymentMethod,
        Position, Reply, Request, Response, manifest::Manifest,
    },
    text::{Source, Text, email},
};

/// The server side of a vendor. It is pure: the caller passes in the time and random bytes.
pub trait VendorServer: Debug + Send + Sync + 'static {
    /// The abilities of the vendor.
    fn manifest(&self) -> &'static Manifest;

    /// Reads a client's request into a command. Its path is below the vendor's base. Refuses what the vendor's own
    /// validation refuses, and ids that do not match `ids`, the pattern of the provider that executes the command.
    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error>;

    /// The same for the vendor's own ids, as its twin uses them.
    fn accept(&self, request: &Request) -> Result<Command, Error> {
        self.accept_for(request, &self.manifest().id)
    }

    /// Writes a reply to a command in the vendor's format.
    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error>;

    /// Writes a failure in the vendor's error shape, with the vendor's status. The status in the body is that of the
    /// response. The details of [`Kind::Refused`] are for the client.
    fn refuse(&self, request: &Request, error: &Error, now: Timestamp) -> Response;

    /// Fills in what the vendor generates for a new record: an id, and the fields that a client cannot write.
    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]);

    /// Fills in what the vendor generates for a new payment method of a customer.
    fn fill_new_payment_method(&self, _method: &mut PaymentMethod, _customer: &Text, _random: [u8; 16]) {}

    /// The request members that the vendor accepts and that have no canonical field.
    fn members_without_field(&self) -> &'static [&'static str] {
        &[]
    }

    /// The members of the body of a create or an update that have a value and no place in the command.
    fn members_without_place(&self, body: &Source) -> Vec<&'static str> {
        given_members(body, self.members_without_field())
    }

    /// The fields that a search for a text looks at.
    fn searched_fields(&self) -> &'static [Field] {
        &CustomerFilter::SEARCHED
    }

    /// Whether an e-mail address is unique among customers: a second create with the same address answers the existing
    /// customer, whatever its other fields are.
    fn is_email_unique(&self) -> bool {
        false
    }
}

/// The field errors of the broken rules of a vendor's validation. Each rule says whether it is broken, the pointer to
/// its field, and the message.
pub fn broken(rules: impl IntoIterator<Item = (bool, &'static str, &'static str)>) -> Vec<FieldError> {
    let error = |(is_broken, pointer, message): (bool, _, _)| is_broken.then(|| FieldError::new(pointer, message));
    rules.into_iter().filter_map(error).collect()
}

/// Whether a client sent a text that is not an e-mail address.
pub fn is_malformed_email(given: &Patch<Text>) -> bool {
    given.set().is_some_and(|address| !email::is_address(address))
}

/// The error for a route that the vendor does not have.
pub fn no_route() -> Error {
    Error::new(Kind::NoRoute, "the provider has no such route")
}

/// The error for a path that is not below the vendor's base.
pub fn outside_base() -> Error {
    Error::new(Kind::NoRoute, OUTSIDE)
}

const OUTSIDE: &str = "the path is not below the provider's base";

/// The message of vendors for an unknown route, with the method and the whole requested path.
pub fn cannot(manifest: &Manifest, request: &Request, error: &Error) -> String {
    let base = if error.detail == OUTSIDE { "" } else { base_path(manifest) };
    format!("Cannot {} {base}{}", request.method(), request.uri().path())
}

/// The error for a customer that the vendor does not know.
pub fn not_found() -> Error {
    Error::new(Kind::NotFound, "no such customer")
}

/// The error for a reply of another type than the command needs. It is a bug of the gateway.
pub fn mismatched_reply() -> Error {
    Error::new(Kind::BadResponse, "the reply does not belong to the command")
}

/// The total number of records, for vendors that always report it. If the total is unknown, it is the number of records
/// up to the end of this page, plus one if another page follows.
pub fn total<T>(page: &Page<T>, position: &Position) -> u64 {
    let seen = position.offset().saturating_add(page.items.len() as u64);
    page.total.unwrap_or_else(|| seen.saturating_add(u64::from(page.next.is_some())))
}

/// An error as one text, for vendors whose error bodies have no fields: every field in the vendor's words with its
/// detail, or the detail of the error if it names no field. `separator` is put between a field and its detail.
pub fn in_one_text(error: &Error, words: &Words, separator: &str) -> String {
    let describe =
        |wrong: &FieldError| format!("{}{separator}{}", words.word(&wrong.pointer).replace('/', "."), wrong.detail);
    match error.fields.is_empty() {
        true => error.detail.to_string(),
        false => error.fields.iter().map(describe).collect::<Vec<_>>().join("; "),
    }
}

/// A JSON response.
pub fn json_response(status: u16, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    response(status, "application/json; charset=utf-8", body)
}

/// A response of any type.
pub fn response(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The HTTP status with which most vendors answer a failure.
pub const fn usual_status(kind: Kind) -> u16 {
    match kind {
        Kind::Malformed
        | Kind::Invalid
        | Kind::FieldsNotSupported
        | Kind::CardData
        | Kind::Rejected
        | Kind::SharedRecord
        | Kind::Ambiguous
        | Kind::NotSupported => 400,
        Kind::Unauthorized => 401,
        // No customer has an id of another form, so it is an unknown customer.
        Kind::NotFound | Kind::InvalidId | Kind::NoRoute => 404,
        Kind::AmbiguousId | Kind::InProgress => 409,
        Kind::Refused(status) => status,
        Kind::RateLimited | Kind::Throttled => 429,
        Kind::ProviderFailed | Kind::BadResponse | Kind::Interrupted => 500,
        Kind::Unreachable | Kind::Overloaded | Kind::ScanBound | Kind::StoreUnavailable => 503,
        Kind::TimedOut => 504,
    }
}

/// The usual phrase for an HTTP status, such as `Not Found`.
pub fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// A random UUID (version 4) from sixteen random bytes.
pub fn uuid(random: [u8; 16]) -> Text {
    Text::from(uuid::Builder::from_random_bytes(random).into_uuid().to_string())
}

/// A token of letters and digits, from random bytes.
pub fn token(prefix: &str, random: [u8; 16]) -> Text {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    Text::from(prefix.chars().chain(letters).collect::<String>())
}

/// The path of a vendor's documented base URL, such as `/v1`. Twins and drop-in serve the vendor's paths below it.
pub fn base_path(manifest: &Manifest) -> &'static str {
    let origin_and_path = manifest.base_url.and_then(|url| url.split_once("://"));
    let path = origin_and_path.and_then(|(_, rest)| rest.find('/').map(|start| &rest[start..]));
    path.map_or("", |path| path.trim_end_matches('/'))
}
