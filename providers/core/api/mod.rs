//! The canonical model as JSON: the requests of merchants, the answers to them, and the commands in the store.

pub mod canonical;
mod deleted;
pub mod earlier;
pub mod input;
mod validate;
pub mod view;

pub use validate::JsonLimits;
