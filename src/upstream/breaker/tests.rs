//! Tests of `breaker.rs`, with a time of their own.

use proptest::prelude::*;

use super::*;

const FAILED: Outcome = Outcome::Failure(None);
const LIMITED: Outcome = Outcome::Limited(None);

fn settings() -> BreakerConfig {
    BreakerConfig::tested()
}

/// A breaker with a time of its own.
struct Timed {
    breaker: Breaker,
    settings: BreakerConfig,
    now: Instant,
}

impl Timed {
    fn new(settings: BreakerConfig) -> Self {
        Self { breaker: Breaker::default(), settings, now: Instant::now() }
    }

    /// Sends a request that ends in this way. `false`: it was refused.
    fn send(&mut self, outcome: Outcome) -> bool {
        let is_sent = self.breaker.refusal(ProbeTime::AtOnce, self.now).is_none();
        if is_sent {
            let ticket = self.breaker.enter();
            self.end(ticket, outcome);
        }
        is_sent
    }

    fn end(&mut self, ticket: Ticket, outcome: Outcome) {
        self.breaker.record(ticket, outcome, &self.settings, self.now, || 0.0);
    }

    /// How many of so many requests are sent that all end in this way.
    fn sent(&mut self, count: usize, outcome: Outcome) -> usize {
        (0..count).filter(|_| self.send(outcome)).count()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Why and for how long requests are refused.
    fn refusal(&self) -> Option<(Cause, Duration)> {
        self.breaker.refusal(ProbeTime::AtOnce, self.now).map(|Refusal { cause, retry_after }| (cause, retry_after))
    }

    /// A breaker that a run of failures has opened.
    fn opened() -> Self {
        let mut timed = Self::new(settings());
        assert_eq!(timed.sent(20, FAILED), 7);
        timed
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_run_of_failures_opens_it_and_a_success_ends_the_run() {
    let mut timed = Timed::new(BreakerConfig { min_success: 0.0, ..settings() });
    for _ in 0..10 {
        assert_eq!(timed.sent(6, FAILED), 6);
        assert!(timed.send(Outcome::Success));
    }
    assert_eq!(timed.sent(20, FAILED), 7);
    assert_eq!(timed.refusal(), Some((Cause::Failing, SECOND)));
}

#[test]
fn a_small_part_of_successes_in_the_window_opens_it() {
    let mut timed = Timed::new(settings());
    // Eleven of twenty fail, never seven of them one after the other.
    for outcome in [Outcome::Success, FAILED].repeat(9) {
        assert!(timed.send(outcome));
    }
    assert!(timed.send(FAILED), "nineteen requests are too few");
    assert_eq!(timed.refusal(), None);
    assert!(timed.send(FAILED));
    assert_eq!(timed.refusal().map(|(cause, _)| cause), Some(Cause::Failing));
}

#[test]
fn requests_before_the_window_do_not_count() {
    let mut timed = Timed::new(BreakerConfig { failures: 0, ..settings() });
    assert_eq!(timed.sent(19, FAILED), 19);
    timed.wait(timed.settings.window);
    assert_eq!(timed.sent(19, FAILED), 19, "the others are too old");
    // A part of the window later, they still count.
    timed.wait(timed.settings.window / 2);
    assert_eq!(timed.sent(19, FAILED), 1);
}

#[test]
fn too_many_requests_lower_the_part_and_never_count_in_the_run() {
    let mut timed = Timed::new(BreakerConfig { min_success: 0.0, ..settings() });
    assert_eq!(timed.sent(1000, LIMITED), 1000);
    let mut timed = Timed::new(settings());
    assert_eq!(timed.sent(1000, LIMITED), 20);
    assert_eq!(timed.refusal(), Some((Cause::Limited, SECOND)));
}

#[test]
fn zero_switches_a_rule_off() {
    let mut timed = Timed::new(BreakerConfig { failures: 0, min_success: 0.0, ..settings() });
    for outcome in [FAILED, LIMITED, Outcome::Unauthorized] {
        assert_eq!(timed.sent(1000, outcome), 1000);
    }
}

#[test]
fn exactly_one_request_probes_and_its_success_closes_it() {
    let mut timed = Timed::opened();
    timed.wait(Duration::from_millis(999));
    assert!(timed.refusal().is_some());
    timed.wait(Duration::from_millis(1));
    let probe = timed.breaker.enter();
    assert_eq!(timed.refusal(), Some((Cause::Failing, SECOND)), "the others wait for the probe");
    timed.end(probe, Outcome::Success);
    assert!(timed.breaker.is_closed());
    assert_eq!(timed.sent(20, FAILED), 7, "it counts from zero again");
    assert_eq!(timed.refusal(), Some((Cause::Failing, SECOND)), "and so do the pauses");
}

#[test]
fn after_failures_a_write_probes_only_if_no_read_comes() {
    let write = |timed: &Timed| timed.breaker.refusal(ProbeTime::Later, timed.now).map(|refusal| refusal.retry_after);
    let mut timed = Timed::opened();
    assert_eq!((timed.refusal(), write(&timed)), (Some((Cause::Failing, SECOND)), Some(2 * SECOND)));
    timed.wait(SECOND);
    assert_eq!((timed.refusal(), write(&timed)), (None, Some(SECOND)), "a read may probe now");
    timed.wait(SECOND);
    assert_eq!(write(&timed), None);
    let probe = timed.breaker.enter();
    timed.breaker.release(probe, timed.now);
    assert_eq!(write(&timed), None, "it was not sent, so the next write is the probe");

    for outcome in [LIMITED, Outcome::Unauthorized] {
        let mut timed = Timed::new(settings());
        timed.sent(20, outcome);
        assert_eq!(write(&timed), timed.refusal().map(|(_, left)| left), "such a refusal leaves no unknown outcome");
    }
}

#[test]
fn each_probe_that_fails_doubles_the_pause_up_to_its_bound() {
    for (failure, cause) in [(FAILED, Cause::Failing), (LIMITED, Cause::Limited)] {
        let mut timed = Timed::opened();
        for pause in [2, 4, 8, 16, 32, 40, 40] {
            timed.wait(timed.refusal().expect("it is open").1);
            assert_eq!(timed.sent(20, failure), 1);
            assert_eq!(timed.refusal(), Some((cause, Duration::from_secs(pause))));
        }
    }
}

#[test]
fn a_pause_is_at_random_up_to_half_longer() {
    let breaker = |opened| Breaker { opened, ..Breaker::default() };
    for (opened, spread, milliseconds) in
        [(0, 0.0, 1000), (0, 0.5, 1250), (0, 1.0, 1500), (3, 1.0, 12_000), (99, 1.0, 60_000)]
    {
        assert_eq!(breaker(opened).pause(&settings(), spread).as_millis(), milliseconds, "{opened} {spread}");
    }
    let exact = BreakerConfig { jitter: 0.0, ..settings() };
    assert_eq!([0, 3, 99].map(|opened| breaker(opened).pause(&exact, 1.0).as_secs()), [1, 8, 60], "without jitter");
    let settings = BreakerConfig { pause: 3 * SECOND, max_pause: 2 * SECOND, ..settings() };
    assert_eq!(breaker(0).pause(&settings, 1.0), 2 * SECOND, "the bound holds");
}

#[test]
fn a_probe_without_an_outcome_leaves_its_place_to_the_next_request() {
    let mut timed = Timed::opened();
    timed.wait(SECOND);
    let probe = timed.breaker.enter();
    timed.breaker.release(probe, timed.now);
    assert_eq!(timed.refusal(), None);
    let next = timed.breaker.enter();
    timed.breaker.release(probe, timed.now);
    assert!(timed.refusal().is_some(), "the first probe has nothing to say any more");
    timed.end(next, Outcome::Success);
    timed.breaker.release(next, timed.now);
    assert!(timed.breaker.is_closed());
}

#[test]
fn requests_that_began_before_it_opened_do_not_count() {
    let mut timed = Timed::new(settings());
    let [early, late] = [timed.breaker.enter(), timed.breaker.enter()];
    assert_eq!(timed.sent(20, FAILED), 7);
    timed.end(early, Outcome::Success);
    assert!(!timed.breaker.is_closed());
    timed.wait(SECOND);
    let probe = timed.breaker.enter();
    timed.end(late, FAILED);
    assert!(timed.breaker.admits(probe) && !timed.breaker.admits(late), "only the probe may be sent again");
    timed.end(probe, Outcome::Success);
    assert!(timed.breaker.is_closed());
}

#[test]
fn retry_after_opens_it_at_once_within_its_bound() {
    let asked = |seconds| Some(Duration::from_secs(seconds));
    for (outcome, cause, seconds) in [
        (Outcome::Limited(asked(30)), Cause::Limited, 30),
        (Outcome::Failure(asked(30)), Cause::Failing, 30),
        (Outcome::Limited(asked(u64::MAX)), Cause::Limited, 300),
    ] {
        let mut timed = Timed::new(settings());
        assert!(timed.send(outcome));
        assert_eq!(timed.refusal(), Some((cause, Duration::from_secs(seconds))));
    }
    assert!(Timed::new(settings()).sent(5, Outcome::Limited(asked(0))) == 5, "zero asks for no pause");
}

#[test]
fn a_shorter_retry_after_does_not_end_a_longer_one() {
    let asked = |seconds| Outcome::Limited(Some(Duration::from_secs(seconds)));
    let mut timed = Timed::new(settings());
    let [first, second, third] = [(); 3].map(|()| timed.breaker.enter());
    timed.end(first, asked(20));
    timed.end(second, asked(1));
    assert_eq!(timed.refusal(), Some((Cause::Limited, 20 * SECOND)));
    timed.end(third, asked(30));
    assert_eq!(timed.refusal(), Some((Cause::Limited, 30 * SECOND)));
    timed.wait(30 * SECOND);
    assert_eq!(timed.sent(5, asked(10)), 1, "a probe that is limited keeps it shut");
    assert_eq!(timed.refusal(), Some((Cause::Limited, 10 * SECOND)));
}

#[test]
fn refused_credentials_leave_one_probe_a_minute() {
    let mut timed = Timed::new(settings());
    assert_eq!(timed.sent(20, Outcome::Unauthorized), 7);
    for _ in 0..5 {
        assert_eq!(timed.refusal(), Some((Cause::Unauthorized, 60 * SECOND)));
        timed.wait(60 * SECOND);
        assert_eq!(timed.sent(20, Outcome::Unauthorized), 1);
    }
    timed.wait(60 * SECOND);
    assert_eq!(timed.sent(20, Outcome::Success), 20);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Begin,
    /// Ends the request with this number among those in flight.
    End(usize, Option<Outcome>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let asked = || prop_oneof![Just(None), (0..1000_u64).prop_map(|seconds| Some(Duration::from_secs(seconds)))];
    let outcome = prop_oneof![
        Just(Outcome::Success),
        asked().prop_map(Outcome::Failure),
        asked().prop_map(Outcome::Limited),
        Just(Outcome::Unauthorized)
    ];
    let step = prop_oneof![
        (0..100_000_u64).prop_map(Step::Wait),
        Just(Step::Begin),
        (any::<usize>(), proptest::option::weighted(0.9, outcome)).prop_map(|(which, how)| Step::End(which, how)),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens: while it is open at most one request is in flight that could close it, and it never refuses requests
    /// for longer than the longest pause after the last request has ended.
    #[test]
    fn it_has_one_probe_and_always_comes_back(steps in steps(), failures in 1..8_u32) {
        let mut timed = Timed::new(BreakerConfig { failures, ..settings() });
        let longest = timed.settings.max_retry_after;
        let mut in_flight: Vec<Ticket> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(milliseconds) => timed.wait(Duration::from_millis(milliseconds)),
                Step::Begin if timed.refusal().is_none() => in_flight.push(timed.breaker.enter()),
                Step::Begin => {}
                Step::End(_, _) if in_flight.is_empty() => {}
                Step::End(which, outcome) => {
                    let ticket = in_flight.swap_remove(which % in_flight.len());
                    match outcome {
                        Some(outcome) => timed.end(ticket, outcome),
                        None => timed.breaker.release(ticket, timed.now),
                    }
                }
            }
            let counted = in_flight.iter().filter(|ticket| timed.breaker.admits(**ticket)).count();
            match timed.breaker.state {
                State::Closed => {}
                State::Open { .. } => prop_assert_eq!(counted, 0),
                State::Probing => prop_assert_eq!(counted, 1),
            }
            prop_assert!(timed.refusal().is_none_or(|(_, left)| left <= longest));
            let later = timed.breaker.refusal(ProbeTime::Later, timed.now);
            prop_assert!(later.is_none_or(|later| later.retry_after <= longest + timed.settings.pause));
        }
        for ticket in in_flight {
            timed.breaker.release(ticket, timed.now);
        }
        timed.wait(longest);
        prop_assert!(timed.send(Outcome::Success));
        prop_assert!(timed.breaker.is_closed());
    }
}
