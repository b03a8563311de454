//! A runtime whose threads have the lowest priority, for providers with large replies and for the clients that cause them.
//! Elsewhere they are other machines; here they run on the cores of the gateway. So they take only the time that neither the
//! gateway nor the clients that measure need, or else a test would judge the load and not the gateway.

use std::sync::LazyLock;

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

static BACKGROUND: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    // On other systems this is the priority of the process, which includes the clients that measure.
    #[cfg(target_os = "linux")]
    builder.on_thread_start(|| rustix::process::setpriority_process(None, 19).expect("a lower priority"));
    builder.build().expect("a runtime")
});

/// Runs a task, and the tasks that it spawns, with the lowest priority.
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    BACKGROUND.spawn(task)
}
