//! The egress proxy that the operator configured, and the hosts that the gateway reaches without it. `merchant` reads
//! both from the configuration (`outbound.proxy`, `outbound.no_proxy`); `client` uses them.

use std::{fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The longest user name and the longest password that the SOCKS protocol allows, in bytes.
const MAX_SOCKS_CREDENTIAL: usize = 255;

/// A proxy. `Debug` does not show its user and its password.
pub struct Proxy {
    url: Url,
    /// The URL without a user and a password, for messages.
    name: String,
    exceptions: Vec<Exception>,
}

/// Hosts that are reached without the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exception {
    /// A host, and all its subdomains.
    Name(String),
    /// A network. Only literal addresses are compared with it.
    Network(IpNet),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proxy").field("url", &self.name).field("exceptions", &self.exceptions).finish()
    }
}

impl Proxy {
    /// Parses the URL of a proxy. The error says what to write instead, and repeats nothing of the URL.
    pub fn new(text: &str, exceptions: Vec<Exception>) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}); write http://HOST:PORT"))?;
        match url.scheme() {
            "http" | "https" | "socks5h" => {}
            "socks4" | "socks4a" | "socks5" => {
                return Err("must begin with socks5h://: the proxy resolves the names of providers".to_owned());
            }
            _ => return Err("must begin with http://, https:// or socks5h://".to_owned()),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("has no host; write http://HOST:PORT".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("must end with its port, without path, query or fragment".to_owned());
        }
        let too_long = |part: &str| percent_decode_str(part).count() > MAX_SOCKS_CREDENTIAL;
        if url.scheme() == "socks5h" && [url.username(), url.password().unwrap_or_default()].into_iter().any(too_long) {
            return Err(format!("has a user or a password of more than {MAX_SOCKS_CREDENTIAL} bytes"));
        }
        let mut bare = url.clone();
        if bare.set_username("").and_then(|()| bare.set_password(None)).is_err() {
            return Err("has no host; write http://HOST:PORT".to_owned());
        }
        // The client would silently ignore a proxy whose URL it cannot parse.
        if http::Uri::try_from(url.as_str()).ok().and_then(|uri| uri.into_parts().authority).is_none() {
            return Err(
                "has a host, a user or a password with characters that cannot be sent; percent-encode them".to_owned()
            );
        }
        let name = bare.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, name, exceptions })
    }

    /// The URL without a user and a password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its URL contains a password.
    pub fn has_password(&self) -> bool {
        self.url.password().is_some()
    }

    /// Whether this host is reached through the proxy.
    pub(super) fn is_for(&self, host: &Host<&str>) -> bool {
        !self.exceptions.iter().any(|exception| exception.covers(host))
    }

    /// The host of the proxy itself.
    pub(super) fn host(&self) -> Option<Arc<str>> {
        self.url.host_str().map(Arc::from)
    }

    /// The setting that makes a client send every request through the proxy.
    pub(super) fn for_all(&self) -> Result<reqwest::Proxy, String> {
        reqwest::Proxy::all(self.url.as_str())
            .map_err(|_| "the HTTP client does not accept the URL in `outbound.proxy`".to_owned())
    }
}

impl Exception {
    /// Parses an exception. The error says what to write instead.
    pub fn read(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        if text.contains('*') {
            return Err("is not a host; write \".DOMAIN\" for a domain and all its subdomains".to_owned());
        }
        if text.contains(['/', ':', '@']) {
            return Err(
                "must be a host, a \".DOMAIN\" or a network such as \"203.0.113.0/24\", without scheme and port"
                    .to_owned(),
            );
        }
        match Host::parse(text.strip_prefix('.').unwrap_or(text)) {
            Ok(Host::Domain(name)) if !name.trim_end_matches('.').is_empty() => {
                Ok(Self::Name(name.trim_end_matches('.').to_owned()))
            }
            Ok(Host::Ipv4(address)) => Ok(Self::Network(IpAddr::V4(address).into())),
            Ok(Host::Ipv6(address)) => Ok(Self::Network(IpAddr::V6(address).into())),
            Ok(Host::Domain(_)) | Err(_) => Err("is not a host; write for example \"api.example.com\"".to_owned()),
        }
    }

    fn covers(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Name(name), Host::Domain(host)) => {
                let subdomain = host.trim_end_matches('.').strip_suffix(name.as_str());
                subdomain.is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
            }
            (Self::Network(network), Host::Ipv4(address)) => network.contains(&IpAddr::V4(*address)),
            (Self::Network(network), Host::Ipv6(address)) => network.contains(&IpAddr::V6(*address)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Result<Proxy, String> {
        Proxy::new(text, Vec::new())
    }

    #[test]
    fn messages_name_a_proxy_without_its_user_and_password() {
        for (url, name, has_password) in [
            ("http://proxy.example:3128", "http://proxy.example:3128", false),
            ("HTTPS://user@Proxy.example/", "https://proxy.example", false),
            ("https://user:pa%40ss@[::1]:8443", "https://[::1]:8443", true),
            ("socks5h://user:hush@10.0.0.1:1080", "socks5h://10.0.0.1:1080", true),
        ] {
            let proxy = proxy(url).expect("a proxy");
            assert_eq!((proxy.name(), proxy.has_password()), (name, has_password));
            let shown = format!("{proxy:?}");
            assert!(shown.contains(name) && !shown.contains("hush") && !shown.contains("ss@"), "{shown}");
            assert!(proxy.for_all().is_ok());
        }
    }

    #[test]
    fn an_invalid_proxy_url_is_refused_without_repeating_it() {
        let long = format!("socks5h://hush:{}@proxy.example", "x".repeat(256));
        for (url, why) in [
            ("proxy.hush", "is not a URL"),
            ("proxy.hush:3128", "must begin with http://"),
            ("ftp://proxy.hush", "must begin with http://"),
            ("socks5://proxy.hush:1080", "must begin with socks5h://"),
            ("socks4a://proxy.hush:1080", "must begin with socks5h://"),
            ("socks5h:", "has no host"),
            ("http://", "is not a URL"),
            ("http://proxy.hush/path", "must end with its port"),
            ("http://proxy.hush?query", "must end with its port"),
            ("socks5h://pro%78y.hush:1080", "that cannot be sent"),
            (&long, "more than 255 bytes"),
        ] {
            let refused = proxy(url).expect_err(url);
            assert!(refused.contains(why) && !refused.contains("hush"), "{url}: {refused}");
        }
    }

    #[test]
    fn an_exception_is_a_host_with_its_subdomains_or_a_network() {
        for (exception, covered, not_covered) in [
            (
                "lomi.africa",
                &["lomi.africa", "api.lomi.africa", "a.b.lomi.africa."][..],
                &["xlomi.africa", "africa"][..],
            ),
            (".Lomi.Africa", &["lomi.africa", "api.lomi.africa"], &["xlomi.africa"]),
            ("bücher.example", &["xn--bcher-kva.example"], &["bucher.example"]),
            ("10.0.0.0/8", &["10.1.2.3"], &["11.0.0.1", "10.example"]),
            ("127.0.0.1", &["127.0.0.1"], &["127.0.0.2", "[::1]"]),
            ("[::1]", &["[::1]"], &["127.0.0.1"]),
            ("fd00::/8", &["[fd12::1]"], &["[fe80::1]"]),
        ] {
            let proxy = Proxy::new("http://proxy.example", vec![Exception::read(exception).expect("one")]);
            let proxy = proxy.expect("a proxy");
            let url = |host: &&str| Url::parse(&format!("https://{host}")).expect("a URL");
            assert!(covered.iter().map(url).all(|url| !proxy.is_for(&url.host().expect("a host"))), "{exception}");
            assert!(not_covered.iter().map(url).all(|url| proxy.is_for(&url.host().expect("a host"))), "{exception}");
        }
        for wrong in
            ["", ".", "*", "*.lomi.africa", "https://a.example", "a.example:443", "a b", "10.0.0.0/33", "a,b/c"]
        {
            assert!(Exception::read(wrong).is_err(), "{wrong}");
        }
    }
}
