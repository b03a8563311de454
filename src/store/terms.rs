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

#[cfg(test)]
impl Terms {
    /// Those of a process that has the database alone.
    pub(super) fn tested() -> Self {
        Self {
            worker: "this".to_owned(),
            is_exclusive: true,
            lease: Duration::from_secs(30),
            joining: Duration::from_mins(2),
            answers: Duration::from_hours(72),
            tombstones: Duration::from_hours(720),
        }
    }
}
