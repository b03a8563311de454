//! Merchants at a provider that accepts their requests and never answers, what a merchant at another host still gets, and how
//! they themselves are refused.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    bed::{Client, Endpoint, Gateway, ID, Seen, healthy_provider, is_full, provider},
    compared::{Compared, duration, rounds},
    priority,
};

/// How many requests in a second the merchants at the provider that hangs send together. They do not wait for answers.
fn per_second() -> u32 {
    if is_full() { 500 } else { 200 }
}

/// How long they do.
fn load() -> Duration {
    if is_full() { Duration::from_mins(1) } else { duration() * 2 }
}

/// The p99 of others may be so many times as long as without the load, and this time longer.
const MOST_GROWTH: (f64, Duration) = (1.2, Duration::from_millis(2));

/// The most memory of the process, and how much more it may have in the end than after the first third of the load, in MiB.
const MAX_PEAK: u64 = 128;
const MAX_GROWTH: u64 = 8;

/// While a breaker is open, 99 of 100 requests are refused within this time.
const REFUSED_WITHIN: Duration = Duration::from_millis(10);

/// The requests of one merchant, each over a connection of its own.
fn send(gateway: &Arc<Gateway>, name: &str, per_second: u32) -> JoinHandle<()> {
    let (gateway, name) = (Arc::clone(gateway), name.to_owned());
    priority::low(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        loop {
            ticks.tick().await;
            let mut client = Client::new(&gateway, &name);
            tokio::spawn(async move { client.get(&format!("/v1/customers/{ID}")).await });
        }
    })
}

/// What a caller of the provider that hangs sees until `end`, from the first request on that the breaker refused: how long
/// its refusals took, and how many requests had another answer. The gateway sends one now and then to find out whether the
/// provider answers again.
fn call(gateway: &Arc<Gateway>, name: &str, end: Instant) -> JoinHandle<(Seen, usize)> {
    let mut client = Client::new(gateway, name);
    priority::high(async move {
        let (mut refused, mut others) = (Seen::default(), 0);
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while Instant::now() < end {
            ticks.tick().await;
            let begun = Instant::now();
            let status = client.get(&format!("/v1/customers/{ID}")).await;
            match status == 503 && client.is_refused_as("provider_unavailable") {
                true => refused.times.push(begun.elapsed()),
                false => others += usize::from(!refused.times.is_empty()),
            }
        }
        (refused, others)
    })
}

/// So many merchants at a provider that hangs, and one at another host.
async fn beside_a_provider_that_hangs(merchants: u32) {
    let hanging = priority::low(provider(Arc::new(|_| None))).await.expect("a provider");
    let names: Vec<_> = (0..merchants).map(|number| format!("hangs{number}")).collect();
    let all: Vec<(String, Endpoint)> = names.iter().map(|name| (name.clone(), hanging)).collect();
    let all = [all, vec![("other".to_owned(), healthy_provider().await)]].concat();
    // The first attempts of a small load must end before the load does, or else no breaker opens.
    let connection = if is_full() { "" } else { "timeout = \"200ms\"" };
    let gateway = Arc::new(Gateway::start_with(&all, "", connection));
    let mut compared = Compared::default();
    let quiet_rounds = rounds() * if is_full() { 3 } else { 1 };
    for _ in 0..quiet_rounds {
        compared.quiet(&gateway, "other").await;
    }
    let end = Instant::now() + load();
    let callers: Vec<_> = (0..4).map(|number| call(&gateway, &names[number % names.len()], end)).collect();
    let senders: Vec<_> = names.iter().map(|name| send(&gateway, name, per_second() / merchants)).collect();
    let mut memory = Vec::new();
    while Instant::now() < end {
        compared.loaded(&gateway, "other").await;
        memory.push(gateway.resident());
    }
    senders.iter().for_each(JoinHandle::abort);
    let (mut refused, mut others) = (Seen::default(), 0);
    for caller in callers {
        let (more_refused, more_others) = caller.await.expect("a caller");
        refused.add(more_refused);
        others += more_others;
    }
    let (refusals, slowest) = (refused.times.len(), refused.p99());
    let (peak, growth) = (gateway.peak(), memory[memory.len() - 1].saturating_sub(memory[memory.len() / 3]));
    eprintln!(
        "{merchants} merchants at a provider that hangs, {} requests/s for {:?}: peak {peak} MiB, {growth} MiB more in the end \
         than after a third ({memory:?}); behind the open breaker {refusals} refused, p99 {slowest:?}, {others} with another \
         answer; {compared}",
        per_second(),
        load()
    );
    assert!(refusals > 0 && others < refusals, "the breaker opens, and refuses: {refusals}, others {others}");
    compared.judge_within("a provider that hangs", MOST_GROWTH.0, MOST_GROWTH.1);
    assert!(peak <= MAX_PEAK, "{peak} MiB");
    if is_full() && !cfg!(debug_assertions) {
        assert!(growth <= MAX_GROWTH, "{growth} MiB more: {memory:?}");
        assert!(slowest <= REFUSED_WITHIN, "{slowest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merchants_at_other_hosts_lose_no_request_while_the_provider_of_one_merchant_hangs() {
    beside_a_provider_that_hangs(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merchants_at_other_hosts_lose_no_request_while_the_provider_of_twenty_merchants_hangs() {
    beside_a_provider_that_hangs(20).await;
}
