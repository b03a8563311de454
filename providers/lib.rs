//! The customers APIs of payment providers as pure, two-way translations.
//!
//! This crate thinks and never waits: it opens no socket, reads no clock, draws no random number and
//! knows no environment. What a translation needs of these comes in as an argument.
//!
//! In this folder **every folder is a vendor**, except `core/`, which holds what they share. A vendor is
//!
//! - `README.md`: what a person must know, with its sources;
//! - `mod.rs`: its [`model::manifest::Manifest`] and one plan per operation ([`CustomerProvider`]);
//! - `wire.rs`: the vendor's words, and nothing else;
//! - `translate.rs`: pure functions between the two languages;
//! - `server.rs`: the vendor's own side ([`VendorServer`]), for twins and drop-in;
//! - `sign.rs`: only where requests are signed.
//!
//! To add one, copy the smallest folder, describe the vendor in its manifest, write its words and its
//! translations, record its payloads under `fixtures/`, and add it to the registry below.
//! `docs/adding-a-provider.md` walks through it; `cargo test` names every law that is still broken.

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
    model, text,
};

/// The registry: every vendor, by name. Adding one adds a line here, and its folder above.
pub static VENDORS: &[&Vendor] =
    &[&bitnob::VENDOR, &lomi::VENDOR, &modempay::VENDOR, &notchpay::VENDOR, &paymentkit::VENDOR];

/// A vendor by its name.
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name() == name).copied()
}
