//! The code that all vendors share. Each folder imports only folders that are listed before it:
//!
//! 1. [`text`]: text types, and conversions of names, phone numbers, countries and times;
//! 2. [`json`]: a reader that borrows from the message, objects that are passed on unchanged, and writers;
//! 3. [`model`]: the canonical model: customers, commands, errors, fidelity reports, manifests;
//! 4. [`api`]: the canonical model as JSON, for the merchants' API and for the store;
//! 5. [`kit`]: the building blocks of a vendor: its two traits, plans, wire documents, and helpers for translations;
//! 6. [`engine`]: executes commands, in the same way for every vendor;
//! 7. [`switch`]: the rules of a switch from one provider to another.

pub mod api;
pub mod engine;
pub mod json;
pub mod kit;
pub mod model;
pub mod switch;
pub mod text;
