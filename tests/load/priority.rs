//! Runtimes whose threads have another priority than the gateway. Elsewhere, providers and clients are other machines;
//! here they run on the cores of the gateway, and without these runtimes a test would judge them and not the gateway.

use std::sync::LazyLock;

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// For providers with large replies, and for the clients that cause them: they take only the time that nothing else needs. The
/// priority alone is not enough: a thread that runs keeps its processor for the rest of its slice, which can be 3 ms.
static LOW: LazyLock<Runtime> = LazyLock::new(|| runtime(Some(["--idle", "0"]), 19, 2));

/// For the clients that measure, and for their provider: they wait for nothing but the gateway. Only root may have such a
/// priority; other users measure with the usual one.
static HIGH: LazyLock<Runtime> = LazyLock::new(|| runtime(None, -15, 2));

/// The same, with the one thread that [`Awake`] keeps from sleeping.
static BUSY: LazyLock<Runtime> = LazyLock::new(|| runtime(None, -15, 1));

/// For a few clients that measure beside the others: they do not wait for the thread of the others, which may have hundreds of
/// answers to read first. Only root may have such a priority; for other users they wait their turn.
static PROMPT: LazyLock<Runtime> = LazyLock::new(|| runtime(Some(["--fifo", "1"]), -15, 1));

/// A runtime whose threads have a priority, and a scheduling policy as an option of `chrt` and its priority, where that command
/// exists.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "it would be the priority of the process"))]
fn runtime(policy: Option<[&'static str; 2]>, nice: i32, threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all();
    #[cfg(target_os = "linux")]
    builder.on_thread_start(move || {
        let _ = rustix::process::setpriority_process(None, nice);
        if let Some([policy, priority]) = policy {
            let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
            let _ = std::process::Command::new("chrt").args([policy, "--pid", priority, &thread]).output();
        }
    });
    builder.build().expect("a runtime")
}

/// Runs a task, and the tasks that it spawns, with the lowest priority.
pub(crate) fn low<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    LOW.spawn(task)
}

/// Runs a task, and the tasks that it spawns, before the gateway.
pub(crate) fn high<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    HIGH.spawn(task)
}

/// Runs a task, and the tasks that it spawns, before the gateway, on the thread that [`Awake`] keeps from sleeping.
pub(crate) fn busy<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    BUSY.spawn(task)
}

/// Runs a task, and the tasks that it spawns, before all others.
pub(crate) fn prompt<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    PROMPT.spawn(task)
}

/// Keeps the processor of the clients awake until this is dropped. Who sends something to a processor that sleeps pays for
/// waking it, in a virtual machine several microseconds. Clients on another machine cost the gateway nothing like that.
pub(crate) struct Awake(JoinHandle<()>);

impl Awake {
    pub(crate) fn new() -> Self {
        Self(BUSY.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        }))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.abort();
    }
}
