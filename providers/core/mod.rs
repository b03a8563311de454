//! What the vendors share. Each folder imports only folders that are listed before it:
//!
//! 1. [`text`]: how text is held, and what providers spell differently (names, phones, countries, times);
//! 2. [`json`]: reading JSON where it stands, objects that are passed on as they were written, writing;
//! 3. [`model`]: the canonical language: customers, commands, errors, fidelity reports, manifests;
//! 4. [`api`]: the canonical language as the JSON of the merchants' API, and of the store;
//! 5. [`kit`]: what a vendor is made of: its two traits, plans, documents, and helpers for translations;
//! 6. [`engine`]: what executes commands, the same way for every vendor.

pub mod api;
pub mod engine;
pub mod json;
pub mod kit;
pub mod model;
pub mod text;
