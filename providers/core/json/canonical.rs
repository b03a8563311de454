//! One spelling of a JSON text: members sorted, no spaces, `1.0` as `1`.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::text::plain::is_plain;

/// A JSON object in the making.
#[derive(Default)]
pub(crate) struct ObjectWriter {
    json: String,
}

impl ObjectWriter {
    /// An empty object, with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { json: String::with_capacity(bytes) }
    }

    /// Whether it has no member yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    fn key(&mut self, key: &str) {
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        push_string(&mut self.json, key);
        self.json.push(':');
    }

    /// Adds a member whose value is JSON already.
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
    // Text is written to memory, which does not fail.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// A JSON text in its one spelling. A text that is no JSON stays as it is.
pub(crate) fn spelled(json: &str) -> Cow<'_, str> {
    let mut reader = serde_json::Deserializer::from_str(json);
    match reader.deserialize_any(Speller).and_then(|spelled| reader.end().map(|()| spelled)) {
        Ok(spelled) => Cow::Owned(spelled),
        Err(_) => Cow::Borrowed(json),
    }
}

struct Speller;

impl<'de> serde::de::DeserializeSeed<'de> for Speller {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Speller {
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
        // Shortest digits that read back as the same number; a whole number has no point.
        Ok(value.to_string())
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        let mut json = String::with_capacity(text.len() + 2);
        push_string(&mut json, text);
        Ok(json)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<String, A::Error> {
        let mut spelled = Vec::new();
        while let Some(entry) = entries.next_element_seed(Self)? {
            spelled.push(entry);
        }
        Ok(format!("[{}]", spelled.join(",")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut spelled: Vec<(String, String)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            spelled.push((key, map.next_value_seed(Self)?));
        }
        spelled.sort();
        let mut members = ObjectWriter::default();
        for (key, value) in &spelled {
            members.raw(key, value);
        }
        Ok(members.close())
    }
}
