//! JSON values that providers write in more than one type.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    json::{self, FromJson, Mistake, Raw, Reader},
    text::{Str, decimal},
};

/// A string or a number, for fields that providers write either way. A number keeps its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose<'a>(pub Str<'a>);

impl<'json: 'a, 'a> FromJson<'json> for Loose<'a> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        let raw = Raw::read(reader)?.get();
        if raw.starts_with('"') {
            json::from_str(raw).map(Self)
        } else if raw.starts_with(|sign: char| sign == '-' || sign.is_ascii_digit()) {
            Ok(Self(Str::plain(raw)))
        } else {
            Err(Mistake::wrong_type())
        }
    }
}

impl Serialize for Loose<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A number in JSON, kept as its digits: money never passes through a float. Read from a string as well,
/// and written as one where the text is no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number<'a>(pub Loose<'a>);

impl<'a> Number<'a> {
    /// A number to be written.
    pub const fn new(digits: &'a str) -> Self {
        Self(Loose(Str::new(digits)))
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Number<'a> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        Loose::read(reader).map(Self)
    }
}

impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: &str = &self.0.0;
        match serde_json::from_str::<&RawValue>(digits) {
            Ok(number) if decimal::is_plain(digits) => number.serialize(serializer),
            _ => self.0.serialize(serializer),
        }
    }
}

/// A document, or whatever stands in its place. Some providers write an empty object as `[]`.
#[derive(Debug)]
pub enum Perhaps<'a, T> {
    /// The document.
    Object(T),
    /// Something that is no object.
    Other(Raw<'a>),
}

impl<'json: 'a, 'a, T: FromJson<'json>> FromJson<'json> for Perhaps<'a, T> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        if reader.is_at_object()? { T::read(reader).map(Self::Object) } else { Raw::read(reader).map(Self::Other) }
    }
}

impl<T: Serialize> Serialize for Perhaps<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(document) => document.serialize(serializer),
            Self::Other(raw) => raw.serialize(serializer),
        }
    }
}
