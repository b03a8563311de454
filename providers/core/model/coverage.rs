//! Which customers the lists of a provider show. It is a fact of the manifest.

/// Which customers the lists and the searches of a provider show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListCoverage {
    /// Every customer.
    All,
    /// Only some customers. The text says which, as in "the lists show only …". A customer that such a list does not
    /// show may exist all the same.
    Only(&'static str),
}

impl ListCoverage {
    /// Whether a customer that the lists do not show does not exist.
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::All)
    }

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Only(_) => "partial",
        }
    }

    /// Which customers the lists show, if they do not show every customer.
    pub const fn shown(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Only(shown) => Some(shown),
        }
    }
}
