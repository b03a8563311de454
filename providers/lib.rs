//! The customers APIs of payment providers as pure, two-way translations.
//!
//! This crate is pure: it opens no socket, and reads no clock, randomness or environment. The caller passes in the time
//! and random bytes as arguments.
//!
//! **Every folder here is a vendor**, except `core/`, which contains the code that they share. A vendor has
//!
//! - `README.md`: a description for maintainers, with its sources;
//! - `mod.rs`: its [`model::manifest::Manifest`] and one plan per operation ([`CustomerProvider`]);
//! - `wire.rs`: the vendor's wire documents;
//! - `translate.rs`: functions that convert between wire documents and the canonical model;
//! - `server.rs`: the server side ([`VendorServer`]), for twins and drop-in;
//! - `sign.rs`: request signatures, if the vendor has them.
//!
//! To add one, copy the smallest folder, describe the vendor in its manifest, write its wire
//! documents and translations, record its payloads under `fixtures/`, and add it to the registry below.
//! `docs/adding-a-provider.md` walks through it; `cargo test` names every conformance law that it still breaks.

#![forbid(unsafe_code)]

mod core;

pub mod bitnob;
pub mod lomi;
pub mod modempay;
pub mod notchpay;
pub mod paymentkit;

pub use crate::core::{
    api, engine, json,
    kit::{self, CustomerProvider, Settings, Vendor, VendorServer},
    model, switch, text,
};

/// The registry: every vendor, in the order of the names. A new vendor needs a line here, and its module above.
pub static VENDORS: &[&Vendor] =
    &[&bitnob::VENDOR, &lomi::VENDOR, &modempay::VENDOR, &notchpay::VENDOR, &paymentkit::VENDOR];

/// A vendor by its name.
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name() == name).copied()
}
