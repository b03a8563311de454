//! What both OpenAPI documents are made with: the words that a value can be (`words`), and what is added
//! to a document after its paths and types are collected (`finish`).

mod finish;
mod words;

pub use finish::{document, operations_of};
pub use words::*;
