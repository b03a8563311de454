//! Writes: one idempotency key has one effect and one answer. A write whose client disconnects is completed. A write
//! with an unknown outcome is reconciled with the provider.

mod admission;
mod coalescing;
mod content;
mod disconnects;
pub(crate) mod helpers;
mod keys;
mod measured;
mod reconciliation;
mod switches;
mod updates_and_deletions;
