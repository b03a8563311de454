//! How names become addresses.

use std::{io, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address;

/// Resolves names at the moment of connecting, to public addresses only where that is asked, so that a name cannot
/// be pointed at a private address after it was checked.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    pub(super) public_only: bool,
    /// The host of the proxy, which may be anywhere: the operator chose it.
    pub(super) proxy: Option<Arc<str>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let public_only = self.public_only && self.proxy.as_deref() != Some(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<_> = found.filter(|found| !public_only || address::is_public(found.ip())).collect();
            match usable.is_empty() {
                true => Err(io::Error::other("the name resolves to no public address").into()),
                false => Ok(Box::new(usable.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    async fn resolved(public_only: bool, proxy: Option<&str>) -> Result<Vec<IpAddr>, String> {
        let resolver = Resolver { public_only, proxy: proxy.map(Arc::from) };
        let found = resolver.resolve("localhost".parse().expect("a name")).await;
        found.map(|found| found.map(|found| found.ip()).collect()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_leads_to_public_addresses_only_unless_more_is_allowed() {
        let refused = Err("the name resolves to no public address".to_owned());
        assert_eq!(resolved(true, None).await, refused);
        assert_eq!(resolved(true, Some("proxy.example")).await, refused);
        for (public_only, proxy) in [(false, None), (true, Some("localhost"))] {
            let found = resolved(public_only, proxy).await.expect("addresses");
            assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        }
    }
}
