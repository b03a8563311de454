//! Query strings, decoded strictly: a parameter that is unknown or occurs twice is an error that names it.

use std::borrow::Cow;

use passerelle_providers::model::FieldError;

use crate::problem::{Code, Problem};

/// The parameters of a request. Each is known to its operation and occurs once.
#[derive(Debug, Default)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Decodes a query string that may contain these parameters, each at most once.
    pub fn read(text: &str, known: &[&[&'static str]]) -> Result<Self, Problem> {
        let mut query = Self::default();
        if text.is_empty() {
            return Ok(query);
        }
        let mut wrong = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            match known.iter().copied().flatten().find(|known| **known == name) {
                None => wrong.push(FieldError::new(name.into_owned(), "is not a parameter of this operation")),
                Some(known) if query.0.iter().any(|(name, _)| name == known) => {
                    wrong.push(FieldError::new(*known, "must not be given twice"));
                }
                Some(known) => query.0.push((known, value.into_owned())),
            }
        }
        if wrong.is_empty() { Ok(query) } else { Err(Problem::invalid(wrong)) }
    }

    /// A parameter, if the client sent it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must not be empty.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        match self.get(name) {
            Some("") => Err(Problem::invalid_one(name, "must not be empty")),
            other => Ok(other),
        }
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::invalid_one(name, "must be `true` or `false`")),
        }
    }

    /// The size of a page, from 1 to 100.
    pub fn limit(&self) -> Result<Option<u16>, Problem> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        match text.parse() {
            Ok(limit @ 1..=100) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(limit)),
            _ => Err(Problem::invalid_one("limit", "must be a number from 1 to 100")),
        }
    }
}

/// Decodes one part of a form-encoded query. The result must be UTF-8 without U+0000.
fn decode(part: &str) -> Result<Cow<'_, str>, Problem> {
    if !part.contains(['+', '%']) {
        return Ok(Cow::Borrowed(part));
    }
    let spaced = part.replace('+', " ");
    let bytes = percent_encoding::percent_decode_str(&spaced).collect::<Vec<u8>>();
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Cow::Owned(text)),
        _ => Err(Problem::new(Code::MalformedRequest, "the query has escapes that do not decode to UTF-8 text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&[&str]] = &[&["limit", "email"], &["explain"]];

    #[test]
    fn known_parameters_are_decoded() {
        let query = Query::read("email=a%2Bb%40x.com&limit=20", KNOWN).expect("a query");
        assert_eq!(query.get("email"), Some("a+b@x.com"));
        assert_eq!(query.limit().ok(), Some(Some(20)));
    }

    #[test]
    fn unknown_repeated_and_invalid_parameters_are_refused() {
        for (text, status) in
            [("emial=x", 422), ("limit=1&limit=2", 422), ("email=%ff", 400), ("email=%00", 400), ("%80=1", 400)]
        {
            assert_eq!(Query::read(text, KNOWN).map_err(|failure| failure.status()).err(), Some(status), "{text}");
        }
        for text in ["limit=0", "limit=101", "limit=ten", "limit=", "limit=+5", "limit=5.0"] {
            let query = Query::read(text, KNOWN).expect("a query");
            assert_eq!(query.limit().map_err(|failure| failure.status()).err(), Some(422), "{text}");
        }
    }
}
