//! Measures creates per second, with a store on disk that waits for `fsync`. These tests are ignored by default,
//! because a debug build gives no useful figures:
//! `cargo test --release --test reliability -- --ignored throughput`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use libtest_mimic::Trial;

use crate::{
    bed::{Gateway, Setup, Twin, assert_agree, sized},
    client::{Client, person},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("throughput_of_creates_with_keys", || measure(true)).with_ignored_flag(true),
        trial("throughput_of_creates_without_keys", || measure(false)).with_ignored_flag(true),
    ]
}

async fn measure(keyed: bool) {
    const CLIENTS: usize = 32;
    let time = Duration::from_secs(sized(5, 30));
    let twin = Twin::start("lomi", "");
    let gateway = Gateway::start_for(&twin, &Setup::of(""));
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, next) = (Client::of(&gateway), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while begun.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (key, at) = (format!("key-{number}"), Instant::now());
                    let answer = client.create(keyed.then_some(&key), &person(number)).await.expect("an answer");
                    assert_eq!(answer.status, 201, "{}", answer.body);
                    times.push(at.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("no panic"));
    }
    let rate = times.len() * 1000 / usize::try_from(begun.elapsed().as_millis()).unwrap_or(1).max(1);
    times.sort();
    let within = |share: usize| times[(times.len() - 1) * share / 100];
    assert_agree(&twin, &gateway.records().await);
    let keys = if keyed { "with keys" } else { "without keys" };
    eprintln!(
        "throughput: {rate} creates per second {keys}, {CLIENTS} clients, {} in total; half within {:?}, 99 % within {:?}",
        times.len(),
        within(50),
        within(99),
    );
}
