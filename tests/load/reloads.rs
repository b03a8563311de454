//! Reloads of a configuration of many merchants, and what clients get meanwhile.

use std::{sync::Arc, time::Duration};

use crate::{
    bed::{Gateway, Seen, healthy_provider, is_full, retrieve_steadily},
    compared::{Compared, rounds},
};

/// How long after a reload the next one begins.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn clients_lose_no_request_while_many_merchants_are_reloaded() {
    let count = if is_full() { 1000 } else { 100 };
    let provider = healthy_provider().await;
    let merchants: Vec<_> = (0..count).map(|number| (format!("m{number}"), provider)).collect();
    let gateway = Arc::new(Gateway::start(&merchants));
    let mut compared = Compared::default();
    let mut times = Vec::new();
    for _ in 0..rounds() {
        compared.quiet(&gateway, "m0").await;
        let reloaded = Arc::clone(&gateway);
        let reloads = tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..5 {
                times.push(reloaded.reload().await);
                tokio::time::sleep(PAUSE).await;
            }
            times
        });
        compared.loaded(&gateway, "m0").await;
        times.extend(reloads.await.expect("reloads"));
    }
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("reloads of {count} merchants: {median:?}, at most {longest:?}; {compared}");
    if is_full() && !cfg!(debug_assertions) {
        assert!(longest <= RELOADED_WITHIN, "{longest:?}");
    }
    // Of so short a time, half as much again says nothing: a reload needs one of the processors for a tenth of a second.
    compared.judge_within("reloads", 1.5, Duration::from_millis(2));
}

/// No reload of a thousand merchants takes longer.
const RELOADED_WITHIN: Duration = Duration::from_secs(1);

/// How many requests in a second a client sends during many reloads, and how long after a reload the next one begins.
const PER_SECOND: u32 = 500;
const SHORT_PAUSE: Duration = Duration::from_millis(20);

/// How much more memory the process may have after all reloads than after the first tenth of them, in MiB.
const MAX_GROWTH: u64 = 4;

/// Each reload gives every merchant other credentials, so that no connection to a provider is kept.
#[tokio::test(flavor = "multi_thread")]
async fn clients_lose_no_request_during_a_thousand_reloads_and_the_memory_stays_flat() {
    let count = if is_full() { 1000 } else { 20 };
    let provider = healthy_provider().await;
    let merchants: Vec<_> = (0..20).map(|number| (format!("m{number}"), provider)).collect();
    let gateway = Arc::new(Gateway::start(&merchants));
    let reloads = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        async move {
            let (mut times, mut memory) = (Vec::new(), Vec::new());
            for number in 0..count {
                let (old, new) = [("any", "other"), ("other", "any")][number % 2];
                let [old, new] = [old, new].map(|secret| format!("api_key = \"{secret}\""));
                gateway.configure(|text| text.replace(&old, &new));
                times.push(gateway.reload().await);
                if (number + 1) % (count / 10) == 0 {
                    memory.push(gateway.resident());
                }
                tokio::time::sleep(SHORT_PAUSE).await;
            }
            (times, memory)
        }
    });
    let mut seen = Seen::default();
    while !reloads.is_finished() {
        seen.add(retrieve_steadily(&gateway, ("m0", None), PER_SECOND, Duration::from_secs(1)).await);
    }
    let (mut times, memory) = reloads.await.expect("reloads");
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let p99 = seen.p99();
    let (first, last) = (memory[0], memory[memory.len() - 1]);
    eprintln!(
        "{count} reloads of 20 merchants: {median:?}, at most {longest:?}; {} of {} requests failed, p99 {p99:?}; memory after each \
         tenth {memory:?} MiB",
        seen.failed,
        seen.times.len() + seen.not_judged
    );
    assert_eq!(seen.failed, 0, "no request fails");
    if is_full() {
        assert!(last <= first + MAX_GROWTH, "{memory:?}");
    }
}
