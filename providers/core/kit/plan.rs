//! A plan: the request to send, and how to read its answer. Nothing has happened yet.
//!
//! A plan that is not run is a dry run: `explain` and the snapshot tests print it. A plan that is run
//! over a [`Transport`] is an adapter. Requests name a path below the provider's base, carry no
//! secrets, and are finished by an [`Endpoint`].

use async_trait::async_trait;

use crate::model::{Customer, CustomerFilter, Error, Fidelity, Field, Kind, Lookup, Operation, Request, Response};

/// Reads an answer, or says what to ask next.
pub(super) type Read<T> = Box<dyn FnOnce(Response) -> Result<Step<T>, Error> + Send>;

/// A request to send, and how to read its answer.
pub struct Plan<T> {
    /// What to send.
    pub request: Request,
    /// Whether sending it may change anything.
    pub writes: bool,
    /// What will be sent after it, as far as that is known before the answer is.
    pub later: Vec<Request>,
    /// What the translation into the provider's language did to the command.
    pub fidelity: Fidelity,
    pub(super) read: Read<T>,
}

/// What reading an answer led to.
#[derive(Debug)]
pub enum Step<T> {
    /// The result.
    Done(T),
    /// Another request has to be sent first.
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
    /// The request, and what is known to follow it.
    pub fn requests(&self) -> Vec<&Request> {
        std::iter::once(&self.request).chain(&self.later).collect()
    }

    /// Reads an answer.
    pub fn read(self, response: Response) -> Result<Step<T>, Error> {
        (self.read)(response)
    }

    /// The same plan where "no such customer" is an answer, not a failure.
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

    /// Adds what will be sent later.
    #[must_use]
    pub fn followed_by(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.later.extend(requests);
        self
    }

    /// Reports what became of a field on the way to the provider.
    #[must_use]
    pub fn reporting(mut self, report: impl FnOnce(&mut Fidelity)) -> Self {
        report(&mut self.fidelity);
        self
    }

    /// Reports fields that the provider will not hold.
    #[must_use]
    pub fn losing(self, losses: impl IntoIterator<Item = (Field, &'static str)>) -> Self {
        self.reporting(|fidelity| fidelity.lose(losses))
    }

    /// The same plan with its result converted.
    pub fn map<U: 'static>(self, convert: impl FnOnce(T) -> Result<U, Error> + Send + 'static) -> Plan<U> {
        self.and_then(move |value| convert(value).map(Step::Done))
    }

    /// A plan whose result decides on what follows.
    pub fn and_then<U: 'static>(self, next: impl FnOnce(T) -> Result<Step<U>, Error> + Send + 'static) -> Plan<U> {
        let Self { request, writes, later, fidelity, read } = self;
        let read: Read<U> = Box::new(move |response| match read(response)? {
            Step::Done(value) => next(value),
            Step::Then(plan) => Ok(plan.and_then(next).into()),
        });
        Plan { request, writes, later, fidelity, read }
    }
}

impl Plan<Customer> {
    /// The same plan of a route that finds by other things as well: a customer who does not match is nobody.
    #[must_use]
    pub fn matching(self, lookup: &Lookup) -> Plan<Option<Customer>> {
        let sought = CustomerFilter::from(lookup);
        self.optional().map(move |found| Ok(found.filter(|customer| sought.matches(customer))))
    }
}

impl<T: 'static> Plan<Option<T>> {
    /// The same plan where an answer without the record is followed by another that reads it.
    #[must_use]
    pub fn or_read(self, again: Plan<T>) -> Plan<T> {
        let expected = again.request.clone();
        self.and_then(|told| Ok(told.map_or_else(|| again.into(), Step::Done))).followed_by([expected])
    }
}

/// Sends requests. The only thing here that waits.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a plan's request and reads the whole answer. Any status is an answer; an error is a
    /// request that got none. `writes` says whether sending it twice could do harm.
    async fn send(&self, request: Request, writes: bool) -> Result<Response, Error>;
}

/// Runs a plan to its end.
pub async fn run<T: 'static>(transport: &dyn Transport, plan: Plan<T>) -> Result<T, Error> {
    let mut plan = plan;
    let mut already_written = false;
    loop {
        let Plan { request, writes, read, .. } = plan;
        let response = transport.send(request, writes).await.map_err(|error| error.after(writes, already_written))?;
        match read(response) {
            Ok(Step::Done(value)) => return Ok(value),
            Ok(Step::Then(next)) => {
                already_written |= writes;
                plan = *next;
            }
            Err(error) => return Err(error.after(writes, already_written)),
        }
    }
}

/// A provider's plan for an operation that it lacks.
pub fn unsupported<T>(manifest: &crate::model::manifest::Manifest, operation: Operation) -> Result<Plan<T>, Error> {
    Err(Error::not_supported(manifest, operation))
}
