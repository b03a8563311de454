//! Reports for people: one page that needs nothing else. [`chart`] draws, [`page()`] writes the report of a switch.

pub mod chart;
mod examples;
mod html;
mod page;
mod samples;

pub use examples::Examples;
pub use html::{Escaper, grouped};
pub use page::{page, records_chart};
pub use samples::{Samples, masked};
