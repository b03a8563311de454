//! The breakers of a connection, and what counts for which.
//!
//! | how a request ended | the breaker of the connection | the breaker of its operation |
//! |---|---|---|
//! | it could not connect (DNS, TCP, TLS), it broke off, or it took too long; 502, 503, 504 | failure | |
//! | 429 (and 427, which means the same at a provider) | too many requests | |
//! | 401 | refused credentials | |
//! | 500 and every other 5xx | success | failure |
//! | every other answer | success | success |
//!
//! 403 is such an answer: it may be about one customer, so it must not stop the requests for the others.
//!
//! So the contents of one request never stop other operations, and nothing of a connection stops another connection.
//! The breakers outlive a reload of the configuration, unless the base URL or the credentials have changed.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::StatusCode;
use passerelle_providers::{
    kit::retry_after,
    model::{Error, Kind, Operation, Response},
};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tower::util::rng::Rng as _;

use super::{
    ConnectionName,
    breaker::{Breaker, Cause, Outcome, ProbeTime, Refusal, Ticket},
};
use crate::{
    chance::Jitter,
    config::BreakerConfig,
    metrics::{Metrics, request},
};

/// The breakers of a connection.
#[derive(Debug)]
pub(super) struct Breakers {
    states: Mutex<States>,
    merchant: String,
    connection: String,
    provider: &'static str,
    metrics: Metrics,
    refused: Counter,
}

#[derive(Debug, Default)]
struct States {
    /// The requests that were refused since all breakers were closed.
    refused: u64,
    connection: Breaker,
    operations: [Breaker; Operation::ALL.len()],
}

/// The breakers of a connection with its settings.
#[derive(Debug)]
pub(super) struct Gate {
    breakers: Arc<Breakers>,
    settings: BreakerConfig,
}

/// The right to send one request of an operation, with all its attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    operation: Operation,
    connection: Ticket,
    of_operation: Ticket,
}

/// A pass while its request is in flight. If its request was the probe and had no outcome, the next one is the probe.
#[derive(Debug)]
pub(super) struct Entry<'g> {
    pub(super) pass: Pass,
    /// The gate, if the request is a probe.
    probes: Option<&'g Gate>,
}

impl Pass {
    pub(super) const fn operation(self) -> Operation {
        self.operation
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.probes {
            let (mut states, now) = (gate.states(), Instant::now());
            let Pass { operation, connection, of_operation } = self.pass;
            states.connection.release(connection, now);
            states.operations[operation as usize].release(of_operation, now);
        }
    }
}

impl Breakers {
    pub(super) fn new(name: ConnectionName<'_>, provider: &'static str, metrics: Metrics) -> Self {
        let breakers = Self {
            states: Mutex::default(),
            merchant: name.merchant.to_owned(),
            connection: name.connection.to_owned(),
            provider,
            refused: metrics.breaker_refused(name.merchant, name.connection),
            metrics,
        };
        breakers.show(0);
        breakers
    }

    fn show(&self, open: i64) {
        self.metrics.breakers_open(&self.merchant, &self.connection).set(open);
    }

    /// Shows and logs that a breaker has opened for this cause, or closed.
    fn report(&self, states: &mut States, operation: Option<Operation>, cause: Option<Cause>) {
        let all = states.operations.iter().chain([&states.connection]);
        let open = all.fold(0, |open, breaker| open + i64::from(!breaker.is_closed()));
        self.show(open);
        let Self { merchant, connection, provider, .. } = self;
        let operation = operation.map(Operation::name);
        if let Some(cause) = cause {
            tracing::warn!(
                merchant,
                connection,
                provider,
                operation,
                "{}, so nothing is sent to it for a while",
                because(cause).1
            );
        } else {
            let refused = if open == 0 { mem::take(&mut states.refused) } else { states.refused };
            tracing::info!(
                merchant,
                connection,
                provider,
                operation,
                refused,
                "the provider works again, so requests are sent to it; {refused} were refused meanwhile"
            );
        }
    }

    /// Counts a refused request. The log has no line for each.
    fn count_refusal(&self, states: &mut States) {
        states.refused += 1;
        self.refused.inc();
        request::turn_away();
    }
}

impl Gate {
    pub(super) const fn new(breakers: Arc<Breakers>, settings: BreakerConfig) -> Self {
        Self { breakers, settings }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.breakers.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request. The error says why nothing may be sent now.
    pub(super) fn enter(&self, operation: Operation) -> Result<Entry<'_>, Error> {
        self.enter_at(operation, Instant::now)
    }

    fn enter_at(&self, operation: Operation, now: impl FnOnce() -> Instant) -> Result<Entry<'_>, Error> {
        let mut states = self.states();
        states.check(operation, now).inspect_err(|_| self.breakers.count_refusal(&mut states))?;
        let of_its_own = &mut states.operations[operation as usize];
        let is_usual = of_its_own.is_closed();
        let of_operation = of_its_own.enter();
        let is_usual = is_usual && states.connection.is_closed();
        let connection = states.connection.enter();
        let pass = Pass { operation, connection, of_operation };
        Ok(Entry { pass, probes: (!is_usual).then_some(self) })
    }

    /// Whether a request may begin now.
    pub(super) fn check(&self, operation: Operation) -> Result<(), Error> {
        self.states().check(operation, Instant::now)
    }

    /// Whether the request may be sent again.
    pub(super) fn admits(&self, pass: Pass) -> bool {
        let states = self.states();
        states.connection.admits(pass.connection)
            && states.operations[pass.operation as usize].admits(pass.of_operation)
    }

    /// Counts how an attempt ended.
    pub(super) fn record(&self, pass: Pass, result: &Result<Response, Error>) {
        self.record_at(pass, result, Instant::now());
    }

    fn record_at(&self, pass: Pass, result: &Result<Response, Error>, now: Instant) {
        let Some([at_connection, at_operation]) = outcomes(result) else { return };
        let states = &mut *self.states();
        let of_operation = &mut states.operations[pass.operation as usize];
        let counted =
            [(&mut states.connection, pass.connection, at_connection), (of_operation, pass.of_operation, at_operation)];
        let changed = counted.map(|(breaker, ticket, outcome)| {
            let was_closed = breaker.is_closed();
            if let Some(outcome) = outcome {
                breaker.record(ticket, outcome, &self.settings, now, || Jitter.next_f64());
            }
            (was_closed != breaker.is_closed(), breaker.open_cause())
        });
        for ((has_changed, cause), operation) in changed.into_iter().zip([None, Some(pass.operation)]) {
            if has_changed {
                self.breakers.report(states, operation, cause);
            }
        }
    }
}

impl States {
    /// `now` is asked for only if a breaker is not closed.
    fn check(&self, operation: Operation, now: impl FnOnce() -> Instant) -> Result<(), Error> {
        let of_operation = &self.operations[operation as usize];
        if self.connection.is_closed() && of_operation.is_closed() {
            return Ok(());
        }
        let now = now();
        let at_connection = if operation.is_write() { ProbeTime::Later } else { ProbeTime::AtOnce };
        // Only requests of the operation can probe the operation.
        match (self.connection.refusal(at_connection, now), of_operation.refusal(ProbeTime::AtOnce, now)) {
            (None, None) => Ok(()),
            (Some(refusal), _) => Err(refused(refusal, "requests")),
            (None, Some(refusal)) => Err(refused(refusal, "requests of this operation")),
        }
    }
}

/// How an attempt counts for the connection and for its operation. `None`: nothing was sent, and that was not due to the
/// provider.
fn outcomes(result: &Result<Response, Error>) -> Option<[Option<Outcome>; 2]> {
    let (connection, operation) = match result {
        Ok(response) => {
            let asked = || retry_after(response.headers()).map(std::time::Duration::from_secs);
            match response.status() {
                StatusCode::UNAUTHORIZED => (Outcome::Unauthorized, None),
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                    (Outcome::Failure(asked()), None)
                }
                status if matches!(status.as_u16(), 427 | 429) => (Outcome::Limited(asked()), None),
                status if status.is_server_error() => (Outcome::Success, Some(Outcome::Failure(None))),
                _ => (Outcome::Success, Some(Outcome::Success)),
            }
        }
        Err(error) => match error.kind {
            Kind::Unreachable | Kind::Interrupted | Kind::TimedOut => (Outcome::Failure(None), None),
            // The provider has answered, but not as it should, or more than there is room for.
            Kind::BadResponse | Kind::Overloaded => (Outcome::Success, Some(Outcome::Success)),
            _ => return None,
        },
    };
    Some([Some(connection), operation])
}

/// The kind of the error for a request that an open breaker refuses, and why it is open.
const fn because(cause: Cause) -> (Kind, &'static str) {
    match cause {
        Cause::Failing => (Kind::Unreachable, "the provider has failed too often"),
        Cause::Limited => (Kind::RateLimited, "the provider has asked to wait, or refused too many requests"),
        Cause::Unauthorized => (Kind::Unauthorized, "the provider has refused this connection's credentials too often"),
    }
}

fn refused(refusal: Refusal, what: &str) -> Error {
    let (kind, why) = because(refusal.cause);
    // Rounded up, so that a client that comes then is not refused.
    let seconds = refusal.retry_after.as_millis().div_ceil(1000).max(1);
    let message = format!("{why}, so {what} of this connection wait; nothing was sent");
    Error::new(kind, message).with_retry_after(u64::try_from(seconds).ok())
}

#[cfg(test)]
mod tests;
