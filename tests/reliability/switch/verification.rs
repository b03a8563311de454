//! A verification that is killed again and again, while clients write: it finds what was planted and nothing else, and counts
//! each record once (R29).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    bed::{Bed, Sides, person, phone},
    clients::{Known, seed},
    operator::{Goal, Kills, is_quiet},
};
use crate::{
    bed::{Fleet, Gateway, Random, Setup, sized},
    client::{Client, Outcome},
    trial::trial,
};

/// The clients that write all the time.
const WRITERS: usize = 4;

pub(crate) fn trials() -> Vec<Trial> {
    let run = |name, fleet: Fleet| fleet.or_ignored(trial(name, move || verified(fleet)));
    vec![
        run("a_verification_under_kill_9", Fleet::Alone),
        run("a_verification_under_kill_9_of_one_of_two", Fleet::Replicas),
    ]
}

/// How many of each kind are planted: changed, cleared, deleted, extra.
fn planted() -> [usize; 4] {
    sized([4, 2, 2, 2], [20, 10, 10, 10])
}

async fn verified(fleet: Fleet) {
    let (count, changing, kills) = (sized(200, 10_000), sized(10, 100), sized(3, 20));
    let patience = sized(crate::bed::PATIENCE, std::time::Duration::from_mins(30));
    let sides = Sides {
        providers: ["modempay", "notchpay"],
        faults: ["", "delay = \"5ms..15ms\"\n"],
        connection: "timeout = \"3s\"\nvisibility_lag = \"100ms\"\non_ambiguous = \"resend_after_lag\"",
        store: if fleet == Fleet::Replicas { "lease = \"2s\"" } else { "" },
    };
    let bed = sides.start(fleet);
    let customers = seed(&bed, count).await;
    bed.operator.reach(Goal::Copied, &mut Kills::none(), patience).await;
    let before = verify(&bed, &json!({}), 0, patience).await;
    let (quiet, rest) = customers.split_at(count - changing);
    plant(&bed, quiet, count).await;

    let writers = Writers::start(&bed, rest);
    let found = verify(&bed, &json!({}), kills, patience).await;
    let [changed, cleared, deleted, extra] = planted();
    let counts = ["differs", "missing", "unreadable"].map(|kind| number(&found[kind]));
    assert_eq!(counts, [changed + cleared, deleted, 0], "{found}");
    assert_eq!(number(&found["extra"]), number(&before["extra"]) + extra, "{before} {found}");
    assert!(number(&found["busy"]) <= changing, "{found}");
    assert_eq!(number(&found["checked"]), number(&before["checked"]) + extra, "each record once: {before} {found}");
    let named: Vec<Value> = bed.operator.records().await;
    let named = named.iter().filter(|one| one["differences"].as_array().is_some_and(|fields| !fields.is_empty()));
    assert_eq!(named.count(), changed + cleared, "the records name the fields");
    writers.stop().await;

    bed.operator.wait("what was written is copied", patience, is_quiet).await;
    let repaired = verify(&bed, &json!({ "repair": true }), kills, patience).await;
    let counts = ["differs", "missing", "unreadable"].map(|kind| number(&repaired[kind]));
    assert_eq!(counts, [0, 0, 0], "{repaired}");
    eprintln!(
        "a verification of {count} customers, {}: {kills} kills, {} of {} differences found, {} busy, 0 others",
        fleet.description(),
        changed + cleared + deleted + extra,
        planted().iter().sum::<usize>(),
        found["busy"],
    );
}

/// Verifies, while gateways are killed.
async fn verify(bed: &Bed, options: &Value, mut kills: usize, patience: std::time::Duration) -> Value {
    let (until, mut random) = (tokio::time::Instant::now() + patience, Random::new(kills as u64 + 29));
    let view = bed.operator.view().await;
    loop {
        // The answer may get lost with the process.
        match bed.operator.command(view.as_ref(), "verify", options).await {
            Some((200, _)) => break,
            other => assert!(tokio::time::Instant::now() < until, "{other:?}"),
        }
    }
    loop {
        let verified = bed.operator.view().await.expect("a switch")["verified"].clone();
        if verified["complete"] == true {
            let kinds = ["equal", "equal_after_rule", "differs", "missing", "extra", "busy", "unreadable"];
            let sum: usize = kinds.iter().map(|kind| number(&verified[kind])).sum();
            assert_eq!(number(&verified["checked"]), sum, "{verified}");
            return verified;
        }
        assert!(tokio::time::Instant::now() < until, "the verification did not end: {verified}");
        tokio::time::sleep(random.milliseconds(50, 300)).await;
        if kills > 0 {
            kills -= 1;
            let gateway = random.one_of(&bed.gateways);
            gateway.kill();
            gateway.start();
        }
    }
}

fn number(count: &Value) -> usize {
    count.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// Makes differences at the target, outside the gateway.
async fn plant(bed: &Bed, customers: &[Known], next: usize) {
    let theirs = Client::of(&Gateway::start_for(&bed.new, &Setup::of("")));
    let records = bed.operator.records().await;
    let [changed, cleared, deleted, extra] = planted();
    // Over the whole range of the ids, so that they are on many pages.
    let step = customers.len() / (changed + cleared + deleted);
    for (number, known) in customers.iter().step_by(step).take(changed + cleared + deleted).enumerate() {
        let record = records.iter().find(|record| record["public_id"] == *known.id).expect("a record");
        let path = format!("/v1/customers/{}", record["target_id"].as_str().expect("a copy"));
        let key = format!("plant-{number}");
        let (method, body) = match number {
            _ if number < changed => (Method::PATCH, Some(json!({ "phone": phone(next + 1000 + number) }))),
            _ if number < changed + cleared => (Method::PATCH, Some(json!({ "phone": null }))),
            _ => (Method::DELETE, None),
        };
        let outcome = theirs.send_until_known(method, &path, &key, body.as_ref()).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{key}: {outcome:?}");
    }
    for number in next + 2000..next + 2000 + extra {
        let outcome = theirs.create_until_known(&format!("extra-{number}"), &person(number)).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{number}: {outcome:?}");
    }
}

/// Clients that change customers all the time.
struct Writers {
    is_stopping: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Writers {
    fn start(bed: &Bed, customers: &[Known]) -> Self {
        let (is_stopping, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for writer in 0..WRITERS {
            let ids: Vec<String> =
                customers.iter().skip(writer).step_by(WRITERS).map(|known| known.id.clone()).collect();
            let (client, is_stopping) = (bed.client.clone(), Arc::clone(&is_stopping));
            tasks.spawn(async move {
                let mut round = 0;
                while !is_stopping.load(Ordering::Relaxed) {
                    let (id, number) = (&ids[round % ids.len()], 100_000 + round * WRITERS + writer);
                    let (path, key) = (format!("/v1/customers/{id}"), format!("busy-{writer}-{round}"));
                    let body = json!({ "phone": phone(number) });
                    let outcome = client.send_until_known(Method::PATCH, &path, &key, Some(&body)).await;
                    assert!(matches!(outcome, Outcome::Done(_)), "{key}: {outcome:?}");
                    round += 1;
                }
            });
        }
        Self { is_stopping, tasks }
    }

    async fn stop(self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}
