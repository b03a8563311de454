//! Clients that work all the time while their merchant switches providers, and do not notice it: no failure, no missing
//! customer, no read that is older than an acknowledged write, no list that misses or doubles one. One customer is written
//! ten times a second during the whole switch.

mod operator;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use libtest_mimic::Trial;
use serde_json::Value;

use self::{
    operator::{KEY, Operator},
    worker::{Watch, Worker},
};
use crate::{
    bed::{Fleet, Setup, Twin, sized, until},
    client::Client,
    trial::trial,
};

/// What the operator does while the clients work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Run,
    Cutover,
    Rollback,
    SecondCutover,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Before, Self::Run, Self::Cutover, Self::Rollback, Self::SecondCutover];
}

pub(crate) fn trials() -> Vec<Trial> {
    [Fleet::Alone, Fleet::Replicas]
        .map(|fleet| {
            let of = if fleet == Fleet::Alone { "one_gateway" } else { "two_replicas" };
            let trial = trial(format!("a_client_does_not_notice_a_switch_of_{of}"), move || switched(fleet));
            fleet.or_ignored(trial)
        })
        .into()
}

/// The work of all clients together.
struct Work {
    watch: Arc<Watch>,
    steps: Vec<Arc<AtomicUsize>>,
}

impl Work {
    /// Waits until every client has worked for a while in this phase.
    async fn go_on(&self) {
        const STEPS: usize = 8;
        for _ in 0..sized(1, 50) {
            let count = |steps: &Arc<AtomicUsize>| steps.load(Ordering::SeqCst);
            let before: Vec<usize> = self.steps.iter().map(count).collect();
            let is_enough = || self.steps.iter().map(count).zip(&before).all(|(now, before)| now >= before + STEPS);
            until("the work of the clients", async || {
                (is_enough() || !self.watch.violations().is_empty()).then_some(())
            })
            .await;
        }
    }
}

async fn switched(fleet: Fleet) {
    let (old, new) = (Twin::start("notchpay", ""), Twin::start("modempay", ""));
    let setup = Setup::of(&format!(
        "visibility_lag = \"100ms\"\n[merchants.acme.connections.new]\nprovider = \"modempay\"\nbase_url = \"{}\"\n\
         credentials = {{ secret_key = \"any\" }}\nvisibility_lag = \"100ms\"\n\
         [operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{KEY}\"]",
        new.url(None)
    ));
    let gateways = fleet.start_for(&old, &setup);
    let watch = Arc::new(Watch::default());
    let client = Client::between(&gateways);
    // In the full size, 100 requests a second and more: a walk is several.
    let (clients, pace) = sized((3, Duration::from_millis(60)), (8, Duration::from_millis(80)));
    let mut work = Work { watch: Arc::clone(&watch), steps: Vec::new() };
    let mut tasks = Vec::new();
    for number in 0..clients {
        let worker = Worker::new(format!("w{number}"), number, client.clone(), &watch, pace);
        work.steps.push(Arc::clone(&worker.steps));
        tasks.push(tokio::spawn(worker.work()));
    }
    let hot = Worker::new("hot".to_owned(), clients, client, &watch, Duration::from_millis(100));
    let updates = Arc::clone(&hot.steps);
    tasks.push(tokio::spawn(hot.write_one()));

    work.go_on().await;
    watch.begin(Phase::Run);
    let mut operator = Operator::plan(&gateways).await;
    operator.run().await;
    work.go_on().await;
    watch.begin(Phase::Cutover);
    operator.cut_over().await;
    work.go_on().await;
    operator.wait("the move", |view| has_moved(view, clients + 1)).await;
    work.go_on().await;
    watch.begin(Phase::Rollback);
    operator.roll_back().await;
    work.go_on().await;
    watch.begin(Phase::SecondCutover);
    operator.cut_over().await;
    work.go_on().await;
    let view = operator.view().await;
    watch.end();
    for task in tasks {
        if let Err(error) = task.await {
            watch.violated(error.to_string());
        }
    }
    let violations = watch.violations();
    assert!(violations.is_empty(), "{}: {}\n{view}", violations.len(), violations.join("\n"));
    report(fleet, &watch, updates.load(Ordering::SeqCst), &view);
}

/// Whether all customers but a few have moved to the target. The client writes some of them all the time, and the target
/// cannot have all sample customers of the source.
fn has_moved(view: &Value, few: u64) -> bool {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let left = number(&view["records"]["refused"]) + number(&view["records"]["needs_decision"]);
    number(&view["pinned"]["main"]) <= left + few
}

/// Prints the times of each phase. In the full size, a request may not take half a second longer than without a switch.
fn report(fleet: Fleet, watch: &Watch, updates: usize, view: &Value) {
    let without = watch.times(Phase::Before).last().copied().unwrap_or_default();
    for phase in Phase::ALL {
        let times = watch.times(phase);
        let within = |share: usize| times[(times.len() - 1) * share / 100];
        eprintln!(
            "switch: {}, {phase:?}: {} requests, half within {:?}, 99 % within {:?}, all within {:?}",
            fleet.description(),
            times.len(),
            within(50),
            within(99),
            within(100),
        );
        let most = sized(Duration::MAX, without + Duration::from_millis(500));
        assert!(within(100) <= most, "{phase:?}: a request took {:?}, and {without:?} without a switch", within(100));
    }
    eprintln!(
        "switch: {}, {updates} updates of one customer; at the end pinned: {}",
        fleet.description(),
        view["pinned"]
    );
}
