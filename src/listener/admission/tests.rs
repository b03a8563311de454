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

/// Admits a connection, if it need not wait for that.
pub(in crate::listener) fn admit(admission: &Arc<Admission>, peer: IpAddr) -> Option<Admitted> {
    admission.try_admit(peer.to_canonical()).ok().flatten()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn an_address_has_a_cap_of_its_own_and_a_trusted_proxy_has_none() {
    let admission = admission(9, "10.0.0.0/8");
    let mut held: Vec<_> = (0..2).map(|_| admit(&admission, address("192.0.2.1")).expect("below the cap")).collect();
    assert!(admit(&admission, address("192.0.2.1")).is_none());
    assert!(admit(&admission, address("::ffff:192.0.2.1")).is_none(), "the same address");
    held.push(admit(&admission, address("192.0.2.2")).expect("another address"));
    held.extend((0..4).map(|_| admit(&admission, address("10.1.2.3")).expect("a trusted proxy")));
    held.remove(0);
    held.push(admit(&admission, address("192.0.2.1")).expect("one was closed"));
    held.clear();
    assert!(admission.open().by_client.is_empty());
    assert_eq!(counts(&admission), [0, 0]);
}

#[test]
fn the_addresses_of_one_ipv6_network_count_as_one_client() {
    let admission = admission(9, "fd00::/8");
    let held: Vec<_> =
        ["2001:db8::1", "2001:db8::2"].map(|peer| admit(&admission, address(peer)).expect("below")).into();
    assert!(admit(&admission, address("2001:db8::3")).is_none());
    admit(&admission, address("2001:db8:0:1::1")).expect("another network");
    drop(held);
}

#[test]
fn the_cap_of_all_connections_holds_for_trusted_proxies_too() {
    let admission = admission(3, "10.0.0.0/8");
    let held: Vec<_> = (0..3).map(|_| admit(&admission, address("10.0.0.1")).expect("below the cap")).collect();
    assert!(admit(&admission, address("10.0.0.1")).is_none());
    assert!(admit(&admission, address("192.0.2.1")).is_none());
    drop(held);
    admit(&admission, address("192.0.2.1")).expect("all were closed");
}

/// How many connections have a place, and how many have lost it and are still open.
fn counts(admission: &Admission) -> [usize; 2] {
    let open = admission.open();
    [open.places.len(), open.closing]
}

/// Closes the connection that has waited the longest, as if a new one needed its place.
pub(in crate::listener) fn replace(admission: &Admission) {
    assert_eq!(admission.open().replace(later(admission)), Taken::Place, "one waits for its client");
}

/// A time at which all connections have waited for long.
fn later(admission: &Admission) -> Time {
    time_since(admission.epoch) + 1000 * SHORTEST_WAIT_MS
}

#[test]
fn the_connection_that_waits_longest_loses_its_place_and_answers_no_request() {
    let admission = admission(9, "10.0.0.0/8");
    let held: Vec<_> = (0..4).map(|_| admit(&admission, address("10.0.0.1")).expect("below the cap")).collect();
    assert!(held[0].progress().begin(), "it answers a request");
    let now = time_since(admission.epoch);
    let taken = admission.open().replace(now);
    assert!(
        matches!(taken, Taken::NotYet(1..=SHORTEST_FIRST_WAIT_MS)),
        "all others have waited for a moment only: {taken:?}"
    );
    let lost = |admitted: &Admitted| admitted.place.index.load(Ordering::Relaxed) == usize::MAX;
    replace(&admission);
    assert_eq!(held.iter().map(lost).collect::<Vec<_>>(), [false, true, false, false], "the oldest that waits");
    assert!(held[1].progress().is_closed() && !held[1].progress().begin(), "it answers no request without a place");
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
    let new = admit(&admission, address("192.0.2.3")).expect("another one loses its place");
    assert_eq!(counts(&admission), [2, 1]);
    held[0].keep_place();
    assert!(held[0].progress().begin(), "its request is answered");
    assert_eq!(counts(&admission), [3, 0], "one more than the limit");
    held[0].keep_place();
    assert_eq!(counts(&admission), [3, 0], "it has its place already");
    drop((held, new));
    assert_eq!(counts(&admission), [0, 0]);
}

#[test]
fn while_there_are_more_connections_than_the_limit_a_new_one_takes_two_places() {
    let (admission, held) = waiting(2, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    admit(&admission, address("192.0.2.4")).expect("another one loses its place");
    assert_eq!(counts(&admission), [1, 2], "the new one has ended");
    drop(held);
}

#[test]
fn a_connection_that_is_refused_takes_no_place() {
    let (admission, held) = waiting(2, &["192.0.2.1", "192.0.2.1"]);
    assert!(admit(&admission, address("192.0.2.1")).is_none(), "its address has as many as it may have");
    assert_eq!(counts(&admission), [2, 0]);
    drop(held);
}

#[test]
fn a_request_that_begins_while_its_connection_loses_its_place_is_answered() {
    let (admission, held) = waiting(1, &["192.0.2.1"]);
    replace(&admission);
    held[0].begin();
    assert!(held[0].progress().is_answering());
    assert_eq!(counts(&admission), [1, 0]);
    drop(held);
}

#[test]
fn a_connection_may_lose_its_place_sooner_before_its_first_request() {
    let admission = admission(1, "10.0.0.0/8");
    let held = admit(&admission, address("10.0.0.1")).expect("below the cap");
    let shortest = || admission.open().longest_waiting().map(|waiting| waiting.may_close_at - waiting.since);
    assert_eq!(shortest(), Some(SHORTEST_FIRST_WAIT_MS));
    held.begin();
    assert_eq!(shortest(), None, "it answers a request");
    held.progress().answered();
    assert_eq!(shortest(), Some(SHORTEST_WAIT_MS), "a next request may be on its way");
}

/// A connection that stays young: its times are a minute ahead of those of the others.
fn young(admission: &Arc<Admission>) -> Admitted {
    let mut epoch = admission.epoch;
    epoch -= Duration::from_mins(1);
    let place = admission.open().add(None, epoch);
    Admitted { admission: Arc::clone(admission), place, client: None }
}

#[tokio::test]
async fn while_all_connections_are_young_a_new_one_waits_until_one_is_closed() {
    let admission = admission(2, "10.0.0.0/8");
    let (first, _second) = (young(&admission), young(&admission));
    let mut new = Box::pin(admission.admit(address("10.0.0.1")));
    assert!(new.as_mut().now_or_never().is_none());
    drop(first);
    assert!(new.now_or_never().flatten().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_refused_at_once_while_all_others_answer_and_late_while_all_are_young() {
    let admission = admission(1, "10.0.0.0/8");
    let held = young(&admission);
    let began = tokio::time::Instant::now();
    assert!(admission.admit(address("10.0.0.1")).await.is_none());
    assert_eq!(began.elapsed(), LONGEST_WAIT);

    held.begin();
    let refused = admission.admit(address("10.0.0.1")).now_or_never().expect("it does not wait for answers");
    assert!(refused.is_none());
}

/// As many connections as may be beyond the limit have lost their places.
fn closing() -> (Arc<Admission>, Vec<Admitted>) {
    let clients: Vec<_> =
        (0..2 * MOST_BEYOND).map(|number| format!("10.0.{}.{}", number / 256, number % 256)).collect();
    let clients: Vec<_> = clients.iter().map(String::as_str).collect();
    let (admission, mut held) = waiting(2 * MOST_BEYOND, &clients);
    for _ in 0..MOST_BEYOND {
        held.push(admit(&admission, address("10.1.0.0")).expect("the place of another one"));
    }
    assert_eq!(counts(&admission), [2 * MOST_BEYOND, MOST_BEYOND]);
    assert!(admission.try_admit(address("10.1.0.0")).is_err(), "a new one waits");
    (admission, held)
}

fn lost(held: &[Admitted]) -> Vec<usize> {
    (0..held.len()).filter(|index| held[*index].progress().is_closed()).collect()
}

#[tokio::test]
async fn a_new_connection_waits_until_one_that_lost_its_place_is_closed() {
    let (admission, mut held) = closing();
    let mut new = Box::pin(admission.admit(address("10.1.0.0")));
    assert!(new.as_mut().now_or_never().is_none());
    drop(held.swap_remove(lost(&held)[0]));
    assert!(new.now_or_never().flatten().is_some());
    assert_eq!(counts(&admission), [2 * MOST_BEYOND - 1, MOST_BEYOND], "the new one is closed");
}

#[test]
fn all_that_lost_their_places_can_get_them_back_and_new_ones_come_only_after_others_are_closed() {
    let (admission, mut held) = closing();
    for index in lost(&held) {
        held[index].keep_place();
    }
    assert_eq!(counts(&admission), [3 * MOST_BEYOND, 0]);
    let mut admitted = 0;
    for _ in 0..MOST_BEYOND {
        admitted += usize::from(admit(&admission, address("10.1.0.0")).is_some());
        let [open, closing] = counts(&admission);
        assert!(open + closing <= 3 * MOST_BEYOND, "{open} {closing}");
        let Some(index) = lost(&held).pop() else { continue };
        drop(held.swap_remove(index));
    }
    assert!(admitted > MOST_BEYOND / 4, "{admitted}");
    drop(held);
}

#[test]
fn connections_rest_sooner_while_half_of_the_places_are_taken() {
    let admission = admission(4, "10.0.0.0/8");
    let mut held: Vec<_> = (0..2).map(|_| admit(&admission, address("10.0.0.1")).expect("a free place")).collect();
    let usual = held[0].rests_after();
    held.push(admit(&admission, address("10.0.0.1")).expect("a free place"));
    assert!(held[0].rests_after() < usual / 10);
    held.truncate(1);
    held.push(admit(&admission, address("10.0.0.1")).expect("a free place"));
    assert_eq!(held[0].rests_after(), usual);
}
