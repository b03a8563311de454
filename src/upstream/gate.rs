//! The breakers that a request passes, and what counts for which.
//!
//! | how a request ended | the breaker of the host | the breaker of the connection | the breaker of its operation |
//! |---|---|---|---|
//! | it could not connect in time (DNS, TCP, TLS, the proxy) | failure | | |
//! | it could not connect, because the gateway lacked files, ports or memory | | | |
//! | the answer took too long, or the connection broke off | | failure | |
//! | 502, 503, 504; over HTTP/2, the provider refused to process it | success | failure | |
//! | 429 (and 427, which means the same at a provider) | success | too many requests | |
//! | 401 | success | refused credentials | |
//! | 500 and every other 5xx | success | success | failure |
//! | every other answer | success | success | success |
//!
//! 403 is such an answer: it may be about one customer, so it must not stop the requests for the others.
//!
//! So the contents of one request never stop other operations. What concerns one merchant, such as its credentials, never stops
//! another one: merchants whose connections use the same host share only the breaker for failures to connect (`host`). The breakers
//! outlive a reload of the configuration. Those of a connection begin anew where its base URL or its credentials have changed.

mod host;

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use passerelle_providers::{
    kit::retry_after,
    model::{Error, Kind, Operation, Response},
};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tower::util::rng::Rng as _;

use self::host::HostState;
use super::{
    ConnectionName, Upstream,
    breaker::{Breaker, Cause, LONGEST_PAUSE, Outcome, ProbeTime, Refusal, Ticket},
    failure::Failure,
};
use crate::{
    chance::Jitter,
    config::BreakerConfig,
    metrics::{Metrics, request},
};

pub(super) use self::host::{Host, Reach};

/// The breakers of a connection, and the breaker of its host.
#[derive(Debug)]
pub(super) struct Breakers {
    states: Mutex<States>,
    host: Arc<Host>,
    merchant: String,
    connection: String,
    provider: &'static str,
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
    /// How long it may take to connect.
    connect_timeout: Duration,
}

/// The right to send one request of an operation, with all its attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    operation: Operation,
    host: Ticket,
    connection: Ticket,
    of_operation: Ticket,
}

/// A pass while its request is in flight. If its request was the probe and had no outcome, a later one is the probe.
#[derive(Debug)]
pub(super) struct Entry<'g> {
    pass: Pass,
    /// The gate, if the request is a probe.
    probes: Option<&'g Gate>,
    is_sent: AtomicBool,
}

impl Entry<'_> {
    pub(super) const fn operation(&self) -> Operation {
        self.pass.operation
    }

    /// The pass of a request that is sent now.
    pub(super) fn send(&self) -> Pass {
        self.is_sent.store(true, Ordering::Relaxed);
        self.pass
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.probes {
            let (mut states, mut host, now) = (gate.states(), gate.host(), Instant::now());
            let Pass { operation, host: of_host, connection, of_operation } = self.pass;
            match *self.is_sent.get_mut() {
                true => host.breaker.postpone(of_host, now + gate.settings.pause.min(LONGEST_PAUSE)),
                false => host.breaker.release(of_host, now),
            }
            states.connection.release(connection, now);
            states.operations[operation as usize].release(of_operation, now);
        }
    }
}

impl Breakers {
    pub(super) fn new(name: ConnectionName<'_>, provider: &'static str, host: Arc<Host>, metrics: &Metrics) -> Self {
        Self {
            states: Mutex::default(),
            host,
            merchant: name.merchant.to_owned(),
            connection: name.connection.to_owned(),
            provider,
            refused: metrics.breaker_refused(name.merchant, name.connection),
        }
    }

    /// How many breakers are open.
    fn open(&self) -> usize {
        self.states().open() + usize::from(self.host.is_open())
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs that a breaker has opened for this cause, or closed.
    fn report(&self, states: &mut States, operation: Option<Operation>, cause: Option<Cause>) {
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
            let refused = if states.open() == 0 { mem::take(&mut states.refused) } else { states.refused };
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
    fn count_refusal(&self, states: &mut States, host: &mut HostState, by: Refuser) {
        match by {
            Refuser::Host => host.refused += 1,
            Refuser::Connection | Refuser::Operation => states.refused += 1,
        }
        self.refused.inc();
        request::turn_away();
    }
}

impl Gate {
    pub(super) const fn new(breakers: Arc<Breakers>, settings: BreakerConfig, connect_timeout: Duration) -> Self {
        Self { breakers, settings, connect_timeout }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.breakers.states()
    }

    /// It is locked after [`states`](Self::states), never before.
    fn host(&self) -> MutexGuard<'_, HostState> {
        self.breakers.host.state()
    }

    /// Begins a request. The error says why nothing may be sent now.
    pub(super) fn enter(&self, operation: Operation) -> Result<Entry<'_>, Error> {
        self.enter_at(operation, Instant::now)
    }

    fn enter_at(&self, operation: Operation, now: impl Fn() -> Instant) -> Result<Entry<'_>, Error> {
        let (states, host) = (&mut *self.states(), &mut *self.host());
        let (host_ticket, probes) = if states.are_closed(host, operation) {
            (host.breaker.enter(), None)
        } else {
            let now = now();
            if let Some((by, refusal)) = states.refusal(host, operation, now, self.connect_timeout) {
                self.breakers.count_refusal(states, host, by);
                return Err(by.error(refusal));
            }
            (host.enter(now), Some(self))
        };
        Ok(Entry { pass: states.enter(host_ticket, operation), probes, is_sent: AtomicBool::new(false) })
    }

    /// Whether a request may begin now.
    pub(super) fn check(&self, operation: Operation) -> Result<(), Error> {
        let (states, host) = (self.states(), self.host());
        if states.are_closed(&host, operation) {
            return Ok(());
        }
        let refusal = states.refusal(&host, operation, Instant::now(), self.connect_timeout);
        refusal.map_or(Ok(()), |(by, refusal)| Err(by.error(refusal)))
    }

    /// Whether the request may be sent again.
    pub(super) fn admits(&self, pass: Pass) -> bool {
        let states = self.states();
        self.host().breaker.admits(pass.host)
            && states.connection.admits(pass.connection)
            && states.operations[pass.operation as usize].admits(pass.of_operation)
    }

    /// Counts how an attempt ended.
    pub(super) fn record(&self, pass: Pass, result: &Result<Response, Failure>) {
        self.record_at(pass, result, Instant::now());
    }

    fn record_at(&self, pass: Pass, result: &Result<Response, Failure>, now: Instant) {
        let Some([at_host, at_connection, at_operation]) = outcomes(result) else { return };
        let (states, host) = (&mut *self.states(), &mut *self.host());
        let of_operation = &mut states.operations[pass.operation as usize];
        let counted = [
            (&mut host.breaker, pass.host, at_host),
            (&mut states.connection, pass.connection, at_connection),
            (of_operation, pass.of_operation, at_operation),
        ];
        let changed = counted.map(|(breaker, ticket, outcome)| {
            let was_closed = breaker.is_closed();
            if let Some(outcome) = outcome {
                breaker.record(ticket, outcome, &self.settings, now, || Jitter.next_f64());
            }
            (was_closed != breaker.is_closed(), breaker.open_cause())
        });
        let [(host_has_changed, cause), ref others @ ..] = changed;
        if host_has_changed {
            let error = result.as_ref().err().map(|failure| &*failure.error.detail);
            self.breakers.host.report(host, self.breakers.provider, cause, error);
        }
        for (&(has_changed, cause), operation) in others.iter().zip([None, Some(pass.operation)]) {
            if has_changed {
                self.breakers.report(states, operation, cause);
            }
        }
    }
}

impl Upstream {
    /// How many breakers stop requests of the connection: its own, those of single operations, and that of the host.
    pub fn open_breakers(&self) -> usize {
        self.admission.gate.breakers.open()
    }
}

impl States {
    /// How many of its breakers are open.
    fn open(&self) -> usize {
        self.operations.iter().chain([&self.connection]).filter(|breaker| !breaker.is_closed()).count()
    }

    fn are_closed(&self, host: &HostState, operation: Operation) -> bool {
        host.breaker.is_closed() && self.connection.is_closed() && self.operations[operation as usize].is_closed()
    }

    /// Begins a request that no breaker refuses.
    fn enter(&mut self, host: Ticket, operation: Operation) -> Pass {
        let (connection, of_operation) = (self.connection.enter(), self.operations[operation as usize].enter());
        Pass { operation, host, connection, of_operation }
    }

    /// Why a request may not begin now: the refusal that lasts longest.
    fn refusal(
        &self,
        host: &HostState,
        operation: Operation,
        now: Instant,
        connect_timeout: Duration,
    ) -> Option<(Refuser, Refusal)> {
        let probe = if operation.is_write() { ProbeTime::Later } else { ProbeTime::AtOnce };
        // Only requests of the operation can probe the operation.
        let refusals = [
            (Refuser::Operation, self.operations[operation as usize].refusal(ProbeTime::AtOnce, now)),
            (Refuser::Connection, self.connection.refusal(probe, now)),
            (Refuser::Host, host.refusal(probe, now, connect_timeout)),
        ];
        let refusals = refusals.into_iter().filter_map(|(by, refusal)| Some((by, refusal?)));
        refusals.max_by_key(|(_, refusal)| refusal.retry_after)
    }
}

/// The breaker that refuses a request.
#[derive(Debug, Clone, Copy)]
enum Refuser {
    Host,
    Connection,
    Operation,
}

impl Refuser {
    fn error(self, refusal: Refusal) -> Error {
        let (kind, why) = because(refusal.cause);
        let message = match self {
            Self::Host => {
                "too many requests could not reach the provider's host, so the gateway sends it none for a while; nothing was sent"
                    .to_owned()
            }
            Self::Connection => {
                format!("{why}, so the gateway sends no requests of this connection for a while; nothing was sent")
            }
            Self::Operation => {
                format!(
                    "{why}, so the gateway sends no requests of this operation of this connection for a while; nothing was sent"
                )
            }
        };
        // Rounded up, so that a client that comes then is not refused.
        let seconds = refusal.retry_after.as_millis().div_ceil(1000).max(1);
        Error::new(kind, message).with_retry_after(u64::try_from(seconds).ok())
    }
}

const SUCCESS: Option<Outcome> = Some(Outcome::Success);
const FAILURE: Option<Outcome> = Some(Outcome::Failure(None));

/// How an attempt counts for the host, for the connection and for its operation. `None`: nothing was sent, and that was not due to
/// the provider.
fn outcomes(result: &Result<Response, Failure>) -> Option<[Option<Outcome>; 3]> {
    let Failure { error, reach } = match result {
        Ok(response) => return Some(answered(response)),
        Err(failure) => failure,
    };
    let host = match reach {
        Reach::Reached => SUCCESS,
        Reach::NotReached => FAILURE,
        Reach::Unknown => None,
    };
    match error.kind {
        Kind::Unreachable => Some([host, FAILURE.filter(|_| *reach == Reach::Reached), None]),
        Kind::TimedOut | Kind::Interrupted => Some([host, FAILURE, None]),
        // The provider has answered, but not as it should, or more than there is room for.
        Kind::BadResponse | Kind::Overloaded => Some([host, SUCCESS, SUCCESS]),
        _ => None,
    }
}

fn answered(response: &Response) -> [Option<Outcome>; 3] {
    let asked = || retry_after(response.headers()).map(Duration::from_secs);
    match response.status() {
        StatusCode::UNAUTHORIZED => [SUCCESS, Some(Outcome::Unauthorized), None],
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            [SUCCESS, Some(Outcome::Failure(asked())), None]
        }
        status if matches!(status.as_u16(), 427 | 429) => [SUCCESS, Some(Outcome::Limited(asked())), None],
        status if status.is_server_error() => [SUCCESS, SUCCESS, FAILURE],
        _ => [SUCCESS; 3],
    }
}

/// The kind of the error for a request that an open breaker refuses, and why it is open.
const fn because(cause: Cause) -> (Kind, &'static str) {
    match cause {
        Cause::Failing => (Kind::Unreachable, "the provider has failed too often"),
        Cause::Limited => (Kind::RateLimited, "the provider has asked to wait, or refused too many requests"),
        Cause::Unauthorized => (Kind::Unauthorized, "the provider has refused this connection's credentials too often"),
    }
}

#[cfg(test)]
mod tests;
