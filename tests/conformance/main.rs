//! The conformance suite: every provider is checked against its fixtures, without a network, and against the laws that
//! tie its client side, its server side and its manifest together. Each check is one named test. An operation that a
//! provider does not support is listed as ignored, with the reason from the manifest.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod captured;
mod case;
mod compare;
mod dedupe;
mod fields;
mod laws;
mod paging_by_last_customer;
mod sample;
mod show;
mod switch;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(case::trials());
    trials.extend(captured::trials());
    trials.extend(laws::trials());
    trials.extend(dedupe::trials());
    trials.extend(fields::trials());
    trials.extend(paging_by_last_customer::trials());
    trials.extend(switch::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
