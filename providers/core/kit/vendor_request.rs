//! A client's request in a vendor's format, split into method, path segments, query and body. The server side of each
//! vendor reads its commands from it.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

use bytes::Bytes;
use http::Method;
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{
    json::{self, FromJson},
    kit::{document::describe, server::no_route},
    model::{Error, FieldError, Kind, Position, Request},
    text::{Source, Text},
};

/// A client's request in a vendor's format, split into its parts.
#[derive(Debug)]
pub struct VendorRequest<'r> {
    /// The method.
    pub method: &'r Method,
    /// The unescaped segments of the path.
    pub segments: Vec<Cow<'r, str>>,
    query: Vec<(Cow<'r, str>, Cow<'r, str>)>,
    body: &'r Bytes,
}

impl<'r> VendorRequest<'r> {
    /// Splits a request. A segment that is not UTF-8 matches no route.
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

    /// The method, and the segments below the vendor's collection. Fails for a path outside the collection, because the
    /// vendor has no routes there.
    pub fn route_below(&self, collection: &str) -> Result<(&str, Vec<&str>), Error> {
        let mut segments = self.segments.iter().map(|segment| &**segment);
        let is_below = collection.trim_start_matches('/').split('/').all(|part| segments.next() == Some(part));
        if is_below { Ok((self.method.as_str(), segments.collect())) } else { Err(no_route()) }
    }

    /// A query parameter, if it is present and not empty.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, value)| name == key && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// The same as a text.
    pub fn query_text(&self, key: &str) -> Option<Text> {
        self.query(key).map(Text::from)
    }

    /// A query parameter as a number; `None` if it is missing, an error if it is not a number.
    pub fn number(&self, key: &'static str) -> Result<Option<u64>, Error> {
        self.parsed(key, "must be a number")
    }

    /// The same as a flag.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, Error> {
        self.parsed(key, "must be true or false")
    }

    /// A query parameter as a number from 1 to `most`; a number outside of this range becomes the nearest one inside.
    pub fn within(&self, key: &'static str, usual: u64, most: u64) -> Result<u64, Error> {
        let number = self.parsed::<i128>(key, "must be a number")?;
        Ok(number.map_or(usual, |number| u64::try_from(number.max(1)).unwrap_or(most).min(most)))
    }

    fn parsed<T: FromStr>(&self, key: &'static str, detail: &'static str) -> Result<Option<T>, Error> {
        let wrong = |_| Error::invalid(vec![FieldError::new(key, detail)]);
        self.query(key).map(str::parse).transpose().map_err(wrong)
    }

    /// Refuses a filter or sort parameter that the gateway does not implement, because an answer that ignores it would
    /// be wrong. The `accepted` values are allowed, because the gateway's answer already agrees with them.
    pub fn require_supported(&self, key: &'static str, accepted: &[&str]) -> Result<(), Error> {
        match self.query(key) {
            Some(value) if !accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(value)) => {
                let detail = accepted.first().map_or_else(|| "is not supported".into(), |one| format!("must be {one}"));
                Err(Error::invalid(vec![FieldError::new(key, detail)]))
            }
            _ => Ok(()),
        }
    }

    /// The page size: the requested one, limited to 1 to `most`, or the vendor's usual one.
    pub fn limit(&self, key: &'static str, usual: u16, most: u16) -> Result<u16, Error> {
        let limit = self.number(key)?.map_or(usual, |limit| u16::try_from(limit).unwrap_or(most));
        Ok(limit.clamp(1, most))
    }

    /// A numbered page: its size, from the parameter `size`, and the position at which it begins.
    pub fn page(&self, size: &'static str, usual: u16, most: u16) -> Result<(u16, Position), Error> {
        let limit = self.limit(size, usual, most)?;
        Ok((limit, Position::of_page(self.number("page")?.unwrap_or(1), limit)))
    }

    /// The body as text for [`read_document`]. A missing body is an empty object.
    pub fn source(&self) -> Result<Source, Error> {
        let empty = Bytes::from_static(b"{}");
        let body = if self.body.is_empty() { &empty } else { self.body };
        Source::new(body).ok_or_else(|| Error::new(Kind::Invalid, "the body is not UTF-8 text"))
    }
}

/// Reads the body of a client's request. The error names a member of the wrong type, but never contains its value.
pub fn read_document<'s, T: FromJson<'s>>(source: &'s Source) -> Result<T, Error> {
    json::from_str(source.as_str()).map_err(|error| {
        // If the text ends inside a member, the whole document is malformed; the member is not of a wrong type.
        let is_json = serde_json::from_str::<IgnoredAny>(source.as_str()).is_ok();
        match error.wrong_member().filter(|_| is_json) {
            Some(path) => {
                let pointer = format!("/{}", path.replace('.', "/"));
                Error::invalid(vec![FieldError::new(pointer, "has an unexpected type")])
            }
            None if is_json => Error::new(Kind::Invalid, "the body must be a JSON object"),
            None => Error::new(Kind::Invalid, describe(source.as_str(), &error)),
        }
    })
}

/// Which of these members a document has with a value that is not empty.
pub fn given_members(source: &Source, members: &[&'static str]) -> Vec<&'static str> {
    let document: BTreeMap<&str, &RawValue> = serde_json::from_str(source.as_str()).unwrap_or_default();
    let has_value = |member: &&&str| {
        let value = document.get(**member).map(|value| value.get());
        value.is_some_and(|value| !["null", "\"\"", "{}", "[]"].contains(&value))
    };
    members.iter().filter(has_value).copied().collect()
}
