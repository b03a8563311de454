//! What every provider must keep: its fixtures, read without a network, and the laws that tie a client
//! side, a server side and a manifest together. One named test each; a law that cannot apply is listed as
//! ignored, with the reason from the manifest.

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
    libtest_mimic::run(&arguments, trials).exit();
}
