//! Values that providers write with more than one JSON type.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    json::{self, FromJson, ParseError, Raw, Reader},
    text::{Str, decimal},
};

/// A string or a number, for members that providers write as either. A number keeps its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose<'a>(pub Str<'a>);

impl<'json: 'a, 'a> FromJson<'json> for Loose<'a> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, ParseError> {
        let raw = Raw::read(reader)?.get();
        if raw.starts_with('"') {
            json::from_str(raw).map(Self)
        } else if raw.starts_with(|sign: char| sign == '-' || sign.is_ascii_digit()) {
            Ok(Self(Str::plain(raw)))
        } else {
            Err(ParseError::wrong_type())
        }
    }
}

impl Serialize for Loose<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A JSON number, stored as its digits, because a float would change amounts of money. It can also be read from a
/// string, and is written as a string if the text is not a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number<'a>(pub Loose<'a>);

impl<'a> Number<'a> {
    /// A number to write.
    pub const fn new(digits: &'a str) -> Self {
        Self(Loose(Str::new(digits)))
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Number<'a> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, ParseError> {
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

/// A document, or another value in its place. Some providers write an empty object as `[]`.
#[derive(Debug)]
pub enum ObjectOrOther<'a, T> {
    /// The document.
    Object(T),
    /// A value that is not an object.
    Other(Raw<'a>),
}

impl<'json: 'a, 'a, T: FromJson<'json>> FromJson<'json> for ObjectOrOther<'a, T> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, ParseError> {
        if reader.is_at_object()? { T::read(reader).map(Self::Object) } else { Raw::read(reader).map(Self::Other) }
    }
}

impl<T: Serialize> Serialize for ObjectOrOther<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(document) => document.serialize(serializer),
            Self::Other(raw) => raw.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_a_number_only_if_it_is_a_plain_decimal() {
        for (digits, expected) in [
            ("12.50", "12.50"),
            ("-3", "-3"),
            ("1e5", r#""1e5""#),
            ("007", r#""007""#),
            ("true", r#""true""#),
            ("many", r#""many""#),
        ] {
            let written = serde_json::to_string(&Number(Loose(Str::plain(digits)))).expect("JSON");
            assert_eq!(written, expected, "{digits}");
        }
    }
}
