//! What both sides of a copy last had in common, as keyed hashes.

use std::fmt;

use super::{
    Side,
    value::{comparable, full_name, is_known},
};
use crate::model::{Customer, Field};

/// Makes the keyed hash of some bytes.
pub type Hash<'h> = &'h (dyn Fn(&[u8]) -> [u8; 8] + Send + Sync);

/// For each field, the hash of the value that the gateway last wrote or read at the other side and that the home had as well
/// (R18). It is the common base of both sides, so it is the same for the way back. A field that differed has no hash: it is
/// never overwritten, until both sides agree once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seen(Vec<(Field, [u8; 8])>);

/// The version of the encoded form.
const VERSION: u8 = 1;
/// The bytes of a field and its hash.
const ENTRY: usize = 9;
/// The fields in the encoded form, by their position. New ones are only added at the end, because rows are kept.
const ENCODED: [Field; 17] = [
    Field::Name,
    Field::FirstName,
    Field::LastName,
    Field::Email,
    Field::Phone,
    Field::Whatsapp,
    Field::Line1,
    Field::Line2,
    Field::City,
    Field::State,
    Field::PostalCode,
    Field::Country,
    Field::Type,
    Field::Did,
    Field::Balance,
    Field::Metadata,
    Field::Blocked,
];

impl Seen {
    /// What the two sides have in common after a copy: `source` was read at the home, and `target` is what the other side
    /// then shows. Where the home knows no parts of the name that both have, the parts at the other side come from that name.
    pub fn common(source: (&Customer, &Side<'_>), target: (&Customer, &Side<'_>), hash: Hash<'_>) -> Self {
        let value = |side: (&Customer, &Side<'_>), field| base(side.0, field, side.1);
        let has_one_name = value(source, Field::Name) == value(target, Field::Name);
        let entry = |field| {
            let (one, other) = (value(source, field), value(target, field));
            let is_part = matches!(field, Field::FirstName | Field::LastName);
            let is_common = one == other || (is_part && has_one_name && one.is_none());
            is_common.then(|| (field, hashed(field, other.as_deref(), hash)))
        };
        Self(ENCODED.into_iter().filter_map(entry).collect())
    }

    /// What any of these knows: a value counts as unchanged if it is one that the gateway wrote or read there.
    pub fn merged(seen: &[Self]) -> Self {
        let mut merged = Vec::new();
        for entry in seen.iter().flat_map(|seen| &seen.0) {
            if !merged.contains(entry) {
                merged.push(*entry);
            }
        }
        Self(merged)
    }

    /// This, and of the fields that it does not know what an older one knows.
    #[must_use]
    pub fn over(&self, older: &Self) -> Self {
        let kept = older.0.iter().filter(|(field, _)| !self.knows(*field));
        Self(self.0.iter().chain(kept).copied().collect())
    }

    /// Whether a record still has what both sides last had in common in this field.
    pub(super) fn matches(&self, customer: &Customer, field: Field, side: &Side<'_>, hash: Hash<'_>) -> bool {
        let current = || hashed(field, base(customer, field, side).as_deref(), hash);
        self.0.iter().any(|(known, seen)| *known == field && *seen == current())
    }

    /// Whether both sides once had this field in common.
    pub(super) fn knows(&self, field: Field) -> bool {
        self.0.iter().any(|(known, _)| *known == field)
    }

    /// Whether a record was changed outside the gateway: a field has another value than both sides last had in common. What the
    /// record's side does not know, and a balance, say nothing.
    pub fn differs(&self, customer: &Customer, side: &Side<'_>, hash: Hash<'_>) -> bool {
        let says_something = |field| match field {
            Field::Balance | Field::Did => false,
            Field::Name => true,
            _ => is_known(customer, field, side),
        };
        self.0.iter().any(|(field, _)| says_something(*field) && !self.matches(customer, *field, side, hash))
    }

    /// The form in which it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for (number, field) in (0..).zip(ENCODED) {
            for (_, hash) in self.0.iter().filter(|(known, _)| *known == field) {
                bytes.push(number);
                bytes.extend_from_slice(hash);
            }
        }
        bytes
    }

    /// Reads the stored form. A form of another version knows nothing, so that nothing is overwritten because of it.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&VERSION, entries)) = bytes.split_first() else { return Self::default() };
        let entry = |bytes: &[u8]| {
            let (number, hash) = bytes.split_first()?;
            Some((*ENCODED.get(usize::from(*number))?, hash.try_into().ok()?))
        };
        Self(entries.chunks_exact(ENTRY).filter_map(entry).collect())
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.iter().map(|(field, _)| field.name())).finish()
    }
}

/// A field's value as both sides can compare it. A name is compared whole: one side may store it in parts.
fn base(customer: &Customer, field: Field, side: &Side<'_>) -> Option<String> {
    match field {
        Field::Name => full_name(customer),
        _ => comparable(customer, field, side),
    }
}

fn hashed(field: Field, value: Option<&str>, hash: Hash<'_>) -> [u8; 8] {
    let state = if value.is_some() { "set" } else { "empty" };
    hash(format!("{}\n{state}\n{}", field.name(), value.unwrap_or_default()).as_bytes())
}
