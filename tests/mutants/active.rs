//! Which mutant is active in this process. `tests/mutants/run` adds this module to a copy of the sources in which every mutant is
//! behind a condition, so that one build has all of them.

#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "only a copy of the sources has it"
)]

use std::{
    collections::HashSet,
    fs::OpenOptions,
    io::Write,
    sync::{LazyLock, Mutex},
};

/// The number of the active mutant. None has number 0.
static ACTIVE: LazyLock<u32> = LazyLock::new(|| variable("MUTANT").and_then(|text| text.parse().ok()).unwrap_or(0));

/// The mutants that this process reaches, with the test that started it. Each process has a file of its own in a folder, because
/// some tests limit how large the files may be that a process writes.
static REACHED: LazyLock<Option<Reached>> = LazyLock::new(|| {
    let [folder, binary, test] = ["MUTANTS_REACHED", "NEXTEST_BINARY_ID", "NEXTEST_TEST_NAME"].map(variable);
    let file = format!("{}/{}", folder?, std::process::id());
    Some(Reached { file, test: format!("{}\t{}", binary?, test?), known: Mutex::default() })
});

struct Reached {
    file: String,
    test: String,
    known: Mutex<HashSet<u32>>,
}

/// Whether this mutant is active.
pub fn is(mutant: u32) -> bool {
    if let Some(reached) = &*REACHED
        && reached.known.lock().is_ok_and(|mut known| known.insert(mutant))
    {
        let line = format!("{}\t{mutant}\n", reached.test);
        let file = OpenOptions::new().append(true).create(true).open(&reached.file);
        // A process whose test lets it write nothing is not recorded: its tests notice a mutant only in the run with all tests.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
    *ACTIVE == mutant
}

/// A variable of the environment, or of that of the parent: some tests start the program with an empty one.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let environment = std::fs::read(format!("/proc/{}/environ", std::os::unix::process::parent_id())).ok()?;
        let prefix = format!("{name}=");
        let found = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
        String::from_utf8(found.to_vec()).ok()
    })
}
