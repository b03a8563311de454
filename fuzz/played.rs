//! Providers that are played without a network: by the answers of an input, or by their server side over records.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle_providers::{
    VendorServer,
    engine::records::Records,
    kit::Transport,
    model::{Error, Kind, Request, Response},
};

/// The result of a future that never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a provider that is played never waits"),
    }
}

/// Answers each request with the next answer. After the last one it cannot be reached.
pub(crate) struct Scripted(Mutex<VecDeque<Response>>);

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Response>) -> Self {
        Self(Mutex::new(answers.into_iter().collect()))
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, _: Arc<Request>, _: bool) -> Result<Response, Error> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.ok_or_else(|| Error::new(Kind::Unreachable, "no answer is left"))
    }
}

/// The time at every provider that is played.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Answers each request as the provider's server side does over its records.
pub(crate) struct Played<'s> {
    pub(crate) server: &'s dyn VendorServer,
    pub(crate) records: Mutex<Records>,
}

#[async_trait]
impl Transport for Played<'_> {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = self.server.accept(&request).and_then(|command| {
            let reply = records.execute(self.server, &command, now(), [7; 16])?;
            self.server.answer(&command, &reply)
        });
        Ok(answered.unwrap_or_else(|error| self.server.refuse(&request, &error, now())))
    }
}
