//! JSON objects that are passed on as they were written.

use std::{fmt, ops::Deref};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    json::{self, FromJson, Mistake, Raw, Reader},
    text::{HeldText, Source, Str, Text, plain::is_plain},
};

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
    pub fn owned(raw: Raw<'_>, message: &Source) -> Option<Self> {
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
    pub fn borrowed(&self) -> Extra<Str<'_>> {
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
    pub fn into_owned(&self, message: &Source) -> Extra {
        self.map(|members| members.into_owned(message))
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
