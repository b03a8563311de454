//! The building blocks of a vendor: its two traits ([`CustomerProvider`] and [`VendorServer`]), plans, wire documents,
//! and helpers for translations.

mod address;
mod answer;
pub mod decode;
pub mod document;
mod draft;
mod endpoint;
mod known;
pub mod marker;
pub mod members;
mod page;
pub mod paging;
mod plan;
mod provider;
pub mod render;
pub mod server;
pub mod sign;
mod vendor;
pub mod vendor_request;
mod words;

pub use address::{NestedAddress, NestsAddress};
pub use answer::{Answer, field_errors, retry_after};
pub use draft::Draft;
pub use endpoint::Endpoint;
pub use known::KnownCustomers;
pub use page::CustomerPage;
pub(crate) use plan::read_large;
pub use plan::{LARGE_REPLY, Plan, Ran, Step, Transport, run, run_to_end, unsupported};
pub use provider::CustomerProvider;
pub use server::VendorServer;
pub use vendor::{Settings, Vendor};
pub use vendor_request::VendorRequest;
pub use words::Words;
