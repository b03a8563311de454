//! What all processes of a run share: the numbers of the seed, the time, the faults, and the requests on their way to the
//! provider. A request that was sent does not need its process any more.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use crate::{
    mistakes::{Mistake, OFTEN},
    provider::Provider,
    random::Random,
};

/// The time of day when a run begins: 2026-01-01.
const BEGIN: i64 = 1_767_225_600;

/// The answer to a request. `None`: the connection broke.
type Reply = oneshot::Sender<Option<http::Response<Bytes>>>;

/// How often each fault happens, in ten thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// A process dies at a point where something was or will be sent.
    pub(crate) crash: u64,
    /// A process dies in a step of time.
    pub(crate) crash_in_step: u64,
    /// A process is stopped for a while.
    pub(crate) stop: u64,
    /// The database refuses a transaction, or its answer is lost.
    pub(crate) store: u64,
    /// A request has one of the fates below.
    pub(crate) request: u64,
}

impl Faults {
    /// Each run has other faults, so that some have few and some many.
    fn of(random: &mut Random) -> Self {
        let mut often = |choices: &[u64]| random.one_of(choices);
        Self {
            crash: often(&[0, 50, 200, 500]),
            crash_in_step: often(&[0, 5, 20]),
            stop: often(&[0, 0, 10, 40]),
            store: often(&[0, 0, 200, 800]),
            request: often(&[0, 1000, 3000, 5000]),
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is not executed: the connection breaks before.
    BrokenBefore,
    /// It is executed, and the connection breaks before the answer.
    BrokenAfter,
    /// It is executed, and never answered.
    Silent,
    /// It is executed, and answered with a 500.
    ErrorAfter,
    /// It is not executed, and answered with a 500.
    ErrorBefore,
    /// It is not executed, and answered with a 429.
    RateLimited,
    /// The connection breaks, and a create is executed later. It is before the gateway concludes anything from its absence.
    Late,
}

const FATES: [Fate; 7] = [
    Fate::BrokenBefore,
    Fate::BrokenAfter,
    Fate::Silent,
    Fate::ErrorAfter,
    Fate::ErrorBefore,
    Fate::RateLimited,
    Fate::Late,
];

struct Sent {
    number: u64,
    at: u64,
    request: http::Request<Bytes>,
    fate: Fate,
    reply: Option<Reply>,
}

/// What all processes share.
pub(crate) struct World {
    pub(crate) random: Random,
    /// Milliseconds since the beginning.
    pub(crate) now: u64,
    pub(crate) faults: Faults,
    /// Whether the faults have ended.
    pub(crate) is_calm: bool,
    pub(crate) mistake: Option<Mistake>,
    /// The provider that is active at first, and the target of a switch if there is one.
    pub(crate) providers: Vec<Provider>,
    pub(crate) trace: Vec<String>,
    on_the_way: Vec<Sent>,
    requests: u64,
    /// Requests that are never answered.
    silent: Vec<Reply>,
}

/// The world as the processes have it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(random: Random, providers: Vec<Provider>, mistake: Option<Mistake>) -> Self {
        let mut random = random;
        let faults = Faults::of(&mut random);
        Self(Arc::new(Mutex::new(World {
            random,
            now: 0,
            faults,
            is_calm: false,
            mistake,
            providers,
            trace: Vec::new(),
            on_the_way: Vec::new(),
            requests: 0,
            silent: Vec::new(),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// The time of day, so many milliseconds after the beginning.
    pub(crate) fn time(milliseconds: u64) -> Timestamp {
        let passed = SignedDuration::from_millis(i64::try_from(milliseconds).expect("a short run"));
        Timestamp::from_second(BEGIN).expect("a time") + passed
    }

    pub(crate) fn note(&mut self, line: impl AsRef<str>) {
        let line = format!("{:>7} {}", self.now, line.as_ref());
        self.trace.push(line);
    }

    /// Whether a fault happens now.
    pub(crate) fn fails(&mut self, in_ten_thousand: u64) -> bool {
        self.random.happens(in_ten_thousand) && !self.is_calm
    }

    /// Whether the planted mistake is made now.
    pub(crate) fn errs(&mut self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake) && self.random.happens(OFTEN) && !self.is_calm
    }

    fn provider_of(&self, request: &http::Request<Bytes>) -> &Provider {
        &self.providers[Provider::side(request)]
    }

    /// Whether a request is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.on_the_way.is_empty()
    }

    /// Sends a request of a process whose clock shows `now`.
    pub(crate) fn send(&mut self, process: usize, now: u64, request: http::Request<Bytes>, reply: Reply) {
        self.requests += 1;
        let number = self.requests;
        let fails = self.fails(self.faults.request);
        let mut fate = if fails { self.random.one_of(&FATES) } else { Fate::Answered };
        if fate == Fate::Late && !self.provider_of(&request).may_be_late(&request) {
            fate = Fate::BrokenBefore;
        }
        let at = now + self.random.between(1, 40);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let path = format!("{} {path}", self.provider_of(&request).name);
        let body = brief(request.body());
        self.note(format!("gateway {process} sends request {number}: {method} {path} {body}, {fate:?}"));
        self.on_the_way.push(Sent { number, at, request, fate, reply: Some(reply) });
    }

    /// Has the provider do what it has to do by now.
    pub(crate) fn deliver(&mut self) {
        let now = self.now;
        let mut due: Vec<Sent> = self.on_the_way.extract_if(.., |sent| sent.at <= now).collect();
        due.sort_by_key(|sent| (sent.at, sent.number));
        for sent in due {
            self.arrive(sent);
        }
    }

    fn arrive(&mut self, sent: Sent) {
        let Sent { number, at, request, fate, mut reply } = sent;
        if fate == Fate::Late
            && let Some(reply) = reply.take()
        {
            let _ = reply.send(None);
            let at = at + self.random.between(100, 800);
            self.on_the_way.push(Sent { number, at, request, fate, reply: None });
            return;
        }
        let answer = match fate {
            Fate::BrokenBefore => None,
            Fate::ErrorBefore => Some(status(500)),
            Fate::RateLimited => Some(status(429)),
            _ => {
                if self.provider_of(&request).is_create(&request) && self.errs(Mistake::DoubleSend) {
                    self.execute(number, request.clone());
                }
                let answer = self.execute(number, request);
                match fate {
                    Fate::Answered => Some(answer),
                    Fate::ErrorAfter => Some(status(500)),
                    _ => None,
                }
            }
        };
        let Some(reply) = reply else { return };
        if fate == Fate::Silent {
            self.silent.push(reply);
            return;
        }
        // The process may have died meanwhile.
        let _ = reply.send(answer);
    }

    fn execute(&mut self, number: u64, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let random = self.random.bytes();
        let answer = self.provider_of(&request).answer(request, Self::time(self.now), random);
        let body = brief(answer.body());
        self.note(format!("the provider executes request {number}: {} {body}", answer.status()));
        answer
    }
}

/// A body as the trace shows it: its length and a hash, so that two runs whose bodies differ have two traces.
pub(crate) fn brief(body: &[u8]) -> String {
    // This hasher has always the same key.
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("({} bytes, {:04x})", body.len(), hasher.finish() & 0xffff)
}

fn status(code: u16) -> http::Response<Bytes> {
    let answer = http::Response::builder().status(code).header("content-type", "application/json");
    answer.body(Bytes::from_static(b"{}")).expect("an answer")
}
