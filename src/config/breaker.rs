//! When the gateway stops to send requests to a provider that fails.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{duration, values::part};

/// When the gateway stops to send requests of a connection, and for how long. Each connection counts its own failures, except requests
/// that could not connect: those count for the host, together with those of the other connections to it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Breaker")]
pub struct BreakerConfig {
    /// After so many failures one after the other. 0: a run of failures does not count.
    pub failures: u32,
    /// When less than this part of the requests in `window` succeed, from 0 to 1. 0: the part does not count.
    #[serde(deserialize_with = "part")]
    pub min_success: f64,
    /// How many requests `window` must have before their part counts.
    pub min_requests: u32,
    /// How far back the part counts, such as `10s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub window: Duration,
    /// The first pause, such as `1s`. Each further one is twice as long.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub pause: Duration,
    /// The longest pause, such as `60s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub max_pause: Duration,
    /// Up to this part of a pause is added to it at random, from 0 to 1, so that several gateways do not ask at the same time.
    #[serde(deserialize_with = "part")]
    pub jitter: f64,
    /// The pause after the provider has refused the credentials `failures` times one after the other, such as `1m`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub unauthorized_pause: Duration,
    /// The longest `Retry-After` of a provider that the gateway follows, such as `5m`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub max_retry_after: Duration,
}

impl BreakerConfig {
    /// The same, but no number of failures makes the gateway stop.
    #[must_use]
    pub const fn without_limits(self) -> Self {
        Self { failures: 0, min_success: 0.0, ..self }
    }
}

#[cfg(test)]
impl BreakerConfig {
    /// The defaults.
    pub(crate) fn tested() -> Self {
        super::load_text("", "test.toml").expect("the defaults").config.outbound.breaker
    }
}
