//! Cursors: a cursor says where the next page of a list begins. It is sealed: a client cannot read or forge one, and
//! cannot use it for another merchant, connection, list or filter. The gateway stores nothing for a cursor, and every
//! replica can open it. `http` seals and opens them.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use passerelle_providers::{
    model::{Position, auth::Credentials},
    text::Text,
};
use serde::{Deserialize, Serialize};

/// A connection's key for sealing cursors. It is derived from the connection's secrets: every replica with the same
/// configuration has the same key, and a cursor does not open any more when the secrets have changed.
pub struct CursorKey(Option<RandomizedNonceKey>);

impl fmt::Debug for CursorKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Where the next page of a list begins, and how many entries it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The position in the provider's list.
    pub position: Position,
    /// The page size of the first request.
    pub limit: u16,
    /// The connection where the list began, if the page is in the list of another one.
    pub began_at: Option<String>,
    /// For a walk of a merchant whose switch is open: rows that a copy made after this time do not count in it, in milliseconds
    /// since 1970.
    pub since: Option<i64>,
}

/// A cursor belongs to another list, or was changed. The error does not say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotThisList;

impl fmt::Display for NotThisList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "the cursor is not one of this list: it belongs to another merchant, connection or filter, or it was \
             changed; request the first page again, without a cursor",
        )
    }
}

impl std::error::Error for NotThisList {}

#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    token: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "s")]
    skip: u16,
    #[serde(rename = "l")]
    limit: u16,
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    began_at: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

impl CursorKey {
    /// Derives the key of a connection.
    pub fn derive(merchant: &str, connection: &str, secrets: &Credentials, keys: &[[u8; 32]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(b"passerelle cursor 1");
        part(merchant.as_bytes());
        part(connection.as_bytes());
        for secret in secrets.secrets() {
            part(secret.as_bytes());
        }
        for key in keys {
            part(key);
        }
        Self(RandomizedNonceKey::new(&AES_256_GCM, context.finish().as_ref()).ok())
    }

    /// Seals a cursor for one list, described by its route and filter.
    pub fn seal(&self, cursor: &Cursor, list: &str) -> Option<String> {
        let (page, skip) = cursor.position.in_page();
        let (offset, token) = match page {
            Position::Offset(offset) => (Some(*offset), None),
            Position::Token(token) => (None, Some(std::borrow::Cow::Borrowed(&**token))),
            Position::AfterCustomer(_) | Position::Within { .. } => return None,
        };
        let began_at = cursor.began_at.as_deref().map(std::borrow::Cow::Borrowed);
        let sealed = Sealed { offset, token, skip, limit: cursor.limit, began_at, since: cursor.since };
        let mut bytes = serde_json::to_vec(&sealed).ok()?;
        let nonce = self.0.as_ref()?.seal_in_place_append_tag(Aad::from(list.as_bytes()), &mut bytes).ok()?;
        let mut nonce_and_sealed = nonce.as_ref().to_vec();
        nonce_and_sealed.append(&mut bytes);
        Some(URL_SAFE_NO_PAD.encode(nonce_and_sealed))
    }

    /// Opens a cursor of the same list. The error is the same for every reason, so that it helps no attacker.
    pub fn open(&self, text: &str, list: &str) -> Result<Cursor, NotThisList> {
        let refused = || NotThisList;
        let mut nonce_and_sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (nonce, bytes) = nonce_and_sealed.split_at_mut_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let key = self.0.as_ref().ok_or_else(refused)?;
        let opened = key.open_in_place(nonce, Aad::from(list.as_bytes()), bytes).map_err(|_| refused())?;
        let sealed: Sealed<'_> = serde_json::from_slice(opened).map_err(|_| refused())?;
        let position = match (sealed.offset, sealed.token) {
            (Some(offset), None) => Position::Offset(offset),
            (None, Some(token)) => Position::Token(Text::from(token.as_ref())),
            _ => return Err(refused()),
        };
        let began_at = sealed.began_at.map(std::borrow::Cow::into_owned);
        Ok(Cursor { position: position.within(sealed.skip), limit: sealed.limit, began_at, since: sealed.since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(merchant: &str) -> CursorKey {
        let secrets = Credentials::new([("api_key".to_owned(), "secret".to_owned())]);
        CursorKey::derive(merchant, "main", &secrets, &[])
    }

    fn cursor() -> Cursor {
        let began_at = Some("old".to_owned());
        Cursor { position: Position::Offset(40).within(3), limit: 20, began_at, since: Some(7) }
    }

    #[test]
    fn a_cursor_opens_for_the_list_it_was_sealed_for() {
        let sealed = key("acme").seal(&cursor(), "customers?email=a").expect("a cursor");
        assert_eq!(key("acme").open(&sealed, "customers?email=a").ok(), Some(cursor()));
    }

    #[test]
    fn a_cursor_does_not_open_for_another_merchant_or_filter() {
        let sealed = key("acme").seal(&cursor(), "customers").expect("a cursor");
        assert!(key("other").open(&sealed, "customers").is_err());
        assert!(key("acme").open(&sealed, "customers?email=a").is_err());
    }

    #[test]
    fn a_changed_or_cut_cursor_does_not_open() {
        let sealed = key("acme").seal(&cursor(), "customers").expect("a cursor");
        for place in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert!(key("acme").open(&text, "customers").is_err(), "bit {bit} of {place}");
                }
            }
            assert!(key("acme").open(&sealed[..place], "customers").is_err());
        }
    }
}
