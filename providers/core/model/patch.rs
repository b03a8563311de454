//! One field of a merge patch.

use std::fmt;

use crate::text::{Str, Text};

/// One field of a merge patch (RFC 7396): unchanged, cleared with `null`, or set.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not mentioned: the value stays unchanged.
    #[default]
    Absent,
    /// `null`: the value is cleared.
    Clear,
    /// A new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the patch does not mention the field.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The new value, if one is set.
    pub const fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Clear => None,
        }
    }

    /// The same patch for a new record, which has nothing to clear.
    #[must_use]
    pub fn of_new(self) -> Self {
        if let Self::Clear = self { Self::Absent } else { self }
    }

    /// The same patch with a converted value.
    pub fn map<'p, U>(&'p self, convert: impl FnOnce(&'p T) -> U) -> Patch<U> {
        match self {
            Self::Absent => Patch::Absent,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(convert(value)),
        }
    }

    /// The value of the field after the patch is applied to its current value.
    pub fn apply(&self, current: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Absent => current,
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }

    /// This patch; if it does not mention the field, a patch that sets the current value again.
    #[must_use]
    pub fn or_keep(&self, current: Option<&T>) -> Self
    where
        T: Clone,
    {
        match (self, current) {
            (Self::Absent, Some(current)) => Self::Set(current.clone()),
            _ => self.clone(),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// A value is set; `None` does not mention the field.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Set)
    }
}

impl<T> fmt::Debug for Patch<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Absent => "absent",
            Self::Clear => "clear",
            Self::Set(_) => "set",
        })
    }
}

/// The wire document's patch for a canonical patch of text.
pub fn str_patch(patch: &Patch<Text>) -> Patch<Str<'_>> {
    patch.map(|text| Str::new(text))
}
