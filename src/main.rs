//! The `passerelle` binary: the command line over the library.

use std::process::ExitCode;

use clap::Parser;
use passerelle::command::CommandLine;

/// Requests allocate little but often, and this allocator is the cheapest at that (see docs/architecture.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One provider of cryptography for the whole process, chosen before anything needs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    CommandLine::parse().run()
}
