//! A plan: a request to send, and the function that reads its answer. Making a plan sends nothing.
//!
//! `explain` and the snapshot tests print plans without running them. [`run`] sends a plan's requests over a
//! [`Transport`]. A plan's request has a path below the provider's base URL and never contains a secret; an
//! [`Endpoint`](crate::kit::Endpoint) adds the base URL.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    kit::KnownCustomers,
    model::{Customer, CustomerFilter, Error, Fidelity, Field, Kind, Lookup, Operation, Request, Response},
};

/// Reads an answer: gives the result, or the plan of the next request.
pub(super) type Read<T> = Box<dyn FnOnce(Response) -> Result<Step<T>, Error> + Send>;

/// A request to send, and how to read its answer.
pub struct Plan<T> {
    /// The request to send.
    pub request: Request,
    /// Whether the request may change something at the provider.
    pub writes: bool,
    /// The requests that follow, as far as they are known before the answer arrives.
    pub later: Later,
    /// The fidelity report of the translation into the provider's terms.
    pub fidelity: Fidelity,
    pub(super) read: Read<T>,
}

/// The requests of a plan that follow its first one.
#[derive(Debug, Default)]
pub struct Later {
    known: Vec<Request>,
    preview: Option<Preview>,
}

/// Requests that only an explanation shows, so they are not made before it asks for them.
type Preview = LazyLock<Vec<Request>, Box<dyn FnOnce() -> Vec<Request> + Send>>;

/// The outcome of reading an answer.
#[derive(Debug)]
pub enum Step<T> {
    /// The result.
    Done(T),
    /// Another request has to be sent before the result is known.
    Then(Box<Plan<T>>),
}

impl<T> From<Plan<T>> for Step<T> {
    fn from(plan: Plan<T>) -> Self {
        Self::Then(Box::new(plan))
    }
}

impl<T> std::fmt::Debug for Plan<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Plan({} {})", self.request.method(), self.request.uri().path())
    }
}

impl<T: 'static> Plan<T> {
    /// The request, and the known requests that follow it.
    pub fn requests(&self) -> Vec<&Request> {
        let Later { known, preview } = &self.later;
        std::iter::once(&self.request).chain(known).chain(preview.iter().flat_map(|preview| preview.iter())).collect()
    }

    /// Reads an answer.
    pub fn read(self, response: Response) -> Result<Step<T>, Error> {
        (self.read)(response)
    }

    /// The same plan, with `None` as its result instead of the error "no such customer".
    #[must_use]
    pub fn optional(self) -> Plan<Option<T>> {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<Option<T>> = Box::new(move |response| match read(response) {
            Ok(Step::Done(value)) => Ok(Step::Done(Some(value))),
            Ok(Step::Then(plan)) => Ok(plan.optional().into()),
            Err(error) if error.kind == Kind::NotFound => Ok(Step::Done(None)),
            Err(error) => Err(error),
        });
        Plan { request, writes, later, fidelity, read }
    }

    /// Adds known requests that follow.
    #[must_use]
    pub fn followed_by(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.later.known.extend(requests);
        self
    }

    /// Adds requests that follow, and whose bodies depend on the answer. `preview` shows them as far as they are known.
    #[must_use]
    pub fn followed_by_preview(mut self, preview: impl FnOnce() -> Vec<Request> + Send + 'static) -> Self {
        self.later.preview = Some(LazyLock::new(Box::new(preview)));
        self
    }

    /// Adds to the fidelity report of the plan.
    #[must_use]
    pub fn reporting(mut self, report: impl FnOnce(&mut Fidelity)) -> Self {
        report(&mut self.fidelity);
        self
    }

    /// Reports fields that the provider will not store.
    #[must_use]
    pub fn losing(self, losses: impl IntoIterator<Item = (Field, &'static str)>) -> Self {
        self.reporting(|fidelity| fidelity.lose(losses))
    }

    /// The same plan with its result converted.
    pub fn map<U: 'static>(self, convert: impl FnOnce(T) -> Result<U, Error> + Send + 'static) -> Plan<U> {
        self.and_then(move |value| convert(value).map(Step::Done))
    }

    /// A plan that continues with `next` after this plan's result is known.
    pub fn and_then<U: 'static>(self, next: impl FnOnce(T) -> Result<Step<U>, Error> + Send + 'static) -> Plan<U> {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<U> = Box::new(move |response| match read(response)? {
            Step::Done(value) => next(value),
            Step::Then(plan) => Ok(plan.and_then(next).into()),
        });
        Plan { request, writes, later, fidelity, read }
    }
}

impl Plan<Box<Customer>> {
    /// The same plan for a route that also finds customers by other values. A customer that does not match the look-up
    /// is discarded.
    #[must_use]
    pub fn matching(self, lookup: &Lookup) -> Plan<Option<Box<Customer>>> {
        let filter = CustomerFilter::from(lookup);
        self.optional().map(move |found| Ok(found.filter(|customer| filter.matches(customer))))
    }
}

impl<T: 'static> Plan<Option<T>> {
    /// The same plan, followed by the plan of another look-up if this one does not find the record. A look-up that the
    /// provider's API lacks finds nothing. If the API lacks both, the plan fails.
    #[must_use]
    pub fn or_find(self, other: Self) -> Self {
        let request = other.request.clone();
        self.or_else_find(other).followed_by([request])
    }

    fn or_else_find(self, other: Self) -> Self {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<Option<T>> = Box::new(move |response| match read(response) {
            Ok(Step::Done(None)) => Ok(other.if_supported().into()),
            Ok(Step::Then(plan)) => Ok(plan.or_else_find(other).into()),
            Err(error) if error.kind == Kind::NotSupported => Ok(other.into()),
            result => result,
        });
        Self { request, writes, later, fidelity, read }
    }

    /// The same plan, with `None` as its result where the provider's API lacks the operation.
    fn if_supported(self) -> Self {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<Option<T>> = Box::new(move |response| match read(response) {
            Ok(Step::Then(plan)) => Ok(plan.if_supported().into()),
            Err(error) if error.kind == Kind::NotSupported => Ok(Step::Done(None)),
            result => result,
        });
        Self { request, writes, later, fidelity, read }
    }

    /// The same plan, followed by the plan `retrieve` if the answer does not contain the record.
    #[must_use]
    pub(super) fn or_read(self, retrieve: Plan<T>) -> Plan<T> {
        let request = retrieve.request.clone();
        self.and_then(|record| Ok(record.map_or_else(|| retrieve.into(), Step::Done))).followed_by([request])
    }
}

/// A reply of more bytes takes so long to read that no thread may do it that serves requests.
pub const LARGE_REPLY: usize = 256 * 1024;

/// Sends requests to a provider. It is the only part of a command's execution that waits.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a plan's request and reads the whole answer. An answer with any status is `Ok`; an error means that no
    /// answer arrived. `writes` says that the request may change something, so that sending it twice could do harm. The
    /// request is shared, because futures that hold it are moved.
    async fn send(&self, request: Arc<Request>, writes: bool) -> Result<Response, Error>;

    /// Runs work that takes long: the reading of a reply of more than [`LARGE_REPLY`] bytes. A transport whose thread
    /// serves other requests too runs it on another thread.
    async fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    /// The customers that the gateway knows at this provider. `None` where the provider's lists show every customer, and
    /// where the gateway keeps nothing.
    fn known_customers(&self) -> Option<&dyn KnownCustomers> {
        None
    }
}

/// Reads a large reply where the transport runs long work.
pub(crate) async fn read_large<T: Send + 'static>(
    transport: &dyn Transport,
    read: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let result = Arc::new(Mutex::new(None));
    let for_work = Arc::clone(&result);
    let work = move || *for_work.lock().unwrap_or_else(PoisonError::into_inner) = Some(read());
    transport.compute(Box::new(work)).await;
    let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| Err(Error::new(Kind::Interrupted, "the gateway stopped before it had read the answer")))
}

/// Runs a plan to its result. The error of a failed plan says whether an earlier request of the plan already wrote. The
/// future does not hold the plan: a future is copied whenever a caller moves it, so it must be small.
pub fn run<T: Send + 'static>(
    transport: &dyn Transport,
    plan: Plan<T>,
) -> impl Future<Output = Result<T, Error>> + Send + use<'_, T> {
    let ran = run_to_end(transport, plan);
    async move { ran.await.map(|ran| ran.result) }
}

/// The result of a plan, and whether it was read from the answer to a request that only reads.
#[derive(Debug)]
pub struct Ran<T> {
    /// The result.
    pub result: T,
    /// Whether the last request only read.
    pub was_read: bool,
}

/// The same as [`run`], for a caller that compares the result of a write.
pub fn run_to_end<T: Send + 'static>(
    transport: &dyn Transport,
    plan: Plan<T>,
) -> impl Future<Output = Result<Ran<T>, Error>> + Send + use<'_, T> {
    let Plan { request, mut writes, mut read, .. } = plan;
    let mut sent = transport.send(Arc::new(request), writes);
    async move {
        let mut already_written = false;
        loop {
            let response = sent.await.map_err(|error| error.after(writes, already_written))?;
            let step = match response.body().len() {
                0..=LARGE_REPLY => read(response),
                _ => Box::pin(read_large(transport, move || read(response))).await,
            };
            match step {
                Ok(Step::Done(result)) => return Ok(Ran { result, was_read: !writes }),
                Ok(Step::Then(next)) => {
                    already_written |= writes;
                    let next = *next;
                    (writes, read) = (next.writes, next.read);
                    sent = transport.send(Arc::new(next.request), writes);
                }
                Err(error) => return Err(error.after(writes, already_written)),
            }
        }
    }
}

/// The error of a provider that lacks an operation.
pub fn unsupported<T>(manifest: &crate::model::manifest::Manifest, operation: Operation) -> Result<Plan<T>, Error> {
    Err(Error::not_supported(manifest, operation))
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::kit::Draft;

    /// A transport that answers a body of so many bytes, and counts the long work.
    struct Counting {
        length: usize,
        computed: AtomicUsize,
    }

    #[async_trait]
    impl Transport for Counting {
        async fn send(&self, _: Arc<Request>, _: bool) -> Result<Response, Error> {
            Ok(Response::new(vec![b' '; self.length].into()))
        }

        async fn compute(&self, work: Box<dyn FnOnce() + Send>) {
            self.computed.fetch_add(1, Ordering::Relaxed);
            work();
        }
    }

    #[test]
    fn only_a_large_reply_is_read_as_long_work() {
        for (length, expected) in [(LARGE_REPLY, 0), (LARGE_REPLY + 1, 1)] {
            let transport = Counting { length, computed: AtomicUsize::new(0) };
            let plan = Draft::get("/customers")
                .plan(|answer| answer.refusal(None, None), |answer| answer.text().map(str::len));
            let mut work = pin!(run(&transport, plan.expect("a plan")));
            let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Ok(read)) if read == length));
            assert_eq!(transport.computed.load(Ordering::Relaxed), expected, "{length}");
        }
    }
}
