//! The operator of a run with a switch: brings it to its goal by the operator's API, and repeats each command until it took
//! effect.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    process::{Answer, Call, Listener},
    random::Random,
    run::Fleet,
    world::brief,
};

/// The reasons against a cutover that go by themselves, or by a verification. All others are accepted.
const PASSING: [&str; 4] = ["marks_pending", "verify_running", "verify_differs", "not_verified"];

/// To where the operator brings the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Switched,
    Back,
}

/// The operator of a merchant.
pub(crate) struct Operator {
    goals: Vec<Goal>,
    next_at: u64,
    call: Option<(Call, bool)>,
    view: Value,
    viewed_at: u64,
    has_view: bool,
    accepted: Vec<Value>,
    /// When the switch was first run.
    ran_at: Option<u64>,
    is_copied: bool,
}

impl Operator {
    pub(crate) fn new(random: &mut Random) -> Self {
        let goals =
            [&[Goal::Switched][..], &[Goal::Switched, Goal::Back], &[Goal::Switched, Goal::Back, Goal::Switched]];
        Self {
            goals: random.one_of(&goals).to_vec(),
            next_at: random.between(1_000, 5_000),
            call: None,
            view: Value::Null,
            viewed_at: 0,
            has_view: false,
            accepted: Vec::new(),
            ran_at: None,
            is_copied: false,
        }
    }

    /// When the switch was first run: once, after everything is copied.
    pub(crate) fn take_run(&mut self) -> Option<u64> {
        if self.is_copied { self.ran_at.take() } else { None }
    }

    /// Whether an answer is awaited.
    pub(crate) const fn waits(&self) -> bool {
        self.call.is_some()
    }

    /// Whether the switch is where it shall be, and everything is copied in its last state, by what was seen after a time.
    pub(crate) fn is_over(&self, since: u64) -> bool {
        let view = &self.view;
        let is_copied = view["records"]["in_doubt"] == 0 && view["marks"]["pending"] == 0;
        // Where a provider lists a part of its customers, only a person can end the doubt about a copy.
        let waits_for_decision = view["blocked_by"]["code"] == "decision_needed";
        let is_quiet = view["records"]["pending"] == 0 && (is_copied || waits_for_decision);
        self.goals.is_empty() && self.has_view && self.viewed_at > since && is_quiet
    }

    /// What the operator sees.
    pub(crate) fn view(&self) -> &Value {
        &self.view
    }

    /// Does what is to be done now.
    pub(crate) fn act(&mut self, fleet: &Fleet) {
        let (now, _) = fleet.now_and_calm();
        if let Some((call, is_question)) = &mut self.call {
            match call.answer.try_recv() {
                Ok(answer) => {
                    let is_question = *is_question;
                    self.call = None;
                    self.read_answer(&answer, is_question, fleet);
                }
                Err(TryRecvError::Closed) => self.call = None,
                Err(TryRecvError::Empty) => return,
            }
            self.next_at = now + fleet.world.lock().random.between(50, 400);
        }
        if now < self.next_at {
            return;
        }
        // Every command is decided on a view.
        let command = if self.has_view { self.command() } else { None };
        let is_question = command.is_none();
        let request = match command {
            Some((path, body)) => {
                if path.ends_with("/run") {
                    self.ran_at.get_or_insert(now);
                }
                fleet.note(&format!("the operator sends {path} {}", brief(body.to_string().as_bytes())));
                request(Method::POST, &path, Some(&body))
            }
            None => request(Method::GET, "/v1/merchants/acme/switch", None),
        };
        self.has_view = self.has_view && self.goals.is_empty();
        match fleet.call_at(Listener::Operator, request) {
            Some(call) => self.call = Some((call, is_question)),
            None => self.next_at = now + 200,
        }
    }

    fn read_answer(&mut self, answer: &Answer, is_question: bool, fleet: &Fleet) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match (is_question, answer.status) {
            (true, 200) => {
                self.is_copied |= body["state"] == "copied";
                (self.view, self.viewed_at, self.has_view) = (body, fleet.now_and_calm().0, true);
            }
            (true, 404) => (self.view, self.has_view) = (Value::Null, true),
            (true, _) => {}
            (false, status) => {
                fleet.note(&format!("the operator is answered {status} {}", brief(&answer.body)));
                let reasons = body["reasons"].as_array().into_iter().flatten().map(|reason| reason["code"].clone());
                let codes = reasons.filter(|code| !PASSING.contains(&code.as_str().unwrap_or_default()));
                self.accepted.extend(codes.collect::<Vec<_>>());
            }
        }
    }

    /// The next command, by what the switch is.
    fn command(&mut self) -> Option<(String, Value)> {
        let Value::String(state) = &self.view["state"] else {
            let body = json!({ "merchant": "acme", "to": "new", "sample": 0 });
            return Some(("/v1/switches".to_owned(), body));
        };
        let goal = *self.goals.first()?;
        if matches!((goal, &**state), (Goal::Switched, "switched") | (Goal::Back, "copied")) {
            self.goals.remove(0);
            return None;
        }
        let verified = &self.view["verified"];
        let is_proven = verified["complete"] == true
            && ["differs", "missing", "unreadable"].iter().all(|count| verified[count] == 0);
        let (name, more) = match (goal, &**state) {
            (_, "planned") => ("run", json!({})),
            (Goal::Switched, "copied") if is_proven => ("cutover", json!({ "accept": self.accepted })),
            (Goal::Switched, "copied") if verified["complete"] != false => ("verify", json!({})),
            (Goal::Back, "switched") => ("rollback", json!({})),
            _ => return None,
        };
        let mut body = json!({ "decided": { "state": self.view["state"], "epoch": self.view["epoch"] } });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        Some((format!("/v1/switches/{}/{name}", self.view["id"].as_str().unwrap_or_default()), body))
    }
}

fn request(method: Method, path: &str, body: Option<&Value>) -> http::Request<Body> {
    let builder = http::Request::builder().method(method).uri(path).header("host", "gateway");
    let builder = builder.header("authorization", "Bearer op_simulation").header("content-type", "application/json");
    builder.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).expect("a request")
}
