//! `kill -9` of the gateway, or of one of two, again and again, before a vendor that fails in every way (I1 to I6).

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
    bed::{Dice, Fleet, PATIENCE, Setup, Twin, agree, count, kept_by, sized},
    client::{Client, Outcome, email, person},
    trial::trial,
};

/// Of all creates, 10 % are answered 500, half of them after the effect; 5 % hang after it; 5 % are reset, half
/// of them after it.
const FAULTS: &str = "error_before = 0.05\nerror_after = 0.05\nhang_after = 0.05\nreset_before = 0.025\n\
                      reset_after = 0.025\nonly = [\"create\"]\ndelay = \"1ms..30ms\"";

/// One run: the gateways, a vendor, how late it shows what is new, how long the gateway believes that it may take, and what
/// becomes of creates without a trace.
struct Run {
    fleet: Fleet,
    provider: &'static str,
    search_lag: u64,
    visibility_lag: u64,
    resends: bool,
    kills: usize,
}

pub(crate) fn trials() -> Vec<Trial> {
    // In the full size 200 kills in all, of each fleet.
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
    let mut dice = Dice::new(kills as u64 + visibility_lag);
    let faults = format!("seed = {}\nsearch_lag = \"{search_lag}ms\"\n{FAULTS}", dice.below(1 << 32));
    let twin = Twin::start(provider, &faults);
    let policy = if resends { "resend_after_lag" } else { "hold" };
    let mut setup = Setup::of(&format!(
        "timeout = \"400ms\"\nvisibility_lag = \"{visibility_lag}ms\"\non_ambiguous = \"{policy}\""
    ));
    if fleet == Fleet::Replicas {
        // Nobody is told that a process is dead: what it was at is left to it until its lease has run out.
        setup.store = "lease = \"2s\"".to_owned();
    }
    let gateways = fleet.before(&twin, &setup);
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
                    outcomes.insert(number, client.insist(&format!("key-{number}"), &body).await);
                }
                outcomes
            })
        })
        .collect();
    for _ in 0..kills {
        tokio::time::sleep(dice.milliseconds(30, 600)).await;
        let gateway = dice.one_of(&gateways);
        gateway.kill();
        gateway.start();
    }
    client.stop_beginning();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let give_up = tokio::spawn({
        let client = client.clone();
        async move {
            tokio::time::sleep_until(deadline).await;
            client.stop_asking();
        }
    });
    let mut outcomes = BTreeMap::new();
    for client in clients {
        outcomes.extend(client.await.expect("no panic"));
    }
    give_up.abort();
    // Everybody has an answer; it must still be the same, from the store alone.
    let asked = twin.requests();
    let mut tried = 0;
    for (number, outcome) in &outcomes {
        let Outcome::Done(first) = outcome else { continue };
        let again =
            client.create(Some(&format!("key-{number}")), &person_with_phone(*number)).await.expect("an answer");
        assert_eq!((again.status, &again.body), (first.status, &first.body), "key-{number}: byte for byte");
        tried += 1;
    }
    let background = twin.requests() - asked;
    let kept = kept_by(&gateways).await;
    agree(&twin, &kept);
    let made = twin.created();
    let (mut held, mut happened, mut done) = (0, 0, 0);
    for (number, outcome) in &outcomes {
        let made = made.get(&email_hash(&email(*number))).map_or(&[][..], Vec::as_slice);
        assert!(made.len() <= 1, "key-{number} had {} effects: {outcome:?}", made.len());
        match outcome {
            Outcome::Done(answer) => {
                let id = answer.json()["id"].as_str().expect("an id").to_owned();
                assert_eq!(made.first().map(|effect| &effect.customer), Some(&id), "key-{number} was acknowledged");
                let record = answer.operation().and_then(|id| kept.get(&id)).expect("an acknowledged write is kept");
                assert_eq!((record.state, record.customer.as_ref()), (State::Done, Some(&id)), "key-{number}");
                done += 1;
            }
            Outcome::Held(id) => {
                let record = kept.get(id).expect("an unknown write is kept");
                assert_eq!(record.state, State::Unknown, "key-{number}");
                held += 1;
                happened += made.len();
            }
            Outcome::Refused(answer) => panic!("key-{number}: {} {}", answer.status, answer.body),
        }
    }
    assert!(made.values().all(|made| made.len() == 1), "nobody was made twice");
    assert_eq!(kept.len(), outcomes.len(), "as many records as keys");
    assert!(done > kills, "{done} successes are too few to tell anything");
    assert!(!resends || held == 0, "{held} were held, though they may be sent again");
    eprintln!(
        "kills: {}, {provider}, {policy}, lag {visibility_lag} ms: {kills} kills, {} keys, {done} done, {held} held (of which {happened} happened), {} failed; \
         {} effects, at most one a key; {tried} answers given again, {background} requests meanwhile",
        fleet.told(),
        outcomes.len(),
        count(&kept, State::Failed),
        made.len(),
    );
}

/// With what every vendor wants.
fn person_with_phone(number: usize) -> serde_json::Value {
    let mut person = person(number);
    person["phone"] = format!("+22177{number:07}").into();
    person
}
