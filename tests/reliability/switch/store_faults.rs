//! The file of the store fails at each step of a switch, while clients write: on the way to the plan, the copies, the comparison, the
//! cutover and the way back. Once it is repaired, the step goes on, and in the end no customer is lost or there twice.

use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use tokio::time::sleep;

use super::{
    bed::Sides,
    checks::{Flips, check},
    clients::{Clients, seed},
    operator::{Goal, Kills},
    stops::is_back,
};
use crate::{
    bed::{Fleet, Random, StoreFault, sized},
    store_faults::noticed,
    trial::trial,
};

/// Each write takes some time, so that the store fails in the middle of it.
const FAULTS: &str = "delay = \"1ms..30ms\"\nsearch_lag = \"100ms\"\n";

pub(crate) fn trials() -> Vec<Trial> {
    let one = |fault: StoreFault| {
        fault.or_ignored(trial(format!("a_switch_with_a_{}_at_each_step", fault.name()), move || failing(fault)))
    };
    StoreFault::ALL.map(one).into()
}

async fn failing(fault: StoreFault) {
    let patience = sized(Duration::from_mins(1), Duration::from_mins(30));
    let times_each = sized(1, 10);
    let mut random = Random::new(fault.name().len() as u64);
    let sides = Sides {
        providers: ["notchpay", "bitnob"],
        faults: [FAULTS, FAULTS],
        connection: "visibility_lag = \"300ms\"",
        store: "",
    };
    let bed = sides.start(Fleet::Alone);
    let customers = seed(&bed, sized(30, 2000)).await;
    let clients = Clients::start(&bed.client, &customers, &random);
    let mut times = Vec::new();
    for goal in [Goal::Planned, Goal::Copied, Goal::Verified, Goal::Switched, Goal::Back] {
        times.push(Timestamp::now());
        let operator = bed.operator.clone();
        let reached = tokio::spawn(async move { operator.reach(goal, &mut Kills::none(), patience).await });
        for _ in 0..times_each {
            sleep(random.milliseconds(0, 150)).await;
            let failing = bed.gateways[0].fail_store(fault);
            noticed(&bed.client).await;
            failing.repair();
        }
        reached.await.expect("the goal is reached");
        times.push(Timestamp::now());
    }
    let customers = clients.stop().await;
    bed.operator.wait("everything is copied back", patience, is_back).await;
    let flips = Flips { cutover: [times[6], times[7]], rollback: [times[8], times[9]] };
    let figures = check(&bed, &customers, &flips).await;
    eprintln!("a switch with a {}: {} faults, {figures}", fault.name(), 5 * times_each);
}
