//! The promises of docs/reliability.md, held against real processes: gateways that are killed, clients that go
//! away, twins that misbehave. What happened at the vendor is judged from the twin's log alone.
//!
//! Small unless `RELIABILITY=full`; `RELIABILITY_SEED` chooses other random moments.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "figures are told beside what held")]

mod bed;
mod client;
#[expect(dead_code, reason = "the tests of the store ask more of it")]
#[path = "../shared/cluster.rs"]
mod cluster;
mod departures;
mod duplicates;
mod keyless;
mod kills;
mod late;
mod outage;
mod points;
mod relay;
mod throughput;
#[path = "../shared/trial.rs"]
mod trial;
mod zombies;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    // Each scenario starts processes of its own and measures time: side by side they would starve each other.
    arguments.test_threads.get_or_insert(2);
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(duplicates::trials());
    trials.extend(departures::trials());
    trials.extend(keyless::trials());
    trials.extend(late::trials());
    trials.extend(outage::trials());
    trials.extend(points::trials());
    trials.extend(zombies::trials());
    trials.extend(kills::trials());
    trials.extend(throughput::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    cluster::stop();
    conclusion.exit();
}
