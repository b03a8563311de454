//! Decides which connections are accepted. Where all places are taken, a new connection gets the place of one that has waited
//! for its client the longest, so that clients who hold connections and send nothing do not keep others out. If all others have
//! waited for a moment only, the new one waits for a moment as well. If all others answer requests, it is closed at once: its
//! client could not know that the gateway is busy, and would wait.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

use super::{
    Limits,
    progress::{Progress, Time, time_since},
};
use crate::admission::client_of;

/// How many connections are looked at to find one that has waited for long. It is not the longest of all, but nearly, and to
/// look for that one would cost more than a new connection. They are far apart: connections that come one after the other are
/// often of one kind, and all may be answering requests.
const LOOKS: usize = 16;
/// A connection that has waited for less time is not closed in favour of a new one: its next request may be on its way. In a
/// burst of connections all may be so young. Then the new one waits for so long.
const SHORTEST_WAIT_MS: Time = 100;
/// The same for a connection that has sent no request yet: its first one comes with the connection.
const SHORTEST_FIRST_WAIT_MS: Time = 20;
/// The most connections beyond the limit: those that the listener has begun to close in favour of new ones and whose files are still
/// open, which takes a few milliseconds, and those that have got their places back. Beyond it, a new connection waits until there
/// are fewer. So there is always room for one that gets its place back.
const MOST_BEYOND: usize = 128;
/// How long a new connection may wait for a place. Those behind it wait as well.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How many times sooner an idle connection rests while half of the places are taken.
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
    /// Whether the last new connection found half of the places taken.
    is_crowded: AtomicBool,
    /// Notified when a connection is closed, or gets its place back.
    changed: Notify,
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

/// What a new connection gets where all places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// The place of another one.
    Place,
    /// None before the longest-waiting one has waited for so many milliseconds more.
    NotYet(Time),
    /// None, because no other connection waits for its client.
    None,
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
            is_crowded: AtomicBool::default(),
            changed: Notify::new(),
        })
    }

    /// Accepts a connection from this address, unless a cap is reached and no other connection loses its place in time.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let peer = peer.to_canonical();
        let admitted = async {
            loop {
                match self.try_admit(peer) {
                    Ok(admitted) => return admitted,
                    Err(time) => drop(timeout(time, self.changed.notified()).await),
                }
            }
        };
        match timeout(LONGEST_WAIT, admitted).await {
            Ok(admitted) => admitted,
            Err(_) => self.refuse(self.open(), peer),
        }
    }

    /// Fails with how long the connection must wait for a place, or less if another one is closed.
    fn try_admit(self: &Arc<Self>, peer: IpAddr) -> Result<Option<Admitted>, Duration> {
        let is_trusted = self.limits.trusted_proxies.iter().any(|network| network.contains(&peer));
        let client = (!is_trusted).then(|| client_of(peer));
        let mut open = self.open();
        let of_client = client.and_then(|client| open.by_client.get(&client).copied()).unwrap_or_default();
        if of_client >= self.limits.max_connections_per_address {
            return Ok(self.refuse(open, peer));
        }
        let is_full = open.places.len() >= self.limits.max_connections;
        let is_crowded = open.places.len() >= self.limits.max_connections.div_ceil(2);
        self.is_crowded.store(is_crowded, Ordering::Relaxed);
        if is_full {
            match open.take_place(self.limits.max_connections, time_since(self.epoch)) {
                Taken::Place => {}
                Taken::NotYet(left) => return Err(Duration::from_millis(left)),
                Taken::None => return Ok(self.refuse(open, peer)),
            }
            open.replaced += 1;
            self.limits.series.replaced.inc();
        }
        let place = open.add(client, self.epoch);
        if is_full {
            Self::log(open, peer);
        } else {
            drop(open);
        }
        self.limits.series.open.inc();
        Ok(Some(Admitted { admission: Arc::clone(self), place, client }))
    }

    fn refuse(&self, mut open: MutexGuard<'_, Open>, peer: IpAddr) -> Option<Admitted> {
        open.refused += 1;
        self.limits.series.refused.inc();
        Self::log(open, peer);
        None
    }

    /// Logs how many connections were refused and closed, now and then.
    fn log(mut open: MutexGuard<'_, Open>, peer: IpAddr) {
        if open.logged.is_some_and(|at| at.elapsed() < LOG_PERIOD) {
            return;
        }
        open.logged = Some(Instant::now());
        let (refused, replaced) = (std::mem::take(&mut open.refused), std::mem::take(&mut open.replaced));
        let total = open.places.len();
        let of_client = open.by_client.get(&client_of(peer)).copied().unwrap_or_default();
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
        let apart = count.div_ceil(LOOKS).max(1);
        let looked_at = (0..count).step_by(apart).map(|step| (self.next + step) % count);
        let waiting = looked_at.filter_map(|index| {
            let progress = &self.places[index].progress;
            let since = progress.waits_since()?;
            let shortest = if progress.requests() == 0 { SHORTEST_FIRST_WAIT_MS } else { SHORTEST_WAIT_MS };
            Some(Waiting { since, may_close_at: since + shortest, index })
        });
        waiting.min_by_key(|waiting| waiting.since)
    }

    /// Takes a place for a new connection. While there are more connections than the limit, it takes two.
    fn take_place(&mut self, limit: usize, now: Time) -> Taken {
        if self.places.len() > limit {
            self.replace(now);
        }
        let beyond = self.closing + self.places.len().saturating_sub(limit);
        if beyond < MOST_BEYOND {
            return self.replace(now);
        }
        if self.closing > 0 {
            // One of them ends soon.
            return Taken::NotYet(SHORTEST_WAIT_MS);
        }
        match self.replace(now) {
            Taken::Place => Taken::NotYet(SHORTEST_WAIT_MS),
            other => other,
        }
    }

    /// Closes the connection that has waited for its client the longest, of some.
    fn replace(&mut self, now: Time) -> Taken {
        let longest = self.longest_waiting();
        if let Some(young) = longest.filter(|longest| longest.may_close_at > now) {
            return Taken::NotYet(young.may_close_at - now);
        }
        self.next = (self.next + 1) % self.places.len().max(1);
        let Some(Waiting { since, index, .. }) = longest else { return Taken::None };
        if !self.places[index].progress.close(since) {
            // Its request has begun meanwhile.
            return Taken::NotYet(1);
        }
        self.remove(index).index.store(usize::MAX, Ordering::Relaxed);
        self.closing += 1;
        Taken::Place
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

    /// After how much idle time the connection rests. While half of the places are taken, an idle connection is one of many: then it
    /// keeps nothing for a next request that may not come.
    pub(super) fn rests_after(&self) -> Duration {
        let is_crowded = self.admission.is_crowded.load(Ordering::Relaxed);
        if is_crowded { self.limits().rest_after / RESTS_SOONER } else { self.limits().rest_after }
    }

    /// A request begins. If the connection has lost its place meanwhile, it gets it back.
    pub(super) fn begin(&self) {
        while !self.progress().begin() {
            self.keep_place();
        }
    }

    /// Gives the connection back the place that it has lost, because its next request has arrived: while the gateway is busy, it
    /// reads some requests late.
    pub(super) fn keep_place(&self) {
        let mut open = self.admission.open();
        if self.place.index.load(Ordering::Relaxed) == usize::MAX {
            open.closing -= 1;
            open.put(&self.place);
            self.progress().reopen();
            drop(open);
            self.admission.changed.notify_one();
        }
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
            usize::MAX => open.closing -= 1,
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
        drop(open);
        self.admission.changed.notify_one();
    }
}

#[cfg(test)]
pub(super) mod tests;
