//! A vendor as the registry lists it: its manifests, and the functions that make its client and server side.

use std::sync::Arc;

use crate::{
    kit::{CustomerProvider, VendorServer},
    model::manifest::Manifest,
    text::country::Region,
};

/// The settings of a connection that a vendor needs, besides credentials and addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The generation of the vendor's API; must be one of its manifests'.
    pub generation: &'static str,
    /// The merchant's home region, which completes national phone numbers.
    pub region: Option<Region>,
    /// Whether the connection uses live records instead of test records. Some vendors need it in every request.
    pub livemode: bool,
}

/// A vendor in the registry.
#[derive(Debug)]
pub struct Vendor {
    /// One manifest per API generation; the first one is the default.
    pub manifests: &'static [&'static Manifest],
    /// Makes the client side for a connection.
    pub connect: fn(Settings) -> Arc<dyn CustomerProvider>,
    /// Makes the server side.
    pub server: fn(Settings) -> Arc<dyn VendorServer>,
}

impl Vendor {
    /// The name in configuration and URLs.
    pub fn name(&self) -> &'static str {
        self.manifests[0].name
    }

    /// The manifest of a generation; without a generation, the default manifest.
    pub fn manifest(&self, generation: Option<&str>) -> Option<&'static Manifest> {
        match generation {
            None => self.manifests.first().copied(),
            Some(generation) => self.manifests.iter().find(|manifest| manifest.generation == generation).copied(),
        }
    }
}
