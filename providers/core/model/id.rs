//! Ids of customers, and which ids a provider has.

use uuid::{Uuid, fmt::Hyphenated};

use crate::{model::Error, text::Text};

/// A customer's id: the one that the merchant knows, and the one at the provider. They are equal unless the merchant
/// has switched providers. The id at the provider is known to match the provider's pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomerId {
    public: Text,
    /// `None` where it is the public id.
    provider: Option<Text>,
}

impl CustomerId {
    /// An id that is the same for the merchant and at the provider. It is checked against the provider's pattern, so
    /// that it can stand in a URL.
    pub fn parse(id: Text, pattern: &IdPattern) -> Result<Self, Error> {
        if pattern.matches(&id) { Ok(Self { public: id, provider: None }) } else { Err(Error::invalid_id(pattern)) }
    }

    /// The same customer under the id that a provider has for it.
    pub fn at(self, provider: Text, pattern: &IdPattern) -> Result<Self, Error> {
        if !pattern.matches(&provider) {
            return Err(Error::invalid_id(pattern));
        }
        Ok(Self { provider: (provider != self.public).then_some(provider), public: self.public })
    }

    /// The id that the merchant knows: for answers, links and cursors.
    pub const fn public(&self) -> &Text {
        &self.public
    }

    /// The id at the provider: for requests to it, and for what the store keeps of writes.
    pub const fn at_provider(&self) -> &Text {
        match &self.provider {
            Some(provider) => provider,
            None => &self.public,
        }
    }
}

/// Which ids can stand in a provider's URLs.
#[derive(Debug, Clone, Copy)]
pub struct IdPattern {
    /// The pattern in words or as an expression, for messages.
    pub described: &'static str,
    /// Decides.
    pub allows: fn(&str) -> bool,
}

impl IdPattern {
    /// Any id that a merchant may know: visible characters without a slash. It is resolved before a provider sees it.
    pub const PUBLIC: Self = Self {
        described: "1 to 255 visible ASCII characters without a slash",
        allows: |id| id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'),
    };
    /// Letters, digits, `_` and `-`, at most 255.
    pub const TOKEN: Self = Self { described: "^[A-Za-z0-9_-]{1,255}$", allows: |id| id.bytes().all(is_token) };
    /// The same with dots, but not dots alone.
    pub const DOTTED: Self = Self {
        described: "^[A-Za-z0-9_.-]{1,255}$, and not dots alone",
        allows: |id| id.bytes().all(|byte| byte == b'.' || is_token(byte)) && !id.bytes().all(|byte| byte == b'.'),
    };
    /// A UUID with its dashes.
    pub const UUID: Self = Self {
        described: "a UUID such as b78de3c9-7f76-4f43-9c5d-19d9f5c7c985",
        allows: |id| id.len() == Hyphenated::LENGTH && Uuid::try_parse(id).is_ok(),
    };

    /// Whether an id can be used.
    pub fn matches(&self, id: &str) -> bool {
        (1..=255).contains(&id.len()) && (self.allows)(id)
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
