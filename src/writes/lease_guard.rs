//! The lease on an attempt while a task executes it. The task can panic, or its future can be dropped. No task executes the
//! attempt then, and this process would renew the lease all the same ([`LONGEST_ATTEMPT`]). So the lease is given
//! back, and any process can reconcile the write at once.
//!
//! A reconciliation that panics keeps its lease for [`LONGEST_ATTEMPT`]. It may panic each time, and without that pause the workers
//! would have time for nothing else.
//!
//! [`LONGEST_ATTEMPT`]: crate::store::LONGEST_ATTEMPT

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

use crate::store::{OperationId, OperationLog};

/// Gives the lease on an attempt back when it is dropped, unless the attempt has ended.
#[derive(Debug)]
pub(super) struct LeaseGuard {
    store: OperationLog,
    id: OperationId,
    attempt: u32,
    has_ended: AtomicBool,
}

impl LeaseGuard {
    /// The caller has just claimed this attempt, or taken it over.
    pub(super) fn new(store: &OperationLog, id: OperationId, attempt: u32) -> Self {
        Self { store: store.clone(), id, attempt, has_ended: AtomicBool::new(false) }
    }

    /// The end of the attempt is stored, or another task stores it.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        let (id, attempt, is_panicking) = (self.id, self.attempt, std::thread::panicking());
        if *self.has_ended.get_mut() || (is_panicking && attempt > 1) {
            return;
        }
        // A runtime that shuts down does not execute this. Its process is about to end, and its leases run out.
        let Ok(runtime) = Handle::try_current() else { return };
        let store = self.store.clone();
        runtime.spawn(async move {
            if is_panicking {
                tracing::error!(operation.id = %id, "the task of a write panicked; a worker reconciles the write");
            } else {
                tracing::debug!(operation.id = %id, attempt, "an attempt was stopped; its lease is given back");
            }
            store.give_back(id, attempt).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        config::load_text,
        store::{Claim, CreatedContacts, EarlierContents, NewOperation, Settings, Store},
    };

    async fn claimed() -> (OperationLog, OperationId) {
        let loaded = load_text("[store]\nurl = \"sqlite::memory:\"", "passerelle.toml").expect("a configuration");
        let store = Store::open(&Settings::of(&loaded).expect("settings")).await.expect("a store");
        let new = NewOperation {
            id: OperationId::now(),
            merchant: "acme".to_owned(),
            connection: "main".to_owned(),
            operation: "create".to_owned(),
            customer: None,
            key: None,
            key_name: None,
            joins: true,
            request: Bytes::from_static(b"r"),
            earlier: EarlierContents::default(),
            copy: None,
            command: Bytes::from_static(b"{}"),
            home: None,
            contacts: CreatedContacts::default(),
        };
        let (log, id) = (store.operations().clone(), new.id);
        assert_eq!(log.claim(new).await, Ok(Claim::New { attempt: 1 }));
        (log, id)
    }

    /// Whether another attempt can take the write over. The lease lasts for longer than this test.
    async fn is_free(log: &OperationLog) -> bool {
        // The guard gives the lease back in a task.
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        !log.take_over(1).await.expect("the store answers").is_empty()
    }

    /// Executes an attempt in a task that panics.
    async fn panics(log: &OperationLog, id: OperationId, attempt: u32) {
        let guard = LeaseGuard::new(log, id, attempt);
        let task = tokio::spawn(async move {
            let _guard = guard;
            panic!("a bug");
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
    }

    #[tokio::test]
    async fn a_write_whose_task_panicked_is_taken_over_at_once() {
        let (log, id) = claimed().await;
        panics(&log, id, 1).await;
        assert!(is_free(&log).await);
    }

    #[tokio::test]
    async fn a_write_whose_attempt_was_stopped_is_taken_over_at_once() {
        let (log, id) = claimed().await;
        drop(LeaseGuard::new(&log, id, 1));
        assert!(is_free(&log).await);
        drop(LeaseGuard::new(&log, id, 2));
        assert!(is_free(&log).await);
    }

    #[tokio::test]
    async fn a_reconciliation_that_panicked_keeps_its_lease() {
        let (log, id) = claimed().await;
        panics(&log, id, 1).await;
        assert!(is_free(&log).await);
        panics(&log, id, 2).await;
        assert!(!is_free(&log).await);
    }

    #[tokio::test]
    async fn an_attempt_whose_end_another_task_stores_keeps_its_lease() {
        let (log, id) = claimed().await;
        let guard = LeaseGuard::new(&log, id, 1);
        guard.end();
        drop(guard);
        assert!(!is_free(&log).await);
    }
}
