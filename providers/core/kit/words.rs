//! A vendor's words for canonical fields.

use crate::model::Field;

/// A vendor's words for canonical fields that it calls otherwise, to translate its errors by field.
#[derive(Debug)]
pub struct Words(pub &'static [(&'static str, Field)]);

impl Words {
    /// Those of a vendor that calls every field as we do.
    pub const OURS: Self = Self(&[]);

    /// The pointer to the field that a vendor's word means.
    pub fn pointer(&self, word: &str) -> Option<&'static str> {
        let listed = self.0.iter().find(|(known, _)| *known == word).map(|(_, field)| *field);
        let alike = || Field::WRITABLE.into_iter().find(|field| field.name() == word);
        listed.or_else(alike).map(Field::pointer)
    }

    /// The vendor's word for a pointer, or for the name of a query parameter; the same where there is none.
    pub fn word<'p>(&self, pointer: &'p str) -> &'p str {
        let path = pointer.trim_start_matches('/');
        let is_path = |field: &Field| field.pointer().trim_start_matches('/') == path;
        self.0.iter().find(|(_, field)| is_path(field)).map_or(path, |(word, _)| *word)
    }
}
