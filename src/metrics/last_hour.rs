//! The last hour of every connection, minute by minute, for the console. It is read from the series of the metrics, once a minute
//! and when an operator opens the overview, so requests pay nothing for it. A connection needs
//! about 6 KiB, and no more after an hour than after a minute. It is of this process, since its start.

use std::{
    collections::{HashMap, VecDeque},
    ops::{AddAssign, Sub},
    sync::{Mutex, MutexGuard, PoisonError},
};

use passerelle_providers::model::Operation;

use super::{CallOutcome, ConnectionSeries, Outcome};

/// How many minutes are kept, with the one that has not ended.
pub const MINUTES: usize = 60;

/// What happened at a connection in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    /// Requests that were answered with a success.
    pub ok: u64,
    /// Requests that were answered with a status of 4xx.
    pub refused: u64,
    /// Requests that were answered with a status of 5xx.
    pub failed: u64,
    /// Writes whose outcome is not known.
    pub unknown: u64,
    /// Requests whose client has disconnected.
    pub abandoned: u64,
    /// The time of all these requests together, in seconds.
    pub seconds: f64,
    /// The part of it in which no request to a provider was open.
    pub own_seconds: f64,
    /// Attempts to send a request to the provider.
    pub calls: u64,
    /// Attempts that the provider did not answer as it should: failures, broken connections, time-outs.
    pub failed_calls: u64,
}

impl Traffic {
    /// All requests.
    pub const fn requests(&self) -> u64 {
        self.ok + self.refused + self.failed + self.unknown + self.abandoned
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.abandoned += other.abandoned;
        self.seconds += other.seconds;
        self.own_seconds += other.own_seconds;
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
    }
}

impl Sub for Traffic {
    type Output = Self;

    /// What happened since an earlier sum.
    fn sub(self, earlier: Self) -> Self {
        Self {
            ok: self.ok.saturating_sub(earlier.ok),
            refused: self.refused.saturating_sub(earlier.refused),
            failed: self.failed.saturating_sub(earlier.failed),
            unknown: self.unknown.saturating_sub(earlier.unknown),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            seconds: (self.seconds - earlier.seconds).max(0.0),
            own_seconds: (self.own_seconds - earlier.own_seconds).max(0.0),
            calls: self.calls.saturating_sub(earlier.calls),
            failed_calls: self.failed_calls.saturating_sub(earlier.failed_calls),
        }
    }
}

impl ConnectionSeries {
    /// Everything that was recorded since the start of the process, also before a reload.
    fn recorded(&self) -> Traffic {
        let mut sum = Traffic::default();
        let families = &self.metrics.0;
        let of = |name, value: &str| (name, value.to_owned());
        let base = [of("merchant", &self.merchant), of("connection", &self.connection), of("provider", self.provider)];
        // `get` makes no series of what was never recorded.
        for operation in Operation::ALL {
            let labels =
                |more: &[(&'static str, String)]| [&base[..], &[of("operation", operation.name())], more].concat();
            for &outcome in Outcome::ALL {
                let labels = labels(&[of("outcome", outcome.word())]);
                let Some(requests) = families.request_seconds.get(&labels) else { continue };
                sum.seconds += requests.sum();
                *match outcome {
                    Outcome::Ok => &mut sum.ok,
                    Outcome::Refused => &mut sum.refused,
                    Outcome::Failed => &mut sum.failed,
                    Outcome::Unknown => &mut sum.unknown,
                    Outcome::Abandoned => &mut sum.abandoned,
                } += requests.count();
            }
            sum.own_seconds += families.overhead_seconds.get(&labels(&[])).map_or(0.0, |overhead| overhead.sum());
        }
        for &outcome in CallOutcome::ALL {
            let labels = [&base[..], &[of("server_address", &self.server.0), of("outcome", outcome.word())]].concat();
            let calls = families.call_seconds.get(&labels).map_or(0, |calls| calls.count());
            sum.calls += calls;
            match outcome {
                CallOutcome::Success | CallOutcome::Redirect | CallOutcome::Refusal | CallOutcome::Abandoned => {}
                CallOutcome::TooMany
                | CallOutcome::Failure
                | CallOutcome::Unreachable
                | CallOutcome::Interrupted
                | CallOutcome::TimedOut
                | CallOutcome::Unusable => sum.failed_calls += calls,
            }
        }
        sum
    }
}

/// The merchant, the connection and its provider.
type Name = (String, String, &'static str);

/// The last hour of all connections.
#[derive(Debug, Default)]
pub struct LastHour(Mutex<HashMap<Name, Minutes>>);

/// The ended minutes of one connection.
#[derive(Debug, Default)]
struct Minutes {
    /// What had been recorded when the last minute ended.
    before: Traffic,
    /// The newest is the last.
    ended: VecDeque<Traffic>,
}

impl LastHour {
    /// Ends a minute. Connections that are not given are forgotten.
    pub fn end_minute<'s>(&self, connections: impl IntoIterator<Item = &'s ConnectionSeries>) {
        self.end_minute_with(connections.into_iter().map(|series| (name(series), series.recorded())));
    }

    fn end_minute_with(&self, recorded: impl Iterator<Item = (Name, Traffic)>) {
        let mut known = self.known();
        let mut kept = HashMap::new();
        for (name, now) in recorded {
            let mut minutes = known.remove(&name).unwrap_or_default();
            if minutes.ended.len() >= MINUTES - 1 {
                minutes.ended.pop_front();
            }
            minutes.ended.push_back(now - minutes.before);
            minutes.before = now;
            kept.insert(name, minutes);
        }
        *known = kept;
    }

    /// The last minutes of a connection, the oldest first. The last one has not ended.
    pub fn of(&self, series: &ConnectionSeries) -> Vec<Traffic> {
        self.of_with(&name(series), series.recorded())
    }

    fn of_with(&self, name: &Name, now: Traffic) -> Vec<Traffic> {
        let known = self.known();
        let Some(minutes) = known.get(name) else { return vec![now] };
        minutes.ended.iter().copied().chain([now - minutes.before]).collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Name, Minutes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(series: &ConnectionSeries) -> Name {
    (series.merchant.clone(), series.connection.clone(), series.provider)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Metrics;

    fn series(metrics: &Metrics) -> std::sync::Arc<ConnectionSeries> {
        ConnectionSeries::new(metrics, "acme", "main", "lomi", ("api.lomi.example", 443))
    }

    #[test]
    fn a_minute_has_what_was_recorded_in_it_also_over_a_reload() {
        let (metrics, hour) = (Metrics::default(), LastHour::default());
        let before = series(&metrics);
        let second = Duration::from_secs(1);
        before.record_request(Operation::Retrieve, Outcome::Ok, second * 2, second / 2);
        before.record_call(CallOutcome::TimedOut, second);
        hour.end_minute([&*before]);
        // A reload makes the series anew.
        let after = series(&metrics);
        after.record_request(Operation::Create, Outcome::Unknown, second * 3, second);
        after.record_call(CallOutcome::Success, second);
        let expected = [
            Traffic { ok: 1, seconds: 2.0, own_seconds: 0.5, calls: 1, failed_calls: 1, ..Traffic::default() },
            Traffic { unknown: 1, seconds: 3.0, own_seconds: 1.0, calls: 1, ..Traffic::default() },
        ];
        assert_eq!(hour.of(&after), expected);
        let text = metrics.text();
        assert!(!text.contains("operation=\"delete\""), "looking makes no series: {text}");
    }

    #[test]
    fn after_many_hours_there_are_sixty_minutes_and_removed_connections_are_forgotten() {
        let (metrics, hour) = (Metrics::default(), LastHour::default());
        let series = series(&metrics);
        for minute in 0..500_u32 {
            for _ in 0..minute {
                series.record_request(Operation::Retrieve, Outcome::Ok, Duration::ZERO, Duration::ZERO);
            }
            hour.end_minute([&*series]);
        }
        let minutes = hour.of(&series);
        assert_eq!((minutes.len(), minutes[0].ok, minutes[58].ok, minutes[59].ok), (MINUTES, 441, 499, 0));
        hour.end_minute([]);
        assert!(hour.known().is_empty());
    }
}
