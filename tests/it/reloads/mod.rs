//! Reloads and restarts of a gateway in a process of its own: what its log says, and what clients get.

#![cfg(unix)]

mod changes;
mod process;
mod sockets;
mod stops;
mod watch;
