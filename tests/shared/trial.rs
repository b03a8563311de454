//! Asynchronous tests for libtest-mimic.

use libtest_mimic::{Failed, Trial};

/// A trial that runs an asynchronous test on its own runtime.
pub(crate) fn trial<F, T>(name: impl Into<String>, test: F) -> Trial
where
    F: FnOnce() -> T + Send + 'static,
    T: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.map_err(|error| Failed::from(error.to_string()))?.block_on(test());
        Ok(())
    })
}
