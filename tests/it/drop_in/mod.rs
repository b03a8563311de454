//! Drop-in endpoints: what the clients of each provider send is answered as that provider answers it, by every
//! provider behind the gateway.

mod captured;
mod customers;
mod dial_codes;
pub(crate) mod dialects;
mod errors;
mod homes;
mod lists;
mod losses;
mod operations;
mod phones;
mod records;
mod replays;
mod signed;
