//! Fuzz targets: what reads bytes from outside, and the laws that must hold for every input.
//!
//! [`targets`] lists them. libFuzzer calls them in `fuzzer.rs`, with inputs that it makes from the [`seeds`]; `replay.rs`
//! calls them in every `cargo test` with the seeds themselves, with some changes of them, and with the inputs of
//! `fuzz/crashes`, which once failed. A target fails by panicking. `fuzz/run` builds them and runs those of
//! the providers and `json`, or those that are named.

#![expect(clippy::expect_used, clippy::panic, reason = "a target fails by panicking")]

mod bound;
#[cfg(feature = "gateway")]
mod configuration;
#[cfg(feature = "gateway")]
mod cursors;
mod decoders;
#[cfg(feature = "gateway")]
mod exports;
#[cfg(feature = "gateway")]
mod ids;
mod json;
mod played;
pub mod seeds;
mod servers;
mod subject;
#[cfg(feature = "gateway")]
mod urls;

use std::fmt;

use self::subject::Subject;

/// The text that stands for a secret or for a value of a customer in inputs. It must not be in an error.
pub(crate) const CANARY: &str = "canary-7411-value";

/// Separates the parts of an input. It is not allowed in JSON text, so no part contains it.
pub(crate) const SEPARATOR: u8 = 0x1e;

/// One target.
pub struct Target {
    /// The name, for the command line.
    pub name: String,
    /// What is read.
    kind: TargetKind,
}

enum TargetKind {
    Decoder(Box<Subject>),
    Server(Box<Subject>),
    Plain(fn(&[u8]), fn() -> Vec<Vec<u8>>),
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Target({})", self.name)
    }
}

impl Target {
    /// Reads one input, and panics where a law is broken.
    pub fn run(&self, input: &[u8]) {
        match &self.kind {
            TargetKind::Decoder(subject) => decoders::run(subject, input),
            TargetKind::Server(subject) => servers::run(subject, input),
            TargetKind::Plain(run, _) => run(input),
        }
    }

    /// The inputs to begin with, made from the fixtures of the project.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        match &self.kind {
            TargetKind::Decoder(subject) => seeds::answers(subject),
            TargetKind::Server(subject) => seeds::requests(subject),
            TargetKind::Plain(_, seeds) => seeds(),
        }
    }
}

/// Every target: a decoder and a server side for each provider in each generation, and the readers of the gateway itself.
pub fn targets() -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for subject in subject::all() {
        targets
            .push(Target { name: format!("decoder-{}", subject.name), kind: TargetKind::Decoder(Box::new(subject)) });
    }
    for subject in subject::all() {
        targets.push(Target { name: format!("server-{}", subject.name), kind: TargetKind::Server(Box::new(subject)) });
    }
    let plain = |name: &str, run, seeds| Target { name: name.to_owned(), kind: TargetKind::Plain(run, seeds) };
    targets.push(plain("json", json::run, seeds::documents));
    #[cfg(feature = "gateway")]
    targets.extend([
        plain("configuration", configuration::run, seeds::configurations),
        plain("cursors", cursors::run, seeds::cursors),
        plain("exports", exports::run, seeds::exports),
        plain("ids", ids::run, seeds::ids),
        plain("urls", urls::run, seeds::urls),
    ]);
    targets
}

/// Whether an input has the text that stands for a secret in a place of its own choice.
fn contains_canary(input: &[u8]) -> bool {
    input.windows(CANARY.len()).any(|part| part == CANARY.as_bytes())
}

/// The parts of an input.
fn parts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == SEPARATOR)
}

/// The first line of a part, and the rest.
fn first_line(part: &[u8]) -> (&[u8], &[u8]) {
    match part.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&part[..end], &part[end + 1..]),
        None => (part, &[]),
    }
}
