//! Switching a merchant from one provider to another. [`view`] has the documents that operators and commands see, and
//! [`service`] what can be done to a switch; [`Switches`] does it. `commands` checks and changes, `audited` adds each command to the audit, `gates` says why a command
//! is not possible now, `driver` works in the background: `planner` makes a plan, `passes` and `marks` copy, `walks` finds what
//! was changed outside the gateway, `verifying` compares, and `extras` counts what belongs to no customer. `copy` brings one
//! customer to the other side, `undo` deletes what it made, `matching` finds who a customer may be there, `verify` compares a
//! page of both sides, `holding` moves who is written all the time, `doubts` ends the
//! doubt about a copy as the operator decides, `erasing` reaches every connection with a deletion, and
//! [`context`] has what all
//! of them work with.

mod audited;
mod commands;
pub mod context;
mod control;
mod converge;
pub mod copy;
mod doubts;
mod driver;
mod ending;
pub mod erasing;
mod extras;
mod file;
pub mod files;
mod flips;
mod gates;
mod holding;
mod marks;
mod matching;
mod notices;
mod passes;
mod planner;
mod progress;
mod provider;
mod replacing;
mod rowless;
mod samples;
mod sampling;
pub mod service;
mod show;
mod side;
mod steps;
mod switches;
mod undo;
mod unique;
pub mod verify;
mod verifying;
pub mod view;
mod visible;
mod walks;
mod words;

pub use audited::acting_as;
pub use switches::Switches;
