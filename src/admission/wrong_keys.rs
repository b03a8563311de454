//! Limits the wrong keys that are answered to an address. A valid key is never asked about here, so it works from every
//! address: one client with a wrong key must not lock out others that share its address.
//!
//! Addresses share a fixed number of counters, so any number of them needs the same memory. Two addresses with the same
//! counter have one limit together. This costs a client with a wrong key a 429 in place of a 401, and nothing else.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
};

use governor::{
    RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::{
    TooMany, client_of, peer,
    rate::{quota, seconds},
};
use crate::config::Rate;

/// How many counters there are. They need 256 KiB.
const COUNTERS: usize = 32 << 10;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Limits the wrong keys of each address.
pub struct WrongKeys<C: Clock = MonotonicClock> {
    limiter: RateLimiter<IpAddr, Counters, C, NoOpMiddleware<C::Instant>>,
    trusted_proxies: Vec<IpNet>,
}

/// The counters of all addresses.
struct Counters {
    counters: Box<[InMemoryState]>,
    /// A client cannot know which addresses share a counter.
    hasher: RandomState,
}

impl StateStore for Counters {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, address: &IpAddr, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let index = usize::try_from(self.hasher.hash_one(address)).unwrap_or_default() % COUNTERS;
        self.counters[index].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl WrongKeys {
    /// A limit with this rate, for clients that connect directly or through one of these proxies.
    pub fn new(rate: Rate, trusted_proxies: Vec<IpNet>) -> Self {
        Self::with_clock(rate, trusted_proxies, MonotonicClock)
    }

    /// Counts the wrong key of the request that is being answered. The error says that its client's address has sent too
    /// many.
    pub fn count(&self, headers: &HeaderMap) -> Result<(), TooMany> {
        self.client(peer(), headers).map_or(Ok(()), |client| self.count_of(client))
    }
}

impl<C: Clock> WrongKeys<C> {
    fn with_clock(rate: Rate, trusted_proxies: Vec<IpNet>, clock: C) -> Self {
        let counters = std::iter::repeat_with(InMemoryState::default).take(COUNTERS).collect();
        let counters = Counters { counters, hasher: RandomState::new() };
        Self { limiter: RateLimiter::new(quota(rate), counters, clock), trusted_proxies }
    }

    /// The address of the client: the peer, or, if that is a trusted proxy, the last address that the trusted proxies were
    /// called from. `None` if it is not known: then there is nothing to limit but the proxy of many clients.
    fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let is_trusted = |address: &IpAddr| self.trusted_proxies.iter().any(|network| network.contains(address));
        let peer = peer?.to_canonical();
        if !is_trusted(&peer) {
            return Some(client_of(peer));
        }
        // Each proxy adds the address that it was called from at the end.
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            for entry in value.to_str().ok()?.rsplit(',').map(str::trim) {
                let address = entry.parse().or_else(|_| entry.parse().map(|address: SocketAddr| address.ip())).ok()?;
                let address = IpAddr::to_canonical(&address);
                if !is_trusted(&address) {
                    return Some(client_of(address));
                }
            }
        }
        None
    }

    fn count_of(&self, client: IpAddr) -> Result<(), TooMany> {
        self.limiter
            .check_key(&client)
            .map_err(|refused| TooMany::WrongKeys(seconds(refused.wait_time_from(self.limiter.clock().now())).max(1)))
    }
}

impl<C: Clock> fmt::Debug for WrongKeys<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WrongKeys").field("trusted_proxies", &self.trusted_proxies).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv6Addr, time::Duration};

    use governor::clock::FakeRelativeClock;
    use http::HeaderValue;

    use super::*;

    fn limit() -> (WrongKeys<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        (WrongKeys::with_clock(Rate::parse("3/min").expect("a rate"), proxies, clock.clone()), clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_so_many_wrong_keys_in_a_period() {
        let (limit, clock) = limit();
        let count = || limit.count_of(address("192.0.2.1"));
        assert_eq!([count(), count(), count()], [Ok(()); 3]);
        assert_eq!(count(), Err(TooMany::WrongKeys(20)));
        clock.advance(Duration::from_secs(20));
        assert_eq!(count(), Ok(()));
        assert!(count().is_err());
    }

    #[test]
    fn a_million_addresses_need_no_more_memory_than_one() {
        let (limit, _) = limit();
        let counted = allocation_counter::measure(|| {
            for number in 0..1_000_000_u128 {
                let _ = limit.count_of(IpAddr::V6(Ipv6Addr::from_bits(number << 64)));
            }
        });
        assert!(counted.bytes_current < 4096, "{} bytes stay", counted.bytes_current);
        assert!(size_of_val(&*limit.limiter.into_state_store().counters) <= 256 << 10);
    }

    #[test]
    fn the_client_of_a_trusted_proxy_is_the_last_address_that_no_proxy_has() {
        let (limit, _) = limit();
        let client = |peer: &str, forwarded: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            limit.client(Some(address(peer)), &headers).map(|client| client.to_string())
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), is("192.0.2.1"), "it is not trusted to say who called it");
        assert_eq!(
            client("10.0.0.1", &["203.0.113.9, 198.51.100.7"]),
            is("198.51.100.7"),
            "a client can send the first"
        );
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.9", "198.51.100.7:4711, 10.2.3.4"]), is("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &["2001:db8::1:2:3:4"]), is("2001:db8::"), "an IPv6 client has a network");
        for unknown in [&[][..], &["unknown"], &["198.51.100.7, unknown"], &["10.0.0.2"]] {
            assert_eq!(client("10.0.0.1", unknown), None, "{unknown:?}");
        }
    }
}
