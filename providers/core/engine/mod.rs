//! What executes commands, the same way for every vendor. [`plan`] and [`execute`] are the one entry point.

mod after_customer;
pub mod drop_in;
mod execute;
pub mod lists;
mod loss;
mod offset_pages;
mod prepare;
pub mod reconcile;
pub mod records;

pub use execute::{Conditions, Planned, execute, plan, retrieve};
pub use loss::Language;
