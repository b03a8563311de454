//! Runs the workers of the process: tasks that serve no request, and never end. A worker that panics is started again. Without
//! that, the process would go on without it: leases would run out, and writes without a known outcome would stay so.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;

/// How long a worker that has panicked waits before it starts again, so that one that always panics does not fill the log.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs a worker. It is started again after a panic, and `name` is in the log.
pub(crate) async fn keep_running<F: Future<Output = ()>>(name: &'static str, worker: impl Fn() -> F) {
    while AssertUnwindSafe(worker()).catch_unwind().await.is_err() {
        tracing::error!(
            worker = name,
            "a worker of the gateway panicked, and starts again in {PAUSE:?}: this is a mistake in the gateway, please report it"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_panics_is_started_again() {
        let started = AtomicUsize::new(0);
        let worker = || async {
            let before = started.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(before >= 2, "on purpose");
        };
        keep_running("test", worker).await;
        assert_eq!(started.load(Ordering::Relaxed), 3);
    }
}
