//! The timer of a connection.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that exists only once it is needed. It is seldom set again, because that costs more than a request can spare:
/// where the time to wait for becomes later, the timer ends too early once, and only then is set to the later time.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits until this time.
    pub(super) fn poll_until(&mut self, context: &mut Context<'_>, ends: Instant) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(ends)));
        if timer.deadline() > ends {
            timer.as_mut().reset(ends);
        }
        ready!(timer.as_mut().poll(context));
        if timer.deadline() == ends {
            return Poll::Ready(());
        }
        timer.as_mut().reset(ends);
        timer.as_mut().poll(context)
    }
}
