//! Builds a request to a provider, and makes it a plan. The vendors' `plan_*` methods use it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde::Serialize;
use smallvec::SmallVec;

use crate::{
    kit::{Answer, CustomerPage, Plan, Step, plan::Later},
    model::{AsksForMany, BorrowedCustomer, Error, Fidelity, Kind, Page, Request},
};

/// A request that a vendor is building.
#[derive(Debug)]
pub struct Draft {
    method: Method,
    path: Cow<'static, str>,
    has_query: bool,
    body: Bytes,
    asks_for_many: bool,
}

/// The bytes that are escaped in a path segment. `@` stays unescaped, because the providers' own clients send it so.
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
    /// A request to a path below the provider's base URL.
    const fn new(method: Method, path: &'static str) -> Self {
        Self { method, path: Cow::Borrowed(path), has_query: false, body: Bytes::new(), asks_for_many: false }
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

    /// Adds an escaped segment to the path. Refuses a segment such as `..`, which would address another path.
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

    /// Adds a flag to the query if it has a value.
    #[must_use]
    pub fn flag(self, key: &str, value: Option<bool>) -> Self {
        self.maybe(key, value.map(|value| if value { "true" } else { "false" }))
    }

    /// Adds a query parameter if it has a value.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// Adds a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        // Most bodies fit on the stack, so that the copy is their only allocation.
        let mut buffer = SmallVec::<[u8; 512]>::new();
        serde_json::to_writer(&mut buffer, body)
            .map_err(|_| Error::new(Kind::Invalid, "the command cannot be written as JSON"))?;
        self.body = Bytes::copy_from_slice(&buffer);
        Ok(self)
    }

    /// The same request, for an answer that may have many records.
    #[must_use]
    pub fn for_many(self) -> Self {
        Self { asks_for_many: true, ..self }
    }

    /// Plans the request. `read` reads an answer with a success status; `refusal` makes the error of any other answer.
    pub fn plan<T: 'static>(
        self,
        refusal: fn(&Answer) -> Error,
        read: impl FnOnce(&Answer) -> Result<T, Error> + Send + 'static,
    ) -> Result<Plan<T>, Error> {
        self.plan_whole(refusal, move |answer| read(&answer))
    }

    /// Plans a change whose answer may lack the customer. `read` gives `None` then: the plan fails if the answer reports a
    /// failure, and otherwise continues with `retrieve`.
    pub fn plan_or_read<T: 'static>(
        self,
        refusal: fn(&Answer) -> Error,
        read: impl FnOnce(&Answer) -> Result<Option<T>, Error> + Send + 'static,
        retrieve: Plan<T>,
    ) -> Result<Plan<T>, Error> {
        let plan = self.plan(refusal, move |answer| match read(answer)? {
            Some(record) => Ok(Some(record)),
            None => answer.reported_failure(refusal).map_or(Ok(None), Err),
        })?;
        Ok(plan.or_read(retrieve))
    }

    /// Plans the request of a page of customers. The result keeps the answer, and reads it when the page is used.
    pub fn plan_page(
        self,
        refusal: fn(&Answer) -> Error,
        read: impl for<'a> Fn(&'a Answer) -> Result<Page<BorrowedCustomer<'a>>, Error> + Send + Sync + 'static,
    ) -> Result<Plan<CustomerPage>, Error> {
        self.for_many().plan_whole(refusal, move |answer| Ok(CustomerPage { answer, read: Box::new(read) }))
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
        Ok(Plan { request, writes, later: Later::default(), fidelity: Fidelity::default(), read })
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
        if self.asks_for_many {
            request.extensions_mut().insert(AsksForMany);
        }
        Ok(request)
    }
}
