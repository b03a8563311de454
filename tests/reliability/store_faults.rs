//! The file of the store fails while a write is in flight, while its outcome is unknown, or when the next process takes it over.
//! Whatever the fault, nothing is sent twice, and the write gets its true answer once the store is repaired.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use passerelle::store::State;
use tokio::task::JoinHandle;

use crate::{
    bed::{Gateway, Random, Setup, StoreFault, Twin, assert_agree, count, sized, until},
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
    let mut trials = vec![trial("a_page_that_the_disk_lost_is_never_answered_from", lost_pages)];
    for fault in StoreFault::ALL.into_iter().filter(|fault| fault.is_noticed()) {
        for (step, when) in [
            (Step::InFlight, "while_a_write_is_in_flight"),
            (Step::Unknown, "while_an_outcome_is_unknown"),
            (Step::TakenOver, "while_a_write_is_taken_over"),
        ] {
            trials.push(fault.or_ignored(trial(format!("a_{}_{when}", fault.name()), move || async move {
                let mut random = Random::new(fault as u64 * 10 + step as u64);
                for _ in 0..sized(1, 30) {
                    fail_at(fault, step, &mut random).await;
                }
            })));
        }
    }
    trials
}

/// The step, as often as it takes until the store fails in time. On a busy machine it may be late.
async fn fail_at(fault: StoreFault, step: Step, random: &mut Random) {
    const TIMES: usize = 10;
    for _ in 0..TIMES {
        if fails(fault, step, random).await {
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
async fn fails(fault: StoreFault, step: Step, random: &mut Random) -> bool {
    let fault_of_create = match step {
        Step::InFlight => "delay = \"500ms\"",
        Step::Unknown => "error_after = 1.0",
        Step::TakenOver => "hang_after = 1.0",
    };
    let lag = LAG.as_secs();
    let twin = Twin::start("lomi", &format!("{fault_of_create}\nonly = [\"create\"]\nsearch_lag = \"{lag}s\""));
    let setup = Setup::of(&format!("visibility_lag = \"{lag}s\"\ntimeout = \"5s\""));
    let gateway = Gateway::start_for(&twin, &Setup { own_disk: fault.needs_own_disk(), ..setup });
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
    let failing = gateway.fail_store(fault, random);
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
    if fault == StoreFault::ReadOnlyDisk {
        let log = gateway.last_lines(1000);
        assert!(log.contains("the filesystem of the store is read-only: mount it"), "{log}");
    }
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

/// Without a write of another program, a damaged page is noticed when it is read. Whichever page the disk lost, each key gets the
/// answer that it had or is refused, and no write is lost. A page with answers is read for sure.
async fn lost_pages() {
    const CUSTOMERS: usize = 40;
    let (rounds, mut noticed) = (sized(4, 100), 0);
    let mut random = Random::new(0x10);
    let twin = Twin::start("lomi", "");
    let gateway = Gateway::start_for(&twin, &Setup::of("visibility_lag = \"100ms\""));
    let client = Client::of(&gateway);
    let mut answers = Vec::new();
    for number in 0..CUSTOMERS {
        answers.push(known(&client, number).await);
    }
    for round in 0..rounds {
        // The next process reads the file, and has no page in memory.
        gateway.kill();
        gateway.start();
        let has_answers = round % 2 == 0;
        let lost = gateway.lose_page(&mut random, |page| !has_answers || page.has_rows_of("operations"));
        let mut refused = 0;
        for (number, stored) in answers.iter().enumerate() {
            refused += usize::from(!is_answered(&client, number, stored).await);
        }
        let new = client.create(Some(&key(answers.len())), &person(answers.len())).await.expect("an answer");
        if has_answers {
            assert!(refused > 0, "{:?} was not read", lost.page());
            assert_eq!(
                (new.status, new.code().as_str()),
                (503, "store_unavailable"),
                "{:?}: {}",
                lost.page(),
                new.body
            );
        }
        noticed += usize::from(refused > 0 || new.status != 201);
        lost.repair();
        answers.push(known(&client, answers.len()).await);
        for (number, stored) in answers.iter().enumerate() {
            assert!(is_answered(&client, number, stored).await, "customer {number} in round {round}");
        }
    }
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    assert_eq!((twin.creates().len(), count(&records, State::Done)), (answers.len(), answers.len()));
    eprintln!("lost pages: {noticed} of {rounds} noticed, and all {} answers are still there", answers.len());
}

fn key(number: usize) -> String {
    format!("key-{number}")
}

/// The answer to the create of a customer.
async fn known(client: &Client, number: usize) -> Answer {
    match client.create_until_known(&key(number), &person(number)).await {
        Outcome::Done(answer) => answer,
        outcome => panic!("customer {number}: {outcome:?}"),
    }
}

/// Whether the key gets its answer. Otherwise it is refused, because the store cannot be read.
async fn is_answered(client: &Client, number: usize, stored: &Answer) -> bool {
    let answer = client.create(Some(&key(number)), &person(number)).await.expect("an answer");
    match answer.code().as_str() {
        "store_unavailable" => assert_eq!(answer.status, 503, "{}", answer.body),
        _ => assert_eq!((answer.status, &answer.body), (stored.status, &stored.body)),
    }
    answer.status == stored.status
}
