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

/// Uses no huge pages for memory. They would save up to 4 % of the processor's time, but a thread that allocates little would take
/// 2 MiB, and memory that many clients need for a short time would not be given back (see docs/operating.md).
#[cfg(target_os = "linux")]
fn use_small_pages() {
    // A system that does not know them has none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
fn use_small_pages() {}

fn main() -> ExitCode {
    use_small_pages();
    // All TLS of the process uses one implementation of cryptography, which is set before anything needs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    CommandLine::parse().run()
}
