//! The breaker of a provider's host, which all connections to it share. Only requests that could not connect count as failures:
//! their cause (DNS, TCP, TLS, a proxy) is the same for every merchant. So a host that is down gets few requests, however many
//! merchants and operations use it.
//!
//! It is a [`Breaker`] with two differences, because other merchants wait for its probe. If a probe runs longer than
//! `outbound.connect_timeout` and a margin, the next request is a second probe: the first one may have connected, and wait for a slow
//! answer. If a probe was sent and ends without showing whether the host can be reached, there is a short pause before the next one:
//! otherwise clients that give up early would probe a host that is down all the time.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::upstream::breaker::{Breaker, Cause, ProbeTime, Refusal, Ticket};

/// How much longer than the time to connect a probe may take. It begins before its request is recorded and sent.
const MARGIN: Duration = Duration::from_millis(500);

/// What an attempt has shown about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Reach {
    /// It has answered.
    Reached,
    /// No connection could be made.
    NotReached,
    /// Neither is certain.
    Unknown,
}

/// The breaker of a host.
#[derive(Debug)]
pub(in crate::upstream) struct Host {
    /// The scheme, the host and the port of a base URL.
    name: String,
    state: Mutex<HostState>,
}

#[derive(Debug, Default)]
pub(super) struct HostState {
    pub(super) breaker: Breaker,
    /// When the last probe began.
    probe_began: Option<Instant>,
    /// The requests that were refused since the breaker was closed.
    pub(super) refused: u64,
}

impl Host {
    pub(in crate::upstream) fn new(name: String) -> Self {
        Self { name, state: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, HostState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.state().breaker.is_closed()
    }

    /// Logs that the breaker has opened for this cause, or closed. `error` is that of the last request.
    pub(super) fn report(&self, state: &mut HostState, provider: &str, cause: Option<Cause>, error: Option<&str>) {
        let (host, error) = (&self.name, error.unwrap_or_default());
        if cause.is_some() {
            tracing::warn!(
                host,
                provider,
                "too many requests could not reach the provider's host, so no connection sends anything to it for a while; the \
                 last one: {error}"
            );
        } else {
            let refused = mem::take(&mut state.refused);
            tracing::info!(
                host,
                provider,
                refused,
                "the provider's host can be reached again, so requests are sent to it; {refused} were refused meanwhile"
            );
        }
    }
}

impl HostState {
    /// Why a request may not be sent now.
    pub(super) fn refusal(&self, probe: ProbeTime, now: Instant, connect_timeout: Duration) -> Option<Refusal> {
        let probe_is_overdue = self.probe_began.is_some_and(|began| now >= began + connect_timeout + MARGIN);
        self.breaker.refusal(probe, now).filter(|_| !(self.breaker.is_probing() && probe_is_overdue))
    }

    /// Begins a request that is not [refused](Self::refusal).
    pub(super) fn enter(&mut self, now: Instant) -> Ticket {
        let ticket = self.breaker.enter();
        self.probe_began = self.breaker.is_probing().then_some(now);
        ticket
    }
}
