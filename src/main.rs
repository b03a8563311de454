//! The `passerelle` binary: the command line over the library.

use std::process::ExitCode;

use clap::Parser;
use passerelle::command::CommandLine;

// Requests make many small allocations, and this allocator is the fastest for them (see docs/architecture.md). On Linux
// it replaces `malloc` itself, so that SQLite uses it as well; Rust's usual allocator then calls it on a shorter way than
// as a global allocator.
#[cfg(target_os = "linux")]
use mimalloc as _;

#[cfg(not(target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // All TLS of the process uses one implementation of cryptography, which is set before anything needs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    CommandLine::parse().run()
}
