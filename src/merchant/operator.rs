//! Who may use the operator's API, and by which names its listener is called.

use std::{fmt, net::IpAddr};

use super::digest_of;

/// The public key of the operator where every connection is a sandbox.
pub const SANDBOX_OPERATOR_KEY: &str = "op_sandbox";

/// The keys of the operator's API, and the hosts by which its listener is called.
#[derive(Clone, Default)]
pub struct OperatorAccess {
    /// The digests of the keys, with their names.
    keys: Vec<([u8; 32], String)>,
    hosts: Vec<String>,
}

impl fmt::Debug for OperatorAccess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.len();
        formatter.debug_struct("OperatorAccess").field("keys", &keys).field("hosts", &self.hosts).finish()
    }
}

impl OperatorAccess {
    pub(super) fn new(keys: Vec<([u8; 32], String)>, listen: &str, more: &[String]) -> Self {
        let own = host_of(listen).into_iter().chain(["localhost"]);
        let hosts = own.map(str::to_owned).chain(more.iter().cloned()).collect();
        Self { keys, hosts }
    }

    /// Whether the configuration has a key. Without one, the operator's API is not served.
    pub const fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The name of a key, if it is one of the operator's. Digests of keys are compared, so the time says nothing about a key.
    pub fn name_of(&self, key: &str) -> Option<&str> {
        self.name_of_digest(&digest_of(key))
    }

    /// The name of the key with this digest, if it is one of the operator's.
    pub fn name_of_digest(&self, digest: &[u8; 32]) -> Option<&str> {
        self.keys.iter().find(|(known, _)| known == digest).map(|(_, name)| name.as_str())
    }

    /// Whether the `Host` header names this listener: by a name that is configured, as `localhost`, or by an IP address. A web
    /// page can have its own name point at the listener, but its requests then say that name. Ports are not compared,
    /// because a tunnel has another one.
    pub fn is_named_by(&self, host: &str) -> bool {
        let Some(host) = host_of(host) else { return false };
        host.parse::<IpAddr>().is_ok() || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// The host of `host`, `host:port` or `[address]:port`, without brackets.
fn host_of(authority: &str) -> Option<&str> {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map(|(host, _)| host);
    }
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page whose name points at the listener (DNS rebinding) is refused; people and tunnels are not.
    #[test]
    fn the_listener_is_named_by_its_address_and_by_configured_names_only() {
        let access = OperatorAccess::new(Vec::new(), "127.0.0.1:9464", &["Ops.internal".to_owned()]);
        for host in
            ["127.0.0.1:9464", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:9464", "10.0.0.7:9464", "ops.internal"]
        {
            assert!(access.is_named_by(host), "{host}");
        }
        for host in ["evil.example:9464", "", ":9464", "localhost.evil.example", "127.0.0.1.evil.example", "[::1"] {
            assert!(!access.is_named_by(host), "{host}");
        }
        let open = OperatorAccess::new(Vec::new(), "0.0.0.0:9464", &[]);
        assert!(open.is_named_by("192.0.2.1:9464") && !open.is_named_by("ops.internal"));
    }
}
