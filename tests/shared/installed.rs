//! Tests that need a program which the system has or has not.

use std::path::Path;

use libtest_mimic::Trial;

/// The trial. It is listed as ignored where this program is not installed.
pub(crate) fn needing(program: impl AsRef<Path>, trial: Trial) -> Trial {
    let program = program.as_ref();
    if program.is_file() {
        return trial;
    }
    Trial::test(format!("{} (no {})", trial.name(), program.display()), || Ok(())).with_ignored_flag(true)
}
