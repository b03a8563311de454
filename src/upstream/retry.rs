//! Which requests are sent again: reads that failed or got a server error (5xx), and any request that was certainly not
//! sent. A write that may have been executed is never sent again here. A budget limits the retries, so that they do not
//! make an outage worse. Nothing is sent again after a breaker of the connection or of its host has opened.

use std::{pin::Pin, sync::Arc, time::Duration};

use http::header::RETRY_AFTER;
use passerelle_providers::model::{Error, Kind, Response};
use tokio::time::Sleep;
use tower::{
    BoxError,
    retry::{
        self,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
};

use super::{Outgoing, gate::Gate};
use crate::{chance::Jitter, metrics::ConnectionSeries};

const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// This many retries a second are always allowed.
const BUDGET_MIN_PER_SECOND: u32 = 3;
const BUDGET_PERIOD: Duration = Duration::from_secs(10);

/// How often requests are sent again.
#[derive(Debug, Clone, Copy)]
pub struct RetryLimits {
    /// Attempts of one request after the first.
    pub max_retries: u32,
    /// How many retries there may be for each request that needs none, from 0 to 1.
    pub share: f64,
}

impl RetryLimits {
    /// The share as the budget takes it. The budget counts whole requests for a retry, and rounds their number down, which would
    /// allow more retries than the share. So their number is rounded up here, and half a request more makes it exact.
    fn budget_share(self) -> f32 {
        let requests = (1.0 / self.share).ceil();
        #[expect(clippy::cast_possible_truncation, reason = "it is a number from 0 to 1")]
        let share = (1.0 / (requests + 0.5)) as f32;
        share
    }
}

/// The retries of one request. All requests of a connection share the budget.
#[derive(Clone)]
pub(super) struct Policy {
    retries_left: u32,
    budget: Arc<TpsBudget>,
    pause: Option<ExponentialBackoff<Jitter>>,
    gate: Arc<Gate>,
    series: Arc<ConnectionSeries>,
}

impl Policy {
    pub(super) fn new(limits: RetryLimits, gate: Arc<Gate>, series: Arc<ConnectionSeries>) -> Self {
        // Full jitter. The bounds are valid constants, so this does not fail. Without pauses, nothing would be sent again.
        let maker = ExponentialBackoffMaker::new(MIN_PAUSE, MAX_PAUSE, 1.0, Jitter);
        Self {
            retries_left: limits.max_retries,
            budget: Arc::new(TpsBudget::new(BUDGET_PERIOD, BUDGET_MIN_PER_SECOND, limits.budget_share())),
            pause: maker.ok().map(|mut maker| maker.make_backoff()),
            gate,
            series,
        }
    }
}

impl retry::Policy<Outgoing, Response, BoxError> for Policy {
    type Future = Pin<Box<Sleep>>;

    fn retry(&mut self, outgoing: &mut Outgoing, result: &mut Result<Response, BoxError>) -> Option<Self::Future> {
        if !may_be_retried(outgoing.writes, result) {
            self.budget.deposit();
            return None;
        }
        if self.retries_left == 0 || !self.gate.admits(outgoing.pass) {
            return None;
        }
        let pause = self.pause.as_mut()?.next_backoff();
        // The pause would last longer than the request may be sent.
        if pause.deadline() >= outgoing.times.send_until || !self.budget.withdraw() {
            return None;
        }
        self.retries_left -= 1;
        self.series.count_retry();
        Some(Box::pin(pause))
    }

    fn clone_request(&mut self, outgoing: &Outgoing) -> Option<Outgoing> {
        Some(outgoing.clone())
    }
}

fn may_be_retried(writes: bool, result: &Result<Response, BoxError>) -> bool {
    match result {
        // An answer with `Retry-After` goes to the client: the provider must not be called again before that time.
        Ok(response) => !writes && response.status().is_server_error() && !response.headers().contains_key(RETRY_AFTER),
        Err(error) => match error.downcast_ref::<Error>() {
            Some(error) => match error.kind {
                Kind::Unreachable => true,
                Kind::Interrupted | Kind::TimedOut => !writes,
                _ => false,
            },
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::BreakerConfig,
        metrics::Metrics,
        upstream::{ConnectionName, Shared},
    };

    fn policy(limits: RetryLimits) -> Policy {
        let name = ConnectionName { merchant: "acme", connection: "main" };
        let gate = Gate::new(
            Shared::default().breakers(name, "lomi", "https://a.example", [0; 32]),
            BreakerConfig::tested(),
            Duration::from_secs(3),
        );
        let series = ConnectionSeries::new(&Metrics::default(), "acme", "main", "lomi", ("127.0.0.1", 80));
        Policy::new(limits, Arc::new(gate), series)
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_of_retries_is_that_of_the_configuration() {
        // A share between 1/n and 1/(n + 1) is the smaller of both.
        for (share, retries) in [(0.0, 30), (1e-300, 30), (0.01, 31), (0.2, 50), (0.3, 55), (0.6, 80), (1.0, 130)] {
            let policy = policy(RetryLimits { max_retries: 2, share });
            (0..100).for_each(|_| policy.budget.deposit());
            let allowed = std::iter::from_fn(|| policy.budget.withdraw().then_some(())).take(1000).count();
            assert_eq!(allowed, retries, "of 100 requests in 10 s, and three a second");
        }
    }

    /// Otherwise a provider that had refused many requests would get all of them again at one moment.
    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_are_not_sent_again_together() {
        let policy = policy(RetryLimits { max_retries: 2, share: 0.2 });
        let pauses =
            [policy.clone(), policy].map(|policy| policy.pause.map(|mut pause| pause.next_backoff().deadline()));
        assert!(pauses[0].is_some());
        assert_ne!(pauses[0], pauses[1]);
    }
}
