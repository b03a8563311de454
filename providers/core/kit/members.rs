//! Converts members of vendors' wire documents from and to the canonical model. The vendors' `translate.rs` and
//! `server.rs` use it.

use crate::{
    json::{JsonObject, Loose, Number, Raw},
    kit::NestedAddress,
    model::{Address, Patch},
    text::{Source, Str, Text},
};

/// The canonical patch of a text member in a client's request. `empty` is the meaning of an empty text, which depends
/// on the vendor: clear the field, or leave it unchanged.
pub fn patch_text(source: &Source, member: &Patch<Str<'_>>, empty: Patch<Text>) -> Patch<Text> {
    match member {
        Patch::Set(text) if text.is_empty() => empty,
        _ => member.map(|text| source.text(text)),
    }
}

/// The canonical patch of an address member in a client's request. An empty text clears its part.
pub fn patch_address<V>(source: &Source, member: &Patch<NestedAddress<'_, V>>) -> Address<Patch<Text>> {
    match member {
        Patch::Absent => Address::default(),
        Patch::Clear => Address::<()>::default().map(|()| Patch::Clear),
        Patch::Set(address) => address.parts.map(|part| patch_text(source, part, Patch::Clear)),
    }
}

/// The canonical patch of an object member in a client's request. A value that is not an object is ignored.
pub fn patch_object(source: &Source, member: &Patch<Raw<'_>>) -> Patch<JsonObject> {
    match member {
        Patch::Set(raw) => JsonObject::owned(*raw, source).into(),
        Patch::Clear => Patch::Clear,
        Patch::Absent => Patch::Absent,
    }
}

/// The member for a decimal patch, for a vendor that writes JSON numbers.
pub fn number_patch(patch: &Patch<Text>) -> Patch<Number<'_>> {
    patch.map(|digits| Number::new(digits))
}

/// The member for a metadata patch.
pub fn raw_patch(patch: &Patch<JsonObject>) -> Patch<Raw<'_>> {
    patch.map(JsonObject::raw)
}

/// The member for a text.
pub fn str_of(text: Option<&Text>) -> Option<Str<'_>> {
    text.map(|text| Str::new(text))
}

/// The member for a text that some documents have as a number.
pub fn loose_of(text: Option<&Text>) -> Option<Loose<'_>> {
    text.map(|text| Loose(Str::new(text)))
}
