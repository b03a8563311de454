//! The clients: each makes one customer, and may change and delete it. A client repeats a request with its key until it knows
//! the outcome, sends some requests to two processes at the same time, and disconnects where it has waited for too long.

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    process::{Answer, Call},
    random::Random,
    run::Fleet,
    world::brief,
};

/// For how long there must be no faults before a client accepts that the outcome of a held write stays unknown.
const LATE: u64 = 4_000;

/// What a client knows of a write at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The gateway answered with success: the status and the body.
    Done(u16, Bytes),
    /// The gateway refused it: the status and the body.
    Refused(u16, Bytes),
    /// The gateway holds it for an operator.
    Held,
}

/// What a client does with its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

/// One write, repeated until its outcome is known.
pub(crate) struct Write {
    pub(crate) verb: Verb,
    pub(crate) outcome: Option<Outcome>,
    calls: Vec<Waiting>,
    next_at: u64,
    /// The operation whose state the client asks for next.
    asks_for: Option<String>,
    was_held: bool,
}

struct Waiting {
    call: Call,
    gives_up_at: u64,
    is_question: bool,
}

/// A client with its customer.
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) writes: Vec<Write>,
    /// The id of its customer.
    pub(crate) customer: Option<String>,
    /// When it was told that its customer exists.
    pub(crate) created_at: Option<u64>,
    at: usize,
}

impl Client {
    /// A client whose writes begin within `spread` milliseconds, each after the one before. It makes at most so many updates.
    pub(crate) fn new(
        number: usize,
        has_deletions: bool,
        (updates, spread): (usize, u64),
        random: &mut Random,
    ) -> Self {
        let mut verbs = vec![Verb::Create];
        verbs.resize(1 + random.index(updates + 1), Verb::Update);
        if has_deletions && random.happens(3_000) {
            verbs.push(Verb::Delete);
        }
        let mut begins_at = random.between(0, spread);
        let writes = verbs.into_iter().map(|verb| {
            let next_at = begins_at;
            begins_at = random.between(begins_at, begins_at.max(spread));
            Write { verb, outcome: None, calls: Vec::new(), next_at, asks_for: None, was_held: false }
        });
        Self { number, writes: writes.collect(), customer: None, created_at: None, at: 0 }
    }

    pub(crate) fn email(&self) -> String {
        format!("customer{}@example.com", self.number)
    }

    /// The name that its customer has after a write.
    pub(crate) fn name(&self, index: usize) -> String {
        let name = ["Awa Diop", "Binta Sow", "Coumba Fall", "Dior Ba", "Fatou Sy"][index % 5];
        format!("{name} {}", ["Un", "Deux", "Trois", "Quatre", "Cinq", "Six"][self.number % 6])
    }

    /// Whether it has nothing more to do.
    pub(crate) fn is_over(&self) -> bool {
        self.at >= self.writes.len() && self.writes.iter().all(|write| write.calls.is_empty())
    }

    /// Whether it may have begun to delete its customer.
    pub(crate) fn may_have_deleted(&self) -> bool {
        self.writes.iter().take(self.at + 1).any(|write| write.verb == Verb::Delete)
    }

    /// Whether it waits for an answer.
    pub(crate) fn waits(&self) -> bool {
        self.writes.iter().any(|write| !write.calls.is_empty())
    }

    /// The request of one of its writes.
    pub(crate) fn request(&self, index: usize) -> http::Request<Body> {
        let verb = self.writes[index].verb;
        let path = match verb {
            Verb::Create => "/v1/customers".to_owned(),
            _ => format!("/v1/customers/{}", self.customer.as_deref().unwrap_or_default()),
        };
        let (method, body) = match verb {
            Verb::Create => {
                let phone = format!("+22177{:07}", self.number);
                (Method::POST, json!({ "name": self.name(index), "email": self.email(), "phone": phone }))
            }
            Verb::Update => (Method::PATCH, json!({ "name": self.name(index) })),
            Verb::Delete => (Method::DELETE, Value::Null),
        };
        let builder = request(method, &path).header("idempotency-key", format!("key-{}-{index}", self.number));
        match body {
            Value::Null => builder.body(Body::empty()),
            body => builder.header("content-type", "application/json").body(Body::from(body.to_string())),
        }
        .expect("a request")
    }

    /// Does what is to be done now. The error says which promise is broken.
    pub(crate) fn act(&mut self, fleet: &Fleet) -> Result<(), String> {
        for index in 0..self.writes.len() {
            self.read_answers(index, fleet)?;
        }
        let (now, is_calm) = fleet.now_and_calm();
        let Some(write) = self.writes.get_mut(self.at) else { return Ok(()) };
        if write.outcome.is_some() {
            // What was not done is not changed.
            let goes_on = matches!(write.outcome, Some(Outcome::Done(..)));
            self.at = if goes_on { self.at + 1 } else { self.writes.len() };
            return Ok(());
        }
        if !write.calls.is_empty() || now < write.next_at {
            return Ok(());
        }
        let question = write.asks_for.take();
        let mut random = fleet.world.lock();
        let copies = if question.is_none() && random.random.happens(1_500) { 2 } else { 1 };
        let impatient = !is_calm && random.random.happens(2_000);
        let patience = if impatient { random.random.between(5, 800) } else { 12_000 };
        drop(random);
        for _ in 0..copies {
            let request = match &question {
                Some(operation) => get(&format!("/v1/operations/{operation}")),
                None => self.request(self.at),
            };
            let write = &mut self.writes[self.at];
            match fleet.call(request) {
                Some(call) => {
                    write.calls.push(Waiting { call, gives_up_at: now + patience, is_question: question.is_some() });
                }
                None => write.next_at = now + 100,
            }
        }
        Ok(())
    }

    /// Reads the answers that have arrived.
    fn read_answers(&mut self, index: usize, fleet: &Fleet) -> Result<(), String> {
        let (now, _) = fleet.now_and_calm();
        let (mut received, waited) = (Vec::new(), self.writes[index].calls.len());
        self.writes[index].calls.retain_mut(|waiting| match waiting.call.answer.try_recv() {
            Ok(answer) => {
                received.push((answer, waiting.is_question));
                false
            }
            Err(TryRecvError::Closed) => false,
            Err(TryRecvError::Empty) if now >= waiting.gives_up_at => {
                waiting.call.task.abort();
                false
            }
            Err(TryRecvError::Empty) => true,
        });
        if self.writes[index].calls.len() < waited {
            let pause = fleet.world.lock().random.between(20, 600);
            self.writes[index].next_at = self.writes[index].next_at.max(now + pause);
        }
        for (answer, is_question) in received {
            match is_question {
                true => self.take_state(index, &answer, fleet),
                false => self.take_answer(index, answer, fleet)?,
            }
        }
        Ok(())
    }

    /// Takes the answer to a write.
    fn take_answer(&mut self, index: usize, answer: Answer, fleet: &Fleet) -> Result<(), String> {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        let (number, verb) = (self.number, self.writes[index].verb);
        let shown = brief(&answer.body);
        fleet.note(&format!("client {number} gets for its {verb:?}: {} {code} {shown}", answer.status));
        let outcome = match answer.status {
            200..300 => Outcome::Done(answer.status, answer.body),
            409 if code == "idempotency_in_progress" => return Ok(()),
            429 | 500.. => {
                if code == "outcome_unknown" {
                    let operation = answer.headers.get("x-operation-id").and_then(|id| id.to_str().ok());
                    self.writes[index].asks_for = operation.map(str::to_owned);
                }
                return Ok(());
            }
            status => Outcome::Refused(status, answer.body),
        };
        // The gateway erases an answer with its customer. A second copy of an earlier request may arrive after that.
        let is_erased = self.may_have_deleted() && verb != Verb::Delete && code == "replay_erased";
        if is_erased && self.writes[index].outcome.is_some() {
            return Ok(());
        }
        if let Some(earlier) = &self.writes[index].outcome
            && *earlier != outcome
        {
            return Err(format!("client {number} got {earlier:?} for its {verb:?}, and later {outcome:?}"));
        }
        if verb == Verb::Create && matches!(outcome, Outcome::Done(..)) {
            self.customer = body["id"].as_str().map(str::to_owned);
            self.created_at.get_or_insert(fleet.now_and_calm().0);
        }
        self.writes[index].outcome = Some(outcome);
        Ok(())
    }

    /// Takes the answer to a question about a write that is unknown.
    fn take_state(&mut self, index: usize, answer: &Answer, fleet: &Fleet) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let write = &mut self.writes[index];
        let is_held = body["held"] == true && fleet.calm_for() > LATE;
        if is_held && write.was_held && write.outcome.is_none() {
            write.outcome = Some(Outcome::Held);
            let line = format!("the {:?} of client {} is held", write.verb, self.number);
            fleet.note(&line);
        }
        // Its key reconciles it once more.
        write.was_held = is_held;
    }
}

fn request(method: Method, path: &str) -> http::request::Builder {
    let builder = http::Request::builder().method(method).uri(path);
    builder.header("host", "gateway").header("authorization", "Bearer sk_acme")
}

/// A read.
pub(crate) fn get(path: &str) -> http::Request<Body> {
    request(Method::GET, path).body(Body::empty()).expect("a request")
}
