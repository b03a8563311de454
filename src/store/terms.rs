//! Settings and identity that the work of one store needs.

use std::time::Duration;

/// What every piece of work of one store keeps to.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The name of this process, from its start to its end.
    pub(super) worker: String,
    /// Whether no other process can have the database open. Every other process that it names is then dead.
    pub(super) is_exclusive: bool,
    /// How long a lease lasts without a renewal.
    pub(super) lease: Duration,
    /// How long a write without a key is a candidate for later requests with the same content.
    pub(super) joining: Duration,
    /// How long answers are kept.
    pub(super) answers: Duration,
    /// How long finished operations are kept.
    pub(super) tombstones: Duration,
}
