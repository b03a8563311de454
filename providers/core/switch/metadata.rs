//! Metadata of two sides: its comparable form, and the patches that bring one to the other. Keys of the gateway itself are
//! left out everywhere.

use std::collections::BTreeMap;

use crate::{
    json::{
        self, JsonObject, Raw,
        canonical::{ObjectWriter, canonicalized},
    },
    model::RESERVED_METADATA,
    text::{Str, Text},
};

/// The merchant's own keys with their values. A key with `null` is a key that is absent.
fn own(object: &JsonObject) -> BTreeMap<String, Raw<'_>> {
    let is_own = |(key, value): &(Str<'_>, Raw<'_>)| !key.starts_with(RESERVED_METADATA) && value.get() != "null";
    object.members().into_iter().filter(is_own).map(|(key, value)| (key.to_string(), value)).collect()
}

/// The metadata in a form in which equal metadata is equal text. A provider may keep a number as a text.
pub(super) fn comparable(object: &JsonObject) -> Option<String> {
    let mut form = ObjectWriter::default();
    for (key, value) in own(object) {
        form.raw(&key, &comparable_value(value.get()));
    }
    (!form.is_empty()).then(|| form.close())
}

/// A value, with scalars as their text and without members that are `null`.
fn comparable_value(value: &str) -> String {
    if let Some(object) = object(value) {
        let mut form = ObjectWriter::default();
        let members: BTreeMap<String, Raw<'_>> =
            object.members().into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        for (key, value) in members.iter().filter(|(_, value)| value.get() != "null") {
            form.raw(key, &comparable_value(value.get()));
        }
        return form.close();
    }
    let canonical = canonicalized(value);
    if canonical.starts_with('[') { canonical.into_owned() } else { canonical.trim_matches('"').to_owned() }
}

fn object(value: &str) -> Option<JsonObject> {
    value.starts_with('{').then(|| JsonObject::<Text>::in_string(value)).flatten()
}

/// Whether two values have the same meaning.
fn is_same(one: &str, other: &str) -> bool {
    one == other || comparable_value(one) == comparable_value(other)
}

/// The merge patch (RFC 7396) after which `target` has the metadata of `source`.
pub(super) fn patch_to(source: &JsonObject, target: &JsonObject) -> JsonObject {
    patch_of(&own(source), &own(target))
}

fn patch_of(source: &BTreeMap<String, Raw<'_>>, target: &BTreeMap<String, Raw<'_>>) -> JsonObject {
    let mut patch = ObjectWriter::default();
    for (key, wanted) in source {
        match target.get(key).map(|value| value.get()) {
            Some(current) if is_same(wanted.get(), current) => {}
            Some(current) => match (object(wanted.get()), object(current)) {
                (Some(wanted), Some(current)) => patch.raw(key, patch_of(&all(&wanted), &all(&current)).as_str()),
                _ => patch.raw(key, wanted.get()),
            },
            None => patch.raw(key, wanted.get()),
        }
    }
    for key in target.keys().filter(|key| !source.contains_key(*key)) {
        patch.raw(key, "null");
    }
    finished(patch)
}

fn all(object: &JsonObject) -> BTreeMap<String, Raw<'_>> {
    object.members().into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}

/// The keys of `source` that `target` lacks, and whether a key of both has another value.
pub(super) fn missing_keys(source: &JsonObject, target: &JsonObject) -> (JsonObject, bool) {
    let (source, target) = (own(source), own(target));
    let mut missing = ObjectWriter::default();
    let mut is_conflict = false;
    for (key, wanted) in &source {
        match target.get(key) {
            Some(current) => is_conflict |= !is_same(wanted.get(), current.get()),
            None => missing.raw(key, wanted.get()),
        }
    }
    (finished(missing), is_conflict)
}

/// The metadata without keys of the gateway, as a create sends it.
pub(super) fn without_reserved(object: &JsonObject) -> JsonObject {
    if own(object).len() == object.members().len() {
        return object.clone();
    }
    let mut kept = ObjectWriter::default();
    for (key, value) in own(object) {
        kept.raw(&key, value.get());
    }
    finished(kept)
}

fn finished(object: ObjectWriter) -> JsonObject {
    JsonObject::in_string(&object.close()).unwrap_or_default()
}

/// The text of a key, for references. A number is its digits.
pub(super) fn text(object: &JsonObject, key: &str) -> Option<String> {
    let value = object.get(key)?;
    let text = match json::from_str::<Str<'_>>(value.get()) {
        Ok(text) => text.trim().to_owned(),
        Err(_) if value.get().starts_with(['{', '[']) || value.get() == "null" => return None,
        Err(_) => value.get().to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// Whether two objects have the same keys with the same JSON values.
pub(super) fn is_same_text(one: &JsonObject, other: &JsonObject) -> bool {
    let (one, other) = (own(one), own(other));
    let is_equal = |(key, value): (&String, &Raw<'_>)| {
        other.get(key).is_some_and(|other| canonicalized(value.get()) == canonicalized(other.get()))
    };
    one.len() == other.len() && one.iter().all(is_equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_sends_the_metadata_of_the_client_without_the_keys_of_the_gateway() {
        for (stored, sent) in [
            (r#"{"b":1,"passerelle_op":"op_1","a":[2]}"#, r#"{"a":[2],"b":1}"#),
            (r#"{"passerelle_op":"op_1"}"#, "{}"),
            (r#"{"b":1.0,"a":[2]}"#, r#"{"b":1.0,"a":[2]}"#),
        ] {
            let object = JsonObject::in_string(stored).expect("an object");
            assert_eq!(without_reserved(&object).as_str(), sent, "{stored}");
        }
    }
}
