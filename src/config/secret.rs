//! Secrets in the configuration, written by reference: `{ env = "NAME" }` or `{ file = "PATH" }`. A literal secret is
//! accepted; [`crate::merchant`] warns the operator about it. No `Debug` of these types prints a secret.

use std::{borrow::Cow, fmt, fs};

use data_encoding::HEXLOWER;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::folder::Folder;

/// Where the gateway reads a secret.
#[derive(Clone)]
pub enum Secret {
    /// Written in the file itself.
    Literal(SecretString),
    /// In an environment variable.
    Env(String),
    /// In a file. Line ends at its end do not belong to the secret.
    File(String),
}

/// An API key: the key itself, or its digest.
#[derive(Clone, Debug)]
pub enum ApiKey {
    /// The key itself.
    Key(Secret),
    /// The SHA-256 digest of the key, in hexadecimal.
    Sha256(String),
}

/// Why a secret cannot be read, as a predicate that follows the configuration key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretError(pub String);

impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl ApiKey {
    /// The key with a digest, in hexadecimal.
    pub(super) fn of_digest<E: serde::de::Error>(digest: &str) -> Result<Self, E> {
        match digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(Self::Sha256(digest.to_ascii_lowercase())),
            false => Err(E::custom("has a `sha256` that is not 64 hexadecimal digits")),
        }
    }

    /// The name of the key in the audit: that of its variable or file, otherwise the beginning of its digest.
    pub fn name(&self, digest: &[u8; 32]) -> String {
        match self {
            Self::Key(Secret::Env(name)) => name.clone(),
            Self::Key(Secret::File(path)) => path.clone(),
            Self::Key(Secret::Literal(_)) | Self::Sha256(_) => format!("sha256:{}", HEXLOWER.encode(&digest[..6])),
        }
    }
}

impl Secret {
    /// Reads the secret. The relative path of a file begins at this folder.
    pub fn resolve(&self, folder: &Folder) -> Result<SecretString, SecretError> {
        let text = match self {
            Self::Literal(secret) => return Ok(secret.clone()),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| SecretError(format!("names the environment variable {name}, which is not set")))?,
            Self::File(path) => {
                let place = folder.find(path).map_err(SecretError)?;
                fs::read_to_string(&place).map_err(|error| {
                    SecretError(format!("names the file {}, which cannot be read: {error}", place.display()))
                })?
            }
        };
        let text = text.trim_end_matches(['\r', '\n']);
        match text.is_empty() {
            true => Err(SecretError(format!("names the {self:?}, which is empty"))),
            false => Ok(SecretString::from(text)),
        }
    }

    /// Whether the secret is written in the configuration file itself.
    pub const fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => formatter.write_str("[redacted]"),
            Self::Env(name) => write!(formatter, "environment variable {name}"),
            Self::File(path) => write!(formatter, "file {path}"),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Reference { digests: false })? {
            ApiKey::Key(secret) => Ok(secret),
            ApiKey::Sha256(_) => Err(D::Error::custom("cannot be a digest: the gateway needs the secret itself")),
        }
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reference { digests: true })
    }
}

struct Reference {
    digests: bool,
}

impl<'de> Visitor<'de> for Reference {
    type Value = ApiKey;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.digests {
            true => "{ env = \"NAME\" }, { file = \"PATH\" }, { sha256 = \"…\" } or a string",
            false => "{ env = \"NAME\" }, { file = \"PATH\" } or a string",
        })
    }

    fn visit_str<E: serde::de::Error>(self, literal: &str) -> Result<ApiKey, E> {
        Ok(ApiKey::Key(Secret::Literal(SecretString::from(literal))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ApiKey, A::Error> {
        const KEYS: &[&str] = &["env", "file", "sha256"];
        let known = if self.digests { KEYS } else { &KEYS[..2] };
        let Some((key, value)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::custom("is an empty table; write { env = \"NAME\" } or { file = \"PATH\" }"));
        };
        let reference = match key.as_str() {
            "env" => ApiKey::Key(Secret::Env(value)),
            "file" => ApiKey::Key(Secret::File(value)),
            "sha256" if self.digests => ApiKey::of_digest(&value)?,
            _ => return Err(A::Error::unknown_field(&key, known)),
        };
        match map.next_key::<String>()? {
            Some(_) => Err(A::Error::custom("can have only one of `env`, `file` and `sha256`")),
            None => Ok(reference),
        }
    }
}

fn reference_schema(keys: &[&str]) -> Schema {
    let mut forms: Vec<serde_json::Value> = keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "type": "object",
                "properties": { *key: { "type": "string" } },
                "required": [key],
                "additionalProperties": false,
            })
        })
        .collect();
    forms.push(serde_json::json!({ "type": "string", "description": "The secret itself. A reference is safer." }));
    json_schema!({ "oneOf": forms })
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Secret")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        reference_schema(&["env", "file"])
    }
}

impl JsonSchema for ApiKey {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ApiKey")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        reference_schema(&["env", "file", "sha256"])
    }
}
