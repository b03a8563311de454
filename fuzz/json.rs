//! The JSON reader, the strict check of what clients send, the canonical form, and merge patches.

use bytes::Bytes;
use passerelle_providers::{
    VENDORS,
    api::{JsonLimits, input},
    json::{JsonObject, Members, Raw, canonical::canonical_document, from_str},
    model::Operation,
    text::{Source, Str, Text},
};
use serde_json::{Value, value::RawValue};

use crate::{
    bound::{assert_in_proportion, bounded},
    subject::{check_refusal, region},
};

/// Runs one input: a document.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = bounded(input.len(), || from_str::<Raw<'_>>(text).map(Raw::get).ok());
    let expected = serde_json::from_str::<&RawValue>(text).map(RawValue::get).ok();
    assert_eq!(read, expected, "the reader and serde_json disagree");
    let strings = from_str::<Vec<Option<Str<'_>>>>(text).ok();
    let expected = serde_json::from_str::<Vec<Option<String>>>(text).ok();
    let strings = strings.map(|items| items.iter().map(|item| item.as_deref().map(str::to_owned)).collect());
    assert_eq!(strings, expected, "the reader and serde_json read other strings");

    let source = Source::new(&Bytes::copy_from_slice(input)).expect("it is text");
    let is_valid = match bounded(input.len(), || input::check(&source, JsonLimits::DEFAULT)) {
        Ok(()) => true,
        Err(error) => {
            check_refusal(&error, input.len());
            false
        }
    };
    for vendor in VENDORS {
        for operation in Operation::ALL {
            match input::command(operation, &source, vendor.manifests[0], region()) {
                Ok(_) => assert!(is_valid, "a command of a document that different parsers would read differently"),
                Err(error) => check_refusal(&error, input.len()),
            }
        }
    }
    if is_valid {
        check_canonical(text);
        check_merged(text);
    }
}

/// The canonical form has the same values, and is its own canonical form.
fn check_canonical(text: &str) {
    let canonical = bounded(text.len(), || canonical_document(text));
    assert_in_proportion("a canonical form", canonical.len(), text.len());
    let value: Value = serde_json::from_str(text).expect("it was checked");
    assert_eq!(canonical_document(&canonical), canonical, "the canonical form of {text} has another canonical form");
    let read: Value = serde_json::from_str(&canonical).expect("a canonical form is JSON");
    assert_eq!(canonical_document(&value.to_string()), canonical, "{read} and {value} have other canonical forms");
}

/// A merge patch that is applied again changes nothing, and what it does not name keeps its text.
fn check_merged(text: &str) {
    let Some(object) = JsonObject::<Text>::in_string(text) else { return };
    let Ok(Members(members)) = from_str::<Members<'_>>(text) else { return };
    assert_eq!(object.members().len(), members.len());
    let before = JsonObject::in_string(r#"{"kept":[1.0,"\u0061"],"a":{"b":1,"c":2},"email":"x"}"#).expect("an object");
    let once = before.merged(&object);
    assert_eq!(once.merged(&object).as_str(), once.as_str(), "a patch that is applied again changes something");
    if object.get("kept").is_none() {
        assert_eq!(once.get("kept").map(Raw::get), Some(r#"[1.0,"\u0061"]"#));
    }
}
