//! Twice as many requests as the gateway can answer: how many it still answers, and how fast it refuses the others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Barrier,
    time::{MissedTickBehavior, interval},
};

use crate::{
    bed::{Client, Gateway, answer, is_full, provider},
    priority,
};

/// How many clients send, each over its own connection, so at most so many requests are in flight: few, or with `LOAD=full` as
/// many as twice the peak needs.
const CLIENTS: [u32; 2] = [256, 1024];

/// How many clients find the peak. Each sends its next request after the answer.
const CLIENTS_AT_PEAK: u32 = 16;

/// A page of 100 customers.
fn page() -> String {
    let customer = |number: usize| {
        format!(
            r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"Amadou Ba","email":"a{number}@example.com"}}"#
        )
    };
    format!(r#"{{"data":[{}]}}"#, (0..100).map(customer).collect::<Vec<_>>().join(","))
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    served: Vec<Duration>,
    refused: Vec<Duration>,
    others: Vec<u16>,
}

impl Seen {
    fn note(&mut self, status: u16, time: Duration) {
        match status {
            200 => self.served.push(time),
            503 => self.refused.push(time),
            other => self.others.push(other),
        }
    }

    fn add(&mut self, other: Self) {
        self.served.extend(other.served);
        self.refused.extend(other.refused);
        self.others.extend(other.others);
    }
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// Sends requests for a time, as many in a second as `per_second` says or, without it, one after the other.
async fn send(gateway: &Arc<Gateway>, clients: u32, per_second: Option<f64>, duration: Duration) -> Seen {
    let connected = Arc::new(Barrier::new(usize::try_from(clients).unwrap_or_default()));
    let tasks = (0..clients).map(|_| {
        let (gateway, connected) = (Arc::clone(gateway), Arc::clone(&connected));
        priority::high(async move {
            let (mut client, mut seen) = (Client::new(&gateway, "acme"), Seen::default());
            // Connections that are made all at once wait for their turn in the system. They are not measured.
            assert_eq!(client.get("/livez").await, 200);
            connected.wait().await;
            let mut ticks = per_second.map(|rate| interval(Duration::from_secs_f64(f64::from(clients) / rate)));
            if let Some(ticks) = &mut ticks {
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            let end = Instant::now() + duration;
            while Instant::now() < end {
                if let Some(ticks) = &mut ticks {
                    ticks.tick().await;
                }
                let begun = Instant::now();
                let status = client.get("/v1/customers?limit=100").await;
                seen.note(status, begun.elapsed());
            }
            seen
        })
    });
    let mut all = Seen::default();
    for task in tasks.collect::<Vec<_>>() {
        all.add(task.await.expect("a client"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn at_twice_the_peak_the_gateway_answers_as_many_requests_and_refuses_the_others() {
    let page = answer("200 OK", &page());
    let vendor = priority::high(provider(Arc::new(move |_| Some(Arc::clone(&page))))).await.expect("a provider");
    let gateway = Arc::new(Gateway::start(&[("acme".to_owned(), vendor)]));
    // Clients that take the gateway's processor would judge themselves.
    let is_alone = is_full() && gateway.has_a_processor_alone();
    let duration = Duration::from_secs(if is_full() { 30 } else { 2 });
    send(&gateway, CLIENTS_AT_PEAK, None, duration / 4).await;
    let peak = send(&gateway, CLIENTS_AT_PEAK, None, duration / 2).await;
    let per_second =
        |count: usize, time: Duration| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64();
    let peak = per_second(peak.served.len(), duration / 2);
    let loaded = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        async move { send(&gateway, CLIENTS[usize::from(is_full())], Some(2.0 * peak), duration).await }
    });
    let mut prober = Client::new(&gateway, "acme");
    let mut slowest = Duration::ZERO;
    while !loaded.is_finished() {
        let begun = Instant::now();
        assert_eq!(prober.get("/livez").await, 200, "health is never refused");
        slowest = slowest.max(begun.elapsed());
    }
    let mut seen = loaded.await.expect("the clients");
    let goodput = per_second(seen.served.len(), duration) / peak;
    let (served, refused) = (p99(&mut seen.served), p99(&mut seen.refused));
    eprintln!(
        "twice the peak of {peak:.0} pages/s (a processor alone: {is_alone}): goodput {goodput:.2} of it ({} served, p99 {served:?}; {} refused, p99 \
         {refused:?}); slowest /livez {slowest:?}; peak {} MiB",
        seen.served.len(),
        seen.refused.len(),
        gateway.peak()
    );
    assert!(seen.others.is_empty(), "every request is served or refused: {:?}", seen.others);
    assert!(!seen.served.is_empty(), "overload does not end the service");
    if is_full() && !cfg!(debug_assertions) {
        assert!(goodput >= 0.9 && refused <= Duration::from_millis(20), "goodput {goodput}, refusals {refused:?}");
    }
}
