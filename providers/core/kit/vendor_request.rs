//! A vendor's request, taken apart.

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

/// A vendor's request, taken apart.
#[derive(Debug)]
pub struct VendorRequest<'r> {
    /// The method.
    pub method: &'r Method,
    /// The path, cut at its slashes and unescaped.
    pub segments: Vec<Cow<'r, str>>,
    query: Vec<(Cow<'r, str>, Cow<'r, str>)>,
    body: &'r Bytes,
}

impl<'r> VendorRequest<'r> {
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
            None => Error::new(Kind::Invalid, describe(source.as_str(), &mistake)),
        }
    })
}

/// Which of these members a document has, and says something by.
pub fn given_members(source: &Source, members: &[&'static str]) -> Vec<&'static str> {
    let document: BTreeMap<&str, &RawValue> = serde_json::from_str(source.as_str()).unwrap_or_default();
    let is_said = |member: &&&str| {
        let held = document.get(**member).map(|value| value.get());
        held.is_some_and(|value| !["null", "\"\"", "{}", "[]"].contains(&value))
    };
    members.iter().filter(is_said).copied().collect()
}
