//! R26: a switch keeps to the `rate_limit` of both connections, to its own rate and to `Retry-After`, and clients go first.

use std::time::Duration;

use passerelle::{
    switch::{
        service::{SwitchService, VerifyOptions},
        view::{BlockedCode, SwitchState, SwitchView},
    },
    twin::log,
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    bed::{Bed, Vendor, configuration, person},
    merchant::{decided, is_copied},
};

/// A merchant with customers, and their ids.
async fn with_customers(count: usize, faults: &str) -> (Bed, Vec<String>) {
    let bed = Bed::start("modempay", "notchpay", faults).await;
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(bed.create(&person(number)).await);
    }
    (bed, ids)
}

/// Limits a connection from now on.
async fn limit(bed: &Bed, connections: &[&str], rate_limit: &str) {
    let mut text = configuration(&bed.folder, &bed.old, &bed.new);
    for connection in connections {
        let begin = format!("connections.{connection} = {{ ");
        text = text.replace(&begin, &format!("{begin}rate_limit = \"{rate_limit}\", "));
    }
    bed.gateway.try_reload(&text).await.expect("reloaded");
}

fn waits_for(code: BlockedCode) -> impl Fn(&SwitchView) -> bool {
    move |view| view.blocked_by.as_ref().is_some_and(|blocked| blocked.code == code)
}

fn requests(vendor: &Vendor) -> usize {
    log::requests(&log::read(&vendor.folder.path().join("log")).expect("a log")).count()
}

/// Clients use a third of the rate. The run takes what is left, and ends.
#[tokio::test]
async fn no_client_is_refused_while_a_run_uses_the_rest_of_the_rate_limit() {
    let (bed, ids) = with_customers(15, "").await;
    limit(&bed, &["old"], "6/s").await;
    let planned = bed.planned().await;
    bed.run(&planned).await;
    let mut ticks = interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    loop {
        ticks.tick().await;
        let path = format!("/v1/customers/{}", ids[sent % ids.len()]);
        let answer = match sent % 5 {
            4 => bed.gateway.patch(&path, json!({ "first_name": "Fatou" })).await,
            _ => bed.gateway.get(&path).await,
        };
        assert_eq!(answer.status, 200, "request {sent}: {}", answer.text);
        sent += 1;
        let view = bed.gateway.switches().get(&planned.id).await.expect("a switch");
        if view.state == SwitchState::Copied {
            break;
        }
        assert!(sent < 120, "the run does not end: {view:#?}");
    }
    bed.wait(&planned.id, "the copies", is_copied).await;
}

/// What the gateway sends on its own ends at half of the limit. The rest is there for clients, and the switch says what it
/// waits for.
#[tokio::test]
async fn a_verification_leaves_half_of_the_rate_limit_to_clients() {
    let (bed, ids) = with_customers(15, "").await;
    let copied = bed.driven().await;
    limit(&bed, &["old"], "20/h").await;
    let view = bed.gateway.switches().get(&copied.id).await.expect("a switch");
    let options = VerifyOptions::default();
    bed.gateway.switches().verify(&copied.id, options, decided(&view)).await.expect("it begins");
    bed.wait(&copied.id, "the wait for clients", waits_for(BlockedCode::TargetRate)).await;
    let path = format!("/v1/customers/{}", ids[0]);
    for number in 0..10 {
        let answer = bed.gateway.get(&path).await;
        assert_eq!(answer.status, 200, "request {number}: {}", answer.text);
    }
    assert_eq!(bed.gateway.get(&path).await.status_and_code(), (429, "rate_limited"), "the limit itself holds");
    limit(&bed, &[], "").await;
    let is_verified = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
    bed.wait(&copied.id, "the verification", is_verified).await;
}

/// The rate of a switch counts customers, and the limit of a connection counts requests. Both hold, so the smaller one decides.
#[tokio::test]
async fn the_rate_of_a_switch_and_the_rate_limit_both_hold() {
    for (rate, rate_limit) in [(20_u32, 2000_u32), (2000, 20)] {
        let (bed, _) = with_customers(12, "").await;
        limit(&bed, &["new"], &format!("{rate_limit}/s")).await;
        let planned = bed.planned().await;
        bed.gateway.switches().set_rate(&planned.id, Some(format!("{rate}/s"))).await.expect("set");
        let (begun, before) = (Instant::now(), requests(&bed.new));
        bed.run(&planned).await;
        let copied = bed.wait(&planned.id, "the copies", is_copied).await;
        let seconds = begun.elapsed().as_secs_f64();
        let created = f64::from(u32::try_from(copied.records.created).expect("a few"));
        assert!(created >= 12.0 && created <= 1.0 + f64::from(rate) * seconds, "{created} in {seconds} s");
        let sent = f64::from(u32::try_from(requests(&bed.new) - before).expect("a few"));
        // Half of the burst, and what came since.
        let most = f64::from(rate_limit) * (0.5 + seconds);
        assert!(sent >= 12.0 && sent <= most, "{sent} requests in {seconds} s");
    }
}

/// 5.1: `stop` ends sending within a second, also where a copy waits six seconds for its next request.
#[tokio::test]
async fn a_stop_drops_the_copies_that_wait_for_the_rate_limit() {
    let (bed, _) = with_customers(8, "").await;
    let planned = bed.planned().await;
    limit(&bed, &["new"], "10/min").await;
    bed.run(&planned).await;
    bed.wait(&planned.id, "the wait for the limit", waits_for(BlockedCode::TargetRate)).await;
    let sent = requests(&bed.new);
    bed.gateway.switches().stop(&planned.id).await.expect("stopped");
    let log = bed.gateway.app().store.switches();
    while log.renew(&planned.id).await.expect("read").is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(requests(&bed.new), sent, "nothing was sent before the worker has ended");
    limit(&bed, &[], "").await;
    bed.run(&bed.gateway.switches().get(&planned.id).await.expect("a switch")).await;
    bed.wait(&planned.id, "the copies", is_copied).await;
}

/// One worker is refused. Then no other one sends anything before that time, which is at most `max_retry_after`.
#[tokio::test]
async fn retry_after_is_kept_by_all_workers() {
    let faults = "rate_limited = 1.0\nretry_after = \"1h\"\nonly = [\"create\"]";
    let (bed, ids) = with_customers(20, faults).await;
    let planned = bed.planned().await;
    bed.run(&planned).await;
    bed.wait(&planned.id, "the refusal", waits_for(BlockedCode::ProviderRateLimited)).await;
    let sent = requests(&bed.new);
    for id in &ids {
        let stalled = bed.copy(id).await.expect_err("it waits");
        assert_eq!(stalled.code, BlockedCode::ProviderRateLimited, "{stalled:?}");
        assert!(
            stalled.retry_after.is_some_and(|left| left > Duration::from_mins(4) && left <= Duration::from_mins(5)),
            "{stalled:?}"
        );
    }
    assert_eq!(requests(&bed.new), sent, "nothing was sent before that time");
}
