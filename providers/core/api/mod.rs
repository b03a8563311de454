//! The canonical language as JSON: what merchants send, what they are answered, and what the store keeps.

pub mod canonical;
pub mod input;
mod validate;
pub mod view;
