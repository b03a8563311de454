//! Reloads of a gateway in a process of its own: what its log says, and what it serves afterwards.

#![cfg(unix)]

mod changes;
mod process;
mod watch;
