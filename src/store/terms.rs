//! What the work of one store goes by.

use std::time::Duration;

/// What the work of one store goes by.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// This life of this process.
    pub(super) worker: String,
    /// Whether nobody else can have the database open, so that every other worker is dead.
    pub(super) alone: bool,
    /// How long an attempt is left alone without a sign of life.
    pub(super) lease: Duration,
    /// How long an unfinished write without a key stands for others like it.
    pub(super) joining: Duration,
    /// How long answers are kept.
    pub(super) answers: Duration,
    /// How long tombstones are kept.
    pub(super) tombstones: Duration,
}
