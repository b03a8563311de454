//! Postal addresses, as a part of customers and of commands.

use std::fmt;

use crate::model::Field;

/// A postal address; `T` is `Option<Text>` in an answer and `Patch<Text>` in a command.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
pub struct Address<T> {
    pub line1: T,
    pub line2: T,
    pub city: T,
    pub state: T,
    pub postal_code: T,
    /// The ISO 3166-1 alpha-2 code; the original text if it does not name a country.
    pub country: T,
}

impl<T> Address<T> {
    /// Every part, in the order of the API.
    pub const fn parts(&self) -> [(Field, &T); 6] {
        let Self { line1, line2, city, state, postal_code, country } = self;
        [
            (Field::Line1, line1),
            (Field::Line2, line2),
            (Field::City, city),
            (Field::State, state),
            (Field::PostalCode, postal_code),
            (Field::Country, country),
        ]
    }

    /// Mutable references to every part, in the order of the API.
    pub const fn parts_mut(&mut self) -> [(Field, &mut T); 6] {
        let Self { line1, line2, city, state, postal_code, country } = self;
        [
            (Field::Line1, line1),
            (Field::Line2, line2),
            (Field::City, city),
            (Field::State, state),
            (Field::PostalCode, postal_code),
            (Field::Country, country),
        ]
    }

    /// The part that a field names.
    pub fn part(&self, field: Field) -> Option<&T> {
        self.parts().into_iter().find_map(|(name, part)| (name == field).then_some(part))
    }

    /// A mutable reference to the part that a field names.
    pub fn part_mut(&mut self, field: Field) -> Option<&mut T> {
        self.parts_mut().into_iter().find_map(|(name, part)| (name == field).then_some(part))
    }

    /// The same address with every part converted.
    pub fn map<'a, U>(&'a self, convert: impl Fn(&'a T) -> U) -> Address<U> {
        let Self { line1, line2, city, state, postal_code, country } = self;
        let [line1, line2, city, state, postal_code, country] =
            [line1, line2, city, state, postal_code, country].map(convert);
        Address { line1, line2, city, state, postal_code, country }
    }
}

impl<T> fmt::Debug for Address<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address { .. }")
    }
}
