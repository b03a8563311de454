//! The customers APIs of payment providers as pure, two-way translations.
//!
//! This crate thinks and never waits: it opens no socket, reads no clock, draws no random number and
//! knows no environment. What a translation needs of these comes in as an argument.
//!
//! In this folder **files are shared, directories are vendors**. A vendor is
//!
//! - `README.md`: what a person must know, with its sources;
//! - `mod.rs`: its [`manifest::Manifest`] and one plan per operation ([`CustomerProvider`]);
//! - `wire.rs`: the vendor's words, and nothing else;
//! - `translate.rs`: pure functions between the two languages;
//! - `server.rs`: the vendor's own side ([`ImitatesVendor`]), for twins and drop-in;
//! - `sign.rs`: only where requests are signed.
//!
//! To add one, copy the smallest folder, describe the vendor in its manifest, write its words and its
//! translations, record its payloads under `fixtures/`, and add it to the registry below.
//! `docs/adding-a-provider.md` walks through it; `cargo test` names every law that is still broken.

#![forbid(unsafe_code)]

mod canonical;
mod command;
pub mod error;
pub mod fidelity;
pub mod imitate;
pub mod input;
pub mod json;
pub mod listing;
pub mod manifest;
pub mod marker;
pub mod model;
pub mod plan;
pub mod prepare;
pub mod provider;
pub mod reading;
pub mod reconcile;
pub mod relay;
pub mod render;
pub mod sign;
pub mod slicing;
mod strict;
pub mod text;
pub mod view;
pub mod wire;

pub mod bitnob;
pub mod lomi;
pub mod modempay;
pub mod notchpay;
pub mod paymentkit;

use std::sync::Arc;

pub use imitate::ImitatesVendor;
pub use provider::CustomerProvider;

use crate::{manifest::Manifest, text::country::Region};

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
    pub imitate: fn(Settings) -> Arc<dyn ImitatesVendor>,
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

/// The registry: every vendor, by name. Adding one adds a line here, and its folder above.
pub static VENDORS: &[&Vendor] =
    &[&bitnob::VENDOR, &lomi::VENDOR, &modempay::VENDOR, &notchpay::VENDOR, &paymentkit::VENDOR];

/// A vendor by its name.
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name() == name).copied()
}
