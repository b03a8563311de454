//! What an operator writes: one TOML file, overridden by the environment. These types are what was
//! typed; [`crate::merchant`] makes of them what it means.

mod diagnose;
mod load;
mod secret;

use std::{collections::BTreeMap, time::Duration};

use passerelle_providers::model::LossPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

pub(crate) use diagnose::nearest;
pub(crate) use load::read_text;
pub use load::{ConfigError, DEFAULTS, Loaded, SANDBOX, load, load_text};
pub use secret::{ApiKey, Secret, SecretError};

/// Passerelle's configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the API is served.
    pub server: Server,
    /// Where what must survive a restart is kept.
    pub store: Option<Store>,
    /// How providers are called.
    pub outbound: Outbound,
    /// The merchants, by name.
    #[serde(default)]
    pub merchants: BTreeMap<String, Merchant>,
}

/// How the API is served.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address and port to listen on.
    pub listen: String,
    /// The address and port of the metrics. Not served yet.
    pub metrics_listen: Option<String>,
    /// How long a request may take in all, such as `30s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// How many connections are held at once.
    pub max_connections: usize,
    /// How large a request body may be, in bytes.
    pub max_body: usize,
}

/// Where what must survive a restart is kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:FILE`, `sqlite::memory:` or `postgres://…`.
    pub url: Secret,
    /// What seals the store: 32 bytes as 64 hexadecimal digits or in base64. Beside an SQLite file one is
    /// made at the first start.
    pub key: Option<Secret>,
    /// Keys that sealed the store before; at start, everything is sealed anew with `key`.
    #[serde(default)]
    pub previous_keys: Vec<Secret>,
    /// How long a write that is under way is left to its process without a sign of life, such as `30s`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub lease: Option<Duration>,
    /// How long answers are kept to be given again, such as `72h`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub keep_answers: Option<Duration>,
    /// How long it is remembered that an idempotency key was used, such as `720h`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub keep_tombstones: Option<Duration>,
}

/// How providers are called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Lets `base_url` be http:// or a private address.
    pub allow_insecure: bool,
    /// How long connecting may take, such as `3s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// How large a reply may be, in bytes, after decompression.
    pub max_reply: usize,
    /// How many requests may be under way to one connection's provider at once.
    pub max_in_flight: usize,
    /// The proxy through which providers are called: `http://`, `https://` or `socks5h://`. By reference where it
    /// holds a password.
    pub proxy: Option<Secret>,
    /// What is called without the proxy: hosts and what is below them, or networks such as `203.0.113.0/24`.
    #[serde(default)]
    pub no_proxy: Vec<String>,
}

/// A merchant: who may call, and who answers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// The keys that name this merchant.
    pub api_keys: Vec<ApiKey>,
    /// The connection that serves this merchant: the one line of a switch.
    pub active: String,
    /// The home region as an ISO 3166-1 alpha-2 code, which completes national phone numbers.
    pub region: Option<String>,
    /// What becomes of fields that the provider cannot hold.
    #[serde(default)]
    #[schemars(schema_with = "loss_policies")]
    pub on_loss: LossPolicy,
    /// How drop-in clients that sign their requests are known, by the provider whose clients they are.
    #[serde(default)]
    pub ingress: BTreeMap<String, BTreeMap<String, Secret>>,
    /// The connections, by name.
    pub connections: BTreeMap<String, Connection>,
}

/// A connection to one account at one provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The provider's name; `passerelle providers` lists them.
    pub provider: String,
    /// The generation of the provider's API, where it has several.
    pub generation: Option<String>,
    /// The provider's credentials, by the names that `passerelle providers NAME` shows.
    #[serde(default)]
    pub credentials: BTreeMap<String, Secret>,
    /// Replaces the provider's documented base URL.
    pub base_url: Option<String>,
    /// How long each attempt may take, such as `10s`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// The most requests, such as `60/min`.
    #[serde(default, deserialize_with = "maybe_rate")]
    #[schemars(with = "Option<String>")]
    pub rate_limit: Option<Rate>,
    /// What becomes of a create that the provider shows no trace of, though it may have happened.
    #[serde(default)]
    pub on_ambiguous: OnAmbiguous,
    /// How long the provider may take to show what was written, such as `2s`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub visibility_lag: Option<Duration>,
    /// Whether live records are meant, as opposed to test ones, where a provider wants to be told.
    pub livemode: Option<bool>,
    /// Whether the built-in twin answers instead of the provider.
    #[serde(default)]
    pub sandbox: bool,
}

/// What becomes of a create that the provider shows no trace of, though it may have happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    /// It stays `unknown` for a person to decide.
    #[default]
    Hold,
    /// It is sent again once the provider must have shown it.
    ResendAfterLag,
}

/// A number of requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: std::num::NonZeroU32,
    /// In which time.
    pub per: Duration,
}

impl Rate {
    fn parse(text: &str) -> Option<Self> {
        let (requests, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            _ => return None,
        };
        Some(Self { requests: requests.trim().parse().ok()?, per: Duration::from_secs(seconds) })
    }
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero())
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no duration, such as \"10s\" or \"500ms\"")))
}

fn maybe_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn maybe_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rate>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || D::Error::custom(format!("`{text}` is no rate, such as \"60/min\", \"5/s\" or \"1000/h\""));
    Rate::parse(&text).map(Some).ok_or_else(wrong)
}

/// The loss policies that a configuration may name: `carry` is refused for now.
fn loss_policies(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let words = [LossPolicy::Reject, LossPolicy::Drop].map(LossPolicy::as_str);
    schemars::json_schema!({ "type": "string", "enum": words })
}

/// The JSON Schema of the configuration file, for editors.
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Config);
    // A file says only what differs from the defaults.
    relax(schema.as_object_mut());
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn relax(schema: Option<&mut serde_json::Map<String, serde_json::Value>>) {
    let Some(schema) = schema else { return };
    schema.remove("required");
    for section in ["Server", "Outbound"] {
        if let Some(section) =
            schema.get_mut("$defs").and_then(|defs| defs.get_mut(section)).and_then(|of| of.as_object_mut())
        {
            section.remove("required");
        }
    }
}
