//! Which addresses a provider may have: only `https` and public ones, unless the operator allows more. Otherwise a wrong
//! base URL could send requests to a metadata service, or to other machines in the gateway's network. `merchant` checks
//! every configured base URL here, and `resolve` checks every resolved address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Checks a `base_url` of the configuration. The error says what to write instead.
pub fn check_base_url(text: &str, allow_insecure: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_insecure => {}
        "http" => return Err("must begin with https://, or set outbound.allow_insecure = true".to_owned()),
        other => return Err(format!("must begin with https://, not {other}://")),
    }
    let private = match url.host() {
        Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost"
                || name.rsplit('.').next().is_some_and(|last| matches!(last, "localhost" | "internal" | "local"))
        }
        None => return Err("has no host".to_owned()),
    };
    match private && !allow_insecure {
        true => Err("is a private address; set outbound.allow_insecure = true to allow it".to_owned()),
        false => Ok(()),
    }
}

/// Whether a host is this machine: what is sent there crosses no network.
pub fn is_loopback(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The IPv4 networks that IANA's registry of special-purpose addresses excludes from the public internet, and multicast.
/// The registry calls a few addresses in 192.0.0.0/24 reachable, but those serve protocols, not providers.
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    // 6to4 relays, withdrawn.
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
];

/// The only block of IPv6 from which IANA assigns addresses to networks. Loopback, site-local, link-local, unique local,
/// multicast, discard-only, segment routing and every translation prefix lie outside it.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0], 3);

/// The special-purpose networks in [`GLOBAL_UNICAST`]: protocols (for example Teredo and ORCHID), documentation, and
/// 6to4, which can embed any IPv4 address.
const NOT_PUBLIC_V6: [Ipv6Net; 4] =
    [v6([0x2001, 0], 23), v6([0x2001, 0x0db8], 32), v6([0x2002, 0], 16), v6([0x3fff, 0], 20)];

/// The prefix under which a network that has only IPv6 reaches IPv4 addresses (NAT64).
const NAT64: Ipv6Net = v6([0x0064, 0xff9b], 96);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([first, second]: [u16; 2], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// Whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(embedded) => is_public_v4(embedded),
            None => {
                GLOBAL_UNICAST.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
            }
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address))
}

/// The IPv4 address that an IPv6 address stands for: IPv4-mapped or NAT64.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    address.to_ipv4_mapped().or_else(|| NAT64.contains(&address).then(|| Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_https_url_is_accepted() {
        for url in ["https://api.lomi.africa/v1", "https://api.bitnob.co:8443/api/v1"] {
            assert_eq!(check_base_url(url, false), Ok(()), "{url}");
        }
    }

    #[test]
    fn wrong_schemes_and_all_spellings_of_private_addresses_are_refused() {
        for url in [
            "http://api.lomi.africa",
            "file:///etc/passwd",
            "gopher://x",
            "https://api.lomi.africa@evil.example",
            "https://127.0.0.1",
            "https://127.1",
            "https://0x7f.1",
            "https://2852039166",
            "https://[::1]",
            "https://[::ffff:169.254.169.254]",
            "https://0.0.0.0",
            "https://10.0.0.1",
            "https://172.16.0.1",
            "https://192.168.1.1",
            "https://100.64.0.1",
            "https://[fe80::1]",
            "https://[fc00::1]",
            "https://[fec0::1]",
            "https://[2002:a00:1::1]",
            "https://[64:ff9b::10.0.0.1]",
            "https://localhost.",
            "https://metadata.google.internal",
            "not a url",
        ] {
            assert!(check_base_url(url, false).is_err(), "{url}");
        }
    }

    #[test]
    fn allow_insecure_permits_http_and_private_addresses() {
        assert_eq!(check_base_url("http://127.0.0.1:9100", true), Ok(()));
        assert!(check_base_url("file:///etc/passwd", true).is_err());
    }

    fn parsed(address: &str) -> IpAddr {
        address.parse().expect("an address")
    }

    /// Checks both ends of every range, and the public addresses next to it.
    #[test]
    fn special_ranges_are_not_public_and_the_addresses_next_to_them_are() {
        for (first, last, before, after) in [
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
            ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
            ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
            ("224.0.0.0", "239.255.255.255", Some("223.255.255.255"), None),
            ("240.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
            ("::", "::", None, None),
            ("::1", "::1", None, None),
            // IPv4-compatible addresses (withdrawn), and IPv4-translated ones (stateless translation).
            ("::2", "::fffe:ffff:ffff", None, None),
            ("::ffff:0:0:0", "::ffff:0:ffff:ffff", None, None),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Some("64:ff9b::8.8.8.8"), None),
            ("100::", "100::ffff:ffff:ffff:ffff", None, None),
            ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", None, None),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Some("2000:ffff::"), None),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", None, None),
            ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("2001:20::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some("2001:200::")),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7:ffff::"), Some("2001:db9::")),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:ffff::"), Some("2003::")),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe:ffff::"), Some("3fff:1000::")),
            ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3fff:ffff::"), None),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ] {
            assert!(!is_public(parsed(first)) && !is_public(parsed(last)), "{first} to {last}");
            assert!(before.into_iter().chain(after).all(|outside| is_public(parsed(outside))), "next to {first}");
        }
    }

    #[test]
    fn a_mapped_or_nat64_address_is_as_public_as_its_ipv4_address() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("1.1.1.1", true),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("192.168.0.1", false),
        ] {
            for prefix in ["", "::ffff:", "64:ff9b::"] {
                assert_eq!(is_public(parsed(&format!("{prefix}{address}"))), public, "{prefix}{address}");
            }
            for prefix in ["::", "::ffff:0:", "64:ff9b:1::"] {
                assert!(!is_public(parsed(&format!("{prefix}{address}"))), "{prefix}{address}");
            }
        }
        // Addresses of real networks, for example of the resolvers of Google and Cloudflare.
        for address in ["2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4007::1", "192.31.196.1"] {
            assert!(is_public(parsed(address)), "{address}");
        }
    }
}
