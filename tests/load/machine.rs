//! Notices when the machine is slow. A virtual machine shares its processors and their power with others: it may run at a tenth of its
//! speed for some milliseconds, on all of its processors at once. Requests in such a moment say nothing about the gateway.

use std::{
    hint::black_box,
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::priority;

/// How often the speed is measured.
const INTERVAL: Duration = Duration::from_millis(2);

/// The machine is slow where the same work takes so many times as long as usual.
const SLOW: f64 = 1.5;

/// How long before such a measurement the machine may have been slow.
const BEFORE: Duration = Duration::from_millis(5);

/// How long requests may still wait behind those of a slow moment.
const AFTER: Duration = Duration::from_millis(20);

/// When the speed was measured, and how long the work took.
static MEASURED: LazyLock<Mutex<Vec<(Instant, Duration)>>> = LazyLock::new(|| {
    priority::prompt(async {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let measured = (Instant::now(), work());
            MEASURED.lock().expect("nothing fails while it is locked").push(measured);
        }
    });
    Mutex::default()
});

/// How long a fixed piece of work takes, which needs nothing but a processor. The shortest of three, because the thread may lose
/// its processor during one.
fn work() -> Duration {
    const STEPS: u64 = 4000;
    let once = || {
        let begun = Instant::now();
        let mut value = black_box(1_u64);
        for _ in 0..STEPS {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        }
        black_box(value);
        begun.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

/// Begins to measure the speed.
pub(crate) fn watch() {
    LazyLock::force(&MEASURED);
}

/// The moments in which the machine was slow.
#[derive(Debug, Default)]
pub(crate) struct SlowMoments(Vec<(Instant, Instant)>);

impl SlowMoments {
    /// The slow moments after `begun`. Empty if no test has called [`watch`].
    pub(crate) fn since(begun: Instant) -> Self {
        let measured = match LazyLock::get(&MEASURED) {
            Some(measured) => measured.lock().expect("nothing fails while it is locked").clone(),
            None => return Self::default(),
        };
        let mut times: Vec<_> = measured.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        let usual = times.get(times.len() / 2).copied().unwrap_or_default();
        let mut moments = Vec::<(Instant, Instant)>::new();
        for (at, time) in measured {
            let (from, to) = (at.checked_sub(BEFORE).unwrap_or(at), at + time + AFTER);
            if to < begun || time <= usual.mul_f64(SLOW) {
                continue;
            }
            match moments.last_mut() {
                Some(last) if last.1 >= from => last.1 = to,
                _ => moments.push((from, to)),
            }
        }
        Self(moments)
    }

    /// Whether one of them has a part of this time.
    pub(crate) fn touch(&self, from: Instant, to: Instant) -> bool {
        let first = self.0.partition_point(|moment| moment.1 < from);
        self.0.get(first).is_some_and(|moment| moment.0 <= to)
    }

    /// How much of this time the machine was not slow.
    pub(crate) fn rest_of(&self, from: Instant, to: Instant) -> Duration {
        let slow = self.0.iter().map(|moment| moment.1.min(to).saturating_duration_since(moment.0.max(from)));
        to.saturating_duration_since(from).saturating_sub(slow.sum())
    }
}
