//! The whole gateway over real loopback HTTP. Its providers are the twins of the sandbox, or stand-ins that answer what
//! a test chooses. `support.rs` has the gateway and its client, `stand_in.rs` the stand-ins.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod blocks;
mod breaker;
mod carried;
mod code_map;
mod contract;
mod deletions;
mod documents;
mod drop_in;
mod earlier_keys;
mod endless_replies;
mod explain;
mod faults;
mod health;
mod homes;
mod homes_bed;
mod homes_costs;
mod homes_lists;
mod homes_of_creates;
mod homes_of_writes;
mod homes_reads;
mod http2;
mod ids;
mod imports;
mod inbound;
mod large_replies;
mod lists;
mod metrics;
mod operator;
mod partial_lists;
mod phones;
mod played;
mod previous;
mod proxy;
mod records;
mod refusals;
mod replies;
mod requests;
mod sandbox;
mod shared_records;
mod signed;
mod stand_in;
mod sub_lists;
mod support;
mod switch;
mod terminal;
mod tidy;
mod tls;
mod tls_front;
mod truth;
mod twin_faults;
mod unasked;
mod wire;
mod writes;
