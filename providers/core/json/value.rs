//! JSON values that borrow from the message they are read from.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    json::{FromJson, ParseError, Reader},
    text::Str,
};

/// The members of an object, with raw values.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Str<'a>, Raw<'a>)>);

impl<'a> FromJson<'a> for Members<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let mut members = Vec::with_capacity(16);
        let mut more = reader.open_object()?;
        while more {
            members.push((reader.key()?, Raw::read(reader)?));
            more = reader.next_member()?;
        }
        Ok(Self(members))
    }
}

/// Reads the members from the text of an object without its braces.
pub fn members(inside: &str) -> Result<Vec<(Str<'_>, Raw<'_>)>, ParseError> {
    let mut members = Vec::new();
    each_member(inside, |key, value| members.push((key, value)))?;
    Ok(members)
}

/// Passes on the members from the text of an object without its braces, one after the other.
pub fn each_member<'a>(inside: &'a str, mut pass: impl FnMut(Str<'a>, Raw<'a>)) -> Result<(), ParseError> {
    let mut reader = Reader::new(inside);
    while reader.at < inside.len() {
        if reader.at > 0 && !reader.read_if_next(",") {
            return Err(ParseError::malformed());
        }
        pass(reader.key()?, Raw::read(&mut reader)?);
    }
    Ok(())
}

/// Any JSON value, as its unchanged text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// `true`.
    pub const TRUE: Self = Self("true");

    /// A text that is known to be one JSON value.
    pub(crate) const fn of_json(text: &'a str) -> Self {
        Self(text)
    }

    /// The value as JSON text.
    pub const fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for Raw<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'a> From<&'a Box<RawValue>> for Raw<'a> {
    fn from(raw: &'a Box<RawValue>) -> Self {
        Self(raw.get())
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(self.0).unwrap_or(RawValue::NULL).serialize(serializer)
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Raw<'a> {
    #[inline]
    fn read(reader: &mut Reader<'json>) -> Result<Self, ParseError> {
        reader.raw()
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Str<'a> {
    #[inline]
    fn read(reader: &mut Reader<'json>) -> Result<Self, ParseError> {
        if reader.peek()? == b'"' { reader.string() } else { Err(ParseError::wrong_type()) }
    }
}

impl<'a> FromJson<'a> for bool {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        match reader.peek()? {
            b't' => reader.literal("true").map(|()| true),
            b'f' => reader.literal("false").map(|()| false),
            _ => Err(ParseError::wrong_type()),
        }
    }
}

impl<'a> FromJson<'a> for u64 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Raw::read(reader)?.get().parse().map_err(|_| ParseError::wrong_type())
    }
}

impl<'a> FromJson<'a> for u16 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Raw::read(reader)?.get().parse().map_err(|_| ParseError::wrong_type())
    }
}

/// `null` is `None`.
impl<'a, T: FromJson<'a>> FromJson<'a> for Option<T> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        if reader.read_null()? { Ok(None) } else { T::read(reader).map(Some) }
    }
}

/// The most entries of a list that are read. A page has at most some hundred; a provider that ignores the limit may
/// answer its whole list. An entry needs much more memory than its text.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// The largest entry of a list that is read, in bytes. An answer with one record has the same limit.
pub const MAX_ENTRY: usize = 512 << 10;

impl<'a, T: FromJson<'a>> FromJson<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let mut items = Self::new();
        let mut more = reader.open_array()?;
        while more {
            if items.len() == items.capacity() {
                // Lists are pages of many items, and growth in small steps would move every item several times.
                items.reserve(if items.is_empty() { 8 } else { 120 });
            }
            if items.len() == MAX_ENTRIES {
                return Err(ParseError::too_many_entries());
            }
            let begin = reader.at;
            let item = T::read(reader)?;
            if reader.at - begin > MAX_ENTRY {
                return Err(ParseError::entry_too_large());
            }
            item.check_entry()?;
            items.push(item);
            more = reader.next_item()?;
        }
        Ok(items)
    }
}
