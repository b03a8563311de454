//! The keys of a merchant's clients as the operator writes them: a secret, or a table with a secret, a name, scopes and
//! times. [`crate::merchant`] checks the names, the scopes and the times, so that it reports all mistakes at once.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::secret::{ApiKey, Secret};

/// A key of a merchant's clients.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// The key, or its digest.
    pub key: ApiKey,
    /// Its name in answers, metrics and the audit.
    pub name: Option<String>,
    /// What it allows. `None`: everything.
    pub scopes: Option<Vec<String>>,
    /// From when on it is accepted, as RFC 3339 writes it.
    pub not_before: Option<String>,
    /// From when on it is not accepted any more, as RFC 3339 writes it.
    pub expires: Option<String>,
}

impl From<ApiKey> for ClientKey {
    fn from(key: ApiKey) -> Self {
        Self { key, name: None, scopes: None, not_before: None, expires: None }
    }
}

/// The table form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    env: Option<String>,
    file: Option<String>,
    sha256: Option<String>,
    name: Option<String>,
    scopes: Option<Vec<String>>,
    not_before: Option<String>,
    expires: Option<String>,
}

impl<'de> Deserialize<'de> for ClientKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = ClientKey;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{ env = \"NAME\" }, { file = \"PATH\" }, { sha256 = \"…\" } or a string")
    }

    fn visit_str<E: serde::de::Error>(self, literal: &str) -> Result<ClientKey, E> {
        Ok(ApiKey::Key(Secret::Literal(SecretString::from(literal))).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClientKey, A::Error> {
        let Table { env, file, sha256, name, scopes, not_before, expires } =
            Table::deserialize(MapAccessDeserializer::new(map))?;
        let key = match (env, file, sha256) {
            (Some(env), None, None) => ApiKey::Key(Secret::Env(env)),
            (None, Some(file), None) => ApiKey::Key(Secret::File(file)),
            (None, None, Some(digest)) => ApiKey::of_digest(&digest)?,
            (None, None, None) => {
                return Err(A::Error::custom("has no key; write { env = \"NAME\" } or { file = \"PATH\" }"));
            }
            _ => return Err(A::Error::custom("can have only one of `env`, `file` and `sha256`")),
        };
        Ok(ClientKey { key, name, scopes, not_before, expires })
    }
}

impl JsonSchema for ClientKey {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ClientKey")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let time = |description: &str| serde_json::json!({ "type": "string", "format": "date-time", "description": description });
        let mut forms: Vec<serde_json::Value> = ["env", "file", "sha256"]
            .iter()
            .map(|key| {
                serde_json::json!({
                    "type": "object",
                    "properties": {
                        *key: { "type": "string" },
                        "name": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": "The name of the key in answers, metrics and the audit." },
                        "scopes": {
                            "type": "array", "items": { "enum": ["read", "write", "admin"] }, "minItems": 1,
                            "description": "What the key allows. Without it, everything.",
                        },
                        "not_before": time("From when on the key is accepted."),
                        "expires": time("From when on the key is not accepted any more."),
                    },
                    "required": [key],
                    "additionalProperties": false,
                })
            })
            .collect();
        forms.push(serde_json::json!({ "type": "string", "description": "The key itself. A reference is safer." }));
        json_schema!({ "oneOf": forms })
    }
}
