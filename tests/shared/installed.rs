//! Tests that need a program which the system has or has not, and such a program while it runs.

use std::{
    path::Path,
    process::{Child, Command},
};

use libtest_mimic::Trial;

/// The trial. It is listed as ignored where this program is not installed.
pub(crate) fn needing(program: impl AsRef<Path>, trial: Trial) -> Trial {
    let program = program.as_ref();
    if program.is_file() {
        return trial;
    }
    Trial::test(format!("{} (no {})", trial.name(), program.display()), || Ok(())).with_ignored_flag(true)
}

/// A running program. It is stopped when this is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
