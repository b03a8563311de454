//! Decides which connections are accepted. Where all places are taken, a new connection gets the place of one that has waited
//! for its client the longest, so that clients who hold connections and send nothing do not keep others out. Otherwise a
//! connection beyond a cap is closed at once: if it waited, its client could not know that the gateway is busy, and would
//! wait as well.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::sleep};

use super::{
    Limits,
    progress::{Progress, Time, time_since},
};
use crate::admission::client_of;

/// How many connections are looked at to find one that has waited for long. It is not the longest of all, but nearly, and to
/// look for that one would cost more than a new connection.
const LOOKS: usize = 16;
/// A connection that has waited for less time is not closed in favour of a new one: its next request may be on its way. In a
/// burst of connections all may be so young. Then the listener waits for so long before it accepts the next one.
const SHORTEST_WAIT_MS: Time = 100;
/// The same for a connection that has sent no request yet: its first one comes with the connection.
const SHORTEST_FIRST_WAIT_MS: Time = 20;
/// The most connections that the listener has begun to close in favour of new ones and whose files are still open. Beyond it, the
/// listener accepts no connection until one of them is closed, which takes a few milliseconds.
const MOST_CLOSING: usize = 128;
/// How many connections more than the limit there may be, because a request of theirs had arrived when they lost their place. While
/// there are more than the limit, each new connection takes two places.
const MOST_KEPT: usize = 128;
/// How many times sooner an idle connection rests while all places are taken.
const RESTS_SOONER: u32 = 16;
/// How often connections that were closed or refused are logged.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The open connections of a listener.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    /// The beginning of the times of its connections.
    epoch: Instant,
    open: Mutex<Open>,
    /// Whether the last new connection found no free place.
    is_full: AtomicBool,
    /// Notified when a connection that lost its place is closed, and before that there were as many as there may be.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// The connections that have a place.
    places: Vec<Arc<Place>>,
    /// The place that is looked at next to find one that has waited for long.
    next: usize,
    /// How many connections the listener has begun to close in favour of new ones. Their files are still open.
    closing: usize,
    /// The connections of each client that is not a trusted proxy.
    by_client: HashMap<IpAddr, usize>,
    /// How many were refused, and how many lost their place, and are not logged yet.
    refused: u64,
    replaced: u64,
    logged: Option<Instant>,
}

/// A connection that has a place.
#[derive(Debug)]
struct Place {
    progress: Arc<Progress>,
    /// Where it is in `places`. `usize::MAX` if it has lost its place. It changes only while `Open` is locked.
    index: AtomicUsize,
}

/// A connection that waits for its client.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Time,
    /// When it may be closed in favour of a new one.
    may_close_at: Time,
    /// Where it is among the places.
    index: usize,
}

/// An accepted connection. It counts until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    place: Arc<Place>,
    client: Option<IpAddr>,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            epoch: Instant::now(),
            open: Mutex::default(),
            is_full: AtomicBool::default(),
            closed: Notify::new(),
        })
    }

    /// Waits until another connection may lose its place. If all connections answer requests, it does not wait: that may take long.
    pub(super) async fn may_replace(&self) {
        while self.open().closing >= MOST_CLOSING {
            self.closed.notified().await;
        }
        let left = {
            let open = self.open();
            let is_full = open.places.len() >= self.limits.max_connections;
            is_full.then(|| open.longest_waiting()).flatten().map(|longest| longest.may_close_at)
        };
        if let Some(left) = left.and_then(|at| at.checked_sub(time_since(self.epoch))) {
            sleep(Duration::from_millis(left)).await;
        }
    }

    /// Accepts a connection from this address, unless a cap is reached and no other connection loses its place.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let peer = peer.to_canonical();
        let is_trusted = self.limits.trusted_proxies.iter().any(|network| network.contains(&peer));
        let client = (!is_trusted).then(|| client_of(peer));
        let mut open = self.open();
        let of_client = client.and_then(|client| open.by_client.get(&client).copied()).unwrap_or_default();
        let is_full = open.places.len() >= self.limits.max_connections;
        self.is_full.store(is_full, Ordering::Relaxed);
        let is_refused =
            of_client >= self.limits.max_connections_per_address || (is_full && !open.replace(time_since(self.epoch)));
        if !is_refused && open.places.len() >= self.limits.max_connections {
            // Some connections have got their places back.
            open.replace(time_since(self.epoch));
        }
        if is_refused {
            open.refused += 1;
            self.limits.series.refused.inc();
        } else if is_full {
            open.replaced += 1;
            self.limits.series.replaced.inc();
        }
        let place = (!is_refused).then(|| open.add(client, self.epoch));
        if (is_refused || is_full) && open.logged.is_none_or(|at| at.elapsed() >= LOG_PERIOD) {
            open.logged = Some(Instant::now());
            let (refused, replaced) = (std::mem::take(&mut open.refused), std::mem::take(&mut open.replaced));
            let total = open.places.len();
            drop(open);
            tracing::warn!(
                refused,
                replaced,
                open = total,
                client.address = %peer,
                client.connections = of_client,
                "too many connections are open: {refused} new ones were closed, and {replaced} that waited for their client; \
                 the last new one came from {peer}"
            );
        }
        let place = place?;
        self.limits.series.open.inc();
        Some(Admitted { admission: Arc::clone(self), place, client })
    }

    /// A connection that had lost its place is closed, or has got it back.
    fn has_closed(&self, open: &mut Open) {
        if open.closing == MOST_CLOSING {
            self.closed.notify_one();
        }
        open.closing -= 1;
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Gives a new connection a place.
    fn add(&mut self, client: Option<IpAddr>, epoch: Instant) -> Arc<Place> {
        let place = Arc::new(Place { progress: Arc::new(Progress::new(epoch)), index: AtomicUsize::default() });
        self.put(&place);
        if let Some(client) = client {
            *self.by_client.entry(client).or_default() += 1;
        }
        place
    }

    fn put(&mut self, place: &Arc<Place>) {
        place.index.store(self.places.len(), Ordering::Relaxed);
        self.places.push(Arc::clone(place));
    }

    /// The connection that has waited for its client the longest, of some.
    fn longest_waiting(&self) -> Option<Waiting> {
        let count = self.places.len();
        let looked_at = (0..LOOKS.min(count)).map(|step| (self.next + step) % count);
        let waiting = looked_at.filter_map(|index| {
            let progress = &self.places[index].progress;
            let since = progress.waits_since()?;
            let shortest = if progress.requests() == 0 { SHORTEST_FIRST_WAIT_MS } else { SHORTEST_WAIT_MS };
            Some(Waiting { since, may_close_at: since + shortest, index })
        });
        waiting.min_by_key(|waiting| waiting.since)
    }

    /// Closes the connection that has waited for its client the longest, of some. Returns whether there was one.
    fn replace(&mut self, now: Time) -> bool {
        if self.closing >= MOST_CLOSING {
            return false;
        }
        let longest = self.longest_waiting().filter(|longest| longest.may_close_at <= now);
        self.next = (self.next + LOOKS) % self.places.len().max(1);
        let Some(Waiting { since, index, .. }) = longest else { return false };
        if !self.places[index].progress.close(since) {
            return false;
        }
        self.remove(index).index.store(usize::MAX, Ordering::Relaxed);
        self.closing += 1;
        true
    }

    /// Takes a connection's place away. The last one moves there.
    fn remove(&mut self, index: usize) -> Arc<Place> {
        let removed = self.places.swap_remove(index);
        if let Some(moved) = self.places.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
        removed
    }
}

impl Admitted {
    /// The limits of the listener.
    pub(super) fn limits(&self) -> &Limits {
        &self.admission.limits
    }

    /// After how much idle time the connection rests. While all places are taken, an idle connection is one of many, and loses its
    /// place soon: then it keeps nothing for a next request that may not come.
    pub(super) fn rests_after(&self) -> Duration {
        let is_full = self.admission.is_full.load(Ordering::Relaxed);
        if is_full { self.limits().rest_after / RESTS_SOONER } else { self.limits().rest_after }
    }

    /// Gives a connection back the place that it has lost, because its next request has arrived: while the gateway is busy, it reads
    /// some requests late. Returns whether it did: not if too many have got theirs back.
    pub(super) fn keep_place(&self) -> bool {
        let mut open = self.admission.open();
        if open.places.len() >= self.limits().max_connections + MOST_KEPT {
            return false;
        }
        self.admission.has_closed(&mut open);
        self.progress().reopen();
        open.put(&self.place);
        true
    }

    /// The requests of the connection.
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.place.progress
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.limits().series.open.dec();
        let mut open = self.admission.open();
        match self.place.index.load(Ordering::Relaxed) {
            usize::MAX => self.admission.has_closed(&mut open),
            index => drop(open.remove(index)),
        }
        if let Some(client) = self.client
            && let Some(count) = open.by_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
