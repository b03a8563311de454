//! A vendor in the registry.

use std::sync::Arc;

use crate::{
    kit::{CustomerProvider, VendorServer},
    model::manifest::Manifest,
    text::country::Region,
};

/// What a connection's configuration tells an adapter, besides credentials and addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The generation of the vendor's API; must be one of its manifests'.
    pub generation: &'static str,
    /// The merchant's home region, which completes national phone numbers.
    pub region: Option<Region>,
    /// Live records, as opposed to test ones, where a vendor wants to be told on every call.
    pub livemode: bool,
}

/// A vendor in the registry.
#[derive(Debug)]
pub struct Vendor {
    /// One manifest a generation; the first is the usual one.
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

    /// The manifest of a generation, or of the usual one.
    pub fn manifest(&self, generation: Option<&str>) -> Option<&'static Manifest> {
        match generation {
            None => self.manifests.first().copied(),
            Some(asked) => self.manifests.iter().find(|manifest| manifest.generation == asked).copied(),
        }
    }
}
