//! What a worker of a switch may do now: whether it still has the lease, whether the operator has stopped it, and how fast it
//! may go. A watcher beside the work renews the lease, reads the operator's wishes, and reports a stall.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout_at},
};

use crate::store::{SwitchLog, SwitchState};

/// How often the watcher reads what the operator wishes. `stop` ends sending within a second.
const LOOK: Duration = Duration::from_millis(250);
/// After this time without any answer, a switch counts as stalled. It is shown within two seconds.
const STALLED: Duration = Duration::from_millis(1200);

/// Shared by the work on one switch and its watcher.
#[derive(Debug)]
pub(super) struct Control {
    must_end: AtomicBool,
    has_changed: Notify,
    /// When the work last did something; `None` while it waits on purpose.
    active: Mutex<Option<Instant>>,
    next: Mutex<Instant>,
    /// The customers of the tail who are written again and again, and in how many looks that was so.
    busy: Mutex<BTreeMap<String, u32>>,
}

/// Why the watcher ended, or what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The work goes on.
    Fine,
    /// No answer has come for a while.
    Stalled,
    /// The state is another one.
    Changed,
    /// The operator wants no more.
    Stopped,
    /// The lease may be another's.
    LeaseLost,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            must_end: AtomicBool::new(false),
            has_changed: Notify::new(),
            active: Mutex::new(Some(Instant::now())),
            next: Mutex::new(Instant::now()),
            busy: Mutex::default(),
        }
    }

    /// Whether nothing may be sent any more.
    pub(super) fn must_end(&self) -> bool {
        self.must_end.load(Ordering::Relaxed)
    }

    /// The customers of the tail who are written again and again, and in how many looks that was so.
    pub(super) fn busy(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the work after what is in flight.
    pub(super) fn end(&self) {
        self.must_end.store(true, Ordering::Relaxed);
        self.has_changed.notify_one();
    }

    /// Notes that the work goes on.
    pub(super) fn progressed(&self) {
        self.expects(Duration::ZERO);
    }

    /// A part of the work may wait this long on purpose before it goes on. What another part does meanwhile makes that no
    /// shorter.
    pub(super) fn expects(&self, wait: Duration) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + wait;
        *active = Some(active.map_or(until, |known| known.max(until)));
    }

    fn waits(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_stalled_at(&self, now: Instant) -> bool {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.is_some_and(|since| now.duration_since(since) >= STALLED)
    }

    /// Waits on purpose. It ends early where nothing may be sent any more.
    pub(super) async fn pause(&self, time: Duration) {
        self.waits();
        if !self.must_end() {
            let _ = timeout_at(Instant::now() + time, self.has_changed.notified()).await;
        }
        self.progressed();
    }

    /// Waits for the turn of the next customer. Returns whether it may be sent.
    pub(super) async fn turn(&self, interval: Option<Duration>) -> bool {
        if let Some(interval) = interval {
            let turn = {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                let turn = (*next).max(Instant::now());
                *next = turn + interval;
                turn
            };
            while !self.must_end() && Instant::now() < turn {
                self.waits();
                sleep_until(turn.min(Instant::now() + LOOK)).await;
            }
            self.progressed();
        }
        !self.must_end()
    }

    /// The clock of a watcher.
    pub(super) fn ticks() -> Interval {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Looks at the lease, at the operator's wishes, and at the work. The lease was last renewed at `renewed`.
    pub(super) async fn look(&self, log: &SwitchLog, id: &str, state: SwitchState, renewed: &mut Instant) -> Seen {
        let asked = Instant::now();
        if asked.duration_since(*renewed) >= log.lease() / 3 {
            match log.renew(id).await {
                Ok(Some(_)) => *renewed = asked,
                Ok(None) => return Seen::LeaseLost,
                Err(error) => tracing::warn!(switch = id, "the lease of a switch cannot be renewed: {error}"),
            }
        }
        // A third of the lease is left for what lies between this look and the sending.
        if renewed.elapsed() >= log.lease() / 3 * 2 {
            return Seen::LeaseLost;
        }
        match log.get(id).await {
            Ok(Some(switch)) if switch.is_stopped => return Seen::Stopped,
            Ok(Some(switch)) if switch.state == state => {}
            Ok(_) => return Seen::Changed,
            Err(error) => tracing::warn!(switch = id, "a switch cannot be read: {error}"),
        }
        if self.is_stalled_at(Instant::now()) { Seen::Stalled } else { Seen::Fine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// 5.7: what the switch waits for is shown within two seconds, also where no answer comes at all. Half a second is left for
    /// the store.
    #[test]
    fn a_silent_provider_is_seen_as_a_stall_within_two_seconds() {
        let control = Control::new();
        let latest = Instant::now() + Duration::from_millis(1500);
        assert!(!control.is_stalled_at(Instant::now()));
        assert!(control.is_stalled_at(latest - LOOK), "the look before the last one sees it");
    }

    /// A wait on purpose is no stall, whatever else is done meanwhile, and its end is no stall yet.
    #[test]
    fn a_wait_on_purpose_is_no_stall() {
        let control = Control::new();
        control.expects(HOUR);
        control.progressed();
        let ends = Instant::now() + HOUR;
        assert!(!control.is_stalled_at(ends));
        assert!(control.is_stalled_at(ends + STALLED));
        control.waits();
        assert!(!control.is_stalled_at(ends + HOUR));
        control.progressed();
        assert!(control.is_stalled_at(ends), "the time counts again from the progress after the wait");
    }

    /// 5.1: `stop` ends sending within a second: the next look of the watcher ends the work, and what waits for its turn looks
    /// as often.
    #[tokio::test]
    async fn what_waits_for_a_turn_or_pauses_ends_after_a_stop() {
        const { assert!(LOOK.as_millis() * 2 < 1000) };
        let control = Control::new();
        assert!(control.turn(Some(HOUR)).await, "the first turn");
        let stop = async {
            tokio::task::yield_now().await;
            control.end();
        };
        let (may_send, ()) = tokio::join!(control.turn(Some(HOUR)), stop);
        assert!(!may_send);
        control.pause(HOUR).await;
        assert!(!control.turn(None).await);
    }
}
