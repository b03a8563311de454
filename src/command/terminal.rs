//! Words on the terminal: plain where nobody watches, and never a panic when a pipe closes.

use std::io::Write;

use serde::Serialize;

use super::Failed;

/// Prints a result to stdout.
pub(super) fn print(text: &str) -> Result<(), Failed> {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
        true => Ok(()),
        false => out.write_all(b"\n"),
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failed::Failed(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a result as indented JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failed> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failed::Failed(error.to_string()))?;
    print(&text)
}

/// Tells something on stderr.
pub(super) fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Tells what went wrong.
pub(super) fn complain(text: &str) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[1;31merror\u{1b}[0m: {text}");
}

/// Tells what is unwise.
pub(super) fn warn(text: &str) {
    let _ = writeln!(anstream::stderr(), "\u{1b}[1;33mwarning\u{1b}[0m: {text}");
}
