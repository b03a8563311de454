//! Telemetry that the gateway sends: traces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Secret, values::part};

/// Telemetry that the gateway sends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Telemetry")]
pub struct TelemetryConfig {
    /// Traces for OpenTelemetry. Without them, there are none.
    pub traces: Option<TracesConfig>,
}

/// Traces for OpenTelemetry, which are sent to a collector.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Traces")]
pub struct TracesConfig {
    /// The URL at which the collector takes traces by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// Headers of every request to the collector, such as `authorization`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The part of requests that are sampled, from 0 to 1. A request with a `traceparent` is sampled if that says so.
    #[serde(default = "sample_ratio", deserialize_with = "part")]
    pub sample_ratio: f64,
    /// The name of the gateway in traces, `service.name`.
    #[serde(default = "service_name")]
    pub service_name: String,
}

const fn sample_ratio() -> f64 {
    0.01
}

fn service_name() -> String {
    "passerelle".to_owned()
}
