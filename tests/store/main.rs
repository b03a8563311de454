//! Tests the store on both databases: one suite that runs on each, and the tests that only one of them needs. If PostgreSQL
//! is not installed, its tests are listed as ignored.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod backup;
mod bed;
#[path = "../shared/cluster.rs"]
mod cluster;
mod crash;
mod damage;
mod distance;
mod file;
mod log;
mod previous;
mod replicas;
mod restore;
mod sealed;
mod server;
mod suite;
#[path = "../shared/trial.rs"]
mod trial;
mod unanswered;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if crash::is_child() {
        return crash::child();
    }
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(suite::trials());
    trials.extend(file::trials());
    trials.extend(crash::trials());
    trials.extend(damage::trials());
    trials.extend(log::trials());
    trials.extend(previous::trials());
    trials.extend(backup::trials());
    trials.extend(restore::trials());
    trials.extend(sealed::trials());
    trials.extend(server::trials());
    trials.extend(replicas::trials());
    trials.extend(distance::trials());
    trials.extend(unanswered::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    cluster::stop();
    conclusion.exit();
}
