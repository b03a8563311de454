//! Ids of customers, and which ids a provider has.

use crate::{model::Error, text::Text};

/// A customer's id at a provider, known to match the provider's pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomerId(Text);

impl CustomerId {
    /// Checks an id against the provider's pattern, so that it can stand in a URL.
    pub fn parse(id: Text, pattern: &IdPattern) -> Result<Self, Error> {
        if pattern.matches(&id) { Ok(Self(id)) } else { Err(Error::invalid_id(pattern)) }
    }

    /// The id.
    pub const fn text(&self) -> &Text {
        &self.0
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
        allows: |id| {
            id.len() == 36
                && id.bytes().enumerate().all(|(place, byte)| match place {
                    8 | 13 | 18 | 23 => byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                })
        },
    };

    /// Whether an id can be used.
    pub fn matches(&self, id: &str) -> bool {
        (1..=255).contains(&id.len()) && (self.allows)(id)
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
