//! What all handles of one store share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use super::{
    database::Database,
    error::StoreError,
    keyring::{Hashes, Keyring},
    lease::Renewals,
    terms::Terms,
};

/// An open database with its key.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Arc<dyn Database>,
    pub(super) keyring: Keyring,
    pub(super) hashes: Arc<Hashes>,
    pub(super) terms: Arc<Terms>,
    pub(super) renewals: Arc<Renewals>,
    /// Until when a write without a key may join one that an earlier version stored before this start. `None`: there is
    /// none.
    pub(super) joins_earlier_until: Option<Instant>,
    /// Whether a write has failed, and none has shown since that writes work again.
    pub(super) is_failing: AtomicBool,
}

impl Opened {
    /// Whether a write without a key may join one that an earlier version has stored.
    pub(super) fn joins_earlier(&self) -> bool {
        self.joins_earlier_until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes that the store could not write.
    pub(super) fn note_failure(&self, error: &StoreError) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!("the store cannot record writes: {error}");
        }
    }

    /// Notes that the store has written something.
    pub(super) fn note_success(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the store can record writes again");
        }
    }
}
