//! Switching a merchant from one provider to another. [`view`] has the documents that operators and commands see, and
//! [`service`] what can be done to a switch; [`Switches`] does it. `commands` checks and changes, `gates` says why a command
//! is not possible now, `driver` works in the background: `planner` makes a plan, `passes` copies, `verifying` compares.
//! `copy` brings one customer to the other side, `verify` compares a page of both sides, and [`context`] has what both work
//! with.

mod commands;
pub mod context;
mod control;
mod converge;
pub mod copy;
mod driver;
mod file;
pub mod files;
mod gates;
mod passes;
mod planner;
mod progress;
mod provider;
pub mod service;
mod show;
mod side;
mod steps;
mod switches;
pub mod verify;
mod verifying;
pub mod view;
mod words;

pub use switches::Switches;
