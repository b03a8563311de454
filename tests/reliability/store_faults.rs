//! The file of the store fails while a write is in flight, while its outcome is unknown, or when the next process takes it over.
//! Whatever the fault, nothing is sent twice, and the write gets its true answer once the store is repaired.

use std::sync::Arc;

use libtest_mimic::Trial;
use passerelle::store::State;

use crate::{
    bed::{Gateway, Setup, StoreFault, Twin, assert_agree, count, sized, until},
    client::{Client, Outcome, person},
    trial::trial,
};

/// When the store fails.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The provider has executed the write and has not answered.
    InFlight,
    /// The outcome is unknown, and the gateway asks the provider for it.
    Unknown,
    /// The gateway was killed after the effect, and a new process takes the write over.
    TakenOver,
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for fault in StoreFault::ALL {
        for (step, when) in [
            (Step::InFlight, "while_a_write_is_in_flight"),
            (Step::Unknown, "while_an_outcome_is_unknown"),
            (Step::TakenOver, "while_a_write_is_taken_over"),
        ] {
            let failing = move || async move {
                for _ in 0..sized(1, 30) {
                    fails(fault, step).await;
                }
            };
            trials.push(fault.or_ignored(trial(format!("a_{}_{when}", fault.name()), failing)));
        }
    }
    trials
}

/// Until the gateway refuses a write because of the store. A balancer asks for its readiness meanwhile, as always: for that, the
/// gateway looks at the filesystem, which a test cannot make read-only for files that are open.
pub(crate) async fn noticed(client: &Client) {
    until("a write is refused", async || {
        client.get("/readyz").await?;
        let answer = client.create(None, &person(999_999)).await?;
        (answer.code() == "store_unavailable").then_some(())
    })
    .await;
}

async fn fails(fault: StoreFault, step: Step) {
    let faults = match step {
        Step::InFlight => "delay = \"300ms\"\nonly = [\"create\"]",
        Step::Unknown => "error_after = 1.0\nonly = [\"create\"]",
        Step::TakenOver => "hang_after = 1.0\nonly = [\"create\"]",
    };
    let twin = Twin::start("lomi", faults);
    let gateway = Gateway::start_for(&twin, &Setup::of("visibility_lag = \"300ms\"\ntimeout = \"5s\""));
    let client = Client::of(&gateway);
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.create(Some("key"), &person(1)).await }
    });
    until("the provider has executed the create", async || (!twin.created().is_empty()).then_some(())).await;
    let first = match step {
        Step::InFlight => None,
        Step::Unknown => Some(request.await.expect("no panic").expect("an answer")),
        Step::TakenOver => {
            gateway.kill();
            gateway.start();
            request.abort();
            None
        }
    };
    let failing = gateway.fail_store(fault);
    noticed(&client).await;
    assert_eq!(twin.creates().len(), 1, "nothing is sent without a durable claim");
    failing.repair();
    if let Some(first) = first {
        assert_eq!(first.code(), "outcome_unknown", "{}", first.body);
    }
    let Outcome::Done(answer) = client.create_until_known("key", &person(1)).await else {
        panic!("the create was executed")
    };
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_in_order(&twin, &gateway).await;
}

/// The one create has one effect and its record.
async fn assert_in_order(twin: &Twin, gateway: &Arc<Gateway>) {
    let records = gateway.records().await;
    assert_agree(twin, &records);
    assert_eq!((twin.creates().len(), count(&records, State::Done)), (1, 1), "{records:?}");
}
