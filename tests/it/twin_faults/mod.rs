//! Sandbox vendors ("twins") that fail on demand: what a client sees of each fault, which faults have an effect all the
//! same, what the log records, and what the gateway answers.

mod answers;
mod command;
mod gateway;
mod served;
