//! Gives the gateway a processor that it has alone.

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
        process::{Pid, getpriority_process, setpriority_process},
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
