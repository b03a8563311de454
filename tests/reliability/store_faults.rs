//! The file of the store fails while a write is in flight, while its outcome is unknown, or when the next process takes it over.
//! Whatever the fault, nothing is sent twice, and the write gets its true answer once the store is repaired.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use passerelle::store::State;
use tokio::task::JoinHandle;

use crate::{
    bed::{Gateway, Setup, StoreFault, Twin, assert_agree, count, sized, until},
    client::{Answer, Client, Outcome, person},
    trial::trial,
};

/// When the store fails.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The provider has executed the write and has not answered. The end of the write cannot be stored.
    InFlight,
    /// The outcome is unknown. No process can take the write over to ask the provider for it.
    Unknown,
    /// The gateway was killed after the effect, and a new process has taken the write over. What it finds cannot be stored.
    TakenOver,
}

/// How long a provider does not show a new customer. Before that, no outcome can become known.
const LAG: Duration = Duration::from_secs(1);

/// How long the store fails. Meanwhile the gateway looks for writes to reconcile more than once.
const FAILS_FOR: Duration = Duration::from_secs(2);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for fault in StoreFault::ALL {
        for (step, when) in [
            (Step::InFlight, "while_a_write_is_in_flight"),
            (Step::Unknown, "while_an_outcome_is_unknown"),
            (Step::TakenOver, "while_a_write_is_taken_over"),
        ] {
            trials.push(trial(format!("a_{}_{when}", fault.name()), move || async move {
                for _ in 0..sized(1, 30) {
                    fail_at(fault, step).await;
                }
            }));
        }
    }
    trials
}

/// The step, as often as it takes until the store fails in time. On a busy machine it may be late.
async fn fail_at(fault: StoreFault, step: Step) {
    const TIMES: usize = 10;
    for _ in 0..TIMES {
        if fails(fault, step).await {
            return;
        }
    }
    panic!("the store failed {TIMES} times too late for {step:?}");
}

/// Until the gateway refuses a write because of the store.
pub(crate) async fn noticed(client: &Client) {
    until("a write is refused", async || {
        let answer = client.create(None, &person(999_999)).await?;
        (answer.code() == "store_unavailable").then_some(())
    })
    .await;
}

/// Whether the store failed before the outcome could be known.
async fn fails(fault: StoreFault, step: Step) -> bool {
    let fault_of_create = match step {
        Step::InFlight => "delay = \"500ms\"",
        Step::Unknown => "error_after = 1.0",
        Step::TakenOver => "hang_after = 1.0",
    };
    let lag = LAG.as_secs();
    let twin = Twin::start("lomi", &format!("{fault_of_create}\nonly = [\"create\"]\nsearch_lag = \"{lag}s\""));
    let gateway = Gateway::start_for(&twin, &Setup::of(&format!("visibility_lag = \"{lag}s\"\ntimeout = \"5s\"")));
    let client = Client::of(&gateway);
    let begun = Instant::now();
    let mut request = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("key"), &person(1)).await }
    });
    until("the provider has executed the create", async || (!twin.created().is_empty()).then_some(())).await;
    match step {
        Step::InFlight => {}
        Step::Unknown => assert_unknown(&mut request).await,
        Step::TakenOver => {
            gateway.kill();
            gateway.start();
        }
    }
    let failing = gateway.fail_store(fault);
    let is_in_time = match step {
        Step::InFlight => !request.is_finished(),
        Step::Unknown | Step::TakenOver => begun.elapsed() < LAG,
    };
    if !is_in_time {
        failing.repair();
        return false;
    }
    let ends = Instant::now() + FAILS_FOR;
    while Instant::now() < ends {
        noticed(&client).await;
    }
    assert_eq!(twin.creates().len(), 1, "nothing is sent without a durable claim");
    if matches!(step, Step::InFlight) {
        assert_unknown(&mut request).await;
    }
    failing.repair();
    let Outcome::Done(answer) = client.create_until_known("key", &person(1)).await else {
        panic!("the create was executed")
    };
    assert_eq!(answer.status, 201, "{}", answer.body);
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!((twin.creates().len(), count(&records, State::Done)), (1, 1), "{records:?}");
    true
}

/// The provider has executed the write, and the gateway does not know that: it answers the client `outcome_unknown`.
async fn assert_unknown(request: &mut JoinHandle<Option<Answer>>) {
    let answer = request.await.expect("no panic").expect("an answer");
    assert_eq!(answer.code(), "outcome_unknown", "{}", answer.body);
}
