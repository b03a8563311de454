//! Sealing: the store encrypts data of customers with AES-256-GCM. The key is not in the database. Sealed bytes are
//! bound to their table, column and row, and do not open elsewhere.

use std::{fmt, fs, io::Write as _, path::Path};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
    rand::{SecureRandom, SystemRandom},
};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::{ExposeSecret, SecretSlice};

use super::error::StoreError;
use crate::config::{Folder, Secret};

/// How a key is written, for error messages.
const FORM: &str = "a key of the store is 32 random bytes as 64 hexadecimal digits or in base64; \
                    `openssl rand -hex 32` makes one";

/// The first byte of all sealed bytes, so that a later version can seal in another format.
const VERSION: u8 = 1;
const KEY_ID: usize = 8;
const HEAD: usize = 1 + KEY_ID + NONCE_LEN;

/// A key: 32 bytes.
#[derive(Clone)]
pub(super) struct Key(SecretSlice<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl Key {
    /// Parses a key as an operator writes it.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        let bytes = match text.len() {
            64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            _ => BASE64.decode(text.as_bytes()),
        };
        let bytes = bytes.ok().filter(|bytes| bytes.len() == 32).ok_or_else(|| wrong(FORM))?;
        Ok(Self(bytes.into()))
    }

    /// A new key.
    pub(super) fn random() -> Result<Self, StoreError> {
        Ok(Self(random_bytes()?.to_vec().into()))
    }

    /// Resolves a configured key. A file that others can read is refused.
    pub(super) fn resolve(secret: &Secret, folder: &Folder) -> Result<Self, StoreError> {
        use secrecy::ExposeSecret as _;
        let unreadable = |error| wrong(format!("the key of the store cannot be read: `store.key` {error}"));
        if let Secret::File(path) = secret {
            check_mode(&folder.find(path).map_err(unreadable)?)?;
        }
        let text = secret.resolve(folder).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(text.expose_secret()).map_err(|error| wrong(format!("{secret:?}: {error}")))
    }

    /// The key in a file beside its database, if there is one.
    pub(super) fn beside(path: &Path, database: &Path, database_is_new: bool) -> Result<Option<Self>, StoreError> {
        match fs::read_to_string(path) {
            // A new store would not know the writes of the one that the key belongs to, and their idempotency keys.
            Ok(_) if database_is_new => Err(StoreError::Damaged(format!(
                "the store {0} is missing or empty, but its key {1} is here: restore {0} from your backup, or remove \
                 {1} to begin with an empty store",
                database.display(),
                path.display()
            ))),
            Ok(text) => {
                check_mode(path)?;
                Self::parse(&text).map(Some).map_err(|_| {
                    wrong(format!("the key file {} does not hold a key: restore it from your backup", path.display()))
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(format!(
                "the key file {} cannot be read: {error}; give it to the user of the gateway with mode 0600",
                path.display()
            ))),
        }
    }

    /// Makes a key in a file beside its database.
    pub(super) fn make(path: &Path) -> Result<Self, StoreError> {
        let key = Self::random()?;
        let (folder, mut new) = (path.parent().filter(|folder| !folder.as_os_str().is_empty()), path.to_path_buf());
        new.add_extension("new");
        let write = || {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&new)?;
            writeln!(file, "{}", HEXLOWER.encode(key.0.expose_secret()))?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            // The name must be durable before anything is sealed with it.
            fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| {
            wrong(format!("the key file {} cannot be written: {error}; see `store.key`", path.display()))
        })?;
        Ok(key)
    }

    /// The key file is missing, and the database needs it.
    pub(super) fn missing(path: &Path) -> StoreError {
        wrong(format!(
            "{} is missing, though the database holds data sealed with it: restore it from your backup, or set the key \
             as `store.key`",
            path.display()
        ))
    }

    fn id(&self) -> [u8; KEY_ID] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"passerelle key id 1");
        context.update(self.0.expose_secret());
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&context.finish().as_ref()[..KEY_ID]);
        id
    }
}

fn wrong(message: impl Into<String>) -> StoreError {
    StoreError::WrongKey(message.into())
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_or(0, |found| found.permissions().mode());
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(wrong(format!(
            "{0} can be read by others (mode {1:03o}): `chmod 600 {0}`, and consider a new key",
            path.display(),
            mode & 0o777
        ))),
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

pub(super) fn random_bytes() -> Result<[u8; 32], StoreError> {
    let mut bytes = [0; 32];
    let failed = |_| StoreError::Unavailable("the operating system gives no random numbers".to_owned());
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Where sealed bytes are stored. They do not open in another place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'a str,
    pub(super) column: &'a str,
    pub(super) row: &'a str,
}

/// The key that seals, and the older ones that only open.
pub(super) struct Keyring {
    keys: Vec<([u8; KEY_ID], RandomizedNonceKey)>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl Keyring {
    pub(super) fn new(key: &Key, previous: &[Key]) -> Result<Self, StoreError> {
        let keys = std::iter::once(key).chain(previous).map(|key| {
            let sealing = RandomizedNonceKey::new(&AES_256_GCM, key.0.expose_secret()).map_err(|_| wrong(FORM))?;
            Ok((key.id(), sealing))
        });
        Ok(Self { keys: keys.collect::<Result<_, StoreError>>()? })
    }

    /// Seals: version, id of the key, nonce, ciphertext with its tag.
    pub(super) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let failed = || StoreError::Unavailable("sealing failed".to_owned());
        let (id, key) = self.keys.first().ok_or_else(failed)?;
        let mut bytes = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(associated(place, id), &mut bytes).map_err(|_| failed())?;
        let mut sealed = Vec::with_capacity(HEAD + bytes.len());
        sealed.push(VERSION);
        sealed.extend(id);
        sealed.extend(nonce.as_ref());
        sealed.append(&mut bytes);
        Ok(sealed)
    }

    /// Opens what was sealed for the same place.
    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let damaged = || {
            let Place { table, column, row } = place;
            StoreError::Damaged(format!(
                "{column} of {row} in {table} was changed outside the gateway: restore the newest backup"
            ))
        };
        let (head, body) = sealed.split_at_checked(HEAD).filter(|(head, _)| head[0] == VERSION).ok_or_else(damaged)?;
        let (id, nonce) = head[1..].split_at(KEY_ID);
        let key = self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key).ok_or_else(|| {
            wrong(
                "the store is sealed with another key than `store.key` or its key file: restore the key that belongs to \
                 it; after a change of the key, list the old one in `store.previous_keys`",
            )
        })?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut bytes = body.to_vec();
        let length = key.open_in_place(nonce, associated(place, id), &mut bytes).map_err(|_| damaged())?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Seals anew what an older key sealed; `None` for what the current key sealed.
    pub(super) fn reseal(&self, place: Place<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.keys.first() {
            Some((id, _)) if sealed.get(1..=KEY_ID) == Some(id) => Ok(None),
            _ => self.seal(place, &self.open(place, sealed)?).map(Some),
        }
    }
}

fn associated(place: Place<'_>, key_id: &[u8]) -> Aad<Vec<u8>> {
    let mut bytes = b"passerelle sealed 1".to_vec();
    for part in [place.table.as_bytes(), place.column.as_bytes(), place.row.as_bytes(), key_id] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "operations", column: "answer", row: "op_1" };

    fn ring(keys: &[&Key]) -> Keyring {
        let previous: Vec<Key> = keys[1..].iter().map(|key| (*key).clone()).collect();
        Keyring::new(keys[0], &previous).expect("a keyring")
    }

    #[test]
    fn sealed_bytes_open_in_their_place_only() {
        let key = Key::random().expect("a key");
        let sealed = ring(&[&key]).seal(PLACE, b"Amadou").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"Amadou"));
        assert_eq!(ring(&[&key]).open(PLACE, &sealed).expect("opened"), b"Amadou");
        for place in [
            Place { table: "meta", ..PLACE },
            Place { column: "command", ..PLACE },
            Place { row: "op_2", ..PLACE },
            Place { table: "operation", column: "sanswer", ..PLACE },
        ] {
            assert!(matches!(ring(&[&key]).open(place, &sealed), Err(StoreError::Damaged(_))), "{place:?}");
        }
    }

    #[test]
    fn changed_bytes_do_not_open() {
        let ring = ring(&[&Key::random().expect("a key")]);
        let sealed = ring.seal(PLACE, b"Amadou").expect("sealed");
        for byte in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[byte] ^= 1;
            assert!(ring.open(PLACE, &changed).is_err(), "{byte}");
            assert!(ring.open(PLACE, &sealed[..byte]).is_err(), "{byte}");
        }
    }

    #[test]
    fn a_previous_key_opens_and_resealing_replaces_it() {
        let (old, new) = (Key::random().expect("a key"), Key::random().expect("a key"));
        let sealed = ring(&[&old]).seal(PLACE, b"Amadou").expect("sealed");
        assert!(matches!(ring(&[&new]).open(PLACE, &sealed), Err(StoreError::WrongKey(_))));
        let both = ring(&[&new, &old]);
        let resealed = both.reseal(PLACE, &sealed).expect("opened").expect("sealed anew");
        assert_eq!(ring(&[&new]).open(PLACE, &resealed).expect("opened"), b"Amadou");
        assert_eq!(both.reseal(PLACE, &resealed).expect("known"), None);
    }

    #[test]
    fn a_key_is_hexadecimal_or_base64() {
        let hexadecimal = Key::parse(&format!("{}\n", "0a".repeat(32))).expect("a key");
        let base64 = Key::parse(&BASE64.encode(&[10; 32])).expect("a key");
        assert_eq!(hexadecimal.id(), base64.id());
        let too_long = "0a".repeat(33);
        for wrong in ["", "secret", &"zz".repeat(32), &"é".repeat(32), &too_long] {
            let message = Key::parse(wrong).expect_err("no key").to_string();
            assert!(message.contains("openssl rand -hex 32"), "{message}");
        }
    }
}
