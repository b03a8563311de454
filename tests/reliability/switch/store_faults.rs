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
        trial(format!("a_switch_whose_store_has_a_{}_at_each_step", fault.name()), move || failing(fault))
    };
    StoreFault::ALL.map(one).into()
}

async fn failing(fault: StoreFault) {
    let patience = sized(Duration::from_mins(1), Duration::from_mins(30));
    // In the full size, a step takes a minute or more.
    let (most, pause) = sized((2, 150), (20, 3000));
    let mut random = Random::new(fault as u64);
    let sides = Sides {
        providers: ["notchpay", "bitnob"],
        faults: [FAULTS, FAULTS],
        // To repair a damaged file, the gateway is killed. It may have claimed a create and not sent it yet.
        connection: "visibility_lag = \"300ms\"\non_ambiguous = \"resend_after_lag\"",
        store: "",
    };
    let bed = sides.start(Fleet::Alone);
    let gateway = &bed.gateways[0];
    let customers = seed(&bed, sized(30, 2000)).await;
    let clients = Clients::start(&bed.client, &customers, &random);
    let (mut times, mut within) = (Vec::new(), 0);
    for goal in [Goal::Planned, Goal::Copied, Goal::Verified, Goal::Switched, Goal::Back] {
        times.push(Timestamp::now());
        // The command of the step needs the store.
        let failing = gateway.fail_store(fault);
        noticed(&bed.client).await;
        let operator = bed.operator.clone();
        let reached = tokio::spawn(async move { operator.reach(goal, &mut Kills::none(), patience).await });
        sleep(random.milliseconds(0, 150)).await;
        assert!(!reached.is_finished(), "{goal:?} is reached without a store");
        failing.repair();
        for _ in 0..most {
            sleep(random.milliseconds(0, pause)).await;
            if reached.is_finished() {
                break;
            }
            let failing = gateway.fail_store(fault);
            noticed(&bed.client).await;
            failing.repair();
            within += 1;
        }
        reached.await.expect("the goal is reached");
        times.push(Timestamp::now());
    }
    assert!(within > 0, "the store never failed within a step");
    let customers = clients.stop().await;
    bed.operator.wait("everything is copied back", patience, is_back).await;
    let flips = Flips { cutover: [times[6], times[7]], rollback: [times[8], times[9]] };
    let figures = check(&bed, &customers, &flips).await;
    eprintln!(
        "a switch whose store has a {}: failed before each of 5 steps and {within} times within, {figures}",
        fault.name()
    );
}
