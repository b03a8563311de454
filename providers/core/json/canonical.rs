//! The canonical form of a JSON text: members sorted by key, no spaces, `1.0` as `1`. Texts with equal values have
//! equal canonical forms, so the store and reconciliation can compare bytes.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{Members, from_str};
use crate::text::plain::is_plain;

/// Builds the text of a JSON object.
#[derive(Default)]
pub(crate) struct ObjectWriter {
    json: String,
}

impl ObjectWriter {
    /// An empty object, with capacity for `bytes` bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { json: String::with_capacity(bytes) }
    }

    /// Whether the object has no member yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    fn key(&mut self, key: &str) {
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        push_string(&mut self.json, key);
        self.json.push(':');
    }

    /// Adds a member whose value is JSON text.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.json.push_str(value);
    }

    /// Adds a member that is a string.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_string(&mut self.json, value);
    }

    /// The object as JSON text.
    pub(crate) fn close(mut self) -> String {
        if self.json.is_empty() {
            self.json.push('{');
        }
        self.json.push('}');
        self.json
    }
}

fn push_string(json: &mut String, text: &str) {
    if is_plain(text) {
        json.push('"');
        json.push_str(text);
        json.push('"');
        return;
    }
    // A string can always be written as JSON.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// The canonical form of a JSON text. A text that is not JSON stays as it is.
pub(crate) fn canonicalized(json: &str) -> Cow<'_, str> {
    let mut reader = serde_json::Deserializer::from_str(json);
    match reader.deserialize_any(Canonicalizer).and_then(|canonical| reader.end().map(|()| canonical)) {
        Ok(canonical) => Cow::Owned(canonical),
        Err(_) => Cow::Borrowed(json),
    }
}

/// The canonical form of a client's document, the same as that of `canonicalized`. A usual document is an object with few
/// members, most of them strings without escapes. These are canonical already, and are copied.
pub fn canonical_document(json: &str) -> String {
    let Ok(Members(mut members)) = from_str(json) else { return canonicalized(json).into_owned() };
    members.sort_unstable_by(|one, other| str::cmp(&one.0, &other.0));
    let mut document = ObjectWriter::with_capacity(json.len());
    for (key, value) in &members {
        let value = value.get();
        let is_canonical = value.starts_with('"') && !value.contains('\\');
        document.raw(key, if is_canonical { Cow::Borrowed(value) } else { canonicalized(value) }.as_ref());
    }
    document.close()
}

struct Canonicalizer;

impl<'de> serde::de::DeserializeSeed<'de> for Canonicalizer {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Canonicalizer {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok("null".to_owned())
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        // `Display` writes the shortest digits that parse to the same number, and a whole number without a point.
        Ok(value.to_string())
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        let mut json = String::with_capacity(text.len() + 2);
        push_string(&mut json, text);
        Ok(json)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<String, A::Error> {
        let mut items = Vec::new();
        while let Some(entry) = entries.next_element_seed(Self)? {
            items.push(entry);
        }
        Ok(format!("[{}]", items.join(",")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut sorted: Vec<(String, String)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            sorted.push((key, map.next_value_seed(Self)?));
        }
        sorted.sort();
        let mut members = ObjectWriter::default();
        for (key, value) in &sorted {
            members.raw(key, value);
        }
        Ok(members.close())
    }
}
