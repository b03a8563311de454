//! The dialect of a request: the imitated provider and the generation of its API. The path alone decides it:
//! `/as/bitnob/api/v1/…` is one generation of Bitnob, `/as/bitnob/api/…` is the other.

use std::sync::Arc;

use http::Uri;
use passerelle_providers::{Settings, Vendor, VendorServer, kit::server::base_path, model::manifest::Manifest, vendor};

use crate::merchant::{Connection, Merchant};

/// The path of all dialects.
pub(super) const ROOT: &str = "/as/";

/// An imitated provider, in one generation of its API.
pub(super) struct Dialect {
    vendor: &'static Vendor,
    /// The manifest of the generation.
    pub(super) manifest: &'static Manifest,
    /// Whether the path is below the provider's base.
    pub(super) is_served: bool,
}

impl Dialect {
    /// The dialect of a request, and the request's path relative to the provider's base.
    pub(super) fn of(uri: &Uri) -> Option<(Self, Uri)> {
        let below_root = uri.path_and_query()?.as_str().strip_prefix(ROOT)?;
        let end = below_root.find(['/', '?']).unwrap_or(below_root.len());
        let (name, rest) = below_root.split_at(end);
        let vendor = vendor(name)?;
        let below = |manifest: &&'static Manifest| Some((*manifest, below(rest, base_path(manifest))?));
        let deepest = vendor.manifests.iter().filter_map(below).max_by_key(|(manifest, _)| base_path(manifest).len());
        let (manifest, path, is_served) = match deepest {
            Some((manifest, path)) => (manifest, path, true),
            None => (*vendor.manifests.first()?, rest, false),
        };
        let path = if path.starts_with('/') { Uri::try_from(path) } else { Uri::try_from(format!("/{path}")) };
        Some((Self { vendor, manifest, is_served }, path.ok()?))
    }

    /// Whether a connection's provider is the imitated one, in the same generation.
    pub(super) fn is_spoken_by(&self, connection: &Connection) -> bool {
        connection.manifest.name == self.manifest.name && connection.manifest.generation == self.manifest.generation
    }

    /// The imitated provider's server side, with the settings of a merchant.
    pub(super) fn server(&self, merchant: Option<&Merchant>) -> Arc<dyn VendorServer> {
        (self.vendor.server)(Settings {
            generation: self.manifest.generation,
            region: merchant.and_then(|merchant| merchant.region),
            livemode: merchant.is_none_or(|merchant| merchant.active.livemode),
        })
    }
}

/// The rest of a path after a base. The base must end where a segment of the path ends.
fn below<'p>(path: &'p str, base: &str) -> Option<&'p str> {
    path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides_provider_and_generation() {
        for (path, expected) in [
            ("/as/lomi/v1/customers?limit=1", Some(("lomi", "v1", "/customers?limit=1", true))),
            ("/as/lomi/customers", Some(("lomi", "v1", "/customers", false))),
            ("/as/lomi/v10/customers", Some(("lomi", "v1", "/v10/customers", false))),
            ("/as/bitnob/api/v1/customers/", Some(("bitnob", "v1", "/customers/", true))),
            ("/as/bitnob/api/customers", Some(("bitnob", "v2", "/api/customers", true))),
            ("/as/paymentkit/api/customers", Some(("paymentkit", "v1", "/api/customers", true))),
            ("/as/notchpay", Some(("notchpay", "v1", "/", true))),
            ("/as/lomi/v1?a=b", Some(("lomi", "v1", "/?a=b", true))),
            ("/as/stripe/v1/customers", None),
            ("/as/", None),
        ] {
            let found = Dialect::of(&Uri::from_static(path));
            let found =
                found.map(|(of, below)| (of.manifest.name, of.manifest.generation, below.to_string(), of.is_served));
            let expected =
                expected.map(|(name, generation, below, served)| (name, generation, below.to_owned(), served));
            assert_eq!(found, expected, "{path}");
        }
    }
}
