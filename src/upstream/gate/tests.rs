//! Tests of `gate.rs`: what counts for which breaker.

use std::time::Duration;

use http::header;

use super::*;
use crate::upstream::Shared;

const NAME: ConnectionName<'_> = ConnectionName { merchant: "acme", connection: "main" };

fn gate(shared: &Shared, account: u8) -> Gate {
    Gate::new(shared.breakers(NAME, "lomi", [account; 32]), BreakerConfig::tested())
}

fn answer(status: u16) -> Result<Response, Error> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(response)
}

fn failure(kind: Kind) -> Result<Response, Error> {
    Err(Error::new(kind, "it failed"))
}

/// How many of thirty requests of an operation are sent that all end in this way.
fn sent(gate: &Gate, operation: Operation, result: &Result<Response, Error>) -> usize {
    sent_at(gate, operation, result, Instant::now())
}

fn sent_at(gate: &Gate, operation: Operation, result: &Result<Response, Error>, now: Instant) -> usize {
    let send = |_: &i32| gate.enter_at(operation, || now).map(|entry| gate.record_at(entry.pass, result, now)).is_ok();
    (0..30).filter(send).count()
}

#[test]
fn each_end_of_a_request_counts_where_it_belongs() {
    for (result, of_create, of_list, kind) in [
        (answer(200), 30, 30, None),
        (answer(404), 30, 30, None),
        (answer(403), 30, 30, None),
        (answer(422), 30, 30, None),
        (answer(500), 7, 30, Some(Kind::Unreachable)),
        (answer(501), 7, 30, Some(Kind::Unreachable)),
        (answer(502), 7, 0, Some(Kind::Unreachable)),
        (answer(503), 7, 0, Some(Kind::Unreachable)),
        (answer(504), 7, 0, Some(Kind::Unreachable)),
        (answer(401), 7, 0, Some(Kind::Unauthorized)),
        (answer(427), 20, 0, Some(Kind::RateLimited)),
        (answer(429), 20, 0, Some(Kind::RateLimited)),
        (failure(Kind::Unreachable), 7, 0, Some(Kind::Unreachable)),
        (failure(Kind::Interrupted), 7, 0, Some(Kind::Unreachable)),
        (failure(Kind::TimedOut), 7, 0, Some(Kind::Unreachable)),
        (failure(Kind::BadResponse), 30, 30, None),
        (failure(Kind::Overloaded), 30, 30, None),
        (failure(Kind::Invalid), 30, 30, None),
    ] {
        let gate = gate(&Shared::default(), 0);
        assert_eq!(sent(&gate, Operation::Create, &result), of_create, "{result:?}");
        assert_eq!(gate.check(Operation::Create).err().map(|error| error.kind), kind, "{result:?}");
        assert_eq!(sent(&gate, Operation::List, &answer(200)), of_list, "{result:?}");
    }
}

#[test]
fn retry_after_is_kept_for_the_connection_and_passed_on() {
    let gate = gate(&Shared::default(), 0);
    let mut refused = answer(429).expect("an answer");
    refused.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("30"));
    let now = Instant::now();
    assert_eq!(sent_at(&gate, Operation::Create, &Ok(refused), now), 1);
    for (milliseconds, left) in [(0, 30), (1, 30), (1000, 29), (29_001, 1), (29_999, 1)] {
        let error =
            gate.enter_at(Operation::Retrieve, || now + Duration::from_millis(milliseconds)).expect_err("too early");
        assert_eq!((error.kind, error.retry_after), (Kind::RateLimited, Some(left)), "{milliseconds}");
    }
    assert_eq!(sent_at(&gate, Operation::Retrieve, &answer(200), now + Duration::from_secs(30)), 30);
}

#[test]
fn a_probe_that_has_no_outcome_gives_its_place_back() {
    let gate = gate(&Shared::default(), 0);
    let mut now = Instant::now();
    for result in [answer(503), answer(500)] {
        sent_at(&gate, Operation::Create, &result, now);
        now += Duration::from_mins(1);
        let probe = gate.enter_at(Operation::Create, || now).expect("one probes");
        assert!(gate.enter_at(Operation::Create, || now).is_err(), "the others wait");
        drop(probe);
        assert_eq!(sent_at(&gate, Operation::Create, &answer(200), now), 30);
    }
}

#[test]
fn a_reload_keeps_the_breakers_of_an_account_and_begins_anew_with_another() {
    let shared = Shared::default();
    let before = gate(&shared, 0);
    sent(&before, Operation::Create, &answer(401));
    let after = gate(&shared, 0);
    assert!(after.check(Operation::List).is_err());
    assert!(gate(&shared, 1).check(Operation::List).is_ok(), "the key was changed");
    drop((before, after));
    assert!(gate(&shared, 0).check(Operation::List).is_ok(), "the connection was removed meanwhile");
}

#[test]
fn the_metric_has_the_breakers_that_are_open() {
    let shared = Shared::default();
    let gate = gate(&shared, 0);
    let shown = || shared.metrics().breakers_open("acme", "main").get();
    assert_eq!(shown(), 0);
    sent(&gate, Operation::Create, &answer(500));
    sent(&gate, Operation::Update, &answer(500));
    assert_eq!(shown(), 2);
    sent(&gate, Operation::List, &answer(503));
    assert_eq!(shown(), 3);
    sent_at(&gate, Operation::Create, &answer(200), Instant::now() + Duration::from_mins(1));
    assert_eq!(shown(), 1, "the probe was one for the connection and for the operation");
}

/// A write that fails may have an unknown outcome.
#[test]
fn a_read_asks_a_provider_that_has_failed_before_a_write_does() {
    let gate = gate(&Shared::default(), 0);
    let opened = Instant::now();
    sent_at(&gate, Operation::List, &answer(503), opened);
    // The pause is over after up to 1.5 seconds.
    let now = opened + Duration::from_millis(1600);
    let error = gate.enter_at(Operation::Create, || now - Duration::from_millis(600)).expect_err("no write asks yet");
    assert_eq!(error.kind, Kind::Unreachable);
    assert_eq!(sent_at(&gate, Operation::Retrieve, &answer(200), now), 30);
    assert_eq!(sent_at(&gate, Operation::Create, &answer(200), now), 30);

    sent_at(&gate, Operation::List, &answer(503), now);
    assert_eq!(sent_at(&gate, Operation::Create, &answer(200), now + Duration::from_millis(2500)), 30, "no read came");
}
