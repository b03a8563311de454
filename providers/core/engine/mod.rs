//! What executes commands, the same way for every vendor.

pub mod drop_in;
pub mod lists;
pub mod offset_pages;
pub mod prepare;
pub mod reconcile;
