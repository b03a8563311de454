//! Gives the gateway a processor that it has alone, or each of its threads another one.

#[cfg(target_os = "linux")]
use rustix::process::Pid;

/// The priority of the gateway, so that nothing else on the machine takes its processor. Only root may have it.
#[cfg(target_os = "linux")]
const NICE: i32 = -15;

/// Elsewhere, a process cannot be bound to a processor.
#[cfg(not(target_os = "linux"))]
pub(super) fn apart<T>(start: impl FnOnce() -> T) -> (T, bool) {
    (start(), false)
}

/// Starts a process on the last processor, and binds this process to the others. Returns whether there are others. The process
/// is bound from its first instruction on: it starts as many threads as it has processors.
#[cfg(target_os = "linux")]
pub(super) fn apart<T>(start: impl FnOnce() -> T) -> (T, bool) {
    use std::sync::LazyLock;

    use rustix::{
        process::{getpriority_process, setpriority_process},
        thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    };
    // Before a test has bound this process.
    static ALL: LazyLock<CpuSet> = LazyLock::new(|| sched_getaffinity(None).expect("the processors"));
    let mut others = *ALL;
    let Some(last) = (0..CpuSet::MAX_CPU).rfind(|processor| others.is_set(*processor)).filter(|_| others.count() > 1)
    else {
        return (start(), false);
    };
    let mut only = CpuSet::new();
    only.set(last);
    others.unset(last);
    // A process inherits the processors and the priority of the thread that starts it, and a thread does as well.
    sched_setaffinity(None, &only).expect("the thread is bound");
    let usual = getpriority_process(None).expect("the priority");
    let _ = setpriority_process(None, NICE);
    let started = start();
    let _ = setpriority_process(None, usual);
    let threads = std::fs::read_dir("/proc/self/task").expect("the threads").filter_map(Result::ok);
    for thread in threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)) {
        // The thread may have ended meanwhile.
        let bound = sched_setaffinity(Some(thread), &others);
        assert!(matches!(bound, Ok(()) | Err(rustix::io::Errno::SRCH)), "the thread is bound: {bound:?}");
    }
    (started, true)
}

/// Elsewhere, a thread cannot be bound to a processor.
#[cfg(not(target_os = "linux"))]
pub(super) fn spread(_process: u32) {}

/// Elsewhere, a thread has no priority of its own.
#[cfg(not(target_os = "linux"))]
pub(super) fn prefer(_process: u32) {}

/// Binds each thread of the runtime of a process to another processor. On a machine of its own, a processor that has nothing to do
/// takes over the thread that waits for the other one. Here it serves slow clients instead, and the thread would wait.
#[cfg(target_os = "linux")]
pub(super) fn spread(process: u32) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let all = sched_getaffinity(None).expect("the processors");
    let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| all.is_set(*processor)).cycle();
    for (thread, processor) in workers(process).zip(&mut processors) {
        let mut only = CpuSet::new();
        only.set(processor);
        sched_setaffinity(Some(thread), &only).expect("the thread is bound");
    }
}

/// Gives the threads of the runtime of a process a higher priority.
#[cfg(target_os = "linux")]
pub(super) fn prefer(process: u32) {
    for thread in workers(process) {
        let _ = rustix::process::setpriority_process(Some(thread), NICE);
    }
}

/// The threads of the runtime of a process.
#[cfg(target_os = "linux")]
fn workers(process: u32) -> impl Iterator<Item = Pid> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("the threads").filter_map(Result::ok);
    threads.filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let id = Pid::from_raw(thread.file_name().to_str()?.parse().ok()?)?;
        name.starts_with("tokio-rt-worker").then_some(id)
    })
}
