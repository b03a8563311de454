//! Repeated `kill -9` of a gateway, or of one of two replicas, at random and at each step of plan, copy, cutover and
//! rollback, while the twins fail in all kinds and clients write (R2, R11, R19, R21).

use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;

use super::{
    bed::Sides,
    checks::{Flips, check},
    clients::{Clients, seed},
    operator::{Goal, Kills},
    stops::is_back,
};
use crate::{
    bed::{Fleet, Random, sized},
    trial::trial,
};

/// Of all creates and updates, 10 % are answered 500, half of them after the effect. 5 % hang after the effect. 5 % are
/// reset, half of them after it. New customers appear late in lists.
const FAULTS: &str = "error_before = 0.05\nerror_after = 0.05\nhang_after = 0.05\nreset_before = 0.025\n\
                      reset_after = 0.025\nonly = [\"create\", \"update\"]\ndelay = \"1ms..30ms\"\nsearch_lag = \"100ms\"\n";

pub(crate) fn trials() -> Vec<Trial> {
    let run =
        |name, fleet: Fleet, providers, kills| fleet.or_ignored(trial(name, move || killed(fleet, providers, kills)));
    vec![
        run("a_switch_under_kill_9", Fleet::Alone, ["notchpay", "bitnob"], sized(1, 20)),
        run("a_switch_under_kill_9_of_one_of_two", Fleet::Replicas, ["bitnob", "notchpay"], sized(1, 20)),
    ]
}

/// `kills_each` shortly after the commands, and as many in between, on the way to each of five goals.
async fn killed(fleet: Fleet, providers: [&'static str; 2], kills_each: usize) {
    let patience = sized(Duration::from_mins(1), Duration::from_hours(2));
    let count = sized(60, 10_000);
    let mut random = Random::new(kills_each as u64 + 77);
    let faults = [0, 1].map(|_| format!("seed = {}\n{FAULTS}", random.below(1 << 32)));
    let sides = Sides {
        providers,
        faults: [&faults[0], &faults[1]],
        connection: "timeout = \"400ms\"\nvisibility_lag = \"300ms\"\non_ambiguous = \"resend_after_lag\"",
        store: if fleet == Fleet::Replicas { "lease = \"2s\"" } else { "" },
    };
    let bed = sides.start(fleet);
    let customers = seed(&bed, count).await;
    let clients = Clients::start(&bed.client, &customers, &random);
    let mut kills = Kills { random: random.clone(), at_commands: 0, while_waiting: 0, done: 0 };
    let mut times = Vec::new();
    for goal in [Goal::Planned, Goal::Copied, Goal::Verified, Goal::Switched, Goal::Back] {
        (kills.at_commands, kills.while_waiting) = (kills_each, kills_each);
        times.push(Timestamp::now());
        bed.operator.reach(goal, &mut kills, patience).await;
        times.push(Timestamp::now());
    }
    let customers = clients.stop().await;
    let done = kills.done;
    bed.operator.wait("everything is copied back", patience, is_back).await;
    let flips = Flips { cutover: [times[6], times[7]], rollback: [times[8], times[9]] };
    let figures = check(&bed, &customers, &flips).await;
    eprintln!("a switch from {} to {}, {}: {done} kills, {figures}", providers[0], providers[1], fleet.description());
}
