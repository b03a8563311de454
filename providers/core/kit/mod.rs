//! What a vendor is made of.

mod address;
mod answer;
pub mod asked;
pub mod decode;
pub mod document;
mod draft;
mod endpoint;
pub mod marker;
pub mod members;
mod page;
mod plan;
mod provider;
pub mod render;
pub mod server;
pub mod sign;
mod vendor;
mod words;

pub use address::{NestedAddress, NestsAddress};
pub use answer::{Answer, field_errors};
pub use asked::Asked;
pub use draft::Draft;
pub use endpoint::Endpoint;
pub use page::CustomerPage;
pub use plan::{Plan, Step, Transport, run, unsupported};
pub use provider::CustomerProvider;
pub use server::ImitatesVendor;
pub use vendor::{Settings, Vendor};
pub use words::Words;
