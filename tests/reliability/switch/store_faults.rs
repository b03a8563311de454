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
    bed::{Gateway, Random, Setup, StoreFault, sized},
    store_faults::noticed,
    trial::trial,
};

/// Each write takes some time, so that the store fails in the middle of it.
const FAULTS: &str = "delay = \"1ms..30ms\"\nsearch_lag = \"100ms\"\n";

pub(crate) fn trials() -> Vec<Trial> {
    // The repair of each of these is a restart, which takes time. In the small size, one switch has them in turn.
    const IN_TURN: [StoreFault; 3] = [StoreFault::DamagedPage, StoreFault::LostPage, StoreFault::ReadOnlyDisk];
    let own = |fault: StoreFault| {
        let name = format!("a_switch_whose_store_has_a_{}_at_each_step", fault.name());
        fault.or_ignored(trial(name, move || failing(vec![fault])))
    };
    let is_full = sized(false, true);
    let own_each = StoreFault::ALL.into_iter().filter(|fault| is_full || !IN_TURN.contains(fault));
    let mut trials: Vec<_> = own_each.map(own).collect();
    if !is_full {
        let possible = IN_TURN.into_iter().filter(|fault| fault.is_possible()).collect();
        trials.push(trial("a_switch_whose_store_fails_in_another_way_each_time", move || failing(possible)));
    }
    trials
}

/// The faults occur in turn.
async fn failing(faults: Vec<StoreFault>) {
    let patience = sized(Duration::from_mins(1), Duration::from_mins(30));
    // In the full size, a step takes a minute or more.
    let most = if faults.len() > 1 { 1 } else { 2 };
    let (most, pause) = sized((most, 150), (20, 3000));
    let mut random = Random::new(faults[0] as u64);
    let sides = Sides {
        providers: ["notchpay", "bitnob"],
        faults: [FAULTS, FAULTS],
        // To repair a damaged file, the gateway is killed. It may have claimed a create and not sent it yet.
        connection: "visibility_lag = \"300ms\"\non_ambiguous = \"resend_after_lag\"",
        store: "",
    };
    let own_disk = faults.iter().any(|fault| fault.needs_own_disk());
    let bed = sides.start_gateways(|main, setup| vec![Gateway::start_for(main, &Setup { own_disk, ..setup.clone() })]);
    let gateway = &bed.gateways[0];
    let customers = seed(&bed, sized(30, 2000)).await;
    let clients = Clients::start(&bed.client, &customers, &random);
    let (mut times, mut within) = (Vec::new(), 0);
    let mut next_fault = faults.iter().copied().cycle();
    let mut next_fault = || next_fault.next().expect("there is always another one");
    for goal in [Goal::Planned, Goal::Copied, Goal::Verified, Goal::Switched, Goal::Back] {
        times.push(Timestamp::now());
        // The command of the step needs the store.
        let fault = next_fault();
        let failing = gateway.fail_store(fault, &mut random);
        if fault.is_noticed() {
            noticed(&bed.client).await;
        }
        let operator = bed.operator.clone();
        let reached = tokio::spawn(async move { operator.reach(goal, &mut Kills::none(), patience).await });
        sleep(random.milliseconds(0, 150)).await;
        assert!(!fault.is_noticed() || !reached.is_finished(), "{goal:?} is reached without a store");
        failing.repair();
        for _ in 0..most {
            sleep(random.milliseconds(0, pause)).await;
            if reached.is_finished() {
                break;
            }
            let fault = next_fault();
            let failing = gateway.fail_store(fault, &mut random);
            match fault.is_noticed() {
                true => noticed(&bed.client).await,
                false => sleep(random.milliseconds(0, 300)).await,
            }
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
    let names: Vec<_> = faults.into_iter().map(StoreFault::name).collect();
    eprintln!(
        "a switch whose store has a {}: failed before each of 5 steps and {within} times within, {figures}",
        names.join(", a ")
    );
}
