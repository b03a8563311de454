//! JSON values that are read where they stand.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    json::{FromJson, Mistake, Reader},
    text::Str,
};

/// The members of an object, values raw.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Str<'a>, Raw<'a>)>);

impl<'a> FromJson<'a> for Members<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        let mut members = Vec::with_capacity(16);
        let mut more = reader.open_object()?;
        while more {
            members.push((reader.key()?, Raw::read(reader)?));
            more = reader.next_member()?;
        }
        Ok(Self(members))
    }
}

/// The members in the inside of an object.
pub fn members(inside: &str) -> Result<Vec<(Str<'_>, Raw<'_>)>, Mistake> {
    let mut reader = Reader::new(inside);
    let mut members = Vec::new();
    while reader.at < inside.len() {
        if !members.is_empty() && !reader.takes(",") {
            return Err(Mistake::malformed());
        }
        members.push((reader.key()?, Raw::read(&mut reader)?));
    }
    Ok(members)
}

/// Any value, kept as it was written.
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
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        reader.raw()
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Str<'a> {
    #[inline]
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        if reader.peek()? == b'"' { reader.string() } else { Err(Mistake::wrong_type()) }
    }
}

impl<'a> FromJson<'a> for bool {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        match reader.peek()? {
            b't' => reader.literal("true").map(|()| true),
            b'f' => reader.literal("false").map(|()| false),
            _ => Err(Mistake::wrong_type()),
        }
    }
}

impl<'a> FromJson<'a> for u64 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        Raw::read(reader)?.get().parse().map_err(|_| Mistake::wrong_type())
    }
}

impl<'a> FromJson<'a> for u16 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        Raw::read(reader)?.get().parse().map_err(|_| Mistake::wrong_type())
    }
}

/// `null` is `None`.
impl<'a, T: FromJson<'a>> FromJson<'a> for Option<T> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        if reader.takes_null()? { Ok(None) } else { T::read(reader).map(Some) }
    }
}

impl<'a, T: FromJson<'a>> FromJson<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        let mut items = Self::new();
        let mut more = reader.open_array()?;
        while more {
            if items.len() == items.capacity() {
                // Lists are pages; to grow in small steps would move every item several times.
                items.reserve(if items.is_empty() { 8 } else { 120 });
            }
            items.push(T::read(reader)?);
            more = reader.next_item()?;
        }
        Ok(items)
    }
}
