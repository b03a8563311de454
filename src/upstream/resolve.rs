//! Resolves the host names of providers and of the proxy. The outbound client calls it for every new connection.

use std::{error::Error, fmt, io, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Resolves a name when the client connects. With `public_only` it returns only public addresses. The configuration
/// check alone is not enough: a name can be pointed at a private address after it.
#[derive(Debug, Clone)]
pub(super) struct AddressResolver {
    pub(super) public_only: bool,
    /// The host of the proxy. It may have a private address, because the operator chose it.
    pub(super) proxy: Option<Arc<str>>,
}

/// Why a name has no address that the client may use.
#[derive(Debug)]
pub(super) enum Unresolved {
    /// The system knows no address, for this reason.
    NoAddress(io::Error),
    NoPublicAddress,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(why) => write!(formatter, "the name cannot be resolved ({why})"),
            Self::NoPublicAddress => formatter.write_str("the name resolves to no public address"),
        }
    }
}

impl Error for Unresolved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoAddress(why) => Some(why),
            Self::NoPublicAddress => None,
        }
    }
}

impl Resolve for AddressResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let public_only = self.public_only && self.proxy.as_deref() != Some(name.as_str());
        Box::pin(async move {
            let resolved = tokio::net::lookup_host((name.as_str(), 0)).await;
            let resolved = resolved.map_err(Unresolved::NoAddress)?;
            let usable: Vec<_> = resolved.filter(|socket| !public_only || address::is_public(socket.ip())).collect();
            match usable.is_empty() {
                true => Err(Unresolved::NoPublicAddress.into()),
                false => Ok(Box::new(usable.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    async fn resolve_localhost(public_only: bool, proxy: Option<&str>) -> Result<Vec<IpAddr>, String> {
        let resolver = AddressResolver { public_only, proxy: proxy.map(Arc::from) };
        let result = resolver.resolve("localhost".parse().expect("a name")).await;
        result.map(|sockets| sockets.map(|socket| socket.ip()).collect()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_resolves_only_to_public_addresses_unless_more_is_allowed() {
        let refused = Err("the name resolves to no public address".to_owned());
        assert_eq!(resolve_localhost(true, None).await, refused);
        assert_eq!(resolve_localhost(true, Some("proxy.example")).await, refused);
        for (public_only, proxy) in [(false, None), (true, Some("localhost"))] {
            let addresses = resolve_localhost(public_only, proxy).await.expect("addresses");
            assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        }
    }
}
