//! The configuration as the operator writes it: one TOML file, overridden by environment variables. The gateway reads
//! it with [`load()`] at its start and at every reload, and `passerelle check` reads it in the same way. These types hold
//! the values as they were typed; [`crate::merchant`] resolves names and secrets into what requests use.

mod breaker;
mod changes;
mod client_key;
mod diagnose;
mod folder;
mod left_out;
mod load;
mod secret;
mod telemetry;
mod transport;
mod values;

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use ipnet::IpNet;
use passerelle_providers::model::LossPolicy;
use schemars::JsonSchema;
use serde::Deserialize;

pub use breaker::BreakerConfig;
pub use changes::{Change, Snapshot};
pub use client_key::ClientKey;
pub(crate) use diagnose::nearest;
pub use folder::Folder;
pub use left_out::Readable;
pub(crate) use load::read_text;
pub use load::{ConfigError, DEFAULTS, Loaded, Mistake, SANDBOX, load, load_text, read};
pub use secret::{ApiKey, Secret, SecretError};
pub use telemetry::{TelemetryConfig, TracesConfig};
pub use transport::{HeadLimits, Http2, TlsConfig};
pub use values::Rate;
pub(crate) use values::{Typed, duration, parse_duration};
use values::{duration_or_zero, maybe_duration, maybe_rate, networks, part, rate, within};

/// Passerelle's configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the API is served.
    pub server: ServerConfig,
    /// The operator's listener. Without it, there is none.
    pub operator: Option<OperatorConfig>,
    /// Where the gateway stores what must survive a restart.
    pub store: Option<StoreConfig>,
    /// How providers are called.
    pub outbound: Outbound,
    /// How a merchant is switched to another provider.
    pub switch: SwitchConfig,
    /// Telemetry that the gateway sends.
    pub telemetry: Option<TelemetryConfig>,
    /// The merchants, by name.
    #[serde(default)]
    pub merchants: BTreeMap<String, MerchantConfig>,
}

impl Config {
    /// Whether every connection of every merchant is a sandbox. Then nothing but twins can be reached, and keys may be public.
    pub fn is_sandbox(&self) -> bool {
        let mut connections = self.merchants.values().flat_map(|merchant| merchant.connections.values());
        !self.merchants.is_empty() && connections.all(|connection| connection.sandbox)
    }
}

/// How the API is served.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Server")]
pub struct ServerConfig {
    /// The address and port to listen on.
    pub listen: String,
    /// TLS of the API's listener. Without it, the listener speaks HTTP without encryption.
    pub tls: Option<TlsConfig>,
    /// Where clients may use HTTP/2.
    pub http2: Http2,
    /// Not used any more: `operator.listen` is the address of the operator's listener.
    pub metrics_listen: Option<String>,
    /// Whether the gateway reloads by itself when the configuration file or a file of a secret is changed.
    pub reload_on_change: bool,
    /// How long a request may take in total, its retries included, such as `30s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// How long a client may take for its TLS handshake, and to send the head of a request, such as `10s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub head_timeout: Duration,
    /// How long a connection may be idle between two requests, such as `60s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// How long a client may take nothing of its answer, such as `30s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub write_timeout: Duration,
    /// How long the body of a request may take to arrive, such as `15s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub body_timeout: Duration,
    /// How many bytes of a request's body must have arrived in a second on average, after its first 5 s. 0: any number.
    pub min_body_rate: u32,
    /// The gateway is overloaded while everything that is ready to run waits for a processor for longer than this, such as
    /// `1ms`. Then it answers fewer requests at once, and refuses further ones.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub overload_wait: Duration,
    /// How many client connections may be open at once.
    pub max_connections: usize,
    /// How many connections of one client address may be open at once. The addresses of an IPv6 network (/64) count as
    /// one.
    pub max_connections_per_address: usize,
    /// How many requests a client may have open at once on one HTTP/2 connection.
    pub max_streams: NonZeroU32,
    /// How many bytes of one request's body a client may send over HTTP/2 before the gateway has read them.
    #[serde(deserialize_with = "within::<_, 1024, 16_777_216>")]
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub stream_window: u32,
    /// How many bytes of all bodies together a client may send over one HTTP/2 connection before the gateway has read them.
    #[serde(deserialize_with = "within::<_, 65535, 16_777_216>")]
    #[schemars(range(min = 65535, max = 16_777_216))]
    pub connection_window: u32,
    /// How long the path and the query of a request may be, in bytes.
    #[serde(deserialize_with = "within::<_, 256, 65534>")]
    #[schemars(range(min = 256, max = 65534))]
    pub max_uri: u32,
    /// How many headers a request may have.
    #[serde(deserialize_with = "within::<_, 32, 1000>")]
    #[schemars(range(min = 32, max = 1000))]
    pub max_headers: u32,
    /// How large the headers of a request may be together, in bytes.
    #[serde(deserialize_with = "within::<_, 4096, 262_144>")]
    #[schemars(range(min = 4096, max = 262_144))]
    pub max_headers_size: u32,
    /// The addresses and networks of the proxies in front of the gateway, such as `10.0.0.0/8`. Their connections are
    /// not limited by address, and `X-Forwarded-For` says whose wrong keys they bring.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// How many wrong keys of one client address are answered as such, such as `60/min`. Further ones get 429
    /// `too_many_wrong_keys`. A valid key works all the same.
    #[serde(deserialize_with = "rate")]
    #[schemars(with = "String")]
    pub wrong_keys_per_address: Rate,
    /// How large a request body may be, in bytes.
    pub max_body: usize,
    /// How much memory all request bodies may occupy together, in bytes. The bodies of one merchant never occupy more than
    /// is still free.
    pub max_bodies: usize,
    /// How many levels of objects and arrays the JSON of a request may have.
    #[serde(deserialize_with = "within::<_, 1, 127>")]
    #[schemars(range(min = 1, max = 127))]
    pub max_json_depth: u32,
    /// How many keys one object in the JSON of a request may have.
    #[serde(deserialize_with = "within::<_, 1, 1000>")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_json_keys: u32,
    /// How many items one array in the JSON of a request may have.
    #[serde(deserialize_with = "within::<_, 1, 10_000>")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_json_items: u32,
    /// Whether answers have a `Server-Timing` header with the time of the provider and that of the gateway.
    pub server_timing: bool,
    /// How long the gateway still accepts connections after the signal to stop, such as `3s`.
    #[serde(deserialize_with = "duration_or_zero")]
    #[schemars(with = "String")]
    pub stop_notice: Duration,
    /// How long requests in flight may take after that, such as `20s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub stop_timeout: Duration,
}

/// The operator's listener. It serves health, metrics and, with a key, the operator's API. It has a cap of its own, so that
/// health is answered when clients use all connections of the API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Operator")]
pub struct OperatorConfig {
    /// The address and port to listen on.
    pub listen: String,
    /// The keys of the operator's API. Without one, only health and metrics are served.
    #[serde(default)]
    pub keys: Vec<ApiKey>,
    /// More names that the `Host` header may have, such as `passerelle.internal`. IP addresses and `localhost` are always
    /// allowed.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// Where the gateway stores what must survive a restart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Store")]
pub struct StoreConfig {
    /// `sqlite:FILE`, `sqlite::memory:` or `postgres://…`. A relative FILE begins at the folder of the configuration file.
    /// Without a URL, it is `sqlite:passerelle.db`.
    pub url: Option<Secret>,
    /// The key that encrypts the store: 32 bytes as 64 hexadecimal digits or in base64. Without it, the gateway
    /// creates a key file beside the SQLite file at its first start.
    pub key: Option<Secret>,
    /// Earlier keys of the store. At its start, the gateway encrypts everything again with `key`.
    #[serde(default)]
    pub previous_keys: Vec<Secret>,
    /// How long a process owns a write without renewing its lease, such as `30s`. After that, another process takes
    /// the write over.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub lease: Option<Duration>,
    /// How long the answer to a write is stored for repeated requests, such as `72h`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub keep_answers: Option<Duration>,
    /// How long the store remembers that an idempotency key was used, such as `720h`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub keep_tombstones: Option<Duration>,
}

/// How providers are called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Allows a `base_url` with http:// or with a private address.
    pub allow_insecure: bool,
    /// How long connecting to a provider may take, such as `3s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// How large a provider's reply with many records may be, in bytes, after decompression: at most 8388608. A reply with
    /// one record may have at most 524288.
    pub max_reply: usize,
    /// How many requests of one connection may be in flight at once.
    pub max_in_flight: usize,
    /// How many requests of all connections may be in flight at one provider host at once.
    pub max_in_flight_per_host: usize,
    /// How many requests to all providers may be in flight at once.
    pub max_in_flight_total: usize,
    /// How many connections to one provider host stay open while they are idle.
    pub max_idle_per_host: usize,
    /// How long a connection to a provider stays open while it is idle, such as `20s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// How often a request is sent again at most.
    #[serde(deserialize_with = "within::<_, 0, 10>")]
    #[schemars(range(max = 10))]
    pub max_retries: u32,
    /// How many retries a connection may have for each of its requests that needs none, from 0 to 1. It is rounded down to 1/n.
    #[serde(deserialize_with = "part")]
    pub max_retry_share: f64,
    /// When the gateway stops to send requests to a provider that fails.
    pub breaker: BreakerConfig,
    /// The proxy through which providers are called: `http://`, `https://` or `socks5h://`. Write it by reference if
    /// it contains a password.
    pub proxy: Option<Secret>,
    /// What is called without the proxy: hosts with their subdomains, or networks such as `203.0.113.0/24`.
    #[serde(default)]
    pub no_proxy: Vec<String>,
}

/// How a merchant is switched to another provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Switch")]
pub struct SwitchConfig {
    /// How long the writes to one customer may wait while it moves to the other side, such as `2s`. It is needed only for a
    /// customer who is written more often than the provider needs to show a write.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub hold: Duration,
}

/// A merchant: the keys of its clients, and its connections to providers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Merchant")]
pub struct MerchantConfig {
    /// The API keys of this merchant's clients.
    pub api_keys: Vec<ClientKey>,
    /// The connection that serves this merchant. Changing this line switches the provider.
    pub active: String,
    /// The home region as an ISO 3166-1 alpha-2 code. It completes national phone numbers that are
    /// valid there.
    pub region: Option<String>,
    /// What happens to fields that the provider cannot store: `reject` refuses the request, `carry` keeps them in
    /// the gateway's store, `drop` leaves them out.
    #[serde(default)]
    #[schemars(schema_with = "loss_policies")]
    pub on_loss: LossPolicy,
    /// Whether a request may ask for `Prefer: loss=carry`. `on_loss = "carry"` allows it, too.
    #[serde(default)]
    pub allow_carry: bool,
    /// The most requests of its clients, such as `600/min`. Further ones get 429 `rate_limited`.
    #[serde(default, deserialize_with = "maybe_rate")]
    #[schemars(with = "Option<String>")]
    pub rate_limit: Option<Rate>,
    /// The credentials that verify drop-in clients which sign their requests, by the provider whose API they use.
    #[serde(default)]
    pub ingress: BTreeMap<String, BTreeMap<String, Secret>>,
    /// How its customers are matched when it switches providers.
    #[serde(default)]
    pub switch: MerchantSwitch,
    /// The connections, by name.
    pub connections: BTreeMap<String, ConnectionConfig>,
}

/// What a switch of the merchant needs to know.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MerchantSwitch {
    /// Where a customer has the merchant's own reference, such as `metadata.user_id`. Customers with the same reference are
    /// the same customer.
    pub reference: Option<String>,
}

/// A connection to one account at one provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Connection")]
pub struct ConnectionConfig {
    /// The provider's name; `passerelle providers` lists them.
    pub provider: String,
    /// The generation of the provider's API, if it has several.
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
    /// What happens to a create that was perhaps executed and that the provider does not show.
    #[serde(default)]
    pub on_ambiguous: OnAmbiguous,
    /// How long the provider may take to show what was written, such as `2s`.
    #[serde(default, deserialize_with = "maybe_duration")]
    #[schemars(with = "Option<String>")]
    pub visibility_lag: Option<Duration>,
    /// Whether the connection uses live records or test records. Only some providers need this.
    pub livemode: Option<bool>,
    /// Whether the provider gets a `traceparent`, where the request of the client is sampled.
    #[serde(default)]
    pub send_traceparent: bool,
    /// Whether the built-in twin (a sandbox in the gateway's process) answers instead of the provider.
    #[serde(default)]
    pub sandbox: bool,
}

/// What happens to a create that was perhaps executed and that the provider does not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    /// Its outcome stays `unknown` until a person decides.
    #[default]
    Hold,
    /// The gateway sends it again after `visibility_lag`. Not allowed where the provider's lists do not show every
    /// customer.
    ResendAfterLag,
}

/// The loss policies that a configuration may name.
fn loss_policies(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let words = LossPolicy::ALL.map(LossPolicy::as_str);
    schemars::json_schema!({ "type": "string", "enum": words })
}

/// The JSON Schema of the configuration file, for editors.
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Config);
    // A file contains only what differs from the defaults, so no key is required.
    remove_required(schema.as_object_mut());
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn remove_required(schema: Option<&mut serde_json::Map<String, serde_json::Value>>) {
    let Some(schema) = schema else { return };
    schema.remove("required");
    for section in ["Server", "Outbound", "Breaker"] {
        let section = schema.get_mut("$defs").and_then(|sections| sections.get_mut(section));
        section.and_then(|section| section.as_object_mut()).map(|section| section.remove("required"));
    }
}
