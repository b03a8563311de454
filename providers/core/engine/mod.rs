//! Executes commands, in the same way for every vendor. [`plan`] and [`execute()`] are the only entry points: they check
//! a command against the provider's manifest before a vendor plans it.

mod after_customer;
mod block;
pub mod carry;
mod compare;
mod differences;
mod distinct;
pub mod drop_in;
mod execute;
pub mod existing;
mod identity;
mod in_full;
mod known;
pub mod lists;
mod loss;
mod matching;
mod offset_pages;
mod prepare;
mod preview;
pub mod reconcile;
pub mod records;
mod required;
mod write_work;

#[cfg(test)]
pub(crate) use differences::is_same;
pub use execute::{Planned, execute, plan, retrieve};
pub use loss::{Conditions, Language};
pub use write_work::Executed;

/// How far the provider's clock may be from the gateway's. Synchronized clocks differ by less than a second. Two minutes
/// also allow for a provider whose clock is not synchronized, and for a request that waited in its queue.
const CLOCK_SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(2);
