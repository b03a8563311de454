//! How clients reach the API: TLS, the versions of HTTP, and how large heads and JSON may be.

use passerelle_providers::api::JsonLimits;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ServerConfig;

/// The certificate of a listener that speaks TLS.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub struct TlsConfig {
    /// A file in PEM: the certificate of the listener, then those between it and the certificate authority.
    /// A relative path begins at the folder of the configuration file.
    pub certificate: String,
    /// A file in PEM with the private key of the certificate. A relative path begins at the folder of the
    /// configuration file.
    pub key: String,
}

/// How large the head of a client's request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// How long the path and the query may be, in bytes.
    pub uri: u32,
    /// How many headers there may be.
    pub headers: u32,
    /// How large the headers may be, in bytes. Each counts as a line: with its name, its value, `: ` and the end of the line.
    pub headers_size: u32,
}

impl ServerConfig {
    /// How large the head of a client's request may be.
    pub fn head(&self) -> HeadLimits {
        HeadLimits { uri: self.max_uri, headers: self.max_headers, headers_size: self.max_headers_size }
    }

    /// How large the structure of a client's JSON may be.
    pub fn json(&self) -> JsonLimits {
        JsonLimits {
            depth: self.max_json_depth as usize,
            keys: self.max_json_keys as usize,
            items: self.max_json_items as usize,
        }
    }
}

#[cfg(test)]
impl HeadLimits {
    /// The defaults.
    pub(crate) fn tested() -> Self {
        super::load_text("", "test.toml").expect("the defaults").config.server.head()
    }
}

/// Where clients may use HTTP/2. HTTP/1.1 is always served as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Http2 {
    /// Nowhere.
    Off,
    /// Over TLS, for clients that choose it in the handshake (ALPN).
    Tls,
    /// Over TLS, and also without TLS, for clients that begin with HTTP/2 (a proxy that is configured to).
    PriorKnowledge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_without_a_configuration_has_its_default_limits() {
        let loaded = crate::config::load_text("", "test.toml").expect("the defaults");
        assert_eq!(loaded.config.server.json(), JsonLimits::DEFAULT);
    }
}
