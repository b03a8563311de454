//! Twice and ten times as many requests as the gateway can answer: how many it still answers, how fast it refuses the others,
//! whether a merchant that sends few is still served, and how soon it is as before. Moments in which the machine is slow are not
//! judged.

mod clients;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clients::{Answered, Pace, Seen, beside, p99, send};

use crate::{
    bed::{Endpoint, Gateway, answer, is_full, provider},
    machine, priority,
};

/// 99 of 100 refusals take no longer.
const REFUSED_WITHIN: Duration = Duration::from_millis(20);

/// No answer of `/livez` takes longer.
const ALIVE_WITHIN: Duration = Duration::from_millis(100);

/// The p99 of a merchant that sends few requests, beside one that causes overload: so many times its p99 beside the peak, and this
/// time.
const QUIET: (u32, Duration) = (2, Duration::from_millis(2));

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

/// What was measured while clients loaded the gateway.
#[derive(Debug, Default)]
struct Load {
    /// What the clients saw.
    seen: Seen,
    /// The answers of `/livez`, also while the machine was slow.
    health: Vec<Answered>,
    /// The answers to a merchant that sends few requests.
    quiet: Vec<Answered>,
    /// How long it took.
    time: Duration,
    /// The time of a processor that the gateway used.
    used: Duration,
}

impl Load {
    fn add(&mut self, other: Self) {
        self.seen.add(other.seen);
        self.health.extend(other.health);
        self.quiet.extend(other.quiet);
        self.time += other.time;
        self.used += other.used;
    }

    /// Fails if the machine was slow for so long that a test could not fail, or if no request was refused.
    fn assert_says_something(&self) {
        let judged = self.seen.judged();
        assert!(judged * 2 >= self.time, "the machine was too slow: {judged:?} of {:?} can be judged", self.time);
        assert!(!self.seen.refused.is_empty(), "it is no overload");
    }

    fn slowest_health(&self) -> Duration {
        self.health.iter().map(|answered| answered.time).max().unwrap_or_default()
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
        if is_judged() {
            machine::watch();
        }
        let mut merchants: Vec<(String, Endpoint)> = Vec::new();
        for (merchant, reply) in [("acme", page()), ("quiet", format!(r#"{{"data":{}}}"#, customer(0)))] {
            let reply = answer("200 OK", &reply);
            // It answers at once, as one on another machine does. Otherwise the gateway would wait for the clients.
            let vendor = priority::prompt(provider(Arc::new(move |_| Some(Arc::clone(&reply))))).await;
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
        let (began, before) = (Instant::now(), gateway.processor_time());
        let load = Arc::new(tokio::spawn(async move { send(&gateway, pace, duration).await }));
        let [health, quiet] =
            [("acme", "/livez".to_owned()), ("quiet", format!("/v1/customers/{}", id(0)))].map(|asked| {
                let (gateway, load) = (Arc::clone(&self.gateway), Arc::clone(&load));
                priority::prompt(async move { beside(gateway, asked.0, &asked.1, load).await })
            });
        let [health, mut quiet] = [health.await, quiet.await].map(|seen| seen.expect("a client"));
        quiet.judge(began, Instant::now());
        let (time, used) = (began.elapsed(), self.gateway.processor_time().saturating_sub(before));
        for Seen { refused, others, .. } in [&health, &quiet] {
            assert!(refused.is_empty() && others.is_empty(), "{} refused, others {others:?}", refused.len());
        }
        let seen = Arc::into_inner(load).expect("the clients have ended").await.expect("the clients");
        assert!(seen.others.is_empty(), "every request is served or refused: {:?}", seen.others);
        assert!(!seen.served.is_empty(), "overload does not end the service");
        Load { seen, health: health.served, quiet: quiet.served, time, used }
    }

    /// The peak now, and the answers to the merchant that sends few requests.
    async fn peak(&self, duration: Duration) -> (f64, Vec<Answered>) {
        let load = self.load(Pace::Answers, duration).await;
        (load.seen.rate(), load.quiet)
    }

    /// What was measured under a load, as the report of a test.
    fn report(&self, load: &Load) -> String {
        format!(
            "the peak of {:.0} pages/s (a processor alone: {}, {:.2} of it used): goodput {:.2} of the peak ({} served, p99 {:?}; \
             {} refused, p99 {:?}); slowest /livez {:?}; {} of a quiet merchant, p99 {:?}; peak {} \
             MiB; {} bytes logged; judged {:?} of {:?}",
            self.peak,
            self.is_alone,
            load.used.as_secs_f64() / load.time.as_secs_f64(),
            load.seen.rate() / self.peak,
            load.seen.served.len(),
            p99(&load.seen.served),
            load.seen.refused.len(),
            p99(&load.seen.refused),
            load.slowest_health(),
            load.quiet.len(),
            p99(&load.quiet),
            self.gateway.peak(),
            self.gateway.logged(),
            load.seen.judged(),
            load.time,
        )
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
    quiet_at_peak: Vec<Answered>,
    /// The part of the peak that is still answered, for each part of the minute.
    goodput: Vec<f64>,
}

impl InParts {
    async fn measure(measured: &Measured, times_the_peak: f64) -> Self {
        let (parts, part, between) =
            if is_full() { (6, 10, Duration::from_secs(4)) } else { (1, 2, Duration::from_secs(1)) };
        let part = Duration::from_secs(part);
        let mut all = Self::default();
        let (mut before, quiet) = measured.peak(between).await;
        all.quiet_at_peak.extend(quiet);
        for _ in 0..parts {
            let load = measured.load(Pace::Rate(times_the_peak * before), part).await;
            let (after, quiet) = measured.peak(between).await;
            all.goodput.push(load.seen.rate() / f64::midpoint(before, after));
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
    let all = InParts::measure(&measured, 2.0).await;
    eprintln!(
        "twice {}; the quiet merchant at the peak, p99 {:?}; goodput in each part {:.2?}, their median {:.2}",
        measured.report(&all.load),
        p99(&all.quiet_at_peak),
        all.goodput,
        all.median()
    );
    assert!(measured.gateway.logged() < MOST_LOGGED, "{} bytes", measured.gateway.logged());
    if is_judged() {
        all.load.assert_says_something();
        let (goodput, refused) = (all.median(), p99(&all.load.seen.refused));
        let (quiet, at_peak) = (p99(&all.load.quiet), p99(&all.quiet_at_peak));
        assert!(quiet <= at_peak * QUIET.0 + QUIET.1, "{quiet:?} of a quiet merchant, {at_peak:?} at the peak");
        assert!(goodput >= GOODPUT && refused <= REFUSED_WITHIN, "goodput {goodput}, refusals {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_ten_times_the_peak_the_gateway_stays_alive_and_is_as_before_soon_after() {
    let measured = Measured::new().await;
    let duration = Duration::from_secs(if is_full() { 10 } else { 1 });
    let load = measured.load(Pace::AtMost(10.0 * measured.peak), duration).await;
    let began = Instant::now();
    let mut after = Vec::new();
    while after.last().is_none_or(|goodput| *goodput < GOODPUT) && began.elapsed() < RECOVERED_WITHIN {
        let again = send(&measured.gateway, Pace::Answers, WINDOW).await;
        after.push(again.rate() / measured.peak);
    }
    let recovered = began.elapsed();
    let sent = f64::from(u32::try_from(load.seen.served.len() + load.seen.refused.len()).unwrap_or(u32::MAX));
    eprintln!(
        "ten times {}; the clients could send {:.1} times the peak; goodput after it {after:.2?}, after {recovered:?}",
        measured.report(&load),
        sent / load.seen.judged().as_secs_f64() / measured.peak
    );
    assert!(measured.gateway.logged() < MOST_LOGGED, "{} bytes", measured.gateway.logged());
    assert!(after.last().is_some_and(|goodput| *goodput > 0.0), "it serves again");
    if is_judged() {
        load.assert_says_something();
        let slowest = load.slowest_health();
        assert!(slowest <= ALIVE_WITHIN, "{slowest:?}");
        let last = after.last().copied().unwrap_or_default();
        assert!(last >= GOODPUT && recovered <= RECOVERED_WITHIN, "{after:?} within {recovered:?}");
    }
}
