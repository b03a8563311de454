//! Tests of `gate.rs`: what counts for which breaker.

use std::time::Duration;

use http::header;

use super::*;
use crate::upstream::Shared;

const NAME: ConnectionName<'_> = ConnectionName { merchant: "acme", connection: "main" };
const BASE: &str = "https://a.example/v1";

/// How long it may take to connect.
const TO_CONNECT: Duration = Duration::from_secs(3);

fn gate(shared: &Shared, account: u8) -> Gate {
    Gate::new(shared.breakers(NAME, "lomi", BASE, [account; 32]), BreakerConfig::tested(), TO_CONNECT)
}

fn answer(status: u16) -> Result<Response, Failure> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(response)
}

fn failure(kind: Kind) -> Result<Response, Failure> {
    Err(Error::new(kind, "it failed").into())
}

/// A provider that refuses to process a request, over HTTP/2.
fn refused() -> Result<Response, Failure> {
    Err(Failure { error: Error::new(Kind::Unreachable, "it was not processed"), reach: Reach::Reached })
}

/// How many of thirty requests of an operation are sent that all end in this way.
fn sent(gate: &Gate, operation: Operation, result: &Result<Response, Failure>) -> usize {
    sent_at(gate, operation, result, Instant::now())
}

fn sent_at(gate: &Gate, operation: Operation, result: &Result<Response, Failure>, now: Instant) -> usize {
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
        (refused(), 7, 0, Some(Kind::Unreachable)),
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
fn breakers_that_stop_a_connection_are_counted() {
    let shared = Shared::default();
    let gate = gate(&shared, 0);
    let open = || gate.breakers.open();
    assert_eq!(open(), 0);
    sent(&gate, Operation::Create, &answer(500));
    sent(&gate, Operation::Update, &answer(500));
    assert_eq!(open(), 2);
    sent(&gate, Operation::List, &answer(503));
    assert_eq!(open(), 3);
    sent_at(&gate, Operation::Create, &answer(200), Instant::now() + Duration::from_mins(1));
    assert_eq!(open(), 1, "the probe was one for the connection and for the operation");
    sent(&gate, Operation::List, &failure(Kind::Unreachable));
    assert_eq!(open(), 2, "that of the host counts as well");
}

/// However many merchants and operations use a host that is down, it gets few requests.
#[test]
fn connections_to_a_host_that_cannot_be_reached_wait_together() {
    let shared = Shared::default();
    let gates: Vec<Gate> = (0..20).map(|account| gate(&shared, account)).collect();
    let elsewhere = shared.breakers(NAME, "lomi", "https://b.example", [20; 32]);
    let elsewhere = Gate::new(elsewhere, BreakerConfig::tested(), TO_CONNECT);
    let (down, opened) = (failure(Kind::Unreachable), Instant::now());
    let all = |now| gates.iter().map(|gate| sent_at(gate, Operation::Create, &down, now)).sum::<usize>();
    assert_eq!(all(opened), 7, "of 600");
    let refused = gates[9].check(Operation::List).expect_err("it waits");
    assert!(
        refused.kind == Kind::Unreachable && refused.to_string().contains("could not reach the provider's host"),
        "{refused}"
    );
    assert_eq!(sent(&elsewhere, Operation::Create, &answer(201)), 30, "another host");

    assert_eq!(all(opened + Duration::from_millis(2600)), 1, "the probe of one stands for all");
    let now = opened + Duration::from_mins(1);
    assert_eq!(sent_at(&gates[3], Operation::Retrieve, &answer(404), now), 30, "it is reached again");
    assert_eq!(sent_at(&gates[4], Operation::Create, &answer(201), now), 30, "and by all");
    assert!(gates.iter().all(|gate| gate.breakers.open() == 0));
}

/// What concerns one merchant may not stop another one.
#[test]
fn only_requests_that_could_not_connect_stop_other_connections() {
    for result in [
        answer(401),
        answer(429),
        answer(500),
        answer(503),
        failure(Kind::TimedOut),
        refused(),
        failure(Kind::Interrupted),
        failure(Kind::BadResponse),
    ] {
        let shared = Shared::default();
        let (own, other) = (gate(&shared, 0), gate(&shared, 1));
        sent(&own, Operation::Create, &result);
        assert!(other.check(Operation::Create).is_ok(), "{result:?}");
        assert_eq!(sent(&other, Operation::Create, &failure(Kind::Unreachable)), 7, "{result:?}");
    }
}

/// A gate whose host could not be reached, that of another connection to the same host, and a time after the pause.
fn after_the_pause(shared: &Shared) -> (Gate, Gate, Instant) {
    let (own, other, now) = (gate(shared, 0), gate(shared, 1), Instant::now());
    sent_at(&own, Operation::List, &failure(Kind::Unreachable), now);
    (own, other, now + Duration::from_mins(1))
}

/// Otherwise one merchant's slow answer would stop all others, although their host can be reached.
#[test]
fn a_probe_of_a_host_that_waits_for_its_answer_stops_no_other_connection_for_long() {
    let shared = Shared::default();
    let (own, other, mut now) = after_the_pause(&shared);
    let slow = own.enter_at(Operation::List, || now).expect("one probes");
    let soon = now + TO_CONNECT;
    assert!(other.enter_at(Operation::List, || soon).is_err(), "the others wait");
    now += TO_CONNECT + Duration::from_secs(1);
    let second = other.enter_at(Operation::List, || now).expect("another one probes");
    assert!(other.enter_at(Operation::List, || now).is_err(), "the others wait for it");
    slow.send();
    drop(slow);
    other.record_at(second.pass, &answer(200), now);
    assert_eq!(other.breakers.open(), 0, "the second one was answered");
}

/// Clients that give up early would otherwise end the pause of a host that is down.
#[test]
fn a_probe_that_shows_nothing_about_the_host_is_followed_by_a_pause() {
    let shared = Shared::default();
    let (own, other, mut now) = after_the_pause(&shared);
    for _ in 0..3 {
        let probe = own.enter_at(Operation::List, || now).expect("one probes");
        own.record_at(probe.send(), &failure(Kind::TimedOut), now);
        assert!(other.enter_at(Operation::List, || now).is_err(), "the others wait for it");
        drop(probe);
        let next = Instant::now() + Duration::from_millis(900);
        assert!(other.enter_at(Operation::List, || next).is_err(), "and for the pause");
        now += Duration::from_mins(1);
    }
    assert_eq!(sent_at(&other, Operation::List, &answer(200), now), 30);
}

/// A merchant whose requests are not sent, for example because they are above its own rate, stops no other one.
#[test]
fn a_probe_that_is_not_sent_leaves_its_place_to_the_next_request() {
    let shared = Shared::default();
    let (own, other, now) = after_the_pause(&shared);
    drop(own.enter_at(Operation::List, || now).expect("one would probe"));
    assert_eq!(sent_at(&other, Operation::Create, &answer(201), now), 30, "also to a write");
}

/// A client that comes too early is refused again.
#[test]
fn the_longest_of_two_pauses_is_told() {
    let shared = Shared::default();
    let gate = gate(&shared, 0);
    sent(&gate, Operation::List, &failure(Kind::Unreachable));
    let own = Gate::new(Arc::clone(&gate.breakers), BreakerConfig::tested(), TO_CONNECT);
    let pass = Pass { operation: Operation::List, ..first_pass(&shared) };
    own.record(pass, &answer(401));
    (0..6).for_each(|_| own.record(pass, &answer(401)));
    let error = gate.check(Operation::List).expect_err("both wait");
    assert_eq!((error.kind, error.retry_after), (Kind::Unauthorized, Some(60)));
}

/// A pass of a gate whose breakers have never opened.
fn first_pass(shared: &Shared) -> Pass {
    let name = ConnectionName { merchant: "other", connection: "main" };
    let breakers = shared.breakers(name, "lomi", "https://c.example", [9; 32]);
    let gate = Gate::new(breakers, BreakerConfig::tested(), TO_CONNECT);
    gate.enter(Operation::List).expect("it is closed").pass
}

/// The credentials of one connection have nothing to do with the host.
#[test]
fn a_reload_with_new_credentials_keeps_the_breaker_of_the_host() {
    let shared = Shared::default();
    let before = gate(&shared, 0);
    sent(&before, Operation::List, &failure(Kind::Unreachable));
    let after = gate(&shared, 1);
    drop(before);
    assert!(after.check(Operation::List).is_err());
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
