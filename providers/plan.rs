//! A plan: the request to send, and how to read its answer. Nothing has happened yet.
//!
//! A plan that is not run is a dry run: `explain` and the snapshot tests print it. A plan that is run
//! over a [`Transport`] is an adapter. Requests name a path below the provider's base, carry no
//! secrets, and are finished by an [`Endpoint`].

use std::borrow::Cow;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, FieldError, Kind, VendorAnswer},
    fidelity::Fidelity,
    model::{Customer, CustomerFilter, Field, Lookup, Operation, Page, Told},
    text::Source,
    wire::Words,
};

/// A provider's request.
pub type Request = http::Request<Bytes>;
/// A provider's response, read to its end.
pub type Response = http::Response<Bytes>;

/// Reads an answer, or says what to ask next.
type Read<T> = Box<dyn FnOnce(Response) -> Result<Step<T>, Error> + Send>;

/// A request to send, and how to read its answer.
pub struct Plan<T> {
    /// What to send.
    pub request: Request,
    /// Whether sending it may change anything.
    pub writes: bool,
    /// What will be sent after it, as far as that is known before the answer is.
    pub later: Vec<Request>,
    /// What the translation into the provider's language did to the command.
    pub fidelity: Fidelity,
    read: Read<T>,
}

/// What reading an answer led to.
#[derive(Debug)]
pub enum Step<T> {
    /// The result.
    Done(T),
    /// Another request has to be sent first.
    Then(Box<Plan<T>>),
}

impl<T> From<Plan<T>> for Step<T> {
    fn from(plan: Plan<T>) -> Self {
        Self::Then(Box::new(plan))
    }
}

impl<T> std::fmt::Debug for Plan<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Plan({} {})", self.request.method(), self.request.uri().path())
    }
}

impl<T: 'static> Plan<T> {
    /// Reads an answer.
    pub fn read(self, response: Response) -> Result<Step<T>, Error> {
        (self.read)(response)
    }

    /// The same plan where "no such customer" is an answer, not a failure.
    #[must_use]
    pub fn optional(self) -> Plan<Option<T>> {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<Option<T>> = Box::new(move |response| match read(response) {
            Ok(Step::Done(value)) => Ok(Step::Done(Some(value))),
            Ok(Step::Then(plan)) => Ok(plan.optional().into()),
            Err(error) if error.kind == Kind::NotFound => Ok(Step::Done(None)),
            Err(error) => Err(error),
        });
        Plan { request, writes, later, fidelity, read }
    }

    /// Adds what will be sent later.
    #[must_use]
    pub fn followed_by(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.later.extend(requests);
        self
    }

    /// Reports what became of a field on the way to the provider.
    #[must_use]
    pub fn reporting(mut self, report: impl FnOnce(&mut Fidelity)) -> Self {
        report(&mut self.fidelity);
        self
    }

    /// Reports fields that the provider will not hold.
    #[must_use]
    pub fn losing(self, losses: impl IntoIterator<Item = (Field, &'static str)>) -> Self {
        self.reporting(|fidelity| fidelity.lose(losses))
    }

    /// The same plan with its result converted.
    pub fn map<U: 'static>(self, convert: impl FnOnce(T) -> Result<U, Error> + Send + 'static) -> Plan<U> {
        self.and_then(move |value| convert(value).map(Step::Done))
    }

    /// A plan whose result decides on what follows.
    pub fn and_then<U: 'static>(self, next: impl FnOnce(T) -> Result<Step<U>, Error> + Send + 'static) -> Plan<U> {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<U> = Box::new(move |response| match read(response)? {
            Step::Done(value) => next(value),
            Step::Then(plan) => Ok(plan.and_then(next).into()),
        });
        Plan { request, writes, later, fidelity, read }
    }
}

impl Plan<Customer> {
    /// The same plan of a route that finds by other things as well: a customer who does not match is nobody.
    #[must_use]
    pub fn matching(self, lookup: &Lookup) -> Plan<Option<Customer>> {
        let sought = CustomerFilter::from(lookup);
        self.optional().map(move |found| Ok(found.filter(|customer| sought.matches(customer))))
    }
}

impl<T: 'static> Plan<Option<T>> {
    /// The same plan where an answer without the record is followed by another that reads it.
    #[must_use]
    pub fn or_read(self, again: Plan<T>) -> Plan<T> {
        let expected = again.request.clone();
        self.and_then(|told| Ok(told.map_or_else(|| again.into(), Step::Done))).followed_by([expected])
    }
}

/// A provider's answer while it is read.
#[derive(Debug)]
pub struct Answer(Response);

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The same answer under the status of an error that its body tells, for vendors that refuse with a success.
    pub fn refused_with(&self, status: u64) -> Option<Self> {
        let told = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
        let mut response = self.0.clone();
        *response.status_mut() = told;
        (told.is_client_error() || told.is_server_error()).then_some(Self(response))
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        simdutf8::basic::from_utf8(self.0.body()).map_err(|_| not_text())
    }

    /// The body as text of which parts can be kept.
    pub fn source(&self) -> Result<Source, Error> {
        Source::new(self.0.body()).ok_or_else(not_text)
    }

    /// The body of a refusal as a document; `None` where it is something else.
    pub fn error_body<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        serde_json::from_slice(self.0.body()).ok()
    }

    /// Whether the body is a page for people.
    pub fn is_html(&self) -> bool {
        self.0.body().trim_ascii_start().starts_with(b"<")
    }

    /// The error that a refusal means: its status decides, and what the provider said is kept.
    pub fn refusal(&self, code: Option<String>, message: Option<&str>) -> Error {
        let status = self.status().as_u16();
        self.refusal_as(Kind::of_status(status), code, message)
    }

    /// The same, where the provider's status means something of its own.
    pub fn refusal_as(&self, kind: Kind, code: Option<String>, message: Option<&str>) -> Error {
        let status = self.status().as_u16();
        let kind = if kind == Kind::NotFound && self.is_html() { Kind::BadResponse } else { kind };
        let detail = match kind {
            Kind::NotFound => "the provider knows no such customer".into(),
            Kind::Rejected => format!("the provider refused the request with status {status}").into(),
            Kind::RateLimited => "the provider limits the rate of requests".into(),
            Kind::Unauthorized => "the provider refused this connection's credentials".into(),
            Kind::ProviderFailed => format!("the provider failed with status {status}").into(),
            _ if self.is_html() => {
                format!("the provider answered an HTML page with status {status}; is `base_url` right?").into()
            }
            _ => Cow::from(format!("the provider answered the unexpected status {status}")),
        };
        let in_words = message.filter(|_| kind == Kind::RateLimited).and_then(seconds_told);
        Error::new(kind, detail).with_retry_after(self.retry_after().or(in_words)).with_vendor(VendorAnswer {
            status: Some(status),
            code,
            message: message.map(presentable).filter(|message| !message.is_empty()),
        })
    }

    /// `Retry-After` in seconds, whether it was written as seconds or as a date.
    fn retry_after(&self) -> Option<u64> {
        let header = |name| self.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let told = header(header::RETRY_AFTER)?.trim();
        told.parse().ok().or_else(|| {
            let date = |text| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp().as_second());
            let now = date(header(header::DATE)?)?;
            u64::try_from(date(told)? - now).ok()
        })
    }
}

fn not_text() -> Error {
    Error::bad_response("bytes that are not UTF-8 text")
}

/// The seconds in words such as `please wait 2 seconds`.
fn seconds_told(message: &str) -> Option<u64> {
    message.split_once(" second")?.0.rsplit(' ').next()?.parse().ok()
}

/// What may be shown of a provider's message: no control characters, at most 500 characters.
fn presentable(message: &str) -> String {
    message.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

/// Maps a provider's errors by field to ours.
pub fn field_errors<'e>(told: impl IntoIterator<Item = (&'e str, String)>, words: &Words) -> Vec<FieldError> {
    told.into_iter()
        .map(|(field, detail)| {
            let pointer = words.pointer(field).map_or_else(|| Cow::from(format!("/{field}")), Cow::from);
            FieldError::new(pointer, presentable(&detail))
        })
        .collect()
}

/// A page of customers as the provider answered it. Its customers borrow their text from it, so that answering a page
/// neither copies text nor counts who holds it.
pub struct CustomerPage {
    answer: Answer,
    read: Box<ReadPage>,
}

type ReadPage = dyn for<'a> Fn(&'a Answer) -> Result<Page<Told<'a>>, Error> + Send + Sync;

impl CustomerPage {
    /// Reads the page.
    pub fn told(&self) -> Result<Page<Told<'_>>, Error> {
        (self.read)(&self.answer)
    }

    /// The page with customers that can be kept.
    pub fn kept(&self) -> Result<Page<Customer>, Error> {
        let (Page { items, next, total }, source) = (self.told()?, self.answer.source()?);
        Ok(Page { items: items.into_iter().map(|told| told.kept(&source)).collect(), next, total })
    }
}

impl std::fmt::Debug for CustomerPage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CustomerPage").finish_non_exhaustive()
    }
}

impl Plan<CustomerPage> {
    /// The same plan with customers that can be kept.
    #[must_use]
    pub fn kept(self) -> Plan<Page<Customer>> {
        self.map(|page| page.kept())
    }
}

/// A request in the making.
#[derive(Debug)]
pub struct Draft {
    method: Method,
    path: Cow<'static, str>,
    has_query: bool,
    body: Bytes,
}

/// Every byte that is escaped in a path segment; `@` stays, as the providers' own clients send it.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%')
    .add(b'\\')
    .add(b'^')
    .add(b'|')
    .add(b'[')
    .add(b']')
    .add(b'&')
    .add(b'+')
    .add(b';')
    .add(b'=');

impl Draft {
    /// A request to a path below the provider's base.
    const fn new(method: Method, path: &'static str) -> Self {
        Self { method, path: Cow::Borrowed(path), has_query: false, body: Bytes::new() }
    }

    /// A `GET`.
    pub const fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path)
    }

    /// A `POST`.
    pub const fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path)
    }

    /// A `PUT`.
    pub const fn put(path: &'static str) -> Self {
        Self::new(Method::PUT, path)
    }

    /// A `PATCH`.
    pub const fn patch(path: &'static str) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// A `DELETE`.
    pub const fn delete(path: &'static str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a segment to the path, escaped. A segment that would change the path is refused.
    pub fn segment(mut self, segment: &str) -> Result<Self, Error> {
        if matches!(segment, "" | "." | "..") {
            return Err(Error::new(Kind::InvalidId, "an empty or dotted path segment cannot be an id"));
        }
        let path = self.path.to_mut();
        path.reserve(segment.len() + 24);
        path.push('/');
        path.extend(percent_encode(segment.as_bytes(), SEGMENT));
        Ok(self)
    }

    /// Adds a fixed part to the path.
    #[must_use]
    pub fn then(mut self, path: &'static str) -> Self {
        self.path.to_mut().push_str(path);
        self
    }

    /// Adds a query parameter, form-encoded.
    #[must_use]
    pub fn query(mut self, key: &str, value: &str) -> Self {
        let path = self.path.to_mut();
        path.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        path.push_str(key);
        path.push('=');
        path.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        self
    }

    /// Adds a number to the query.
    #[must_use]
    pub fn number(self, key: &str, value: u64) -> Self {
        self.query(key, &value.to_string())
    }

    /// Adds a flag to the query where there is one.
    #[must_use]
    pub fn flag(self, key: &str, value: Option<bool>) -> Self {
        self.maybe(key, value.map(|value| if value { "true" } else { "false" }))
    }

    /// Adds a query parameter where there is a value.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// Adds a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let mut buffer = Vec::with_capacity(512);
        serde_json::to_writer(&mut buffer, body)
            .map_err(|_| Error::new(Kind::Invalid, "the command cannot be written as JSON"))?;
        self.body = buffer.into();
        Ok(self)
    }

    /// Plans the request. `refusal` reads any answer that is not a success, `read` one that is.
    pub fn plan<T: 'static>(
        self,
        refusal: fn(&Answer) -> Error,
        read: impl FnOnce(&Answer) -> Result<T, Error> + Send + 'static,
    ) -> Result<Plan<T>, Error> {
        self.plan_whole(refusal, move |answer| read(&answer))
    }

    /// Plans the request of a page of customers, whose answer is kept: it is read where it is needed.
    pub fn plan_page(
        self,
        refusal: fn(&Answer) -> Error,
        read: impl for<'a> Fn(&'a Answer) -> Result<Page<Told<'a>>, Error> + Send + Sync + 'static,
    ) -> Result<Plan<CustomerPage>, Error> {
        self.plan_whole(refusal, move |answer| Ok(CustomerPage { answer, read: Box::new(read) }))
    }

    fn plan_whole<T: 'static>(
        self,
        refusal: fn(&Answer) -> Error,
        read: impl FnOnce(Answer) -> Result<T, Error> + Send + 'static,
    ) -> Result<Plan<T>, Error> {
        let request = self.build()?;
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let read = Box::new(move |response| {
            let answer = Answer(response);
            if answer.status().is_success() { read(answer).map(Step::Done) } else { Err(refusal(&answer)) }
        });
        Ok(Plan { request, writes, later: Vec::new(), fidelity: Fidelity::default(), read })
    }

    fn build(self) -> Result<Request, Error> {
        let uri = match self.path {
            Cow::Borrowed(path) => Uri::from_static(path),
            Cow::Owned(path) => {
                Uri::try_from(path).map_err(|_| Error::new(Kind::Invalid, "the command cannot be written as a URL"))?
            }
        };
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        Ok(request)
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where a provider is reached: its base URL, without a slash at the end.
#[derive(Debug, Clone)]
pub struct Endpoint(String);

impl Endpoint {
    /// An endpoint at a base URL.
    pub fn new(base_url: &str) -> Self {
        Self(base_url.trim_end_matches('/').to_owned())
    }

    /// The base URL.
    pub fn base_url(&self) -> &str {
        &self.0
    }

    /// Completes a plan's request: its full URL, and the headers that every JSON API is sent.
    pub fn finish(&self, mut request: Request) -> Result<Request, Error> {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut url = String::with_capacity(self.0.len() + path.len());
        url.push_str(&self.0);
        url.push_str(path);
        *request.uri_mut() = Uri::try_from(url).map_err(|_| Error::new(Kind::Invalid, "the base URL is not a URL"))?;
        let has_body = !request.body().is_empty();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, JSON);
        if has_body {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        Ok(request)
    }
}

/// Sends requests. The only thing here that waits.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a plan's request and reads the whole answer. Any status is an answer; an error is a
    /// request that got none. `writes` says whether sending it twice could do harm.
    async fn send(&self, request: Request, writes: bool) -> Result<Response, Error>;
}

/// Runs a plan to its end.
pub async fn run<T: 'static>(transport: &dyn Transport, plan: Plan<T>) -> Result<T, Error> {
    let mut plan = plan;
    let mut already_written = false;
    loop {
        let Plan { request, writes, read, .. } = plan;
        let response = transport.send(request, writes).await.map_err(|error| error.after(writes, already_written))?;
        match read(response) {
            Ok(Step::Done(value)) => return Ok(value),
            Ok(Step::Then(next)) => {
                already_written |= writes;
                plan = *next;
            }
            Err(error) => return Err(error.after(writes, already_written)),
        }
    }
}

/// A provider's plan for an operation that it lacks.
pub fn unsupported<T>(manifest: &crate::manifest::Manifest, operation: Operation) -> Result<Plan<T>, Error> {
    Err(Error::not_supported(manifest, operation))
}
