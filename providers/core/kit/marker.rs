//! The mark that the gateway leaves in the metadata of a customer that it creates, so that a create whose answer never
//! came is known again for certain. It never shows in an answer.

use std::ops::Deref;

use crate::{
    json::{self, JsonObject},
    model::{CreateCustomer, Field, Patch, manifest::Manifest},
    text::Str,
};

/// The member of the metadata.
pub const MARKER: &str = "passerelle_op";

/// Whether a provider has a place for the mark, and shows it again.
pub fn is_held_by(manifest: &Manifest) -> bool {
    let metadata = manifest.field(Field::Metadata);
    metadata.create.is_supported() && metadata.read.is_supported()
}

/// The same create with a mark.
#[must_use]
pub fn marked(mut create: CreateCustomer, mark: &str) -> CreateCustomer {
    let member = serde_json::json!({ MARKER: mark }).to_string();
    let member = JsonObject::in_string(&member).unwrap_or_default();
    create.fields.metadata = Patch::Set(match create.fields.metadata.set() {
        Some(metadata) => metadata.merged(&member),
        None => member,
    });
    create
}

/// Metadata without the mark, and the mark.
pub(crate) fn taken_out<T>(metadata: JsonObject<T>) -> (JsonObject<T>, Option<T>)
where
    T: Deref<Target = str> + From<String> + Default,
{
    // A search in the text is cheap, and nearly every metadata ends here.
    if !metadata.as_str().contains(MARKER) {
        return (metadata, None);
    }
    let mark = metadata.get(MARKER).and_then(|raw| json::from_str::<Str<'_>>(raw.get()).ok());
    let Some(mark) = mark.map(|mark| T::from(mark.to_string())) else { return (metadata, None) };
    let nothing = JsonObject::in_string(&format!(r#"{{"{MARKER}":null}}"#)).unwrap_or_default();
    (metadata.merged(&nothing), Some(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    #[test]
    fn a_mark_goes_in_and_comes_out() {
        for (metadata, rest) in [(None, "{}"), (Some(r#"{"order":1.50}"#), r#"{"order":1.50}"#)] {
            let mut create = CreateCustomer::default();
            if let Some(object) = metadata.and_then(JsonObject::in_string) {
                create.fields.metadata = Patch::Set(object);
            }
            let marked = marked(create, "op_1");
            let (left, mark) = taken_out(marked.fields.metadata.set().expect("metadata").clone());
            assert_eq!((left.as_str(), mark.as_deref()), (rest, Some("op_1")));
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_stays() {
        for text in [r#"{"note":"passerelle_op"}"#, r#"{"passerelle_op":7}"#] {
            let (left, mark) = taken_out::<Text>(JsonObject::in_string(text).expect("an object"));
            assert_eq!((left.as_str(), mark), (text, None));
        }
    }
}
