//! The operator's API over loopback HTTP, and the commands as processes that call it. The switches are a small state
//! machine in memory (`memory.rs`), so that no provider and no clock is needed.

mod api;
mod commands;
mod examples;
mod files;
mod follow;
mod memory;
mod report;
pub(crate) mod runbook;
mod story;

use std::sync::Arc;

use passerelle::{
    command::{Running, start_with},
    config::load_text,
    switch::service::SwitchService,
};
use reqwest::Method;
use serde_json::Value;

use crate::{
    contract::Contract,
    support::{Answer, JsonText},
};
use memory::Memory;

/// The operator's key in these tests.
const KEY: &str = "op_test_key";

/// A gateway with switches in memory, and the operator's client.
struct Bed {
    running: Running,
    client: reqwest::Client,
    memory: Arc<Memory>,
}

impl Bed {
    async fn start() -> Self {
        Self::with(&format!("keys = [\"{KEY}\"]"), "sqlite::memory:").await
    }

    /// A gateway with these keys of `[operator]`.
    async fn with(operator: &str, store: &str) -> Self {
        let configuration = format!(
            "[store]\nurl = \"{store}\"\n[operator]\nlisten = \"127.0.0.1:0\"\n{operator}\n[merchants.acme]\n\
             api_keys = [\"sk_acme\"]\nactive = \"main\"\nconnections.main = {{ provider = \"lomi\", sandbox = true }}\n\
             connections.new = {{ provider = \"bitnob\", sandbox = true }}\n"
        );
        let mut loaded = load_text(&configuration, "test.toml").expect("a configuration");
        loaded.config.server.listen = "127.0.0.1:0".to_owned();
        let memory = Arc::new(Memory::default());
        let switches: Arc<dyn SwitchService> = Arc::<Memory>::clone(&memory);
        let running = start_with(&loaded, |_| switches).await.expect("a gateway");
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { running, client, memory }
    }

    fn url(&self) -> String {
        format!("http://{}", self.running.operator_address.expect("the operator's listener"))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url())).bearer_auth(KEY)
    }

    /// Sends a request, and checks its answer against the OpenAPI document.
    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = Answer::of(self.client.execute(request).await.expect("an answer")).await;
        assert!(!answer.header("x-request-id").is_empty(), "every answer has a request id");
        Contract::operator().check(&method, &path, &answer);
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json_text(&body)).await
    }

    /// Plans a switch, and waits until it is planned.
    async fn planned(&self) -> String {
        let planned = self.post("/v1/switches", serde_json::json!({ "merchant": "acme", "to": "new" })).await;
        assert_eq!(planned.status, 201, "{}", planned.text);
        let id = planned.body["id"].as_str().expect("an id").to_owned();
        self.until(&id, "planned").await;
        id
    }

    /// Reads a switch until it is in a state. Each read is a step of the state machine, so nothing sleeps.
    async fn until(&self, id: &str, state: &str) -> Answer {
        let mut reads = 0;
        loop {
            let switch = self.get(&format!("/v1/switches/{id}")).await;
            if switch.body["state"] == state {
                return switch;
            }
            reads += 1;
            assert!(reads < 50, "the switch never was {state}: {}", switch.text);
        }
    }
}
