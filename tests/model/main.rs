//! A model of a switch, checked over all interleavings.
//!
//! # What this is
//!
//! A test executes one order of events. A switch has many processes (replicas that serve clients, copiers, workers, two
//! providers, an operator), and what goes wrong with it goes wrong in one order of events among thousands. So this is no
//! test of the product's code, but a small copy of its rules: a [`State`](state::State) says everything that the store, the
//! providers and the processes hold, an [`Action`](system::Action) is one step of one of them, and the *model checker*
//! [stateright](https://www.stateright.rs) executes, from the first state on, every action that is possible in every state
//! that it reaches, until there are no new states. In each state it asks the [`properties`]. If one is broken, the checker
//! returns the actions that lead there (the *counterexample*). If none is, no order of events in this case breaks it.
//!
//! The states of a real store have no end, so a [`Case`](state::Case) is small: one customer who was at connection `A`
//! before the switch (the old one), or one who is created (the new one), or both; one or two clients with one or two
//! requests each; one or two copiers; at most one lost request; a cutover and a rollback, each at any time. Faults of the
//! design need little more than that: the longest counterexample below has two processes, one write and one flip.
//!
//! # How to read it
//!
//! - `state.rs`: what there is. A write of a client makes the next content (1, 2, …) of its customer, so that older and newer
//!   states can be compared.
//! - `system.rs`: what can happen. `clients.rs`, `copiers.rs` and `outside.rs` say what each action changes.
//! - `properties.rs`: what must never happen, and that customers can move at all.
//! - `rules.rs`: what can be taken out. `cases.rs`: with all rules, nothing breaks. `without.rs`: without one of them,
//!   something does, and what. A rule that can be taken out without a counterexample is either not needed or not in the model.
//!
//! What is one action happens at once. So a transaction of the store is one action, and between two actions of a process, all
//! others can act: what it has read before may be old. A process that dies loses only its memory
//! ([`Crash`](system::Action::Crash)); a worker of any replica goes on with what is in the store, so the end of a write needs no
//! process in particular. A replica that was stopped and goes on later is a process whose next action comes late.
//!
//! # Where the product has it
//!
//! | in the model | in the product |
//! |---|---|
//! | `plan` | `src/merchant/homes.rs` |
//! | `claim`, `may_copy` (R2, R11, R19, R21) | `src/store/operations/claims.rs`, `src/store/ids/homes.rs` |
//! | `send_again` (R11, R12) | `SendAgain` in `src/store/operations/takeovers.rs` |
//! | `end` (R21, R23) | `src/store/operations/ends.rs`, `confirm` and `lift` in `src/store/ids/homes.rs` |
//! | `write_row` | `Ids::adopt_created` in `src/store/ids/adopting.rs` |
//! | `read_row` to `note_copied`, `clean_up` (R19, R21, R23) | `src/switch/copy.rs`, `Copied` in `src/store/ids/marks.rs` |
//! | `unpin` (R2) | `Unpin` in `src/store/ids/marks.rs` |
//! | `flip` | `Flip` in `src/store/ids/routes.rs` |
//!
//! # What it assumes
//!
//! - A provider shows a record by its id as soon as it is written. By contacts it never does, so a copier finds what it made
//!   before by its own memory alone.
//! - A request that a worker has found not executed is not executed later: the worker waits longer than a request can take.
//! - A replica reads the routing in the query that resolves an id (R13), and a process whose lease has ended sends nothing.
//! - A list does not show a record that an open create at the connection can have made (R22).
//! - A first copy is one request. That a customer follows only after its record says that the copy was complete, with a block
//!   after a create and with carried fields, is shown in the tests of the store.
//! - The gate of a cutover is always open (R14), and nothing is unpinned by `--accept stale` (R16).
//!
//! Matching with records that stood at the other side (R18), carried fields and erasure at other holders (R31) are not in it.

mod cases;
mod clients;
mod copiers;
mod outside;
mod properties;
mod rules;
mod state;
mod system;
mod without;
