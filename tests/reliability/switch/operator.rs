//! An operator who brings a switch to a goal through the operator's API, and repeats each command until it took effect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    bed::{Gateway, Random},
    client::http,
};

/// The operator's key.
pub(crate) const KEY: &str = "op_reliability_key";

/// The reasons against a cutover that go by themselves, or by a verification. All others are accepted.
const PASSING: [&str; 4] = ["marks_pending", "verify_running", "verify_differs", "not_verified"];

/// An operator of one or several gateways.
#[derive(Clone)]
pub(crate) struct Operator {
    http: reqwest::Client,
    gateways: Vec<Arc<Gateway>>,
    sent: Arc<AtomicUsize>,
}

/// The state to which the operator brings a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Planned,
    Copied,
    Verified,
    Switched,
    Back,
}

/// What the operator does next.
enum Next {
    Done,
    Wait,
    Command(&'static str, Value),
}

/// The kills that are left on the way to a goal.
pub(crate) struct Kills {
    pub(crate) random: Random,
    /// Shortly after a command was sent.
    pub(crate) at_commands: usize,
    /// While the gateway works in the background.
    pub(crate) while_waiting: usize,
    pub(crate) done: usize,
}

impl Kills {
    pub(crate) fn none() -> Self {
        Self { random: Random::new(0), at_commands: 0, while_waiting: 0, done: 0 }
    }

    fn kill(&mut self, gateways: &[Arc<Gateway>]) {
        let gateway = self.random.one_of(gateways);
        gateway.kill();
        gateway.start();
        self.done += 1;
    }
}

impl Operator {
    pub(crate) fn of(gateways: &[Arc<Gateway>]) -> Self {
        Self { http: http(Duration::from_secs(20)), gateways: gateways.to_vec(), sent: Arc::default() }
    }

    /// Sends a request. `None`: no answer came.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let gateway = &self.gateways[self.sent.fetch_add(1, Ordering::Relaxed) % self.gateways.len()];
        let mut request = self.http.request(method, format!("http://{}{path}", gateway.operator_address_if_served()?));
        request = request.bearer_auth(KEY);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, serde_json::from_str(&response.text().await.ok()?).unwrap_or_default()))
    }

    /// The switch of the merchant. `None`: there is none yet.
    pub(crate) async fn view(&self) -> Option<Value> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match self.send(Method::GET, "/v1/merchants/acme/switch", None).await {
                Some((200, view)) => return Some(view),
                Some((404, _)) => return None,
                other => assert!(Instant::now() < until, "no view of the switch: {other:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a command about a switch as it was seen.
    pub(crate) async fn command(&self, seen: Option<&Value>, name: &str, more: &Value) -> Option<(u16, Value)> {
        let Some(view) = seen else {
            let body = json!({ "merchant": "acme", "to": "new", "sample": 0 });
            return self.send(Method::POST, "/v1/switches", Some(&body)).await;
        };
        let mut body = json!({ "decided": { "state": view["state"], "epoch": view["epoch"] } });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let id = view["id"].as_str().expect("an id");
        self.send(Method::POST, &format!("/v1/switches/{id}/{name}"), Some(&body)).await
    }

    /// Brings the switch to a goal, whatever state it has, while gateways are killed.
    pub(crate) async fn reach(&self, goal: Goal, kills: &mut Kills, patience: Duration) -> Value {
        let (until, mut accepted) = (Instant::now() + patience, Vec::<Value>::new());
        let mut last = Value::Null;
        loop {
            let asked = Instant::now();
            let view = self.view().await;
            // As the commands do: a switch of a million customers is not counted all the time.
            let pause = (asked.elapsed() * 9).min(Duration::from_secs(10));
            if Instant::now() >= until {
                let mut open = self.records().await;
                open.retain(|one| !matches!(one["outcome"].as_str(), Some("created" | "linked" | "already_linked")));
                let view = view.unwrap_or_default();
                panic!("{goal:?} was not reached; the last refusal: {last}\n{view}\n{open:#?}");
            }
            match next(goal, view.as_ref(), &accepted) {
                Next::Done if kills.while_waiting == 0 && kills.at_commands == 0 => return view.unwrap_or_default(),
                next @ (Next::Done | Next::Wait) => {
                    if matches!(next, Next::Done) {
                        // The goal needed fewer commands than kills.
                        kills.while_waiting += std::mem::take(&mut kills.at_commands);
                    }
                    let random = kills.random.milliseconds(10, 150);
                    sleep(if kills.while_waiting > 0 { random } else { random.max(pause) }).await;
                    if kills.while_waiting > 0 {
                        kills.while_waiting -= 1;
                        kills.kill(&self.gateways);
                    }
                }
                Next::Command(name, more) => {
                    let command = tokio::spawn({
                        let (this, view) = (self.clone(), view.clone());
                        async move { this.command(view.as_ref(), name, &more).await }
                    });
                    if kills.at_commands > 0 {
                        sleep(kills.random.milliseconds(0, 40)).await;
                        kills.at_commands -= 1;
                        kills.kill(&self.gateways);
                    }
                    let Some((status, answer)) = command.await.expect("no panic") else { continue };
                    if status >= 300 {
                        let reasons = answer["reasons"].as_array().into_iter().flatten();
                        let codes = reasons.map(|reason| reason["code"].clone());
                        accepted.extend(codes.filter(|code| !PASSING.contains(&code.as_str().unwrap_or_default())));
                        last = answer;
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    }

    /// Waits until the switch is so.
    pub(crate) async fn wait(&self, what: &str, patience: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + patience;
        loop {
            let view = self.view().await.unwrap_or_default();
            if is_so(&view) {
                return view;
            }
            if Instant::now() >= until {
                let mut open = self.records().await;
                open.retain(|one| !matches!(one["outcome"].as_str(), Some("created" | "linked" | "already_linked")));
                panic!("not in time: {what}\n{view}\n{open:#?}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The records of the switch.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let id = self.view().await.expect("a switch")["id"].as_str().expect("an id").to_owned();
        let (mut records, mut path) = (Vec::new(), format!("/v1/switches/{id}/records"));
        loop {
            let Some((200, page)) = self.send(Method::GET, &path, None).await else { continue };
            records.extend(page["data"].as_array().expect("a list").iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { return records };
            path = format!("/v1/switches/{id}/records?cursor={cursor}");
        }
    }
}

fn next(goal: Goal, view: Option<&Value>, accepted: &[Value]) -> Next {
    let Some(view) = view else { return Next::Command("plan", Value::Null) };
    match (goal, view["state"].as_str().unwrap_or_default()) {
        (_, "planning" | "copying") => Next::Wait,
        (Goal::Planned, "planned") | (Goal::Copied | Goal::Back, "copied") | (Goal::Switched, "switched") => Next::Done,
        (_, "planned") => Next::Command("run", Value::Null),
        (Goal::Verified | Goal::Switched, "copied") => {
            let verified = &view["verified"];
            match verified["complete"].as_bool() {
                Some(false) => Next::Wait,
                Some(true) if ["differs", "missing", "unreadable"].iter().all(|count| verified[count] == 0) => {
                    match goal {
                        Goal::Verified => Next::Done,
                        _ => Next::Command("cutover", json!({ "accept": accepted })),
                    }
                }
                _ => Next::Command("verify", Value::Null),
            }
        }
        (Goal::Back, "switched") => Next::Command("rollback", Value::Null),
        (goal, state) => panic!("the switch is `{state}` on the way to {goal:?}: {view:#?}"),
    }
}

/// Whether everything is copied in its last state, and no outcome is unknown.
pub(crate) fn is_quiet(view: &Value) -> bool {
    view["records"]["pending"] == 0 && view["records"]["in_doubt"] == 0 && view["marks"]["pending"] == 0
}
