//! Many merchants at a provider that hangs, and what a merchant at another host still gets.

use std::{sync::Arc, time::Duration};

use crate::bed::{Client, Gateway, ID, healthy_provider, is_full, provider, retrieve_steadily};

/// Each merchant at the provider that hangs sends so many requests in a second, and does not wait for their answers.
const PER_SECOND: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn merchants_at_other_hosts_lose_no_request_while_a_provider_hangs() {
    let (count, duration) = if is_full() { (20, Duration::from_secs(40)) } else { (20, Duration::from_secs(4)) };
    let hanging = provider(Arc::new(|_| None)).await;
    let mut merchants: Vec<_> = (0..count).map(|number| (format!("hangs{number}"), hanging)).collect();
    merchants.push(("other".to_owned(), healthy_provider().await));
    let gateway = Gateway::start(&merchants);
    let alone = retrieve_steadily(&gateway, "other", 100, duration / 4).await.p99();
    let (gateway, mut senders) = (Arc::new(gateway), Vec::new());
    for (name, _) in merchants.iter().take(count) {
        let (gateway, name) = (Arc::clone(&gateway), name.clone());
        senders.push(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
            loop {
                ticks.tick().await;
                let mut client = Client::new(&gateway, &name);
                tokio::spawn(async move { client.get(&format!("/v1/customers/{ID}")).await });
            }
        }));
    }
    let mut beside = retrieve_steadily(&gateway, "other", 100, duration).await;
    senders.iter().for_each(tokio::task::JoinHandle::abort);
    let (p99, peak) = (beside.p99(), gateway.peak());
    eprintln!(
        "{count} merchants at a provider that hangs: {} of {} requests of others failed, p99 {p99:?}, alone {alone:?}, peak {peak} MiB",
        beside.failed,
        beside.times.len(),
    );
    assert_eq!(beside.failed, 0, "others lose no request");
}
