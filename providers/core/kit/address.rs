//! Addresses of vendors whose customers have them as a nested JSON object.

use std::marker::PhantomData;

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    json::{Extra, FromJson, ObjectOrOther, ParseError, Reader, serialize_extra},
    kit::{Words, members::str_of},
    model::{Address, Patch, str_patch},
    text::{Str, Text},
};

/// A vendor whose customers have their address in a nested object.
pub trait NestsAddress {
    /// The vendor's names for canonical fields. Those of the address begin with `address.`, and are written in this
    /// order.
    const WORDS: Words;
}

/// The vendor's name of an address part, without the `address.` prefix; `None` for a field outside the address.
fn part_name(word: &'static str) -> Option<&'static str> {
    word.strip_prefix("address.")
}

/// The address object of a vendor's customer, read and written with the vendor's names. Absent parts are not written.
#[derive(Debug)]
pub struct NestedAddress<'a, V> {
    /// The parts.
    pub parts: Address<Patch<Str<'a>>>,
    /// The members that are not parts of an address.
    pub extra: Extra<Str<'a>>,
    vendor: PhantomData<V>,
}

impl<'a, V> NestedAddress<'a, V> {
    /// An address to write.
    pub fn new(parts: Address<Patch<Str<'a>>>) -> Self {
        Self { parts, extra: Extra::default(), vendor: PhantomData }
    }

    /// The patch of an address object; `null` if the command clears every part.
    pub fn asked(parts: &'a Address<Patch<Text>>) -> Patch<Self> {
        match parts.parts() {
            every if every.iter().all(|(_, part)| part.is_absent()) => Patch::Absent,
            every if every.iter().all(|(_, part)| **part == Patch::Clear) => Patch::Clear,
            _ => Patch::Set(Self::new(parts.map(str_patch))),
        }
    }

    /// The address object of a customer; `None` if the customer has no address.
    pub fn held(parts: &'a Address<Option<Text>>) -> Option<ObjectOrOther<'a, Self>> {
        let has_address = parts.parts().iter().any(|(_, part)| part.is_some());
        has_address.then(|| ObjectOrOther::Object(Self::new(parts.map(|part| str_of(part.as_ref()).into()))))
    }
}

impl<'json: 'a, 'a, V: NestsAddress> FromJson<'json> for NestedAddress<'a, V> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, ParseError> {
        let mut read = Self::new(Address::default());
        let mut more = reader.open_object()?;
        while more {
            let begin = reader.position();
            let key = reader.key()?;
            let known = V::WORDS.0.iter().find(|(word, _)| part_name(word) == Some(&*key));
            match known.and_then(|(word, field)| part_name(word).zip(read.parts.part_mut(*field))) {
                Some((name, part)) => *part = reader.member::<Option<Str<'a>>>(name)?.map_or(Patch::Clear, Patch::Set),
                None => read.extra.read(&key, begin, reader)?,
            }
            more = reader.next_member()?;
        }
        Ok(read)
    }
}

impl<V: NestsAddress> Serialize for NestedAddress<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (word, field) in V::WORDS.0 {
            let Some(name) = part_name(word) else { continue };
            match self.parts.part(*field) {
                None | Some(Patch::Absent) => {}
                Some(Patch::Clear) => map.serialize_entry(name, &())?,
                Some(Patch::Set(text)) => map.serialize_entry(name, text)?,
            }
        }
        serialize_extra(&mut map, &self.extra)?;
        map.end()
    }
}
