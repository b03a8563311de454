//! Reloads of a configuration of many merchants, and what clients get meanwhile.

use std::{sync::Arc, time::Duration};

use crate::{
    bed::{Gateway, healthy_provider, is_full},
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
    compared.judge("reloads");
}
