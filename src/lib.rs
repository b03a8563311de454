//! Passerelle: one customers API in front of many payment providers.
//!
//! This crate does everything that waits: sockets, timers, the database. The providers' adapters are in
//! [`passerelle_providers`], which uses no socket and no clock. This crate imports that one, never the other way round.
//! A request passes through
//!
//! 1. [`app`]: the inbound layer, which writes and logs every error;
//! 2. [`http`]: a short handler, which finds the merchant by the key ([`merchant`]), reads the request into a command,
//!    and has the provider's adapter plan it;
//! 3. [`writes`], if it is a write: a durable claim in the [`store`], and a task that continues if the client
//!    disconnects;
//! 4. [`upstream`]: the connection's tower stack, which adds the credentials last and sends the request;
//! 5. the plan, which decodes the provider's answer, and the handler, which writes the answer to the client.
//!
//! [`drop_in`] does the same for code that was written for a provider's own client. [`traces`] makes the spans of sampled
//! requests, and [`telemetry`] sends them to a collector.
//!
//! [`config`] has the configuration as the operator typed it, [`merchant`] has what requests use. [`twin`] imitates a
//! provider's server side over records in memory, for the sandbox and for tests. [`command`] is the command line.
//! `docs/architecture.md` says why the crate is built this way.

#![forbid(unsafe_code)]

pub mod admission;
pub mod app;
mod body;
pub mod capabilities;
pub mod chance;
pub mod clock;
pub mod command;
pub mod config;
pub mod console;
pub mod drop_in;
pub mod execution;
pub mod http;
pub mod listener;
pub mod merchant;
pub mod metrics;
pub mod openapi;
pub mod operator;
pub mod problem;
pub mod report;
pub mod state;
pub mod store;
pub mod switch;
pub mod telemetry;
mod tls;
pub mod traces;
pub mod twin;
pub mod upstream;
mod workers;
pub mod writes;
