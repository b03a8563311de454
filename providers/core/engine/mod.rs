//! Executes commands, in the same way for every vendor. [`plan`] and [`execute()`] are the only entry points: they check
//! a command against the provider's manifest before a vendor plans it.

mod after_customer;
pub mod drop_in;
mod execute;
mod identity;
pub mod lists;
mod loss;
mod offset_pages;
mod prepare;
mod preview;
pub mod reconcile;
pub mod records;
mod required;

pub use execute::{Conditions, Executed, Planned, execute, plan, retrieve};
pub use loss::Language;
