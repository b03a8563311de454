//! Decides how many requests the process answers at once, by additive increase and multiplicative decrease (AIMD).
//!
//! The measure of overload is the time that a task which is ready to run waits for a core. Unlike the time of a request, it
//! does not grow because a provider is slow. A short burst also makes tasks wait, so only the shortest wait of a period
//! counts: if even that one was too long, the queue has stood for the whole period.
//!
//! The limit starts at the fixed share. It falls from what was in use, because a higher limit changes nothing, and it grows
//! only if a request was refused because of it, or if so many requests wait for their providers that it was too low for them.

use std::time::{Duration, Instant};

/// How long a period is.
const PERIOD: Duration = Duration::from_millis(100);

/// The limit never falls below this, so that a process on a busy machine still serves. A single merchant then has half.
const LEAST: usize = 32;

/// For each request that waits for its provider there are two places more, up to this limit. Such requests need no core, and if
/// something else uses the cores, fewer places would not help.
const LEAST_WHILE_PROVIDERS_ARE_SLOW: usize = 128;

/// After a wait of so many times the longest one, half of the requests are answered. Otherwise nine tenths.
const FAR_TOO_LONG: u32 = 4;

/// How many requests more are answered after a period in which the limit was reached: so many, or this part of the limit if that
/// is more. So a process whose providers are slow, and which needs many places, has them again within seconds.
const STEP: usize = 4;
const STEP_PART: usize = 16;

/// The limit of requests that are answered at once. It knows no clock: its caller gives it the times.
#[derive(Debug)]
pub(super) struct Controller {
    limit: usize,
    most: usize,
    longest_wait: Duration,
    period: Option<Period>,
}

/// What was measured in a period.
#[derive(Debug)]
struct Period {
    ends: Instant,
    shortest_wait: Duration,
}

/// The requests since the period began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// The most that were answered at once.
    pub(super) peak: usize,
    /// Whether one was refused.
    pub(super) refused: bool,
    /// How many wait for their providers at the end of the period, at least.
    pub(super) waiting: usize,
}

impl Controller {
    /// Starts at this limit, which may double. A period whose shortest wait is longer than `longest_wait` is one of overload.
    pub(super) fn new(start: usize, longest_wait: Duration) -> Self {
        let limit = start.max(LEAST);
        Self { limit, most: limit.saturating_mul(2), longest_wait, period: None }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of how long a task waited until now. At the end of a period it asks for the use, and decides on the limit.
    pub(super) fn waited(&mut self, wait: Duration, now: Instant, used: impl FnOnce() -> Use) {
        let period = self.period.get_or_insert(Period { ends: now + PERIOD, shortest_wait: wait });
        period.shortest_wait = period.shortest_wait.min(wait);
        if now < period.ends {
            return;
        }
        let (period_wait, used) = (period.shortest_wait, used());
        self.period = None;
        // A single merchant has half of the places, so the limit that matters is at most twice what was in use.
        let in_use = self.limit.min(used.peak.saturating_mul(2));
        let least = LEAST.saturating_add(used.waiting.saturating_mul(2)).min(LEAST_WHILE_PROVIDERS_ARE_SLOW);
        self.limit = self.limit.max(least.min(self.most));
        if period_wait > self.longest_wait {
            // With so few requests, it is something else that uses the cores.
            if in_use > least {
                let tenths = if period_wait > self.longest_wait * FAR_TOO_LONG { 5 } else { 9 };
                self.limit = (in_use * tenths / 10).max(least);
            }
        } else if used.refused {
            self.limit = (self.limit + STEP.max(self.limit / STEP_PART)).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(10);

    /// A controller and its time.
    struct Run(Controller, Instant);

    impl Run {
        fn new(start: usize) -> Self {
            Self(Controller::new(start, LONGEST), Instant::now())
        }

        /// The limit after a period with these waits.
        fn period(&mut self, waits: &[u64], peak: usize, refused: bool) -> usize {
            let Self(controller, now) = self;
            for (index, wait) in waits.iter().enumerate() {
                let is_last = index + 1 == waits.len();
                *now += if is_last { PERIOD } else { Duration::from_millis(1) };
                controller.waited(Duration::from_millis(*wait), *now, || Use { peak, refused, waiting: 0 });
            }
            controller.limit()
        }
    }

    #[test]
    fn the_limit_falls_below_what_is_in_use_while_every_task_waits_too_long() {
        let mut run = Run::new(2048);
        assert_eq!(run.period(&[20, 30, 15], 300, false), 540);
        assert_eq!(run.period(&[20, 30, 15], 270, true), 486, "a refusal does not make it grow now");
        assert_eq!(run.period(&[20, 30, 15], 1000, true), 437, "what began before counts no more than the limit");
    }

    #[test]
    fn the_limit_halves_while_tasks_wait_far_too_long() {
        let mut run = Run::new(2048);
        assert_eq!(run.period(&[41, 90], 512, false), 512);
        assert_eq!(run.period(&[41, 90], 512, true), 256);
        assert_eq!(run.period(&[40, 90], 256, true), 230);
    }

    #[test]
    fn one_short_wait_shows_that_no_queue_stands() {
        let mut run = Run::new(2048);
        assert_eq!(run.period(&[90, 1, 90], 300, false), 2048);
        assert_eq!(run.period(&[10, 10], 300, false), 2048, "the longest wait itself is allowed");
    }

    #[test]
    fn the_limit_grows_only_if_it_was_reached_and_at_most_to_twice_the_start() {
        let mut run = Run::new(200);
        run.period(&[20, 20], 80, false);
        assert_eq!(run.0.limit(), 144);
        assert_eq!(run.period(&[1, 1], 45, false), 144);
        assert_eq!(run.period(&[1, 1], 45, true), 153, "a sixteenth more");
        for _ in 0..100 {
            run.period(&[1, 1], 45, true);
        }
        assert_eq!(run.0.limit(), 400);
    }

    #[test]
    fn a_busy_machine_leaves_a_few_requests() {
        let mut run = Run::new(1);
        assert_eq!(run.0.limit(), LEAST);
        for _ in 0..100 {
            assert_eq!(run.period(&[500, 500], 100, false), LEAST);
        }
        let mut run = Run::new(2048);
        assert_eq!(run.period(&[500, 500], LEAST / 2, false), 2048, "something else uses the cores");
    }

    #[test]
    fn requests_that_wait_for_their_providers_keep_more_places() {
        let Run(mut controller, mut now) = Run::new(64);
        for (waiting, limit) in [(0, LEAST), (10, LEAST + 20), (500, LEAST_WHILE_PROVIDERS_ARE_SLOW), (0, LEAST)] {
            for wait in [500; 4] {
                now += PERIOD;
                controller.waited(Duration::from_millis(wait), now, || Use { peak: 1000, refused: true, waiting });
            }
            assert_eq!(controller.limit(), limit, "{waiting} wait");
        }
    }

    /// A queue as the gateway has it: each request in use makes every task wait for a time.
    #[test]
    fn at_twice_the_peak_the_wait_settles_near_the_longest_one() {
        let (mut run, mut waits) = (Run::new(2048), Vec::new());
        for period in 0..200 {
            let in_use = run.0.limit().min(600);
            let wait = u64::try_from(in_use / 20).expect("a wait");
            run.period(&[wait, wait], in_use, in_use < 600);
            if period >= 100 {
                waits.push(wait);
            }
        }
        assert!(waits.iter().all(|wait| (8..=11).contains(wait)), "{waits:?}");
    }
}
