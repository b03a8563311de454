//! Clients without keys that send the same again when they get no good answer, as the vendors' own do.

use std::time::Duration;

use libtest_mimic::Trial;
use passerelle::{
    store::State,
    twin::{
        faults::{Fault, FaultPlan},
        log::email_hash,
    },
};
use passerelle_providers::model::Operation;
use reqwest::Method;

use crate::{
    bed::{Gateway, Setup, Twin, agree, count, sized},
    client::{Client, email, person},
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_sdk_that_repeats_itself_makes_nobody_twice", || repeats(false)),
        trial("an_sdk_that_does_not_wait_makes_nobody_twice", || repeats(true)),
        trial("an_sdk_that_comes_back_after_all_is_known_makes_nobody_twice", comes_back),
    ]
}

/// When Modem Pay's own client sends its create, and the same again, in milliseconds.
const PATTERN: [u64; 4] = [0, 2_100, 6_200, 14_200];

/// A plan in which the first request is answered 500 although it was done, and the next ones properly.
fn first_fails() -> String {
    let text = |seed: u64| format!("seed = {seed}\nerror_after = 0.05\nonly = [\"create\"]");
    let fits = |seed: &u64| {
        let plan = FaultPlan::read(&text(*seed), "faults.toml").expect("a plan");
        let fault = |number| plan.fault(number, Some(Operation::Create));
        fault(1) == Some(Fault::ErrorAfter) && (2..40).all(|number| fault(number).is_none())
    };
    text((0..100_000).find(fits).expect("a seed"))
}

/// Four identical creates, of which the vendor does the first and answers 500: one effect. Twins that are meant,
/// later: two.
async fn repeats(at_once: bool) {
    let twin = Twin::start("modempay", &format!("{}\nsearch_lag = \"50ms\"", first_fails()));
    let gateway = Gateway::before(&twin, &Setup::of("visibility_lag = \"100ms\""));
    let client = Client::of(&gateway);
    let scale = sized(10, 1);
    let path = "/as/modempay/v1/customers";
    let post = |number: usize| {
        let client = client.clone();
        async move { client.send(Method::POST, path, None, Some(&person(number))).await.expect("an answer") }
    };
    let begun = tokio::time::Instant::now();
    let mut last = None;
    for at in PATTERN {
        if !at_once {
            tokio::time::sleep_until(begun + Duration::from_millis(at / scale)).await;
        }
        let answer = post(1).await;
        if answer.status < 300 {
            last = Some(answer);
            break;
        }
        assert!(answer.status >= 500, "{} {}", answer.status, answer.body);
        assert_eq!(answer.header("passerelle-outcome"), "unknown");
    }
    // A client that did not wait has given up before the vendor showed what it did; the gateway has not.
    crate::bed::until("the create is found", async || {
        let known = client.get("/v1/operations").await?.json();
        known["data"].as_array().filter(|known| known.iter().all(|one| one["outcome"] == "done")).map(|_| ())
    })
    .await;
    let made = |number| twin.created().get(&email_hash(&email(number))).map_or(0, Vec::len);
    assert_eq!(made(1), 1, "one effect");
    assert!(last.is_some() || at_once, "a client that waited is told");
    for _ in 0..2 {
        assert!(post(2).await.status < 300);
    }
    assert_eq!(made(2), 2, "twins that are meant are two");
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    assert_eq!((kept.len(), count(&kept, State::Done)), (3, 3));
    eprintln!("keyless: one effect for a storm of four, two for twins");
}

/// What came of a create is known before its client asks again, which never heard of it: because it was told that
/// nobody knows, or because it had gone.
async fn comes_back() {
    for has_gone in [false, true] {
        let faults = if has_gone { "delay = \"300ms\"\nonly = [\"create\"]".to_owned() } else { first_fails() };
        let twin = Twin::start("modempay", &faults);
        let gateway = Gateway::before(&twin, &Setup::of("visibility_lag = \"20ms\""));
        let client = Client::of(&gateway);
        let made = || twin.created().get(&email_hash(&email(1))).map_or(0, Vec::len);
        let awa = person(1);
        let first = client.create(None, &awa);
        if has_gone {
            let patience = Duration::from_millis(100);
            assert!(tokio::time::timeout(patience, first).await.is_err(), "it does not wait for the answer");
        } else {
            assert_eq!(first.await.expect("an answer").code(), "outcome_unknown");
        }
        crate::bed::until("the outcome is known", async || gateway.shows(State::Done).await.then_some(())).await;
        let again = client.create(None, &person(1)).await.expect("an answer");
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{}", again.body);
        assert_eq!(made(), 1, "one effect");
        let twin_meant = client.create(None, &person(1)).await.expect("an answer");
        assert_eq!((twin_meant.status, made()), (201, 2), "what was heard stands for nobody else");
    }
}
