//! Tests of `admission.rs`.

use futures_util::FutureExt;

use super::*;

pub(in crate::listener) fn admission(max_connections: usize, trusted: &str) -> Arc<Admission> {
    let trusted_proxies = vec![trusted.parse().expect("a network")];
    Admission::new(Limits {
        max_connections,
        max_connections_per_address: 2,
        max_streams: 1,
        stream_window: 64 << 10,
        connection_window: 1 << 20,
        head: crate::config::HeadLimits::tested(),
        trusted_proxies,
        head_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        rest_after: Duration::from_secs(1),
        write_timeout: Duration::from_secs(1),
        ping_interval: Duration::from_secs(1),
        ping_timeout: Duration::from_secs(1),
        series: super::super::ListenerSeries::default(),
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn an_address_has_a_cap_of_its_own_and_a_trusted_proxy_has_none() {
    let admission = admission(9, "10.0.0.0/8");
    let mut held: Vec<_> = (0..2).map(|_| admission.admit(address("192.0.2.1")).expect("below the cap")).collect();
    assert!(admission.admit(address("192.0.2.1")).is_none());
    assert!(admission.admit(address("::ffff:192.0.2.1")).is_none(), "the same address");
    held.push(admission.admit(address("192.0.2.2")).expect("another address"));
    held.extend((0..4).map(|_| admission.admit(address("10.1.2.3")).expect("a trusted proxy")));
    held.remove(0);
    held.push(admission.admit(address("192.0.2.1")).expect("one was closed"));
    held.clear();
    assert!(admission.open().by_client.is_empty());
    assert_eq!(counts(&admission), [0, 0]);
}

#[test]
fn the_addresses_of_one_ipv6_network_count_as_one_client() {
    let admission = admission(9, "fd00::/8");
    let held: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|peer| admission.admit(address(peer)).expect("below")).into();
    assert!(admission.admit(address("2001:db8::3")).is_none());
    admission.admit(address("2001:db8:0:1::1")).expect("another network");
    drop(held);
}

#[test]
fn the_cap_of_all_connections_holds_for_trusted_proxies_too() {
    let admission = admission(3, "10.0.0.0/8");
    let held: Vec<_> = (0..3).map(|_| admission.admit(address("10.0.0.1")).expect("below the cap")).collect();
    assert!(admission.admit(address("10.0.0.1")).is_none());
    assert!(admission.admit(address("192.0.2.1")).is_none());
    drop(held);
    admission.admit(address("192.0.2.1")).expect("all were closed");
}

/// How many connections have a place, and how many have lost it and are still open.
fn counts(admission: &Admission) -> [usize; 2] {
    let open = admission.open();
    [open.places.len(), open.closing]
}

/// Closes the connection that has waited the longest, as if a new one needed its place.
pub(in crate::listener) fn replace(admission: &Admission) {
    assert!(admission.open().replace(later(admission)), "one waits for its client");
}

/// A time at which all connections have waited for long.
fn later(admission: &Admission) -> Time {
    time_since(admission.epoch) + 1000 * SHORTEST_WAIT_MS
}

#[test]
fn the_connection_that_waits_longest_loses_its_place_and_answers_no_request() {
    let admission = admission(9, "10.0.0.0/8");
    let held: Vec<_> = (0..4).map(|_| admission.admit(address("10.0.0.1")).expect("below the cap")).collect();
    assert!(held[0].progress().begin(), "it answers a request");
    let now = time_since(admission.epoch);
    assert!(!admission.open().replace(now), "all others have waited for a moment only");
    let lost = |admitted: &Admitted| admitted.place.index.load(Ordering::Relaxed) == usize::MAX;
    assert!(admission.open().replace(later(&admission)));
    assert_eq!(held.iter().map(lost).collect::<Vec<_>>(), [false, true, false, false], "the oldest that waits");
    assert!(!held[1].progress().begin(), "a request that arrives meanwhile is not answered");
    held[0].progress().answered();
    assert!(held[0].progress().waits_since() >= held[3].progress().waits_since(), "it has waited since its answer");
    assert_eq!(counts(&admission), [3, 1]);
    drop(held);
    assert_eq!(counts(&admission), [0, 0]);
}

/// Connections of these clients that have waited for a second.
fn waiting(max_connections: usize, clients: &[&str]) -> (Arc<Admission>, Vec<Admitted>) {
    let mut admission = admission(max_connections, "10.0.0.0/8");
    Arc::get_mut(&mut admission).expect("it has no connections yet").epoch -= Duration::from_secs(1);
    let held = clients.iter().map(|client| {
        let client = Some(address(client));
        let place = admission.open().add(client, Instant::now());
        Admitted { admission: Arc::clone(&admission), place, client }
    });
    let held = held.collect();
    (admission, held)
}

#[test]
fn a_connection_whose_request_has_arrived_gets_its_place_back() {
    let (admission, held) = waiting(2, &["192.0.2.1", "192.0.2.2"]);
    let new = admission.admit(address("192.0.2.3")).expect("another one loses its place");
    assert_eq!(counts(&admission), [2, 1]);
    assert!(held[0].keep_place());
    assert!(held[0].progress().begin(), "its request is answered");
    assert_eq!(counts(&admission), [3, 0], "one more than the limit");
    drop((held, new));
    assert_eq!(counts(&admission), [0, 0]);
}

#[test]
fn while_there_are_more_connections_than_the_limit_a_new_one_takes_two_places() {
    let (admission, held) = waiting(2, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    admission.admit(address("192.0.2.4")).expect("another one loses its place");
    assert_eq!(counts(&admission), [1, 2], "the new one has ended");
    drop(held);
}

#[test]
fn a_connection_that_is_refused_takes_no_place() {
    let (admission, held) = waiting(2, &["192.0.2.1", "192.0.2.1"]);
    assert!(admission.admit(address("192.0.2.1")).is_none(), "its address has as many as it may have");
    assert_eq!(counts(&admission), [2, 0]);
    drop(held);
}

#[test]
fn only_some_connections_get_their_place_back() {
    let admission = admission(MOST_KEPT, "10.0.0.0/8");
    let held: Vec<_> = (0..MOST_KEPT).map(|_| admission.admit(address("10.0.0.1")).expect("below the cap")).collect();
    for _ in 0..MOST_KEPT {
        assert!(admission.open().replace(later(&admission)));
    }
    for _ in 0..=MOST_KEPT {
        admission.open().add(None, admission.epoch);
    }
    let kept = held.iter().filter(|one| one.keep_place()).count();
    assert_eq!((kept, counts(&admission)), (MOST_KEPT - 1, [2 * MOST_KEPT, 1]));
}

#[tokio::test(start_paused = true)]
async fn while_all_connections_are_young_the_listener_waits_and_refuses_none() {
    let admission = admission(2, "10.0.0.0/8");
    let admit = || admission.admit(address("10.0.0.1"));
    let held = [admit().expect("below the cap"), admit().expect("below the cap")];
    let began = tokio::time::Instant::now();
    admission.may_replace().await;
    let waited = began.elapsed();
    assert!(waited > Duration::ZERO && waited <= Duration::from_millis(SHORTEST_FIRST_WAIT_MS), "{waited:?}");

    let all_begin = held.iter().all(|one| one.progress().begin());
    assert!(all_begin);
    for one in &held {
        one.progress().answered();
    }
    let began = tokio::time::Instant::now();
    admission.may_replace().await;
    assert!(began.elapsed() > Duration::from_millis(SHORTEST_FIRST_WAIT_MS), "a next request may be on its way");

    let all_begin = held.iter().all(|one| one.progress().begin());
    assert!(all_begin);
    assert!(admission.may_replace().now_or_never().is_some(), "it does not wait for answers");
    assert!(admit().is_none());
}

#[test]
fn connections_that_have_yet_to_close_are_limited() {
    let admission = admission(2 * MOST_CLOSING, "10.0.0.0/8");
    let admit = |_| admission.admit(address("10.0.0.1")).expect("below the cap");
    let mut held: Vec<_> = (0..2 * MOST_CLOSING).map(admit).collect();
    for _ in 0..MOST_CLOSING {
        assert!(admission.open().replace(later(&admission)));
    }
    assert!(!admission.open().replace(later(&admission)));
    let mut waits = Box::pin(admission.may_replace());
    assert!(waits.as_mut().now_or_never().is_none(), "no connection is accepted now");
    let lost = held.iter().position(|one| one.place.index.load(Ordering::Relaxed) == usize::MAX);
    drop(held.swap_remove(lost.expect("one has lost its place")));
    assert!(waits.as_mut().now_or_never().is_some(), "one has closed");
    assert!(admission.open().replace(later(&admission)));
    assert!(admission.may_replace().now_or_never().is_none());
}

#[test]
fn connections_rest_sooner_while_all_places_are_taken() {
    let admission = admission(1, "10.0.0.0/8");
    let held = admission.admit(address("192.0.2.1")).expect("a free place");
    let usual = held.rests_after();
    assert!(admission.admit(address("192.0.2.2")).is_none());
    assert!(held.rests_after() < usual / 10);
    drop(held);
    assert_eq!(admission.admit(address("192.0.2.2")).expect("a free place").rests_after(), usual);
}
