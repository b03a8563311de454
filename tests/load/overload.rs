//! Twice and ten times as many requests as the gateway can answer: how many it still answers, how fast it refuses the others,
//! whether a merchant that sends few is still served, and how soon it is as before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Barrier, Semaphore},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, interval_at},
};

use crate::{
    bed::{Client, Endpoint, Gateway, answer, is_full, provider},
    priority,
};

/// How many clients send, each over its own connection, so at most so many requests are in flight: few, or with `LOAD=full` more
/// than twice the peak needs.
const CLIENTS: [u32; 2] = [256, 1024];

/// How many of them send at once to find the peak: how many requests the gateway answers in a second to clients that wait for its
/// answers. At a constant rate of requests, it answers as many or fewer.
const AT_ONCE: usize = 16;

/// 99 of 100 refusals take no longer.
const REFUSED_WITHIN: Duration = Duration::from_millis(20);

/// No answer of `/livez` takes longer.
const ALIVE_WITHIN: Duration = Duration::from_millis(100);

/// The part of the peak that the gateway still answers, and answers again so soon after the overload.
const GOODPUT: f64 = 0.9;
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

/// How many bytes the gateway may log.
const MOST_LOGGED: usize = 1 << 20;

/// How often goodput is measured after the overload.
const WINDOW: Duration = Duration::from_millis(500);

fn id(number: usize) -> String {
    format!("b78de3c9-7f76-4f43-9c5d-{number:012}")
}

/// A customer of the provider, with all members that it documents.
fn customer(number: usize) -> String {
    let name = ["Amadou Ba", "Aïssatou Diallo", r#"Kouamé \"KK\" Yao"#, "Fatou N'Diaye", "Ibrahima Sow"][number % 5];
    let whatsapp =
        if number.is_multiple_of(3) { "null".to_owned() } else { format!("\"+22177{:07}\"", 2_345_678 + number) };
    let metadata = match number % 4 {
        3 => "null".to_owned(),
        _ => format!(r#"{{"internal_id":"crm-{number:06}","segment":"retail","source":"checkout"}}"#),
    };
    format!(
        r#"{{"customer_id":"{}","merchant_id":"904d003c-3736-41d4-90a5-9de74d404fd7",
        "organization_id":"0979ec77-9fb1-4c9a-8c55-d7fb6c182c9c","name":"{name}","email":"customer.{number}@example.com",
        "phone_number":"+22177{:07}","whatsapp_number":{whatsapp},"country":"Senegal","city":"Dakar",
        "address":"{} Avenue Cheikh Anta Diop","postal_code":"BP {}","is_business":{},"metadata":{metadata},
        "created_at":"2025-04-04T14:21:49.955Z","updated_at":"2025-04-04T14:21:49.955Z"}}"#,
        id(number),
        1_234_567 + number,
        12 + number,
        15_000 + number,
        number % 2 == 1,
    )
    .replace("\n        ", "")
}

/// A page of 100 customers.
fn page() -> String {
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

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// When a client sends its next request.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// One of `AT_ONCE` after the answer to another.
    Answers,
    /// At a rate of all clients together. A request that waits for the answer before it begins when it is due.
    Rate(f64),
    /// The same, without the requests that a client could not send because it waited. So many would never all be sent.
    AtMost(f64),
}

/// Sends requests for a time.
async fn send(gateway: &Arc<Gateway>, pace: Pace, duration: Duration) -> Seen {
    let clients = CLIENTS[usize::from(is_full())];
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let connected = Arc::new(Barrier::new(usize::try_from(clients).unwrap_or_default()));
    let tasks = (0..clients).map(|number| {
        let (gateway, connected, turns) = (Arc::clone(gateway), Arc::clone(&connected), Arc::clone(&turns));
        priority::busy(async move {
            let (mut client, mut seen) = (Client::new(&gateway, "acme"), Seen::default());
            // Connections that are made all at once wait for their turn in the system. They are not measured.
            assert_eq!(client.get("/livez").await, 200);
            connected.wait().await;
            let began = Instant::now();
            let mut ticks = match pace {
                Pace::Answers => None,
                Pace::Rate(rate) | Pace::AtMost(rate) => {
                    let period = Duration::from_secs_f64(f64::from(clients) / rate);
                    // Each has its turn: clients do not agree to send at the same time.
                    Some(interval_at((began + period * number / clients).into(), period))
                }
            };
            if let (Some(ticks), Pace::AtMost(_)) = (&mut ticks, pace) {
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            let mut answered = began;
            loop {
                let (due, _turn) = match &mut ticks {
                    Some(ticks) => (ticks.tick().await.into_std(), None),
                    None => (answered, turns.acquire().await.ok()),
                };
                if Instant::now() >= began + duration {
                    break;
                }
                let begun = if due < answered && matches!(pace, Pace::Rate(_)) { due } else { Instant::now() };
                let status = client.get("/v1/customers?limit=100").await;
                answered = Instant::now();
                seen.note(status, answered - begun);
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

/// How long the answers for one client took that sends a request every 10 ms while the others load the gateway. None is refused.
async fn beside(gateway: Arc<Gateway>, merchant: &str, path: &str, load: Arc<JoinHandle<Seen>>) -> Vec<Duration> {
    let mut client = Client::new(&gateway, merchant);
    let mut ticks = interval(Duration::from_millis(10));
    let mut times = Vec::new();
    while !load.is_finished() {
        ticks.tick().await;
        let begun = Instant::now();
        assert_eq!(client.get(path).await, 200, "{path} is not refused to {merchant}");
        times.push(begun.elapsed());
    }
    times
}

/// What was measured while clients loaded the gateway.
#[derive(Debug, Default)]
struct Load {
    /// What the clients saw.
    seen: Seen,
    /// The answers of `/livez`.
    health: Vec<Duration>,
    /// The answers to a merchant that sends few requests.
    quiet: Vec<Duration>,
}

impl Load {
    fn add(&mut self, other: Self) {
        self.seen.add(other.seen);
        self.health.extend(other.health);
        self.quiet.extend(other.quiet);
    }

    fn slowest_health(&self) -> Duration {
        self.health.iter().max().copied().unwrap_or_default()
    }
}

/// A gateway, and its peak before a load.
struct Measured {
    gateway: Arc<Gateway>,
    peak: f64,
    /// Whether clients that take the processor of the gateway do not judge themselves.
    is_alone: bool,
    _awake: Option<priority::Awake>,
}

impl Measured {
    async fn new() -> Self {
        let mut merchants: Vec<(String, Endpoint)> = Vec::new();
        for (merchant, reply) in [("acme", page()), ("quiet", format!(r#"{{"data":{}}}"#, customer(0)))] {
            let reply = answer("200 OK", &reply);
            let vendor = priority::busy(provider(Arc::new(move |_| Some(Arc::clone(&reply))))).await;
            merchants.push((merchant.to_owned(), vendor.expect("a provider")));
        }
        let (gateway, is_alone) =
            if is_full() { Gateway::start_alone(&merchants) } else { (Gateway::start(&merchants), false) };
        let (gateway, awake) = (Arc::new(gateway), is_alone.then(priority::Awake::new));
        let mut measured = Self { gateway, peak: 0.0, is_alone, _awake: awake };
        let duration = Duration::from_secs(if is_full() { 10 } else { 1 });
        measured.peak(duration / 4).await;
        measured.peak = measured.peak(duration).await.0;
        measured
    }

    /// Sends so many requests for a time.
    async fn load(&self, pace: Pace, duration: Duration) -> Load {
        let gateway = Arc::clone(&self.gateway);
        let load = Arc::new(tokio::spawn(async move { send(&gateway, pace, duration).await }));
        let [health, quiet] =
            [("acme", "/livez".to_owned()), ("quiet", format!("/v1/customers/{}", id(0)))].map(|asked| {
                let (gateway, load) = (Arc::clone(&self.gateway), Arc::clone(&load));
                priority::busy(async move { beside(gateway, asked.0, &asked.1, load).await })
            });
        let (health, quiet) = (health.await.expect("health is answered"), quiet.await.expect("they are served"));
        let seen = Arc::into_inner(load).expect("the clients have ended").await.expect("the clients");
        assert!(seen.others.is_empty(), "every request is served or refused: {:?}", seen.others);
        assert!(!seen.served.is_empty(), "overload does not end the service");
        Load { seen, health, quiet }
    }

    /// The peak now, and the answers to the merchant that sends few requests.
    async fn peak(&self, duration: Duration) -> (f64, Vec<Duration>) {
        let load = self.load(Pace::Answers, duration).await;
        (per_second(load.seen.served.len(), duration), load.quiet)
    }

    /// What was measured under a load, as the report of a test.
    fn report(&self, load: &mut Load, duration: Duration) -> String {
        format!(
            "the peak of {:.0} pages/s for {duration:?} (a processor alone: {}): goodput {:.2} of the \
             peak ({} served, p99 {:?}; {} refused, p99 {:?}); slowest /livez {:?}; {} of a quiet merchant, p99 {:?}; peak {} \
             MiB; {} bytes logged",
            self.peak,
            self.is_alone,
            self.goodput(&load.seen, duration),
            load.seen.served.len(),
            p99(&mut load.seen.served),
            load.seen.refused.len(),
            p99(&mut load.seen.refused),
            load.slowest_health(),
            load.quiet.len(),
            p99(&mut load.quiet),
            self.gateway.peak(),
            self.gateway.logged()
        )
    }

    /// The part of the peak that so many served requests are.
    fn goodput(&self, seen: &Seen, duration: Duration) -> f64 {
        per_second(seen.served.len(), duration) / self.peak
    }
}

/// Whether times are judged.
fn is_judged() -> bool {
    is_full() && !cfg!(debug_assertions)
}

/// What is measured at twice the peak: a minute of overload in parts, with the peak before and after each. A
/// machine that others use as well becomes faster or slower within a minute, but seldom within one part.
#[derive(Debug, Default)]
struct InParts {
    load: Load,
    /// The answers to the merchant that sends few requests, at the peak.
    quiet_at_peak: Vec<Duration>,
    /// The part of the peak that is still answered, for each part of the minute.
    goodput: Vec<f64>,
}

impl InParts {
    async fn measure(measured: &Measured, rate: f64) -> Self {
        let (parts, part, between) =
            if is_full() { (6, 10, Duration::from_secs(4)) } else { (1, 2, Duration::from_secs(1)) };
        let part = Duration::from_secs(part);
        let mut all = Self::default();
        let (mut before, quiet) = measured.peak(between).await;
        all.quiet_at_peak.extend(quiet);
        for _ in 0..parts {
            let load = measured.load(Pace::Rate(rate), part).await;
            let (after, quiet) = measured.peak(between).await;
            all.goodput.push(per_second(load.seen.served.len(), part) / f64::midpoint(before, after));
            all.load.add(load);
            all.quiet_at_peak.extend(quiet);
            before = after;
        }
        all
    }

    fn median(&self) -> f64 {
        let mut goodput = self.goodput.clone();
        goodput.sort_unstable_by(f64::total_cmp);
        f64::midpoint(goodput[(goodput.len() - 1) / 2], goodput[goodput.len() / 2])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_twice_the_peak_the_gateway_answers_as_many_requests_and_refuses_the_others() {
    let measured = Measured::new().await;
    let mut all = InParts::measure(&measured, 2.0 * measured.peak).await;
    let duration = Duration::from_secs(if is_full() { 60 } else { 2 });
    eprintln!(
        "twice {}; the quiet merchant at the peak, p99 {:?}; goodput in each part {:.2?}, their median {:.2}",
        measured.report(&mut all.load, duration),
        p99(&mut all.quiet_at_peak),
        all.goodput,
        all.median()
    );
    assert!(measured.gateway.logged() < MOST_LOGGED, "{} bytes", measured.gateway.logged());
    if is_judged() {
        let (goodput, refused) = (all.median(), p99(&mut all.load.seen.refused));
        assert!(goodput >= GOODPUT && refused <= REFUSED_WITHIN, "goodput {goodput}, refusals {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_ten_times_the_peak_the_gateway_stays_alive_and_is_as_before_soon_after() {
    let measured = Measured::new().await;
    let duration = Duration::from_secs(if is_full() { 10 } else { 1 });
    let mut load = measured.load(Pace::AtMost(10.0 * measured.peak), duration).await;
    let began = Instant::now();
    let mut after = Vec::new();
    while after.last().is_none_or(|goodput| *goodput < GOODPUT) && began.elapsed() < RECOVERED_WITHIN {
        let again = send(&measured.gateway, Pace::Answers, WINDOW).await;
        after.push(measured.goodput(&again, WINDOW));
    }
    let recovered = began.elapsed();
    let sent = per_second(load.seen.served.len() + load.seen.refused.len(), duration) / measured.peak;
    eprintln!(
        "ten times {}; the clients could send {sent:.1} times the peak; goodput after it {after:.2?}, after {recovered:?}",
        measured.report(&mut load, duration)
    );
    assert!(measured.gateway.logged() < MOST_LOGGED, "{} bytes", measured.gateway.logged());
    assert!(after.last().is_some_and(|goodput| *goodput > 0.0), "it serves again");
    if is_judged() {
        let slowest = load.slowest_health();
        assert!(slowest <= ALIVE_WITHIN, "{slowest:?}");
        let last = after.last().copied().unwrap_or_default();
        assert!(last >= GOODPUT && recovered <= RECOVERED_WITHIN, "{after:?} within {recovered:?}");
    }
}
