//! The other half of a dialect: speaking as the vendor. Twins and drop-in read a vendor's requests into
//! commands, and write what became of them in the vendor's envelopes, status codes and error bodies.

use std::{borrow::Cow, collections::BTreeMap, fmt::Debug, str::FromStr};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::{Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    error::{Error, FieldError, Kind},
    json::{self, FromJson},
    manifest::{IdPattern, Manifest},
    model::{Command, Customer, Page, Patch, Position, Reply},
    plan::{Request, Response},
    text::{Source, Text, email},
    wire::{self, Words},
};

/// Speaks as a vendor. Pure: the time and randomness come in as arguments.
pub trait ImitatesVendor: Debug + Send + Sync + 'static {
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
    fn furnish(&self, customer: &mut Customer, random: [u8; 16]);

    /// The members of a customer that the vendor takes, and that have no place in a command.
    fn unknown_members(&self) -> &'static [&'static str] {
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

/// A vendor's request, taken apart.
#[derive(Debug)]
pub struct Asked<'r> {
    /// The method.
    pub method: &'r Method,
    /// The path, cut at its slashes and unescaped.
    pub segments: Vec<Cow<'r, str>>,
    query: Vec<(Cow<'r, str>, Cow<'r, str>)>,
    body: &'r Bytes,
}

impl<'r> Asked<'r> {
    /// Takes a request apart. Bytes that are not UTF-8 once unescaped match no route.
    pub fn of(request: &'r Request) -> Self {
        let path = request.uri().path().trim_matches('/');
        let query = request.uri().query().unwrap_or_default();
        Self {
            method: request.method(),
            segments: path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect(),
            query: form_urlencoded::parse(query.as_bytes()).collect(),
            body: request.body(),
        }
    }

    /// The method, and the segments below the vendor's collection as strings, to be matched. There are no routes
    /// outside the collection.
    pub fn route_below(&self, collection: &str) -> Result<(&str, Vec<&str>), Error> {
        let mut segments = self.segments.iter().map(|segment| &**segment);
        let is_below = collection.trim_start_matches('/').split('/').all(|part| segments.next() == Some(part));
        if is_below { Ok((self.method.as_str(), segments.collect())) } else { Err(no_route()) }
    }

    /// A query parameter that is there and not empty.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// The same as a text.
    pub fn query_text(&self, key: &str) -> Option<Text> {
        self.query(key).map(Text::from)
    }

    /// A query parameter as a number; `None` when it is not there, an error when it is something else.
    pub fn number(&self, key: &'static str) -> Result<Option<u64>, Error> {
        self.parsed(key, "must be a number")
    }

    /// The same as a flag.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, Error> {
        self.parsed(key, "must be true or false")
    }

    /// A whole number that is taken for the nearest one within the bounds.
    pub fn within(&self, key: &'static str, usual: u64, most: u64) -> Result<u64, Error> {
        let asked = self.parsed::<i128>(key, "must be a number")?;
        Ok(asked.map_or(usual, |asked| u64::try_from(asked.max(1)).unwrap_or(most).min(most)))
    }

    fn parsed<T: FromStr>(&self, key: &'static str, told: &'static str) -> Result<Option<T>, Error> {
        let wrong = |_| Error::invalid(vec![FieldError::new(key, told)]);
        self.query(key).map(str::parse).transpose().map_err(wrong)
    }

    /// Refuses a parameter that chooses or orders what is listed in a way that nobody here does: to ignore it would
    /// be to answer another question. One that asks for what is done anyway is taken.
    pub fn only(&self, key: &'static str, accepted: &[&str]) -> Result<(), Error> {
        match self.query(key) {
            Some(asked) if !accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(asked)) => {
                let told = accepted.first().map_or_else(|| "is not supported".into(), |one| format!("must be {one}"));
                Err(Error::invalid(vec![FieldError::new(key, told)]))
            }
            _ => Ok(()),
        }
    }

    /// A size of pages: the one asked for within the bounds, or the vendor's usual one.
    pub fn limit(&self, key: &'static str, usual: u16, most: u16) -> Result<u16, Error> {
        let asked = self.number(key)?.map_or(usual, |asked| u16::try_from(asked).unwrap_or(most));
        Ok(asked.clamp(1, most))
    }

    /// A numbered page: how many entries it has, under the vendor's name for that, and where it begins.
    pub fn page(&self, size: &'static str, usual: u16, most: u16) -> Result<(u16, Position), Error> {
        let limit = self.limit(size, usual, most)?;
        Ok((limit, Position::of_page(self.number("page")?.unwrap_or(1), limit)))
    }

    /// The body as text, to be read by [`read_document`]. A missing body is an empty object.
    pub fn source(&self) -> Result<Source, Error> {
        let empty = Bytes::from_static(b"{}");
        let body = if self.body.is_empty() { &empty } else { self.body };
        Source::new(body).ok_or_else(|| Error::new(Kind::Invalid, "the body is not UTF-8 text"))
    }
}

/// Reads a request's document. What is wrong is an invalid field, named without its value.
pub fn read_document<'s, T: FromJson<'s>>(source: &'s Source) -> Result<T, Error> {
    json::from_str(source.as_str()).map_err(|mistake| {
        // A text that breaks off inside a member is wrong as a whole; the member is not.
        let is_json = serde_json::from_str::<IgnoredAny>(source.as_str()).is_ok();
        match mistake.wrong_member().filter(|_| is_json) {
            Some(path) => {
                let pointer = format!("/{}", path.replace('.', "/"));
                Error::invalid(vec![FieldError::new(pointer, "has an unexpected type")])
            }
            None => Error::new(Kind::Invalid, wire::describe(source.as_str(), &mistake)),
        }
    })
}

/// Which of these members a document has, and says something by.
pub fn said_members(source: &Source, members: &[&'static str]) -> Vec<&'static str> {
    let document: BTreeMap<&str, &RawValue> = serde_json::from_str(source.as_str()).unwrap_or_default();
    let is_said = |member: &&&str| {
        let held = document.get(**member).map(|value| value.get());
        held.is_some_and(|value| !["null", "\"\"", "{}", "[]"].contains(&value))
    };
    members.iter().filter(is_said).copied().collect()
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
        Kind::Malformed | Kind::Invalid | Kind::CardData | Kind::Rejected | Kind::SharedRecord | Kind::NotSupported => {
            400
        }
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
    let mut bytes = random;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = crate::sign::hex(&bytes);
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Text::from(groups.join("-"))
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
