//! The whole gateway over real loopback HTTP: the sandbox with its twins, and stand-ins that misbehave.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod contract;
mod documents;
mod door;
mod drop_in;
mod explain;
mod faults;
mod http2;
mod ids;
mod imports;
mod lists;
mod previous;
mod proxy;
mod requests;
mod sandbox;
mod signed;
mod stand_in;
mod support;
mod terminal;
mod tidy;
mod tls;
mod twin_faults;
mod wire;
mod writes;
