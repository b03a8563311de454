//! Asynchronous tests for libtest-mimic.

use std::{pin::pin, time::Duration};

use libtest_mimic::{Failed, Trial};

/// No test may take longer. A client in a test repeats its request until it knows the outcome, so a fault of the gateway
/// could make a test endless. Tests in their full size take as long as they need.
const LIMIT: Duration = Duration::from_mins(5);

/// A trial that runs an asynchronous test on its own runtime.
pub(crate) fn trial<F, T>(name: impl Into<String>, test: F) -> Trial
where
    F: FnOnce() -> T + Send + 'static,
    T: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(|error| Failed::from(error.to_string()))?.block_on(limited(test()));
        Ok(())
    })
}

async fn limited(test: impl Future<Output = ()>) {
    if ["RELIABILITY", "LOAD"].into_iter().any(|size| std::env::var_os(size).is_some()) {
        return test.await;
    }
    // The test is dropped while the thread panics, so that its processes print their logs.
    let mut test = pin!(test);
    let ended = tokio::time::timeout(LIMIT, &mut test).await;
    assert!(ended.is_ok(), "the test has not ended after {LIMIT:?}");
}
