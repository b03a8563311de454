//! Output of the commands. Colours are left out when the output is not a terminal, and a closed pipe is not an error.

use std::{
    io::{IsTerminal as _, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::CommandError;

/// Prints a result to stdout.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
        true => Ok(()),
        false => stdout.write_all(b"\n"),
    });
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a result as indented JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CommandError::Failed(error.to_string()))?;
    print(&text)
}

/// How often a line about long work is written where there is no terminal.
pub(super) const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A progress bar on stderr. `None` where that is not a terminal: then a line is written every [`LINE_INTERVAL`].
pub(super) fn bar(template: &str) -> Option<ProgressBar> {
    std::io::stderr()
        .is_terminal()
        .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(bar_style(template)))
}

/// The form of a bar.
pub(super) fn bar_style(template: &str) -> ProgressStyle {
    // A template of ours is valid; otherwise the usual form is shown.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// Prints a notice to stderr.
pub(super) fn print_notice(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints an error to stderr.
pub(super) fn print_error(text: &str) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[1;31merror\u{1b}[0m: {text}");
}

/// Prints a warning to stderr.
pub(super) fn print_warning(text: &str) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[1;33mwarning\u{1b}[0m: {text}");
}
