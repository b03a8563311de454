//! Passerelle: one customers API in front of many payment providers.
//!
//! This crate is the shell: everything that waits. What thinks is in [`passerelle_providers`], which knows
//! no socket and no clock; imports point from here to there, never back. A request goes
//!
//! 1. [`app`]: through the accept loop and the inbound layers;
//! 2. [`http`]: to a short handler, which finds out whose it is ([`merchant`]), reads what is asked and has
//!    the provider's adapter plan it;
//! 3. [`writes`]: where it changes something, through a durable claim in the [`store`], in a task of its own;
//! 4. [`upstream`]: out through the connection's tower stack, which adds the secret last;
//! 5. and back: the plan reads the provider's answer, the handler writes ours.
//!
//! [`drop_in`] takes the same way for code that was written for a provider's own client.
//!
//! [`config`] is what an operator typed, [`merchant`] what it means. [`twin`] is the other way round: a
//! provider's server side over a store in memory, for the sandbox and for tests. [`command`] is the command
//! line. `docs/architecture.md` says why it is built this way.

#![forbid(unsafe_code)]

pub mod app;
mod body;
pub mod capabilities;
pub mod command;
pub mod config;
pub mod drop_in;
pub mod execution;
pub mod http;
pub mod listener;
pub mod merchant;
pub mod problem;
pub mod state;
pub mod store;
mod tls;
pub mod twin;
pub mod upstream;
pub mod writes;
