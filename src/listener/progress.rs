//! What a connection has to know about its requests: when a head may take a limited time only, whether the client may
//! still be sending when the connection is closed, since when the connection waits for its client, and whether it rests. A
//! connection that waits may be closed in favour of a new one (`admission`).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Instant,
};

use tokio::sync::Notify;

/// The states of a connection that does not wait for its client. All others are times.
const ANSWERING: Time = 0;
const CLOSED: Time = Time::MAX;

/// The requests of one connection. The listener, the connection and its service share it.
#[derive(Debug)]
pub(super) struct Progress {
    /// The beginning of all times.
    epoch: Instant,
    /// How many requests have begun.
    requests: AtomicUsize,
    /// Whether a request is being answered, or since when the connection waits for its client, or whether it was closed.
    state: AtomicU64,
    /// Notified when the connection was closed.
    closed: Notify,
    /// Whether the last answer was a failure. Then the client may have more to send than was read.
    failed: AtomicBool,
    /// Whether the next answer is the last one of the connection.
    leaves: AtomicBool,
    /// Whether hyper still has a request, or the body of its answer.
    sending: AtomicBool,
    /// Whether the client has yet to take bytes that hyper has written.
    writing: AtomicBool,
    /// Notified when the connection is to rest, and after how many requests that was.
    rests: Notify,
    rests_after: AtomicUsize,
    /// Whether hyper closes the connection. Then it never rests.
    ends: AtomicBool,
    /// Whether the last request has, or may have, a body.
    has_body: AtomicBool,
}

impl Progress {
    /// The progress of a new connection. It waits for its client. The listener has one epoch for all of its connections.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            requests: AtomicUsize::new(0),
            state: AtomicU64::new(time_since(epoch)),
            closed: Notify::new(),
            failed: AtomicBool::new(false),
            leaves: AtomicBool::new(false),
            sending: AtomicBool::new(false),
            writing: AtomicBool::new(false),
            rests: Notify::new(),
            rests_after: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
            has_body: AtomicBool::new(false),
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn is_answering(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ANSWERING
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the last answer was a failure.
    pub(super) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }

    /// Closes the connection after its next answer.
    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    /// A request begins. Returns whether it does: not if the connection was closed.
    pub(super) fn begin(&self) -> bool {
        let begins = self.change(|_| ANSWERING);
        if begins {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        begins
    }

    /// Whether the request that has begun has, or may have, a body.
    pub(super) fn set_body(&self, has_body: bool) {
        self.has_body.store(has_body, Ordering::Relaxed);
    }

    /// Whether the last request has, or may have, a body. hyper may not have read all of it when the answer is sent.
    pub(super) fn has_body(&self) -> bool {
        self.has_body.load(Ordering::Relaxed)
    }

    /// Notes that hyper closes the connection.
    pub(super) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    /// Whether hyper has a request, or the body of its answer.
    pub(super) fn set_sending(&self, sending: bool) {
        self.sending.store(sending, Ordering::Relaxed);
    }

    /// The answer is known. From now on the connection waits until the client has taken it, and then for the next request.
    pub(super) fn answered(&self) {
        self.change(|_| time_since(self.epoch));
    }

    /// The client has taken bytes that waited for it.
    pub(super) fn taken(&self) {
        self.change(|state| if state == ANSWERING { ANSWERING } else { time_since(self.epoch) });
    }

    /// Since when the connection waits for its client: for a request, for the rest of a head, or until it takes an answer.
    /// `None` while a request is answered.
    pub(super) fn waits_since(&self) -> Option<Time> {
        let state = self.state.load(Ordering::Relaxed);
        (state != ANSWERING && state != CLOSED).then_some(state)
    }

    /// Closes the connection, if it has waited since this time. Returns whether it did: not if a request has begun meanwhile, or
    /// the client has taken something.
    pub(super) fn close(&self, since: Time) -> bool {
        let closed = self.state.compare_exchange(since, CLOSED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if closed {
            self.closed.notify_one();
        }
        closed
    }

    /// The listener does not close the connection after all. It waits for its client from now on.
    pub(super) fn reopen(&self) {
        self.state.store(time_since(self.epoch), Ordering::Relaxed);
    }

    /// Whether hyper still has a request, or the body of its answer, or the client has yet to take bytes of one.
    pub(super) fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Relaxed) || self.writing.load(Ordering::Relaxed)
    }

    /// Whether the client has yet to take bytes that hyper has written.
    pub(super) fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Relaxed);
    }

    /// Whether the listener has closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == CLOSED
    }

    /// Waits until the listener has closed the connection.
    pub(super) async fn closed(&self) {
        loop {
            self.closed.notified().await;
            if self.is_closed() {
                return;
            }
        }
    }

    /// The connection is idle, and what hyper has written to it is sent. It is to rest, unless hyper has more of an answer.
    pub(super) fn rest(&self) {
        if !self.is_sending() {
            self.rests_after.store(self.requests(), Ordering::Relaxed);
            self.rests.notify_one();
        }
    }

    /// Waits until the connection rests. Then its task can do without hyper, which needs 9 KiB for an idle connection. It does not
    /// rest if a request has begun after it was to rest: hyper may have yet to read the body of that request, even if it is
    /// answered.
    pub(super) async fn rests(&self) {
        loop {
            self.rests.notified().await;
            let is_idle = !self.is_sending() && !self.is_answering() && !self.ends.load(Ordering::Relaxed);
            if is_idle && self.rests_after.load(Ordering::Relaxed) == self.requests() {
                return;
            }
        }
    }

    /// Changes the state of a connection that is not closed. Returns whether it did.
    fn change(&self, state: impl Fn(u64) -> u64) -> bool {
        let change = |before| (before != CLOSED).then(|| state(before));
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

/// A time in milliseconds, which is later than zero.
pub(super) type Time = u64;

/// The present time, counted from this epoch.
pub(super) fn time_since(epoch: Instant) -> Time {
    Time::try_from(epoch.elapsed().as_millis()).unwrap_or(CLOSED - 2) + 1
}
