//! Members of vendors' documents, from and to the canonical model.

use crate::{
    json::{JsonObject, Loose, Number, Raw},
    kit::NestedAddress,
    model::{Address, Patch},
    text::{Source, Str, Text},
};

/// A text that a vendor's patch member asks for. What an empty one means differs: it clears, or is ignored.
pub fn patch_text(source: &Source, member: &Patch<Str<'_>>, empty: Patch<Text>) -> Patch<Text> {
    match member {
        Patch::Set(text) if text.is_empty() => empty,
        _ => member.map(|text| source.text(text)),
    }
}

/// An address that a vendor's patch member asks for. Empty text clears a part.
pub fn patch_address<V>(source: &Source, member: &Patch<NestedAddress<'_, V>>) -> Address<Patch<Text>> {
    match member {
        Patch::Absent => Address::default(),
        Patch::Clear => Address::<()>::default().map(|()| Patch::Clear),
        Patch::Set(told) => told.parts.map(|part| patch_text(source, part, Patch::Clear)),
    }
}

/// An object that a vendor's patch member asks for. Anything else is left alone.
pub fn patch_object(source: &Source, member: &Patch<Raw<'_>>) -> Patch<JsonObject> {
    match member {
        Patch::Set(raw) => JsonObject::owned(*raw, source).into(),
        Patch::Clear => Patch::Clear,
        Patch::Absent => Patch::Absent,
    }
}

/// A canonical patch of a decimal in a vendor's document that writes numbers.
pub fn number_patch(patch: &Patch<Text>) -> Patch<Number<'_>> {
    patch.map(|digits| Number::new(digits))
}

/// A canonical patch of metadata in a vendor's document.
pub fn raw_patch(patch: &Patch<JsonObject>) -> Patch<Raw<'_>> {
    patch.map(JsonObject::raw)
}

/// A text in a vendor's document.
pub fn str_of(text: Option<&Text>) -> Option<Str<'_>> {
    text.map(|text| Str::new(text))
}

/// A text in a vendor's document that may have been written as a number.
pub fn loose_of(text: Option<&Text>) -> Option<Loose<'_>> {
    text.map(|text| Loose(Str::new(text)))
}
