//! Tests the promises of docs/reliability.md with real processes: gateways are killed, clients disconnect, twins fail
//! on demand. Only the log of the twin decides what happened at the provider.
//!
//! The sizes are small unless `RELIABILITY=full`. `RELIABILITY_SEED` changes the random moments.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "the tests print measured figures")]

mod bed;
mod client;
#[expect(dead_code, reason = "the tests of the store use more of it")]
#[path = "../shared/cluster.rs"]
mod cluster;
mod console;
mod departures;
mod duplicates;
mod haproxy;
#[path = "../shared/installed.rs"]
mod installed;
mod keyless;
mod kills;
mod late;
mod live;
#[expect(dead_code, reason = "the tests of the names use more of it")]
#[path = "../shared/monitoring.rs"]
mod monitoring;
mod network;
mod outage;
mod points;
mod prometheus;
mod relay;
mod scale;
mod store_faults;
mod switch;
mod throughput;
#[path = "../shared/trial.rs"]
mod trial;
mod zombies;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    // Each test starts its own processes and measures time. More tests at once would slow each other down.
    arguments.test_threads.get_or_insert(2);
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(duplicates::trials());
    trials.extend(console::trials());
    trials.extend(departures::trials());
    trials.extend(keyless::trials());
    trials.extend(late::trials());
    trials.extend(live::trials());
    trials.extend(network::trials());
    trials.extend(outage::trials());
    trials.extend(store_faults::trials());
    trials.extend(points::trials());
    trials.extend(prometheus::trials());
    trials.extend(haproxy::trials());
    trials.extend(zombies::trials());
    trials.extend(kills::trials());
    trials.extend(switch::trials());
    trials.extend(throughput::trials());
    trials.extend(scale::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    cluster::stop();
    conclusion.exit();
}
