//! The idempotency marker: the id of a create, which the gateway adds to the customer's metadata at the provider.
//!
//! If the answer of the create does not arrive, reconciliation identifies the created customer by its marker with
//! certainty. The gateway removes the marker from every customer that it reads, so clients never see it. An update of
//! the metadata sends the marker of the record again, because the provider may replace the metadata as a whole.

use std::ops::Deref;

use crate::{
    json::{self, JsonObject},
    model::{CreateCustomer, Customer, Field, Patch, manifest::Manifest},
    text::Str,
};

/// The metadata key of the marker.
pub const MARKER: &str = "passerelle_op";

/// Whether a provider stores metadata on create and returns it, so that a marker can be read back.
pub fn is_supported_by(manifest: &Manifest) -> bool {
    let metadata = manifest.field(Field::Metadata);
    metadata.create.is_supported() && metadata.read.is_supported()
}

/// The same create with a marker in its metadata.
#[must_use]
pub fn with_marker(mut create: CreateCustomer, marker: &str) -> CreateCustomer {
    create.fields.metadata = Patch::Set(beside(create.fields.metadata.set(), marker));
    create
}

/// The metadata of an update that the provider may store in place of the customer's metadata: the patch, merged into
/// the metadata, with the marker of the record.
pub(crate) fn kept_in(patch: &Patch<JsonObject>, current: &Customer) -> Patch<JsonObject> {
    let merged = patch.map(|patch| current.metadata.merged(patch));
    match &current.marker {
        Some(marker) if !patch.is_absent() => Patch::Set(beside(merged.set(), marker)),
        _ => merged,
    }
}

/// Metadata with a marker.
fn beside(metadata: Option<&JsonObject>, marker: &str) -> JsonObject {
    let member = serde_json::json!({ MARKER: marker }).to_string();
    let member = JsonObject::in_string(&member).unwrap_or_default();
    metadata.map(|metadata| metadata.merged(&member)).unwrap_or(member)
}

/// Splits metadata into the client's own keys and the marker.
pub(crate) fn split_off<T>(metadata: JsonObject<T>) -> (JsonObject<T>, Option<T>)
where
    T: Deref<Target = str> + From<String> + Default,
{
    // A text search is cheap, and most metadata has no marker.
    if !metadata.as_str().contains(MARKER) {
        return (metadata, None);
    }
    let marker = metadata.get(MARKER).and_then(|raw| json::from_str::<Str<'_>>(raw.get()).ok());
    let Some(marker) = marker.map(|marker| T::from(marker.to_string())) else { return (metadata, None) };
    let removal = JsonObject::in_string(&format!(r#"{{"{MARKER}":null}}"#)).unwrap_or_default();
    (metadata.merged(&removal), Some(marker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    #[test]
    fn a_marker_is_added_and_split_off_again() {
        for (metadata, rest) in [(None, "{}"), (Some(r#"{"order":1.50}"#), r#"{"order":1.50}"#)] {
            let mut create = CreateCustomer::default();
            if let Some(object) = metadata.and_then(JsonObject::in_string) {
                create.fields.metadata = Patch::Set(object);
            }
            let create = with_marker(create, "op_1");
            let (left, marker) = split_off(create.fields.metadata.set().expect("metadata").clone());
            assert_eq!((left.as_str(), marker.as_deref()), (rest, Some("op_1")));
        }
    }

    #[test]
    fn metadata_that_only_resembles_a_marker_stays() {
        for text in [r#"{"note":"passerelle_op"}"#, r#"{"passerelle_op":7}"#] {
            let (left, marker) = split_off::<Text>(JsonObject::in_string(text).expect("an object"));
            assert_eq!((left.as_str(), marker), (text, None));
        }
    }
}
