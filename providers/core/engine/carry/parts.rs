//! The parts of customers that the gateway keeps, and what a write changes about them.

use std::fmt;

use crate::{json::JsonObject, model::Field, text::Text};

/// The keyed hash of a native value.
pub type NativeHash = [u8; 8];

/// A part of a customer that the gateway keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The field.
    pub field: Field,
    /// Its value as text: metadata as JSON. `None` if the client removed a value that the provider could not remove.
    pub value: Option<String>,
    /// The connection at which the part was written.
    pub connection: String,
    /// The native value that the part belongs to. `None` if it belongs to nothing.
    pub native: Option<NativeHash>,
}

impl fmt::Debug for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Part").field("field", &self.field).finish_non_exhaustive()
    }
}

/// What a write changes about one part.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// The part gets this value.
    Put {
        /// The field.
        field: Field,
        /// The value; see [`Part::value`].
        value: Option<String>,
        /// The native value that the part belongs to.
        native: Option<NativeHash>,
    },
    /// The metadata is merged with this patch (RFC 7396).
    Merge {
        /// The patch, as JSON.
        patch: String,
        /// What it is merged with if there is no part: what the provider shows.
        base: String,
        /// The native value that the part belongs to.
        native: Option<NativeHash>,
    },
    /// The part goes.
    Remove(Field),
}

impl Change {
    /// The field of the part.
    pub const fn field(&self) -> Field {
        match self {
            Self::Put { field, .. } | Self::Remove(field) => *field,
            Self::Merge { .. } => Field::Metadata,
        }
    }

    /// The value of the part after this change.
    pub fn value(&self, current: Option<&str>) -> Option<String> {
        match self {
            Self::Put { value, .. } => value.clone(),
            Self::Merge { patch, base, .. } => Some(merged(current.unwrap_or(base), patch)),
            Self::Remove(_) => None,
        }
    }

    /// The value after this change, where a newer write has changed the part already: the newer write decides.
    pub fn value_below(&self, newer: &str) -> Option<String> {
        match self {
            Self::Merge { patch, .. } => Some(merged(&merged("{}", patch), newer)),
            Self::Put { .. } | Self::Remove(_) => None,
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Change").field("field", &self.field()).finish_non_exhaustive()
    }
}

fn merged(object: &str, patch: &str) -> String {
    let [object, patch] = [object, patch].map(|text| JsonObject::<Text>::in_string(text).unwrap_or_default());
    object.merged(&patch).as_str().to_owned()
}
