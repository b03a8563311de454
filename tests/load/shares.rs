//! Many merchants at a provider that hangs, and what a merchant at another host still gets.

use std::{sync::Arc, time::Duration};

use crate::{
    bed::{Client, Gateway, ID, healthy_provider, provider},
    compared::{Compared, rounds},
    priority,
};

/// The merchants at the provider that hangs.
const MERCHANTS: usize = 20;

/// Each of them sends so many requests in a second, and does not wait for their answers.
const PER_SECOND: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn merchants_at_other_hosts_lose_no_request_while_a_provider_hangs() {
    let hanging = priority::low(provider(Arc::new(|_| None))).await.expect("a provider");
    let mut merchants: Vec<_> = (0..MERCHANTS).map(|number| (format!("hangs{number}"), hanging)).collect();
    merchants.push(("other".to_owned(), healthy_provider().await));
    let gateway = Arc::new(Gateway::start(&merchants));
    let mut compared = Compared::default();
    for _ in 0..rounds() {
        compared.quiet(&gateway, "other").await;
        let senders = merchants.iter().take(MERCHANTS).map(|(name, _)| {
            let (gateway, name) = (Arc::clone(&gateway), name.clone());
            priority::low(async move {
                let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
                loop {
                    ticks.tick().await;
                    let mut client = Client::new(&gateway, &name);
                    tokio::spawn(async move { client.get(&format!("/v1/customers/{ID}")).await });
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        compared.loaded(&gateway, "other").await;
        senders.iter().for_each(tokio::task::JoinHandle::abort);
    }
    eprintln!("{MERCHANTS} merchants at a provider that hangs: peak {} MiB, {compared}", gateway.peak());
    compared.judge("a provider that hangs");
}
