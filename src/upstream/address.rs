//! Which addresses a provider may have: `https` and public ones, unless the operator allows more. A
//! gateway that could be pointed at a metadata service or at its neighbours would be a way in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Checks a `base_url` of the configuration. The error says what to write instead.
pub fn check_base_url(text: &str, allow_insecure: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with its path: no query, no fragment".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_insecure => {}
        "http" => return Err("must begin with https://, or set outbound.allow_insecure = true".to_owned()),
        other => return Err(format!("cannot begin with {other}://")),
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
        true => Err("is a private address; set outbound.allow_insecure = true if that is meant".to_owned()),
        false => Ok(()),
    }
}

/// Whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_unspecified()
        || address.is_multicast()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
        || (first == 198 && (18..20).contains(&second))
        || (first == 192 && second == 0 && address.octets()[2] == 0))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let translated = matches!(address.segments(), [0x64, 0xff9b, ..]) || address.segments()[..6] == [0; 6];
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || translated
        || (first & 0xfe00) == 0xfc00
        || (first & 0xffc0) == 0xfe80
        || (first == 0x2001 && address.segments()[1] == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_public_and_speaks_https() {
        for url in ["https://api.lomi.africa/v1", "https://api.bitnob.co:8443/api/v1"] {
            assert_eq!(check_base_url(url, false), Ok(()), "{url}");
        }
    }

    #[test]
    fn every_spelling_of_a_private_address_is_refused() {
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
            "https://localhost.",
            "https://metadata.google.internal",
            "not a url",
        ] {
            assert!(check_base_url(url, false).is_err(), "{url}");
        }
    }

    #[test]
    fn an_operator_may_allow_more() {
        assert_eq!(check_base_url("http://127.0.0.1:9100", true), Ok(()));
        assert!(check_base_url("file:///etc/passwd", true).is_err());
    }
}
