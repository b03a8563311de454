//! Ids of customers, and the patterns that a provider's ids match.

use uuid::{Uuid, fmt::Hyphenated};

use crate::{model::Error, text::Text};

/// A customer's two ids: the public one that the merchant uses, and the one at the provider. They are equal unless the
/// merchant has switched providers. The id at the provider always matches the provider's pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomerId {
    public: Text,
    /// `None` if it equals the public id.
    provider: Option<Text>,
}

impl CustomerId {
    /// An id that is the same for the merchant and at the provider. Fails if it does not match the provider's pattern,
    /// so that it is always safe in a URL.
    pub fn parse(id: Text, pattern: &IdPattern) -> Result<Self, Error> {
        if pattern.matches(&id) { Ok(Self { public: id, provider: None }) } else { Err(Error::invalid_id(pattern)) }
    }

    /// The same customer with another id at the provider. Fails if that id does not match the provider's pattern.
    pub fn at(self, provider: Text, pattern: &IdPattern) -> Result<Self, Error> {
        if !pattern.matches(&provider) {
            return Err(Error::invalid_id(pattern));
        }
        Ok(Self { provider: (provider != self.public).then_some(provider), public: self.public })
    }

    /// The id that the merchant uses: for answers, links and cursors.
    pub const fn public(&self) -> &Text {
        &self.public
    }

    /// The id at the provider: for requests to it, and for the writes in the store.
    pub const fn at_provider(&self) -> &Text {
        match &self.provider {
            Some(provider) => provider,
            None => &self.public,
        }
    }

    /// Whether an id that the provider answered is the customer's id there. The letters of a UUID may have either case.
    pub fn is_at_provider(&self, answered: &str) -> bool {
        let uuid = |id: &str| (id.len() == Hyphenated::LENGTH).then(|| Uuid::try_parse(id).ok()).flatten();
        let asked = &**self.at_provider();
        asked == answered || uuid(asked).is_some_and(|asked| uuid(answered) == Some(asked))
    }
}

/// The ids that are allowed in a provider's URLs.
#[derive(Debug, Clone, Copy)]
pub struct IdPattern {
    /// The pattern as words or as a regular expression, for messages.
    pub described: &'static str,
    /// Whether the characters of an id are allowed.
    pub allows: fn(&str) -> bool,
}

impl IdPattern {
    /// Any id that a merchant may use: visible characters without a slash. The gateway replaces it with the provider's
    /// id before it sends a request.
    pub const PUBLIC: Self = Self {
        described: "1 to 255 visible ASCII characters without a slash",
        allows: |id| id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'),
    };
    /// Letters, digits, `_` and `-`, at most 255.
    pub const TOKEN: Self = Self { described: "^[A-Za-z0-9_-]{1,255}$", allows: |id| id.bytes().all(is_token) };
    /// Letters, digits, `_`, `-` and dots, but not only dots.
    pub const DOTTED: Self = Self {
        described: "^[A-Za-z0-9_.-]{1,255}$, and not dots alone",
        allows: |id| id.bytes().all(|byte| byte == b'.' || is_token(byte)) && !id.bytes().all(|byte| byte == b'.'),
    };
    /// A UUID with its dashes.
    pub const UUID: Self = Self {
        described: "a UUID such as b78de3c9-7f76-4f43-9c5d-19d9f5c7c985",
        allows: |id| id.len() == Hyphenated::LENGTH && Uuid::try_parse(id).is_ok(),
    };

    /// Whether an id matches the pattern.
    pub fn matches(&self, id: &str) -> bool {
        (1..=255).contains(&id.len()) && (self.allows)(id)
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
