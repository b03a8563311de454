//! How providers' JSON is read and written: by borrowing what the reader found, by keeping what nobody
//! expected, and by naming the field that was wrong without ever repeating its value.
//!
//! `wire!` declares a provider's documents, field by field in its own words. An `answer` reads
//! `null` and absence alike and gathers unknown members in [`Extra`]; a `request` tells `null` from
//! absence, because a merge patch must.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{Serialize, Serializer, de, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::{
    error::Error,
    json::{self, FromJson, Mistake, Raw, Reader},
    model::{Address, Field, Patch},
    text::{HeldText, Source, Str, Text, decimal},
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

/// A JSON object as text, kept as it was written. `T` is how the text is held, as in a customer. No text at all stands
/// for `{}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonObject<T = Text>(T);

/// The text of an object in a raw value, none for `{}`; `None` when it is something else.
fn object_text(raw: Raw<'_>) -> Option<&str> {
    match raw.get() {
        "{}" => Some(""),
        text => text.starts_with('{').then_some(text),
    }
}

impl<'a> JsonObject<Str<'a>> {
    /// The object in a raw value; `None` when it is something else.
    pub fn of(raw: Raw<'a>) -> Option<Self> {
        object_text(raw).map(|text| Self(Str::new(text)))
    }
}

impl JsonObject {
    /// The object in a raw value that was read from a message; `None` when it is something else.
    pub fn kept(raw: Raw<'_>, message: &Source) -> Option<Self> {
        object_text(raw).map(|text| Self(message.text(text)))
    }

    /// The object as a raw value, to be written untouched.
    pub fn raw(&self) -> Raw<'_> {
        Raw::of_json(self.as_str())
    }
}

impl<T> JsonObject<T> {
    /// The same object with its text held otherwise.
    pub fn map<'a, U>(&'a self, hold: impl FnOnce(&'a T) -> U) -> JsonObject<U> {
        JsonObject(hold(&self.0))
    }
}

impl<T: Deref<Target = str>> JsonObject<T> {
    /// Whether the object has no members.
    pub fn is_empty(&self) -> bool {
        self.as_str().trim_start_matches('{').trim_start().starts_with('}')
    }

    /// The object as JSON text.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "{}" } else { &self.0 }
    }

    /// The members, in order.
    pub fn members(&self) -> Vec<(Str<'_>, Raw<'_>)> {
        members(self.as_str())
    }

    /// The value of a member.
    pub fn get(&self, key: &str) -> Option<Raw<'_>> {
        self.members().into_iter().rev().find(|(name, _)| **name == *key).map(|(_, value)| value)
    }
}

impl<T: Deref<Target = str> + From<String>> JsonObject<T> {
    /// The object that a string holds as JSON, as some providers write theirs.
    pub fn in_string(text: &str) -> Option<Self> {
        object_text(json::from_str(text).ok()?).map(|text| Self(text.to_owned().into()))
    }

    /// This object after a merge patch (RFC 7396) was applied to it. Values that the patch does not
    /// touch keep their spelling.
    #[must_use]
    pub fn merged(&self, patch: &Self) -> Self {
        match merged(self.as_str(), patch.as_str()) {
            none if none == "{}" => Self(String::new().into()),
            members => Self(members.into()),
        }
    }
}

impl<T> fmt::Debug for JsonObject<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{ .. }")
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw().serialize(serializer)
    }
}

/// The members of an object that nobody expected, untouched: the inside of a JSON object as text. `T` is how the text is
/// held, as in a customer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra<T = Text>(T);

impl<T: HeldText> Extra<T> {
    /// Keeps a member.
    pub fn keep<'v>(&mut self, key: &str, value: impl Into<Raw<'v>>) {
        let value = value.into().get();
        self.0.change(|members| keep_member(members, key, value));
    }

    /// Keeps a string member that the adapter read but has no canonical place for.
    pub fn keep_text(&mut self, key: &str, value: &str) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.keep(key, &raw);
        }
    }

    /// The members, in the provider's order.
    pub fn members(&self) -> Vec<(Str<'_>, Raw<'_>)> {
        json::members(&self.0).unwrap_or_default()
    }
}

impl<T: Deref<Target = str>> Extra<T> {
    /// The inside of the object that the members make.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same members, borrowed.
    pub fn told(&self) -> Extra<Str<'_>> {
        self.map(|members| Str::new(members))
    }
}

impl<T> Extra<T> {
    /// The same members with their text held otherwise.
    pub fn map<'a, U>(&'a self, hold: impl FnOnce(&'a T) -> U) -> Extra<U> {
        Extra(hold(&self.0))
    }
}

impl<'a> Extra<Str<'a>> {
    /// Keeps the member whose name a reader has just read, and which began at a place. A run of such members stays where
    /// it stands in the message.
    pub fn read<'json: 'a>(&mut self, key: &str, begin: usize, reader: &mut Reader<'json>) -> Result<(), Mistake> {
        let value = Raw::read(reader)?;
        let told = reader.since(begin);
        // As it would be kept anyway: without spaces, and without escapes in its name.
        let is_compact = told.len() == key.len() + value.get().len() + r#""":"#.len();
        if is_compact && self.is_empty() {
            self.0 = Str::new(told);
        } else if let Some(run) = self.0.followed_by(reader.message(), told).filter(|_| is_compact) {
            self.0 = run;
        } else {
            self.keep(key, value);
        }
        Ok(())
    }

    /// The members with text that can be kept: a slice of the message they were read from.
    pub fn kept(&self, message: &Source) -> Extra {
        self.map(|members| members.kept(message))
    }
}

impl<T> fmt::Debug for Extra<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{ .. }")
    }
}

impl<T: HeldText> Serialize for Extra<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_extra(&mut map, self)?;
        map.end()
    }
}

/// Adds a member to the inside of an object.
fn keep_member(members: &mut String, key: &str, value: &str) {
    if !members.is_empty() {
        members.push(',');
    }
    if json::is_plain(key) {
        members.push('"');
        members.push_str(key);
        members.push('"');
    } else {
        members.push_str(&serde_json::Value::from(key).to_string());
    }
    members.push(':');
    members.push_str(value);
}

/// The members of an object in JSON text, values raw. Empty when the text is no object.
fn members(object: &str) -> Vec<(Str<'_>, Raw<'_>)> {
    json::from_str::<json::Members<'_>>(object).map(|json::Members(members)| members).unwrap_or_default()
}

fn merged(current: &str, patch: &str) -> String {
    let patched = members(patch);
    let mut result = String::new();
    for (key, value) in members(current) {
        match patched.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value.get()) {
            None => keep_member(&mut result, &key, value.get()),
            Some("null") => {}
            Some(new) => keep_merged(&mut result, &key, value.get(), new),
        }
    }
    let known = members(current);
    for (key, value) in &patched {
        if value.get() != "null" && !known.iter().any(|(name, _)| name == key) {
            keep_merged(&mut result, key, "{}", value.get());
        }
    }
    format!("{{{result}}}")
}

fn keep_merged(result: &mut String, key: &str, current: &str, new: &str) {
    match new.starts_with('{') {
        true => keep_member(result, key, &merged(current, new)),
        false => keep_member(result, key, new),
    }
}

/// Writes the unknown members of an answer behind its known ones.
pub fn serialize_extra<M: SerializeMap, T: HeldText>(map: &mut M, extra: &Extra<T>) -> Result<(), M::Error> {
    for (key, value) in extra.members() {
        map.serialize_entry(&key, &value)?;
    }
    Ok(())
}

/// Reads a document out of a message. The error says what was wrong and where, never what it held.
pub fn parse<'s, T: FromJson<'s>>(body: &'s str) -> Result<T, Error> {
    json::from_str(body).map_err(|mistake| Error::bad_response(describe(body, &mistake)))
}

/// What a body that is not the expected document is instead.
pub fn describe(body: &str, mistake: &Mistake) -> String {
    let trimmed = body.trim_start();
    if trimmed.is_empty() {
        return "an empty body where JSON was expected".to_owned();
    }
    if trimmed.starts_with('<') {
        return "an HTML page where JSON was expected; is `base_url` right?".to_owned();
    }
    if trimmed.trim_end() == "null" {
        return "`null` where an object was expected".to_owned();
    }
    match serde_json::from_str::<de::IgnoredAny>(body) {
        Err(malformed) if malformed.is_eof() => "JSON that ends too early".to_owned(),
        Err(_) => "text that is not JSON".to_owned(),
        Ok(_) => match mistake.wrong_member() {
            Some(path) => format!("JSON whose member `{path}` is not of the documented type"),
            None => "JSON of another shape than documented".to_owned(),
        },
    }
}

/// A text that a vendor's patch member asks for. What an empty one means differs: it clears, or is ignored.
pub fn patch_text(source: &Source, member: &Patch<Str<'_>>, empty: Patch<Text>) -> Patch<Text> {
    match member {
        Patch::Set(text) if text.is_empty() => empty,
        _ => member.map(|text| source.text(text)),
    }
}

/// An address that a vendor's patch member asks for. Empty text clears a part.
pub fn patch_address<V>(source: &Source, member: &Patch<NestedAddress<'_, V>>) -> Address<Patch<Text>> {
    match member {
        Patch::Absent => Address::default(),
        Patch::Clear => Address::<()>::default().map(|()| Patch::Clear),
        Patch::Set(told) => told.parts.map(|part| patch_text(source, part, Patch::Clear)),
    }
}

/// An object that a vendor's patch member asks for. Anything else is left alone.
pub fn patch_object(source: &Source, member: &Patch<Raw<'_>>) -> Patch<JsonObject> {
    match member {
        Patch::Set(raw) => JsonObject::kept(*raw, source).into(),
        Patch::Clear => Patch::Clear,
        Patch::Absent => Patch::Absent,
    }
}

/// A canonical patch of text in a vendor's document.
pub fn str_patch(patch: &Patch<Text>) -> Patch<Str<'_>> {
    patch.map(|text| Str::new(text))
}

/// A canonical patch of a decimal in a vendor's document that writes numbers.
pub fn number_patch(patch: &Patch<Text>) -> Patch<Number<'_>> {
    patch.map(|digits| Number::new(digits))
}

/// A canonical patch of metadata in a vendor's document.
pub fn raw_patch(patch: &Patch<JsonObject>) -> Patch<Raw<'_>> {
    patch.map(JsonObject::raw)
}

/// A text in a vendor's document.
pub fn str_of(text: Option<&Text>) -> Option<Str<'_>> {
    text.map(|text| Str::new(text))
}

/// A text in a vendor's document that may have been written as a number.
pub fn loose_of(text: Option<&Text>) -> Option<Loose<'_>> {
    text.map(|text| Loose(Str::new(text)))
}

/// A vendor's words for canonical fields that it calls otherwise, to translate its errors by field.
#[derive(Debug)]
pub struct Words(pub &'static [(&'static str, Field)]);

impl Words {
    /// Those of a vendor that calls every field as we do.
    pub const OURS: Self = Self(&[]);

    /// The pointer to the field that a vendor's word means.
    pub fn pointer(&self, word: &str) -> Option<&'static str> {
        let listed = self.0.iter().find(|(known, _)| *known == word).map(|(_, field)| *field);
        let alike = || Field::WRITABLE.into_iter().find(|field| field.name() == word);
        listed.or_else(alike).map(Field::pointer)
    }

    /// The vendor's word for a pointer, or for the name of a query parameter; the same where there is none.
    pub fn word<'p>(&self, pointer: &'p str) -> &'p str {
        let path = pointer.trim_start_matches('/');
        let is_path = |field: &Field| field.pointer().trim_start_matches('/') == path;
        self.0.iter().find(|(_, field)| is_path(field)).map_or(path, |(word, _)| *word)
    }
}

/// A document of `wire!`.
pub trait Document {
    /// Writes the members, in the vendor's usual spelling or in its other one.
    fn write<M: SerializeMap>(&self, map: &mut M, other: bool) -> Result<(), M::Error>;
}

impl<D: Document> Document for &D {
    fn write<M: SerializeMap>(&self, map: &mut M, other: bool) -> Result<(), M::Error> {
        (**self).write(map, other)
    }
}

/// A document in one of the two spellings of a vendor that has two.
#[derive(Debug)]
pub struct Spelled<D> {
    /// The document.
    pub document: D,
    /// Whether it is written in the other spelling.
    pub other: bool,
}

impl<D: Document> Serialize for Spelled<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.document.write(&mut map, self.other)?;
        map.end()
    }
}

/// Declares a provider's documents. Each field has its Rust name, its type, the member's name as it is
/// written, and other names under which it is read.
///
/// An answer writes what it does not have as `null`, or leaves it out where it is marked `#[omitted]`. An
/// envelope that is the same for several documents is an answer `of` whatever it holds. A name behind a slash is
/// how [`Spelled`] writes the member in the vendor's other spelling.
macro_rules! wire {
    () => {};
    (@key $other:ident, $key:literal) => { $key };
    (@key $other:ident, $key:literal, $spelled:literal) => { if $other { $spelled } else { $key } };
    (@write $map:ident, $key:expr, $value:expr) => {
        $map.serialize_entry($key, $value)?
    };
    (@write $map:ident, $key:expr, $value:expr, omitted) => {
        if let Some(value) = $value {
            $map.serialize_entry($key, value)?;
        }
    };
    (
        $(#[$meta:meta])*
        answer $name:ident <$life:lifetime> $(of $($item:ident),+)? { $( $(#[$mark:ident])? $field:ident : $type:ty = $key:literal $(/ $other:literal)? $(| $alias:literal)* ),* $(,)? }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name<$life, $($($item),+)?> {
            $( pub(super) $field: Option<$type>, )*
            /// Every other member.
            pub(super) extra: $crate::wire::Extra<$crate::text::Str<$life>>,
        }

        impl<$life, $($($item),+)?> Default for $name<$life, $($($item),+)?> {
            fn default() -> Self {
                Self { $( $field: None, )* extra: $crate::wire::Extra::default() }
            }
        }

        impl<'json: $life, $life $($(, $item: $crate::json::FromJson<'json>)+)?> $crate::json::FromJson<'json> for $name<$life, $($($item),+)?> {
            fn read(reader: &mut $crate::json::Reader<'json>) -> Result<Self, $crate::json::Mistake> {
                #[expect(non_camel_case_types, reason = "members are named as the fields are")]
                enum Member { $( $field, )* unknown_ }
                let mut read = Self::default();
                // The member that usually comes next, counted as they are declared.
                let mut next = 0;
                let mut more = reader.open_object()?;
                while more {
                    let begin = reader.place();
                    let mut unknown = $crate::text::Str::default();
                    let member = match next {
                        $( place if place == Member::$field as usize && reader.expects(concat!("\"", $key, "\":")) => Member::$field, )*
                        _ => {
                            let key = reader.key()?;
                            match &*key {
                                $( $key $(| $other)? $(| $alias)* => Member::$field, )*
                                _ => {
                                    unknown = key;
                                    Member::unknown_
                                }
                            }
                        }
                    };
                    match member {
                        $( Member::$field => {
                            read.$field = reader.member($key)?;
                            next = Member::$field as usize + 1;
                        } )*
                        Member::unknown_ => read.extra.read(&unknown, begin, reader)?,
                    }
                    more = reader.next_member()?;
                }
                Ok(read)
            }
        }

        impl<$life, $($($item: serde::Serialize),+)?> $crate::wire::Document for $name<$life, $($($item),+)?> {
            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M, _other: bool) -> Result<(), M::Error> {
                $( wire!(@write map, wire!(@key _other, $key $(, $other)?), &self.$field $(, $mark)?); )*
                $crate::wire::serialize_extra(map, &self.extra)
            }
        }

        impl<$life, $($($item: serde::Serialize),+)?> serde::Serialize for $name<$life, $($($item),+)?> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::wire::Spelled { document: self, other: false }.serialize(serializer)
            }
        }

        wire! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        request $name:ident $(<$life:lifetime>)? { $( $field:ident : $type:ty = $key:literal $(/ $other:literal)? $(| $alias:literal)* ),* $(,)? }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name $(<$life>)? {
            $( pub(super) $field: $crate::model::Patch<$type>, )*
        }

        impl<'json $(: $life, $life)?> $crate::json::FromJson<'json> for $name $(<$life>)? {
            fn read(reader: &mut $crate::json::Reader<'json>) -> Result<Self, $crate::json::Mistake> {
                let mut read = Self::default();
                let mut more = reader.open_object()?;
                while more {
                    match &*reader.key()? {
                        $( $key $(| $other)? $(| $alias)* => {
                            let value: Option<$type> = reader.member($key)?;
                            read.$field = value.map_or($crate::model::Patch::Clear, $crate::model::Patch::Set);
                        } )*
                        _ => {
                            <$crate::json::Raw<'_> as $crate::json::FromJson<'_>>::read(reader)?;
                        }
                    }
                    more = reader.next_member()?;
                }
                Ok(read)
            }
        }

        impl $(<$life>)? $crate::wire::Document for $name $(<$life>)? {
            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M, _other: bool) -> Result<(), M::Error> {
                $(
                    let key = wire!(@key _other, $key $(, $other)?);
                    match &self.$field {
                        $crate::model::Patch::Absent => {}
                        $crate::model::Patch::Clear => map.serialize_entry(key, &())?,
                        $crate::model::Patch::Set(value) => map.serialize_entry(key, value)?,
                    }
                )*
                Ok(())
            }
        }

        impl $(<$life>)? serde::Serialize for $name $(<$life>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::wire::Spelled { document: self, other: false }.serialize(serializer)
            }
        }

        wire! { $($rest)* }
    };
}
pub(crate) use wire;
