//! Keyed hashes (HMAC-SHA-256). The store knows requests, idempotency keys, contacts and signatures by them, and compares
//! them without their values. Their secret belongs to the store, and does not change with `store.key`.

use std::fmt;

use aws_lc_rs::hmac;

use super::{database::head::Hash, error::StoreError, keyring::random_bytes};

/// One key for each kind of value that is hashed.
pub(super) struct Hashes {
    requests: hmac::Key,
    keys: hmac::Key,
    contacts: hmac::Key,
    ids: hmac::Key,
    signatures: hmac::Key,
    sessions: hmac::Key,
}

impl fmt::Debug for Hashes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl Hashes {
    /// A new secret to derive them from.
    pub(super) fn fresh_secret() -> Result<[u8; 32], StoreError> {
        // The markers of copies derive from it, and a simulation repeats them.
        #[cfg(feature = "simulation")]
        if let Some(secret) = crate::chance::simulated::secret() {
            return Ok(secret);
        }
        random_bytes()
    }

    pub(super) fn derive(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive = |use_of: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, use_of).as_ref());
        Self {
            requests: derive(b"requests"),
            keys: derive(b"keys"),
            contacts: derive(b"contacts"),
            ids: derive(b"ids"),
            signatures: derive(b"signatures"),
            sessions: derive(b"sessions"),
        }
    }

    /// The key that seals the sessions of the console. All replicas have the same.
    pub(super) fn session_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.sessions, b"console").as_ref());
        key
    }

    /// The fingerprint of a merchant's request.
    pub(super) fn fingerprint(&self, merchant: &str, request: &[u8]) -> Hash {
        keyed(&self.requests, merchant, request)
    }

    /// The fingerprints that earlier versions gave a request: the oldest ones cover the connection's name too. A request is
    /// a JSON object, and no name of a connection begins like one, so both differ.
    pub(super) fn earlier_fingerprints(&self, merchant: &str, connection: &str, request: &[u8]) -> [Hash; 2] {
        let with_connection = [connection.as_bytes(), b"\n", request].concat();
        [self.fingerprint(merchant, request), self.fingerprint(merchant, &with_connection)]
    }

    /// The hash of a contact of a customer: of an e-mail address or a phone number. `kind` says which.
    pub(super) fn contact(&self, merchant: &str, connection: &str, kind: &str, value: &str) -> Hash {
        let length = |text: &str| (text.len() as u64).to_be_bytes();
        let parts = [&length(connection)[..], connection.as_bytes(), &length(kind), kind.as_bytes(), value.as_bytes()];
        keyed(&self.contacts, merchant, &parts.concat())
    }

    /// The public id of a customer whose id at its connection belongs to another customer: a UUID. `number` is 0, and
    /// higher where that UUID is taken too.
    pub(super) fn public_id(&self, merchant: &str, connection: &str, provider_id: &str, number: u32) -> String {
        let length = (connection.len() as u64).to_be_bytes();
        let parts = [&length[..], connection.as_bytes(), &number.to_be_bytes(), provider_id.as_bytes()];
        let mut bytes = [0; 16];
        bytes.copy_from_slice(keyed(&self.ids, merchant, &parts.concat()).split_at(16).0);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }

    /// The hash of what is unique in a signed request: `digest` is the digest of its nonce or signature.
    pub(super) fn signature(&self, signer: &Hash, digest: &Hash) -> Hash {
        keyed(&self.signatures, "", &[&signer[..], digest].concat())
    }

    /// The hash of a merchant's idempotency key.
    pub(super) fn key(&self, merchant: &str, key: &str) -> Hash {
        keyed(&self.keys, merchant, key.as_bytes())
    }
}

fn keyed(key: &hmac::Key, merchant: &str, bytes: &[u8]) -> Hash {
    let mut context = hmac::Context::with_key(key);
    context.update(&(merchant.len() as u64).to_be_bytes());
    context.update(merchant.as_bytes());
    context.update(bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.sign().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_differ_by_merchant_and_purpose() {
        let hashes = Hashes::derive(&[1; 32]);
        assert_eq!(hashes.key("acme", "k"), Hashes::derive(&[1; 32]).key("acme", "k"));
        assert_ne!(hashes.key("acme", "k"), hashes.key("other", "k"));
        assert_ne!(hashes.key("acme", "k"), hashes.key("acm", "ek"));
        assert_ne!(hashes.key("acme", "k"), hashes.fingerprint("acme", b"k"));
        assert_ne!(hashes.key("acme", "k"), Hashes::derive(&[2; 32]).key("acme", "k"));
        let contact = hashes.contact("acme", "main", "email", "a@b.c");
        for other in [
            hashes.contact("other", "main", "email", "a@b.c"),
            hashes.contact("acme", "spare", "email", "a@b.c"),
            hashes.contact("acme", "main", "phone", "a@b.c"),
            hashes.contact("acme", "maine", "mail", "a@b.c"),
            Hashes::derive(&[2; 32]).contact("acme", "main", "email", "a@b.c"),
        ] {
            assert_ne!(contact, other);
        }
    }
}
