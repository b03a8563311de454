//! Simulates whole gateways in one thread: the real code from the inbound layer to the store's statements, over time, a
//! network, a database and providers that a seed decides. The same seed gives the same run, so a failure can be repeated.
//!
//! # What is simulated
//!
//! - **Processes** (`process.rs`): each has a Tokio runtime of its own whose time is paused. A crash drops the runtime, and
//!   with it every task at the point where it waits. A stopped process (SIGSTOP) is a runtime that is not driven for a while.
//! - **Time** (`run.rs`): the processes are driven in small steps, in an order that the seed decides.
//! - **The store** (`links.rs`): one SQLite database in memory for all replicas, with the statements of the gateway. A
//!   transaction takes time, may fail, and its answer may be lost.
//! - **The network and the provider** (`world.rs`, `provider.rs`): a request reaches a twin, or does not; its answer may be
//!   lost, be a 500, or never come; it may be executed late. The lists of some twins show a change late.
//! - **Clients** (`client.rs`): they repeat their requests with the same key until they know the outcome, send some twice at
//!   the same time, and disconnect.
//! - **An operator** (`operator.rs`), in the runs with a switch: plans, runs, verifies, cuts over and rolls back, over the
//!   operator's API.
//!
//! After some time the faults end, and every write must end. Then `checks.rs` compares the answers that clients got with what
//! the provider executed. `mistakes.rs` plants mistakes, which must be found.
//!
//! # How to run it
//!
//! `cargo test --test simulation` runs as many seeds as fit into 25 s, with a switch and without; `SIMULATION_SECONDS=120` gives each of both
//! 120 s, as `.ci/run` does. `SIMULATION_SEEDS=100000` runs that many,
//! `SIMULATION_FIRST=5000` begins with another seed, and `SIMULATION_SEED=17` runs one and prints what happened in it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "the tests print what a run did")]

mod checks;
mod client;
mod links;
mod mistakes;
mod operator;
mod process;
mod provider;
mod random;
mod run;
mod world;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use mistakes::Mistake;
use run::{Figures, Report, Scenario, run};

/// How long the seeds of a test take together, unless their number or another time is given, in seconds.
const USUAL: u64 = 25;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, and is {text:?}")))
}

/// Runs the seeds of a scenario, and stops at one that breaks a promise.
fn keeps_promises(scenario: Scenario, test: &str) -> Figures {
    if let Some(seed) = number("SIMULATION_SEED") {
        let Report { wrong, trace, figures } = run(scenario, seed, None);
        eprintln!("{}", trace.join("\n"));
        assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
        return figures;
    }
    let (first, count) = (number("SIMULATION_FIRST").unwrap_or(0), number("SIMULATION_SEEDS"));
    // All cores if SIMULATION_SEEDS is set. Otherwise one, because other tests run at the same time.
    let threads = count.map_or(1, |_| thread::available_parallelism().map_or(1, usize::from));
    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    let usual = Duration::from_secs(number("SIMULATION_SECONDS").unwrap_or(USUAL));
    let work = || {
        let mut sums = Figures::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if count.map_or_else(|| begun.elapsed() >= usual, |count| number >= count) {
                return sums;
            }
            let seed = first + number;
            let Report { wrong, figures, .. } = run(scenario, seed, None);
            let repeat = format!("SIMULATION_SEED={seed} cargo test --test simulation -- --nocapture {test}");
            assert!(wrong.is_empty(), "seed {seed}:\n{}\nrepeat it with `{repeat}`", wrong.join("\n"));
            sums.add(&figures);
        }
    };
    let mut sums = Figures::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            sums.add(&worker.join().expect("every seed keeps the promises"));
        }
    });
    eprintln!("{} seeds from {first} in {:.0?}: {sums}", sums.runs, begun.elapsed());
    assert!(sums.done > sums.runs && sums.crashes > sums.runs / 4, "too little happened to test anything: {sums}");
    sums
}

/// The promises of docs/reliability.md about writes, in every run.
#[test]
fn writes_keep_their_promises() {
    keeps_promises(Scenario::Writes, "writes_keep");
}

/// The promises about a switch: no customer is lost, doubled or as it was before, whatever dies.
#[test]
fn a_switch_keeps_its_promises() {
    keeps_promises(Scenario::Switch, "a_switch_keeps");
}

/// Nothing but the seed decides a run: neither the machine's clock, nor its random numbers, nor the order of a hash map.
#[test]
fn a_seed_has_one_run() {
    for (scenario, seed) in (0..12).map(|seed| (if seed % 3 == 0 { Scenario::Switch } else { Scenario::Writes }, seed))
    {
        let [one, other] = [(); 2].map(|()| run(scenario, seed, None).trace);
        if let Some(at) = (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at)) {
            panic!("seed {seed} has two runs, which differ in line {at}:\n{:?}\n{:?}", one.get(at), other.get(at));
        }
        assert!(one.len() > 10, "seed {seed}: {}", one.join("\n"));
    }
}

fn is_found(scenario: Scenario, mistake: Mistake) {
    const MOST: u64 = 1000;
    let found = (0..MOST).find_map(|seed| Some((seed, run(scenario, seed, Some(mistake)).wrong.into_iter().next()?)));
    let (seed, wrong) = found.unwrap_or_else(|| panic!("{MOST} seeds do not find {mistake:?}"));
    eprintln!("{mistake:?} is found by seed {seed}: {wrong}");
}

/// The database has lost a claim that it acknowledged.
#[test]
fn a_lost_claim_is_found() {
    is_found(Scenario::Writes, Mistake::LostClaim);
}

/// A create is sent twice.
#[test]
fn a_double_send_is_found() {
    is_found(Scenario::Writes, Mistake::DoubleSend);
}

/// A request whose connection broke after it was sent counts as one that was not sent.
#[test]
fn a_wrong_cause_is_found() {
    is_found(Scenario::Writes, Mistake::WrongCause);
}

/// The store accepts the end of an attempt that another one has taken over.
#[test]
fn a_stale_attempt_is_found() {
    is_found(Scenario::Writes, Mistake::StaleAttempt);
}

/// A copy of an older state is taken for one of the newest.
#[test]
fn a_stale_version_is_found() {
    is_found(Scenario::Switch, Mistake::StaleVersion);
}
