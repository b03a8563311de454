//! The memory of a gateway that does nothing, and of one that 32 clients ask for customers and for pages of 100 all the time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    bed::{Client, Gateway, ID, answer, is_full, provider},
    priority,
};

/// The most memory without a request, in MiB.
const MOST_IDLE: u64 = 25;
/// The most memory under the load, in MiB.
const MOST_LOADED: u64 = 40;

const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_is_small_without_requests_and_under_a_load() {
    let customer = format!(
        r#"{{"customer_id":"{ID}","name":"Amadou Ba","email":"amadou@example.com","metadata":{{"plan":"gold"}}}}"#
    );
    let one = answer("200 OK", &format!(r#"{{"data":{customer}}}"#));
    let page = answer("200 OK", &format!(r#"{{"data":[{}]}}"#, vec![customer; 100].join(",")));
    let provider = priority::low(provider(Arc::new(move |path: &str| {
        Some(Arc::clone(if path.contains(ID) { &one } else { &page }))
    })));
    let merchants = [("other".to_owned(), provider.await.expect("a provider"))];
    // The clients use all processors, and the gateway is to refuse none of them.
    let gateway = Arc::new(Gateway::start_with(&merchants, "overload_wait = \"5m\"", ""));
    let idle = gateway.resident();
    let end = Instant::now() + Duration::from_secs(if is_full() { 20 } else { 2 });
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client::new(&gateway, "other");
        let path = if number % 2 == 0 { format!("/v1/customers/{ID}") } else { "/v1/customers?limit=100".to_owned() };
        priority::low(async move {
            let mut answered = 0_usize;
            while Instant::now() < end {
                assert_eq!(client.get(&path).await, 200);
                answered += 1;
            }
            answered
        })
    });
    let mut answered = 0;
    for client in clients.collect::<Vec<_>>() {
        answered += client.await.expect("every request is answered");
    }
    let (loaded, peak) = (gateway.resident(), gateway.peak());
    eprintln!(
        "memory: {idle} MiB without requests; after {answered} requests of {CLIENTS} clients {loaded} MiB, at most {peak} MiB"
    );
    if is_full() && !cfg!(debug_assertions) {
        assert!(idle <= MOST_IDLE, "{idle} MiB");
        assert!(peak <= MOST_LOADED, "{peak} MiB");
    }
}
