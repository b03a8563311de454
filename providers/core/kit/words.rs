//! A vendor's names for canonical fields, for the field errors of both sides.

use crate::model::Field;

/// The names of canonical fields at a vendor that calls them differently. They translate field errors.
#[derive(Debug)]
pub struct Words(pub &'static [(&'static str, Field)]);

impl Words {
    /// The names of a vendor that calls every field by its canonical name.
    pub const OURS: Self = Self(&[]);

    /// The pointer to the field that a vendor's name means.
    pub fn pointer(&self, word: &str) -> Option<&'static str> {
        let listed = self.0.iter().find(|(known, _)| *known == word).map(|(_, field)| *field);
        let same_name = || Field::WRITABLE.into_iter().find(|field| field.name() == word);
        listed.or_else(same_name).map(Field::pointer)
    }

    /// The vendor's name for a pointer or a query parameter; the same text if the vendor has no other name.
    pub fn word<'p>(&self, pointer: &'p str) -> &'p str {
        let path = pointer.trim_start_matches('/');
        let is_path = |field: &Field| field.pointer().trim_start_matches('/') == path;
        self.0.iter().find(|(_, field)| is_path(field)).map_or(path, |(word, _)| *word)
    }
}
