//! The other half of a dialect: speaking as the vendor. Twins and drop-in read a vendor's requests into
//! commands, and write what became of them in the vendor's envelopes, status codes and error bodies.

use std::fmt::Debug;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    kit::Words,
    model::{
        Command, Customer, Error, FieldError, IdPattern, Kind, Page, Patch, Position, Reply, Request, Response,
        manifest::Manifest,
    },
    text::{Text, email},
};

/// Speaks as a vendor. Pure: the time and randomness come in as arguments.
pub trait VendorServer: Debug + Send + Sync + 'static {
    /// What the vendor can do.
    fn manifest(&self) -> &'static Manifest;

    /// Reads a vendor's request, its path below the vendor's base, into a command. Refuses what the
    /// vendor's own validation refuses, and ids that whoever answers in the vendor's place cannot have.
    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error>;

    /// The same where the vendor itself answers, or its twin.
    fn accept(&self, request: &Request) -> Result<Command, Error> {
        self.accept_for(request, &self.manifest().id)
    }

    /// Writes a reply as the vendor answers that command.
    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error>;

    /// Writes a failure in the vendor's error shape, with the vendor's status.
    fn refuse(&self, request: &Request, error: &Error, now: Timestamp) -> Response;

    /// Gives a new record what the vendor gives it: an id and the fields a client cannot write.
    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]);

    /// The members of a customer that the vendor takes, and that have no place in a command.
    fn members_without_place(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether no two customers have the same e-mail address: a second create with one answers the first record,
    /// whatever else it says.
    fn is_email_unique(&self) -> bool {
        false
    }

    /// Whether deleting what is not there is answered as success.
    fn deletes_unknown(&self) -> bool {
        false
    }
}

/// The rules of a vendor's validator that are broken: whether one is, the pointer to its field, what is told.
pub fn broken(rules: impl IntoIterator<Item = (bool, &'static str, &'static str)>) -> Vec<FieldError> {
    let told = |(is_broken, pointer, told): (bool, _, _)| is_broken.then(|| FieldError::new(pointer, told));
    rules.into_iter().filter_map(told).collect()
}

/// Whether an e-mail address is given that is none.
pub fn is_no_address(given: &Patch<Text>) -> bool {
    given.set().is_some_and(|address| !email::is_address(address))
}

/// A route that the vendor does not have.
pub fn no_route() -> Error {
    Error::new(Kind::NoRoute, "the provider has no such route")
}

/// A path that is not below the vendor's base.
pub fn outside() -> Error {
    Error::new(Kind::NoRoute, OUTSIDE)
}

const OUTSIDE: &str = "the path is not below the provider's base";

/// What vendors say of a route that they do not have: the method, and the whole path that was asked for.
pub fn cannot(manifest: &Manifest, request: &Request, error: &Error) -> String {
    let base = if error.detail == OUTSIDE { "" } else { base_path(manifest) };
    format!("Cannot {} {base}{}", request.method(), request.uri().path())
}

/// A customer that the vendor does not know.
pub fn not_found() -> Error {
    Error::new(Kind::NotFound, "no such customer")
}

/// A reply that does not belong to the command, which is a fault of the caller.
pub fn mismatched() -> Error {
    Error::new(Kind::BadResponse, "a reply that does not belong to the command")
}

/// How many records there are in all, for vendors that always tell: where nobody knows, what has been seen,
/// and one more while there is more.
pub fn total<T>(page: &Page<T>, position: &Position) -> u64 {
    let seen = position.offset().saturating_add(page.items.len() as u64);
    page.total.unwrap_or_else(|| seen.saturating_add(u64::from(page.next.is_some())))
}

/// A failure in one text, for vendors that have nothing else: what is wrong with every field in the vendor's words,
/// or the detail where no field is named. `is` stands between a field and what is wrong with it.
pub fn in_one_text(error: &Error, words: &Words, is: &str) -> String {
    let told = |wrong: &FieldError| format!("{}{is}{}", words.word(&wrong.pointer).replace('/', "."), wrong.detail);
    match error.fields.is_empty() {
        true => error.detail.to_string(),
        false => error.fields.iter().map(told).collect::<Vec<_>>().join("; "),
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

/// The status that most vendors answer a failure with.
pub const fn usual_status(kind: Kind) -> u16 {
    match kind {
        Kind::Malformed
        | Kind::Invalid
        | Kind::FieldsNotSupported
        | Kind::CardData
        | Kind::Rejected
        | Kind::SharedRecord
        | Kind::NotSupported => 400,
        Kind::Unauthorized => 401,
        // An id that nobody was given belongs to nobody, whatever it looks like.
        Kind::NotFound | Kind::InvalidId | Kind::NoRoute => 404,
        Kind::RateLimited | Kind::Throttled => 429,
        Kind::ProviderFailed | Kind::BadResponse | Kind::Interrupted => 500,
        Kind::Unreachable | Kind::Overloaded | Kind::ScanBound => 503,
        Kind::TimedOut => 504,
    }
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

/// The part of a vendor's documented base that belongs to its paths, such as `/v1`. Twins and drop-in serve
/// the vendor's paths below it.
pub fn base_path(manifest: &Manifest) -> &'static str {
    let origin_and_path = manifest.base_url.and_then(|url| url.split_once("://"));
    let path = origin_and_path.and_then(|(_, rest)| rest.find('/').map(|start| &rest[start..]));
    path.map_or("", |path| path.trim_end_matches('/'))
}
