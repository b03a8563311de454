//! Measures the time and the memory of a gateway that one client or one provider tries to overload. The gateway is a
//! process of its own, so that its peak of memory can be read.
//!
//! The sizes are small unless `LOAD=full`: `LOAD=full cargo test --release --test load -- --nocapture --test-threads 1`.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "the tests print measured figures")]

mod bed;
mod bodies;
mod compared;
mod floods;
mod inbound;
mod machine;
mod memory;
mod overload;
mod priority;
mod reloads;
mod replies;
mod shares;
