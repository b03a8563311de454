//! Ids and phone numbers: a text that is one is written again as it was read.

use passerelle::store::OperationId;
use passerelle_providers::{
    VENDORS,
    api::input,
    model::{CustomerId, IdPattern},
    text::{Text, packed, phone},
};

use crate::{
    bound::bounded,
    subject::{check_error, region},
};

/// Runs one input: a text.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let patterns = VENDORS.iter().flat_map(|vendor| vendor.manifests.iter().map(|manifest| &manifest.id));
    for pattern in patterns.chain([&IdPattern::TOKEN, &IdPattern::DOTTED, &IdPattern::UUID]) {
        match CustomerId::parse(Text::from(text), pattern) {
            Ok(id) => {
                assert_eq!(&**id.public(), text);
                assert!(id.is_at_provider(text), "{text:?} is not the id that it is");
                assert!(!text.contains(['/', '\\', '?', '#', '%']) && !text.contains(char::is_control), "{text:?}");
                assert!(!matches!(text, "" | "." | ".."), "{text:?} would be another path");
                let other = id.at(Text::from_static("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"), &IdPattern::UUID);
                assert_eq!(&**other.expect("a UUID").public(), text);
            }
            Err(error) => check_error(&error, input.len()),
        }
    }
    if let Ok(id) = text.parse::<OperationId>() {
        assert_eq!(id.to_string(), text, "the id of an operation has two spellings");
    }
    if let Some(uuid) = packed::to_uuid(text) {
        assert!(IdPattern::UUID.matches(&uuid), "{uuid}");
        assert_eq!(packed::from_uuid(&uuid).as_deref(), Some(text), "a packed id becomes another one");
    }
    if let Some(id) = packed::from_uuid(text) {
        assert_eq!(packed::to_uuid(&id).as_deref(), Some(&*text.to_lowercase()), "{id} is another UUID");
    }
    let number = bounded(input.len(), || input::phone_query(&Text::from(text), region()));
    assert_eq!(input::phone_query(&number, region()), number, "a phone number is converted twice: {text:?}");
    if let Some((code, rest)) = phone::split(&number) {
        assert!(number.ends_with(rest), "{number} has the digits {code} and {rest}");
    }
}
