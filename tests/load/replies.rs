//! Large replies of one provider, and what the merchants at another one still get.

use std::{sync::Arc, time::Duration};

use crate::bed::{Client, Gateway, ID, answer, healthy_provider, is_full, provider, retrieve_steadily};

/// The largest reply that is accepted by default.
const MAX_REPLY: usize = 8 << 20;
/// The most memory of the process, in MiB.
const MAX_PEAK: u64 = 160;

/// How often all clients ask for a large reply at once.
const PAUSE: Duration = Duration::from_secs(2);

/// A text that repeats a part up to about `size` bytes.
fn repeated(begin: &str, part: &str, end: &str, size: usize) -> String {
    format!("{begin}{}{end}", part.repeat((size - begin.len() - end.len()) / part.len()))
}

/// Clients list the customers of a provider whose replies are large, while others retrieve a customer at another one.
async fn others_are_served_during(name: &str, status: &'static str, body: String) {
    let (clients, duration) = if is_full() { (32, Duration::from_secs(10)) } else { (32, Duration::from_secs(1)) };
    let large = answer(status, &body);
    drop(body);
    let merchants = [
        ("large".to_owned(), provider(Arc::new(move |_| Some(Arc::clone(&large)))).await),
        ("other".to_owned(), healthy_provider().await),
    ];
    let gateway = Gateway::start(&merchants);
    retrieve_steadily(&gateway, "other", 100, duration / 4).await;
    let alone = retrieve_steadily(&gateway, "other", 100, duration).await.p99();
    let lists = (0..clients).map(|_| {
        let mut client = Client::new(&gateway, "large");
        tokio::spawn(async move {
            // All clients at once, then a pause.
            let mut ticks = tokio::time::interval(PAUSE);
            loop {
                ticks.tick().await;
                assert_ne!(client.get("/v1/customers?limit=100").await, 0, "every request is answered");
            }
        })
    });
    let lists: Vec<_> = lists.collect();
    let mut beside = retrieve_steadily(&gateway, "other", 100, duration).await;
    assert!(lists.iter().all(|list| !list.is_finished()), "{name}: a request was not answered");
    lists.iter().for_each(tokio::task::JoinHandle::abort);
    let (p99, peak) = (beside.p99(), gateway.peak());
    eprintln!("{name}: {clients} at once, peak {peak} MiB, p99 of others {p99:?}, alone {alone:?}");
    assert_eq!(beside.failed, 0, "{name}: others lose no request");
    assert!(peak <= MAX_PEAK, "{name}: {peak} MiB");
}

fn size() -> usize {
    if is_full() { MAX_REPLY } else { MAX_REPLY / 4 }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_entries_that_are_no_records() {
    others_are_served_during("no records", "200 OK", repeated(r#"{"data":["#, "{},", "{}]}", size())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_many_small_records() {
    let part = format!(r#"{{"customer_id":"{ID}"}},"#);
    let body = repeated(r#"{"data":["#, &part, part.trim_end_matches(','), size() - 10);
    others_are_served_during("small records", "200 OK", body + "]}").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_records() {
    let part = format!(r#"{{"customer_id":"{ID}","note":"{}"}},"#, "N".repeat(size() / 100));
    let body = format!(r#"{{"data":[{}{}]}}"#, part.repeat(98), part.trim_end_matches(','));
    others_are_served_during("large records", "200 OK", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_much_metadata() {
    let begin = format!(r#"{{"data":[{{"customer_id":"{ID}","metadata":{{"#);
    others_are_served_during("metadata", "200 OK", repeated(&begin, r#""a":1,"#, r#""a":1}}]}"#, size())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_refusals() {
    let body = repeated(r#"{"error":{"message":"no","details":["#, "{},", "{}]}}", size());
    others_are_served_during("refusals", "400 Bad Request", body).await;
}
