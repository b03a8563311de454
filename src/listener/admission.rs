//! Decides which connections are accepted. A connection beyond a cap is closed at once: if it waited, its client could not
//! know that the gateway is busy, and would wait as well.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Limits;
use crate::admission::client_of;

/// How often refused connections are logged.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The open connections of a listener.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// The connections of each client that is not a trusted proxy.
    by_client: HashMap<IpAddr, usize>,
    /// How many were refused and are not logged yet.
    refused: u64,
    logged: Option<Instant>,
}

/// An accepted connection. It counts until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Accepts a connection from this address, if no cap is reached.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let peer = peer.to_canonical();
        let is_trusted = self.limits.trusted_proxies.iter().any(|network| network.contains(&peer));
        let client = (!is_trusted).then(|| client_of(peer));
        let mut open = self.open();
        let of_client = client.and_then(|client| open.by_client.get(&client).copied()).unwrap_or_default();
        if open.total >= self.limits.max_connections || of_client >= self.limits.max_connections_per_address {
            open.refused += 1;
            self.limits.series.refused.inc();
            if open.logged.is_none_or(|at| at.elapsed() >= LOG_PERIOD) {
                open.logged = Some(Instant::now());
                let (refused, total) = (std::mem::take(&mut open.refused), open.total);
                drop(open);
                tracing::warn!(
                    refused,
                    open = total,
                    client.address = %peer,
                    client.connections = of_client,
                    "{refused} connections were closed because too many are open, the last one from {peer}"
                );
            }
            return None;
        }
        open.total += 1;
        if let Some(client) = client {
            *open.by_client.entry(client).or_default() += 1;
        }
        drop(open);
        self.limits.series.open.inc();
        Some(Admitted { admission: Arc::clone(self), client })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// The limits of the listener.
    pub(super) fn limits(&self) -> &Limits {
        &self.admission.limits
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.limits().series.open.dec();
        let mut open = self.admission.open();
        open.total -= 1;
        if let Some(client) = self.client
            && let Some(count) = open.by_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max_connections: usize, trusted: &str) -> Arc<Admission> {
        let trusted_proxies = vec![trusted.parse().expect("a network")];
        Admission::new(Limits {
            max_connections,
            max_connections_per_address: 2,
            max_streams: 1,
            trusted_proxies,
            head_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(1),
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(1),
            series: super::super::ListenerSeries::default(),
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_a_cap_of_its_own_and_a_trusted_proxy_has_none() {
        let admission = admission(9, "10.0.0.0/8");
        let mut held: Vec<_> = (0..2).map(|_| admission.admit(address("192.0.2.1")).expect("below the cap")).collect();
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.admit(address("::ffff:192.0.2.1")).is_none(), "the same address");
        held.push(admission.admit(address("192.0.2.2")).expect("another address"));
        held.extend((0..4).map(|_| admission.admit(address("10.1.2.3")).expect("a trusted proxy")));
        held.remove(0);
        held.push(admission.admit(address("192.0.2.1")).expect("one was closed"));
        held.clear();
        assert!(admission.open().by_client.is_empty() && admission.open().total == 0);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one_client() {
        let admission = admission(9, "fd00::/8");
        let held: Vec<_> =
            ["2001:db8::1", "2001:db8::2"].map(|peer| admission.admit(address(peer)).expect("below")).into();
        assert!(admission.admit(address("2001:db8::3")).is_none());
        admission.admit(address("2001:db8:0:1::1")).expect("another network");
        drop(held);
    }

    #[test]
    fn the_cap_of_all_connections_holds_for_trusted_proxies_too() {
        let admission = admission(3, "10.0.0.0/8");
        let held: Vec<_> = (0..3).map(|_| admission.admit(address("10.0.0.1")).expect("below the cap")).collect();
        assert!(admission.admit(address("10.0.0.1")).is_none());
        assert!(admission.admit(address("192.0.2.1")).is_none());
        drop(held);
        admission.admit(address("192.0.2.1")).expect("all were closed");
    }
}
