//! The limit of open files. Each client connection is a file, and often has a connection to a provider beside it.

/// The files that the process needs beside connections: the store, logs, the runtime.
const OTHER_FILES: u64 = 256;

/// Raises the process's limit of open files as far as the system allows, and returns how many client connections it is
/// enough for: `wanted`, or fewer.
#[cfg(unix)]
pub fn connections_within_file_limit(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let usable = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // No limit at all is `None`.
    let Some(usable) = usable else { return wanted };
    let enough = usable.saturating_sub(OTHER_FILES) / 2;
    usize::try_from(enough).map_or(wanted, |enough| wanted.min(enough.max(1)))
}

/// Systems without this limit.
#[cfg(not(unix))]
pub fn connections_within_file_limit(wanted: usize) -> usize {
    wanted
}
