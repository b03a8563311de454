//! Addresses that a vendor holds in an object of their own.

use std::marker::PhantomData;

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    json::{Extra, FromJson, Mistake, Perhaps, Reader, serialize_extra},
    kit::{Words, members::str_of},
    model::{Address, Patch, str_patch},
    text::{Str, Text},
};

/// A vendor whose customers hold their address in an object.
pub trait NestsAddress {
    /// The vendor's words for canonical fields; those of the address begin with `address.`, in the order in
    /// which they are written.
    const WORDS: Words;
}

/// The name of a part inside the address.
fn part_name(word: &'static str) -> Option<&'static str> {
    word.strip_prefix("address.")
}

/// The address in a vendor's customer, read and written under the vendor's words. A part that is absent is
/// left out.
#[derive(Debug)]
pub struct NestedAddress<'a, V> {
    /// The parts.
    pub parts: Address<Patch<Str<'a>>>,
    /// Every other member.
    pub extra: Extra<Str<'a>>,
    vendor: PhantomData<V>,
}

impl<'a, V> NestedAddress<'a, V> {
    /// An address to be written.
    pub fn new(parts: Address<Patch<Str<'a>>>) -> Self {
        Self { parts, extra: Extra::default(), vendor: PhantomData }
    }

    /// What is asked of an address; `null` where every part of it is to be cleared.
    pub fn asked(parts: &'a Address<Patch<Text>>) -> Patch<Self> {
        match parts.parts() {
            every if every.iter().all(|(_, part)| part.is_absent()) => Patch::Absent,
            every if every.iter().all(|(_, part)| **part == Patch::Clear) => Patch::Clear,
            _ => Patch::Set(Self::new(parts.map(str_patch))),
        }
    }

    /// The address that a customer holds, if there is any.
    pub fn held(parts: &'a Address<Option<Text>>) -> Option<Perhaps<'a, Self>> {
        let is_held = parts.parts().iter().any(|(_, part)| part.is_some());
        is_held.then(|| Perhaps::Object(Self::new(parts.map(|part| str_of(part.as_ref()).into()))))
    }
}

impl<'json: 'a, 'a, V: NestsAddress> FromJson<'json> for NestedAddress<'a, V> {
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        let mut read = Self::new(Address::default());
        let mut more = reader.open_object()?;
        while more {
            let begin = reader.place();
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
