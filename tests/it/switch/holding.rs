//! A customer who is written all the time (R15).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use passerelle::switch::view::SwitchView;
use serde_json::json;

use super::bed::{Bed, Vendor, configuration, person};
use crate::support::Gateway;

/// How long a test waits for a state.
const PATIENCE: Duration = Duration::from_secs(40);

/// A merchant whose target takes longer for a write than the pause between two writes of the client, so that without a hold
/// no copy is complete before the next write. The connections have the default `visibility_lag`.
async fn slow_target(hold: &str) -> Bed {
    let bed = Bed::start("notchpay", "modempay", "delay = \"150ms\"\nonly = [\"update\"]\n").await;
    let text = configuration(&bed.folder, &bed.old, &bed.new).replace("visibility_lag = \"1ms\", ", "");
    bed.gateway.reload(&format!("{text}[switch]\nhold = \"{hold}\"\n"));
    bed
}

/// A switch whose customers are copied, the id of the first one, and whether the writes to it are over.
async fn copied(bed: &Bed) -> (SwitchView, String, AtomicBool) {
    (bed.driven().await, bed.public_id(0).await, AtomicBool::new(false))
}

/// Writes one customer again and again until it is over. Every write succeeds. Returns the last name.
async fn write_on(gateway: &Gateway, id: &str, is_over: &AtomicBool) -> String {
    write_names(gateway, id, "Fatou Diop", is_over).await
}

async fn write_names(gateway: &Gateway, id: &str, person: &str, is_over: &AtomicBool) -> String {
    for number in 0.. {
        let name = format!("{person} {number}");
        let answer = gateway.patch(&format!("/v1/customers/{id}"), json!({ "name": name })).await;
        assert_eq!((answer.status.as_u16(), answer.body["name"].as_str()), (200, Some(&*name)), "{}", answer.text);
        if is_over.load(Ordering::Relaxed) {
            return name;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    String::new()
}

async fn home(bed: &Bed, id: &str) -> String {
    let shown = bed.gateway.get(&format!("/v1/customers/{id}")).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    shown.body["provider"]["connection"].as_str().unwrap_or_default().to_owned()
}

/// With the default settings: `switch.hold` is as long as `visibility_lag`.
#[tokio::test]
async fn a_customer_who_is_written_all_the_time_moves_while_its_writes_wait() {
    let bed = slow_target("2s").await;
    for number in 0..2 {
        bed.create(&person(number)).await;
    }
    let (copied, id, is_over) = copied(&bed).await;
    let story = async {
        let begun = Instant::now();
        let switched = bed.cut_over(&copied).await;
        while home(&bed, &id).await != "new" {
            assert!(begun.elapsed() < PATIENCE, "{:?}", bed.record(&switched.id, &id).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(bed.record(&switched.id, &id).await.code, None);
        is_over.store(true, Ordering::Relaxed);
    };
    let (last, ()) = tokio::join!(write_on(&bed.gateway, &id, &is_over), story);
    let shown = bed.gateway.get(&format!("/v1/customers/{id}")).await;
    assert_eq!(shown.body["name"], last, "no write is lost");
}

/// Where `switch.hold` is shorter than a copy takes, the customer stays where it is, and is named until it moves.
#[tokio::test]
async fn a_customer_whom_a_hold_does_not_move_stays_and_is_named() {
    let bed = slow_target("30ms").await;
    bed.create(&person(0)).await;
    let (copied, id, is_over) = copied(&bed).await;
    let story = async {
        let begun = Instant::now();
        let switched = bed.cut_over(&copied).await;
        let named = loop {
            let record = bed.record(&switched.id, &id).await;
            if record.code.as_deref() == Some("written_too_often") {
                break record;
            }
            assert!(begun.elapsed() < PATIENCE, "{record:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(named.home.as_deref(), Some("old"), "{named:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let named = bed.record(&switched.id, &id).await;
        assert_eq!(named.code.as_deref(), Some("written_too_often"), "copies in between do not hide it");
        is_over.store(true, Ordering::Relaxed);
    };
    let (last, ()) = tokio::join!(write_on(&bed.gateway, &id, &is_over), story);
    let begun = Instant::now();
    while home(&bed, &id).await != "new" {
        assert!(begun.elapsed() < PATIENCE, "it does not follow when it is written no more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while bed.record(&copied.id, &id).await.code.is_some() {
        assert!(begun.elapsed() < PATIENCE, "{:?}", bed.record(&copied.id, &id).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let shown = bed.gateway.get(&format!("/v1/customers/{id}")).await;
    assert_eq!(shown.body["name"], last);
}

/// Several clients write one customer at once, so that it is not known which state is the last one. While their writes wait, one
/// of them passes: the state after that one is known, and the customer moves with the first hold.
#[tokio::test]
async fn a_customer_whom_several_clients_write_at_once_moves_while_their_writes_wait() {
    let slow = "delay = \"150ms\"\nonly = [\"update\"]\n";
    let [old, new] = ["notchpay", "modempay"].map(|provider| Vendor::start(provider, slow));
    let bed = Bed::between(old, new, tempfile::tempdir().expect("a folder")).await;
    let text = configuration(&bed.folder, &bed.old, &bed.new).replace("\"1ms\"", "\"500ms\"");
    bed.gateway.reload(&format!("{text}[switch]\nhold = \"5s\"\n"));
    bed.create(&person(0)).await;
    let (copied, id, is_over) = copied(&bed).await;
    let story = async {
        let begun = Instant::now();
        let switched = bed.cut_over(&copied).await;
        while home(&bed, &id).await != "new" {
            let record = bed.record(&switched.id, &id).await;
            assert!(begun.elapsed() < PATIENCE && record.code.is_none(), "{record:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let write = |person| write_names(&bed.gateway, &id, person, &is_over);
    tokio::join!(write("Awa Diop"), write("Fatou Diop"), write("Moussa Diop"), story);
}

/// A customer whose write is open for long stays where it is. Clients do not write it too often, so no claim waits for its move.
#[tokio::test]
async fn a_customer_whose_write_is_open_for_long_is_not_named_as_written_too_often() {
    let bed = Bed::start("notchpay", "modempay", "").await;
    let text = configuration(&bed.folder, &bed.old, &bed.new);
    bed.gateway.reload(&format!("{text}[switch]\nhold = \"50ms\"\n"));
    let (open, other) = (bed.create(&person(0)).await, bed.create(&person(1)).await);
    let copied = bed.driven().await;
    bed.claim_at("old", "update", Some(&open)).await;
    let switched = bed.cut_over(&copied).await;
    // With each copy, the worker has looked at all customers of the source.
    for number in 0..6 {
        bed.patch(&other, json!({ "name": format!("Fatou Diop {number}") })).await;
        bed.wait(&switched.id, "the copy", |view| view.marks.pending == 0).await;
    }
    let record = bed.record(&switched.id, &open).await;
    assert_eq!((record.home.as_deref(), record.code), (Some("old"), None));
}
