//! What an attacker or a mistake must not achieve. Every test carries the number of its requirement, and
//! `docs/security.md` has them all in one table. Each gateway is a process that logs everything; when its test ends, its
//! log and its store are searched for secrets and personal data.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bed;
mod bodies;
mod canary;
mod debug;
mod heads;
mod keys;
mod matrix;
mod providers;
#[path = "../it/stand_in.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod stand_in;
mod sweep;
mod table;
