//! Measures a switch between two twins without limits: customers read and compared a second, customers copied a second, and the
//! memory of the gateway's process. And what a retrieve costs a merchant with rows. Both are ignored by default, because a debug
//! build gives no useful figures:
//! `cargo test --release --test reliability -- --ignored throughput_of_a_switch throughput_of_retrieves`.
//!
//! `RELIABILITY_CUSTOMERS=1000,20000,100000` sets the numbers of customers, `RELIABILITY_SIDES=notchpay,modempay` the providers.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    bed::{Fleet, Gateway, Setup, Twin, sized},
    switch::operator::{Goal, KEY, Kills, Operator},
    trial::trial,
};

const HOUR: Duration = Duration::from_hours(1);
/// The most memory of a process with many customers, above that of one with few, in KiB.
const MOST_MORE: u64 = 64 * 1024;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("throughput_of_a_switch", measure).with_ignored_flag(true),
        trial("throughput_of_retrieves_with_rows", retrieves).with_ignored_flag(true),
    ]
}

/// What a switch of some customers took.
struct Measured {
    planned: f64,
    copied: f64,
    verified: f64,
    peak: u64,
}

async fn measure() {
    let sizes = std::env::var("RELIABILITY_CUSTOMERS").unwrap_or_else(|_| sized("1000", "1000,1000000").to_owned());
    let sides = std::env::var("RELIABILITY_SIDES").unwrap_or_else(|_| "notchpay,modempay".to_owned());
    let sides: [&'static str; 2] = match sides.split_once(',') {
        Some((from, to)) => [from, to].map(|name| passerelle_providers::vendor(name).expect("a vendor").name()),
        None => panic!("two providers, as in notchpay,modempay"),
    };
    let mut first = None;
    for customers in sizes.split(',').map(|size| size.parse().expect("a number")) {
        let Measured { planned, copied, verified, peak } = switch(sides, customers).await;
        let [from, to] = sides;
        eprintln!(
            "scale: {from} -> {to}, {customers} customers: planned {planned:.0}/s, copied {copied:.0}/s, verified {verified:.0}/s; the \
             gateway's memory was at most {} MiB",
            peak / 1024
        );
        let first = *first.get_or_insert(peak);
        // A shared machine says nothing about speed; memory does not depend on it.
        assert!(peak <= first + MOST_MORE, "{} KiB more than with few customers", peak - first);
    }
}

async fn switch(sides: [&'static str; 2], customers: usize) -> Measured {
    let (main, new) = (Twin::with_customers(sides[0], customers), Twin::with_customers(sides[1], 0));
    let mut setup = Setup::of("");
    setup.tables =
        format!("{}[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{KEY}\"]\n", new.connection("new", None, ""));
    let gateways = Fleet::Alone.start_for(&main, &setup);
    let operator = Operator::of(&gateways);
    let mut kills = Kills::none();
    let (mut per_second, mut last) = (Vec::new(), Value::Null);
    for goal in [Goal::Planned, Goal::Copied, Goal::Verified] {
        let begun = Instant::now();
        last = operator.reach(goal, &mut kills, HOUR).await;
        per_second.push(rate(&last, begun.elapsed()));
    }
    let held = last["records"]["created"].as_u64().unwrap_or_default();
    assert!(held >= customers as u64, "every customer is copied: {last}");
    let peak = gateways.iter().map(|gateway| Gateway::peak_memory(gateway)).max().expect("a gateway");
    Measured { planned: per_second[0], copied: per_second[1], verified: per_second[2], peak }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to print")]
fn rate(view: &Value, time: Duration) -> f64 {
    view["records"]["total"].as_u64().unwrap_or_default() as f64 / time.as_secs_f64()
}

/// The processor time of retrieves by a merchant with rows and by one without, in turns, from one process.
async fn retrieves() {
    const ROUNDS: usize = 12;
    /// As many as the yardstick of the processor time of requests has. With fewer, workers that park and wake are measured.
    const AT_ONCE: usize = 32;
    const MERCHANTS: [&str; 2] = ["plain", "acme"];
    let twin = Twin::with_customers("lomi", 100);
    let mut setup = Setup::of("");
    setup.tables = format!(
        "[merchants.plain]\napi_keys = [\"sk_plain\"]\nactive = \"main\"\nregion = \"SN\"\n{}",
        twin.connection("main", None, "").replace("merchants.acme", "merchants.plain")
    );
    let gateway = Gateway::start_for(&twin, &setup);
    let store = gateway.store().await;
    store.ids().route("acme", "main").await.expect("stored");
    drop(store);
    gateway.start();
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |merchant: &str, path: &str| {
        let url = format!("http://{}{path}", gateway.address());
        let answer = http.get(url).bearer_auth(format!("sk_{merchant}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.text().await.expect("a body")
    };
    let page: Value = serde_json::from_str(&get("acme", "/v1/customers?limit=100").await).expect("a page");
    let ids = page["data"].as_array().expect("a page").iter().map(|one| one["id"].as_str().expect("an id").to_owned());
    let paths: Vec<String> = ids.map(|id| format!("/v1/customers/{id}")).collect();
    let mut ticks = [0; 2];
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (merchant, ticks) in MERCHANTS.iter().zip(&mut ticks) {
            let before = gateway.processor_time();
            for _ in 0..20 {
                let (get, merchant) = (&get, *merchant);
                let asked = paths.iter().map(|path| get(merchant, path));
                stream::iter(asked).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
            }
            *ticks += if round > 0 { gateway.processor_time() - before } else { 0 };
        }
    }
    let [without, with] = ticks;
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    let ratio = with as f64 / without as f64;
    eprintln!(
        "retrieves: a merchant with rows takes {ratio:.2} times the processor time of one without ({with} and {without} ticks)"
    );
    assert!(ratio <= sized(f64::MAX, 1.5));
}
