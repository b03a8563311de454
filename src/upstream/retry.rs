//! What is tried again: reads that failed or were answered with a server error, and anything that was
//! provably not sent. A write that may have happened never is. A budget keeps retries from amplifying an
//! outage.

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
    util::rng::HasherRng,
};

use super::Outgoing;

/// Attempts after the first.
const MOST_RETRIES: u8 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A fifth of the traffic may be retries, and three a second in any case.
const BUDGET_SHARE: f32 = 0.2;
const BUDGET_FLOOR: u32 = 3;
const BUDGET_MEMORY: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Policy {
    left: u8,
    budget: Arc<TpsBudget>,
    pause: ExponentialBackoff,
}

impl Policy {
    pub(super) fn new() -> Self {
        // Full jitter: the bounds are constants, so the maker takes them.
        let maker = ExponentialBackoffMaker::new(FIRST_PAUSE, LONGEST_PAUSE, 1.0, HasherRng::default());
        let mut maker = maker.unwrap_or_default();
        Self {
            left: MOST_RETRIES,
            budget: Arc::new(TpsBudget::new(BUDGET_MEMORY, BUDGET_FLOOR, BUDGET_SHARE)),
            pause: maker.make_backoff(),
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
        if self.left == 0 {
            return None;
        }
        let pause = self.pause.next_backoff();
        // An attempt that would begin too late is none.
        if pause.deadline() >= outgoing.times.begun || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        Some(Box::pin(pause))
    }

    fn clone_request(&mut self, outgoing: &Outgoing) -> Option<Outgoing> {
        Some(outgoing.clone())
    }
}

fn may_be_retried(writes: bool, result: &Result<Response, BoxError>) -> bool {
    match result {
        // A provider that says when to come back is left alone until then.
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
