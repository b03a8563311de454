//! What the operator of a switch does, over the operator's API.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::bed::{Gateway, PATIENCE};

/// The key of the operator.
pub(super) const KEY: &str = "op_live";

/// The operator of the switch of `acme`, who asks any of the gateways.
pub(super) struct Operator {
    http: reqwest::Client,
    gateways: Vec<Arc<Gateway>>,
    next: usize,
    id: String,
}

impl Operator {
    /// Plans the switch to the connection `new`.
    pub(super) async fn plan(gateways: &[Arc<Gateway>]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().expect("a client");
        let mut operator = Self { http, gateways: gateways.to_vec(), next: 0, id: String::new() };
        let planned = operator.post("/v1/switches", &json!({ "merchant": "acme", "to": "new" })).await;
        planned["id"].as_str().unwrap_or_else(|| panic!("no plan: {planned}")).clone_into(&mut operator.id);
        operator.wait("the plan", |view| view["state"] == "planned").await;
        operator
    }

    async fn ask(&mut self, request: impl FnOnce(&reqwest::Client, String) -> reqwest::RequestBuilder) -> Value {
        self.next += 1;
        let gateway = &self.gateways[self.next % self.gateways.len()];
        let request = request(&self.http, format!("http://{}", gateway.operator_address())).bearer_auth(KEY);
        let answer = request.send().await.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no JSON: {answer}"))
    }

    async fn post(&mut self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        self.ask(|http, base| http.post(base + path).header("content-type", "application/json").body(body)).await
    }

    /// The switch as it is now.
    pub(super) async fn view(&mut self) -> Value {
        let path = format!("/v1/switches/{}", self.id);
        self.ask(|http, base| http.get(base + &path)).await
    }

    pub(super) async fn wait(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let ends = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < ends {
            last = self.view().await;
            if is_so(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let path = format!("/v1/switches/{}/records?outcome=pending", self.id);
        let pending = self.ask(|http, base| http.get(base + &path)).await;
        panic!("not in time: {what}: {last}\npending: {pending}");
    }

    /// Sends a command, decided on what the switch is now. `Err`: the codes of what closes the gate.
    async fn command(&mut self, name: &str, accept: &[String]) -> Result<Value, Vec<String>> {
        loop {
            let view = self.view().await;
            let mut body = json!({ "decided": { "state": view["state"], "epoch": view["epoch"] } });
            if !matches!(name, "run" | "verify") {
                body["accept"] = json!(accept);
            }
            let answer = self.post(&format!("/v1/switches/{}/{name}", self.id), &body).await;
            match (answer["object"].as_str(), answer["code"].as_str(), answer["reasons"].as_array()) {
                (Some("switch"), ..) => return Ok(answer),
                (_, Some("switch_changed"), _) => {}
                (_, _, Some(reasons)) => {
                    return Err(reasons
                        .iter()
                        .filter_map(|reason| reason["code"].as_str().map(str::to_owned))
                        .collect());
                }
                _ => panic!("{name}: {answer}"),
            }
        }
    }

    /// Copies everybody.
    pub(super) async fn run(&mut self) {
        self.command("run", &[]).await.expect("it runs");
        self.wait("the copies", |view| view["state"] == "copied").await;
    }

    async fn verify(&mut self) {
        self.command("verify", &[]).await.expect("it begins");
        self.wait("the verification", |view| view["verified"]["complete"] == true).await;
    }

    /// Verifies, and makes the target active. The operator accepts the findings about single customers: the twins have
    /// sample customers who cannot be copied.
    pub(super) async fn cut_over(&mut self) {
        const TO_WAIT_FOR: [&str; 4] = ["marks_pending", "verify_running", "not_verified", "verify_differs"];
        let mut accept = Vec::new();
        self.verify().await;
        for _ in 0..20 {
            let Err(closed) = self.command("cutover", &accept).await else { return };
            let (wait, open): (Vec<_>, Vec<_>) =
                closed.into_iter().partition(|code| TO_WAIT_FOR.contains(&code.as_str()));
            accept.extend(open);
            if !wait.is_empty() {
                eprintln!("the gate is closed: {wait:?}");
                self.verify().await;
            }
        }
        panic!("the gate stays closed: {}", self.view().await);
    }

    /// Makes the source active again.
    pub(super) async fn roll_back(&mut self) {
        self.command("rollback", &[]).await.expect("it asks nothing");
    }
}
