//! What all handles of one store share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{
    audit,
    database::{self, Condition, Database},
    error::StoreError,
    hashes::Hashes,
    keyring::Keyring,
    lease::Renewals,
    secret::Probe,
    terms::Terms,
};

/// How long writes are refused before the store is asked again whether it is ready. Asking writes to the disk.
const REFUSAL_LASTS: Duration = Duration::from_millis(200);

/// An open database with its key.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Arc<dyn Database>,
    /// Shared with works that seal: a work must not hold the whole store, because the thread of the database would then
    /// close the store that it belongs to.
    pub(super) keyring: Arc<Keyring>,
    pub(super) hashes: Arc<Hashes>,
    pub(super) terms: Arc<Terms>,
    pub(super) renewals: Arc<Renewals>,
    /// Until when a write without a key may join one that an earlier version stored before this start. `None`: there is
    /// none.
    pub(super) joins_earlier_until: Option<Instant>,
    /// Whether a write has failed, and none has shown since that writes work again.
    pub(super) is_failing: AtomicBool,
    /// When a write was last refused because the store was not ready, and why.
    pub(super) last_refusal: Mutex<Option<(Instant, StoreError)>>,
}

impl Opened {
    /// Whether a write without a key may join one that an earlier version has stored.
    pub(super) fn joins_earlier(&self) -> bool {
        self.joins_earlier_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the store can record writes. If nothing speaks against it, this only reads. After a write has failed, or
    /// if another program has changed the file, this writes.
    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        let result = match self.database.condition(self.is_failing()) {
            Condition::Fine => return audit::ready(&*self.database).await,
            Condition::Suspect => database::write(&*self.database, Probe).await,
            Condition::Obstacle(error) => Err(error),
        };
        match &result {
            Ok(()) => self.note_success(),
            Err(error) => self.note_failure(error),
        }
        result
    }

    /// Refuses a new write until the store is ready. Of writes that come together, only one asks.
    pub(super) async fn admit(&self) -> Result<(), StoreError> {
        let mut last_refusal = self.last_refusal.lock().await;
        if !self.is_failing() {
            return Ok(());
        }
        if let Some((at, refusal)) = &*last_refusal
            && at.elapsed() < REFUSAL_LASTS
        {
            return Err(refusal.clone());
        }
        let result = self.ready().await;
        *last_refusal = result.as_ref().err().map(|refusal| (Instant::now(), refusal.clone()));
        result
    }

    /// Whether the store could not write, or was not ready, and has not been ready since.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
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
