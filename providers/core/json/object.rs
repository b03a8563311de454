//! JSON objects that the gateway passes on unchanged: metadata, and the unknown members of answers.

use std::{fmt, ops::Deref};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    json::{self, FromJson, ParseError, Raw, Reader},
    text::{ModelText, Source, Str, Text, plain::is_plain},
};

/// A JSON object as its unchanged text. `T` is the type of the text, as in a customer. The empty text stands for `{}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonObject<T = Text>(T);

/// The text of an object in a raw value, empty for `{}`; `None` if the value is not an object.
fn object_text(raw: Raw<'_>) -> Option<&str> {
    match raw.get() {
        "{}" => Some(""),
        text => text.starts_with('{').then_some(text),
    }
}

impl<'a> JsonObject<Str<'a>> {
    /// The object in a raw value; `None` if the value is not an object.
    pub fn of(raw: Raw<'a>) -> Option<Self> {
        object_text(raw).map(|text| Self(Str::new(text)))
    }
}

impl JsonObject {
    /// The object in a raw value that was read from `message`, as owned text; `None` if the value is not an object.
    pub fn owned(raw: Raw<'_>, message: &Source) -> Option<Self> {
        object_text(raw).map(|text| Self(message.text(text)))
    }

    /// The object as a raw value, to be written unchanged.
    pub fn raw(&self) -> Raw<'_> {
        Raw::of_json(self.as_str())
    }
}

impl<T> JsonObject<T> {
    /// The same object with its text converted to another text type.
    pub fn map<'a, U>(&'a self, convert: impl FnOnce(&'a T) -> U) -> JsonObject<U> {
        JsonObject(convert(&self.0))
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
    /// The object in a string that contains JSON, as some providers write metadata.
    pub fn in_string(text: &str) -> Option<Self> {
        object_text(json::from_str(text).ok()?).map(|text| Self(text.to_owned().into()))
    }

    /// This object after a merge patch (RFC 7396) is applied. The text of values that the patch does not change stays
    /// the same.
    #[must_use]
    pub fn merged(&self, patch: &Self) -> Self {
        match merged(self.as_str(), patch.as_str()) {
            empty if empty == "{}" => Self(String::new().into()),
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

/// The unknown members of an object, unchanged: the text of a JSON object without its braces. `T` is the type of the
/// text, as in a customer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra<T = Text>(T);

impl<T: ModelText> Extra<T> {
    /// Adds a member.
    pub fn add<'v>(&mut self, key: &str, value: impl Into<Raw<'v>>) {
        let value = value.into().get();
        self.0.change(|members| push_member(members, key, value));
    }

    /// Adds a member with a string value, for a value that the adapter has read but that has no canonical field.
    pub fn add_text(&mut self, key: &str, value: &str) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.add(key, &raw);
        }
    }

    /// The members, in the provider's order.
    pub fn members(&self) -> Vec<(Str<'_>, Raw<'_>)> {
        json::members(&self.0).unwrap_or_default()
    }

    /// The value of the first member with one of these names, and the members with other names.
    pub fn split_off(&self, names: &[&str]) -> (Option<Raw<'_>>, Extra<Str<'_>>) {
        let members = self.members();
        let is_named = |name: &Str<'_>| names.contains(&&**name);
        let Some((_, value)) = members.iter().find(|(name, _)| is_named(name)) else { return (None, self.borrowed()) };
        let mut others = Extra::default();
        for (name, other) in members.iter().filter(|(name, _)| !is_named(name)) {
            others.add(name, *other);
        }
        (Some(*value), others)
    }
}

impl<T: Deref<Target = str>> Extra<T> {
    /// The members as JSON text without the braces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same members with borrowed text.
    pub fn borrowed(&self) -> Extra<Str<'_>> {
        self.map(|members| Str::new(members))
    }
}

impl<T> Extra<T> {
    /// The same members with their text converted to another text type.
    pub fn map<'a, U>(&'a self, convert: impl FnOnce(&'a T) -> U) -> Extra<U> {
        Extra(convert(&self.0))
    }
}

impl<'a> Extra<Str<'a>> {
    /// Adds the member whose name `reader` has just read, and which begins at `begin`. Consecutive members without
    /// spaces stay one slice of the message, so that nothing is copied.
    pub fn read<'json: 'a>(&mut self, key: &str, begin: usize, reader: &mut Reader<'json>) -> Result<(), ParseError> {
        let value = Raw::read(reader)?;
        let member = reader.since(begin);
        // A compact member has no spaces and no escapes in its name: its text equals what `add` would write.
        let is_compact = member.len() == key.len() + value.get().len() + r#""":"#.len();
        if is_compact && self.is_empty() {
            self.0 = Str::new(member);
        } else if let Some(run) = self.0.followed_by(reader.message(), member).filter(|_| is_compact) {
            self.0 = run;
        } else {
            self.add(key, value);
        }
        Ok(())
    }

    /// The members with owned text: a slice of the message that they were read from.
    pub fn into_owned(&self, message: &Source) -> Extra {
        self.map(|members| members.into_owned(message))
    }
}

impl<T> fmt::Debug for Extra<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{ .. }")
    }
}

impl<T: ModelText> Serialize for Extra<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_extra(&mut map, self)?;
        map.end()
    }
}

/// Adds a member to the text of an object without its braces.
fn push_member(members: &mut String, key: &str, value: &str) {
    if !members.is_empty() {
        members.push(',');
    }
    if is_plain(key) {
        members.push('"');
        members.push_str(key);
        members.push('"');
    } else {
        members.push_str(&serde_json::Value::from(key).to_string());
    }
    members.push(':');
    members.push_str(value);
}

/// The members of an object in JSON text, with raw values. Empty if the text is not an object.
fn members(object: &str) -> Vec<(Str<'_>, Raw<'_>)> {
    json::from_str::<json::Members<'_>>(object).map(|json::Members(members)| members).unwrap_or_default()
}

fn merged(current: &str, patch: &str) -> String {
    let patched = members(patch);
    let mut result = String::new();
    for (key, value) in members(current) {
        match patched.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value.get()) {
            None => push_member(&mut result, &key, value.get()),
            Some("null") => {}
            Some(new) => push_merged(&mut result, &key, value.get(), new),
        }
    }
    let existing = members(current);
    for (key, value) in &patched {
        if value.get() != "null" && !existing.iter().any(|(name, _)| name == key) {
            push_merged(&mut result, key, "{}", value.get());
        }
    }
    format!("{{{result}}}")
}

fn push_merged(result: &mut String, key: &str, current: &str, new: &str) {
    match new.starts_with('{') {
        true => push_member(result, key, &merged(current, new)),
        false => push_member(result, key, new),
    }
}

/// Writes the unknown members of an answer after the known ones.
pub fn serialize_extra<M: SerializeMap, T: ModelText>(map: &mut M, extra: &Extra<T>) -> Result<(), M::Error> {
    for (key, value) in extra.members() {
        map.serialize_entry(&key, &value)?;
    }
    Ok(())
}
