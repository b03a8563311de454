//! Repeated `kill -9` of the gateway, or of one of two replicas, while the vendor has faults of all kinds (I1 to I6).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};

use crate::{
    bed::{Fleet, PATIENCE, Random, Setup, Twin, assert_agree, count, records_of, sized},
    client::{Client, Outcome, email, person},
    trial::trial,
};

/// Of all creates, 10 % are answered 500, half of them after the effect. 5 % hang after the effect. 5 % are reset, half
/// of them after the effect.
const FAULTS: &str = "error_before = 0.05\nerror_after = 0.05\nhang_after = 0.05\nreset_before = 0.025\n\
                      reset_after = 0.025\nonly = [\"create\"]\ndelay = \"1ms..30ms\"";

/// One run.
struct Run {
    fleet: Fleet,
    provider: &'static str,
    /// How late the vendor shows new customers, in milliseconds.
    search_lag: u64,
    /// The `visibility_lag` of the gateway, in milliseconds.
    visibility_lag: u64,
    /// Whether the gateway sends a create without effect again.
    resends: bool,
    kills: usize,
}

pub(crate) fn trials() -> Vec<Trial> {
    // In the full size, 200 kills for each fleet.
    let run = |name, fleet: Fleet, provider, search_lag, visibility_lag, resends, small, full| {
        let run = Run { fleet, provider, search_lag, visibility_lag, resends, kills: sized(small, full) };
        fleet.or_ignored(trial(name, move || killed(run)))
    };
    let (alone, replicas) = (Fleet::Alone, Fleet::Replicas);
    vec![
        run("kill_9_again_and_again_held", alone, "lomi", 100, 300, false, 8, 60),
        run("kill_9_again_and_again_sent_again_after_the_lag", alone, "notchpay", 100, 400, true, 8, 80),
        run("kill_9_again_and_again_where_addresses_are_unique", alone, "bitnob", 150, 300, false, 4, 60),
        run("kill_9_again_and_again_of_one_of_two_held", replicas, "lomi", 100, 300, false, 4, 60),
        run(
            "kill_9_again_and_again_of_one_of_two_sent_again_after_the_lag",
            replicas,
            "notchpay",
            100,
            400,
            true,
            4,
            80,
        ),
        run(
            "kill_9_again_and_again_of_one_of_two_where_addresses_are_unique",
            replicas,
            "bitnob",
            150,
            300,
            false,
            2,
            60,
        ),
    ]
}

async fn killed(run: Run) {
    let Run { fleet, provider, search_lag, visibility_lag, resends, kills } = run;
    let mut random = Random::new(kills as u64 + visibility_lag);
    let faults = format!("seed = {}\nsearch_lag = \"{search_lag}ms\"\n{FAULTS}", random.below(1 << 32));
    let twin = Twin::start(provider, &faults);
    let policy = if resends { "resend_after_lag" } else { "hold" };
    let mut setup = Setup::of(&format!(
        "timeout = \"400ms\"\nvisibility_lag = \"{visibility_lag}ms\"\non_ambiguous = \"{policy}\""
    ));
    if fleet == Fleet::Replicas {
        // The replicas do not notice that a process is dead. They take over its writes only after its lease has
        // expired.
        setup.store = "lease = \"2s\"".to_owned();
    }
    let gateways = fleet.start_for(&twin, &setup);
    let client = Client::between(&gateways);
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut outcomes = BTreeMap::new();
                while !client.is_stopping() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let body = person_with_phone(number);
                    outcomes.insert(number, client.create_until_known(&format!("key-{number}"), &body).await);
                }
                outcomes
            })
        })
        .collect();
    for _ in 0..kills {
        tokio::time::sleep(random.milliseconds(30, 600)).await;
        let gateway = random.one_of(&gateways);
        gateway.kill();
        gateway.start();
    }
    client.stop_beginning();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let give_up = tokio::spawn({
        let client = client.clone();
        async move {
            tokio::time::sleep_until(deadline).await;
            client.give_up();
        }
    });
    let mut outcomes = BTreeMap::new();
    for client in clients {
        outcomes.extend(client.await.expect("no panic"));
    }
    give_up.abort();
    // Every key has an outcome. Its answer must be replayed unchanged from the store.
    let before = twin.requests();
    let mut replayed = 0;
    for (number, outcome) in &outcomes {
        let Outcome::Done(first) = outcome else { continue };
        let again =
            client.create(Some(&format!("key-{number}")), &person_with_phone(*number)).await.expect("an answer");
        assert_eq!((again.status, &again.body), (first.status, &first.body), "key-{number}: byte for byte");
        replayed += 1;
    }
    let background = twin.requests() - before;
    let records = records_of(&gateways).await;
    assert_agree(&twin, &records);
    let created = twin.created();
    let (mut held, mut held_with_effect, mut done) = (0, 0, 0);
    for (number, outcome) in &outcomes {
        let effects = created.get(&email_hash(&email(*number))).map_or(&[][..], Vec::as_slice);
        assert!(effects.len() <= 1, "key-{number} had {} effects: {outcome:?}", effects.len());
        match outcome {
            Outcome::Done(answer) => {
                let id = answer.json()["id"].as_str().expect("an id").to_owned();
                assert_eq!(effects.first().map(|effect| &effect.customer), Some(&id), "key-{number} was acknowledged");
                let record =
                    answer.operation().and_then(|id| records.get(&id)).expect("an acknowledged write has a record");
                assert_eq!((record.state, record.customer.as_ref()), (State::Done, Some(&id)), "key-{number}");
                done += 1;
            }
            Outcome::Held(id) => {
                let record = records.get(id).expect("an unknown write has a record");
                assert_eq!(record.state, State::Unknown, "key-{number}");
                held += 1;
                held_with_effect += effects.len();
            }
            Outcome::Refused(answer) => panic!("key-{number}: {} {}", answer.status, answer.body),
        }
    }
    assert!(created.values().all(|effects| effects.len() == 1), "no customer was created twice");
    assert_eq!(records.len(), outcomes.len(), "as many records as keys");
    assert!(done > kills, "only {done} successes: too few to test anything");
    assert!(!resends || held == 0, "{held} creates were held, although they may be sent again");
    eprintln!(
        "kills: {}, {provider}, {policy}, lag {visibility_lag} ms: {kills} kills, {} keys, {done} done, {held} held (of which {held_with_effect} had an effect), {} failed; \
         {} effects, at most one for each key; {replayed} answers replayed, {background} requests meanwhile",
        fleet.description(),
        outcomes.len(),
        count(&records, State::Failed),
        created.len(),
    );
}

/// With the fields that every vendor requires.
fn person_with_phone(number: usize) -> serde_json::Value {
    let mut person = person(number);
    person["phone"] = format!("+22177{number:07}").into();
    person
}
