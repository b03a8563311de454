//! A client as a careful merchant writes it: one key a customer, the same request until its outcome is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use passerelle::store::OperationId;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::bed::Gateway;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn operation(&self) -> Option<OperationId> {
        let told = self.header("x-operation-id").to_owned();
        told.parse().ok().or_else(|| self.json()["operation_id"].as_str()?.parse().ok())
    }
}

/// A client of one gateway or several, which it finds again after a restart. Clones are one client.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    gateways: Vec<Arc<Gateway>>,
    asked: Arc<AtomicUsize>,
    /// Whether it is to begin nothing new.
    is_stopping: Arc<AtomicBool>,
    /// Whether it has asked for long enough.
    is_over: Arc<AtomicBool>,
}

pub(crate) fn email(number: usize) -> String {
    format!("customer{number}@example.com")
}

pub(crate) fn person(number: usize) -> Value {
    json!({ "name": format!("Awa Diop {number}"), "email": email(number) })
}

impl Client {
    pub(crate) fn of(gateway: &Arc<Gateway>) -> Self {
        Self::between(std::slice::from_ref(gateway))
    }

    /// A client that asks each of several gateways in turn.
    pub(crate) fn between(gateways: &[Arc<Gateway>]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().expect("a client");
        Self {
            http,
            gateways: gateways.to_vec(),
            asked: Arc::default(),
            is_stopping: Arc::default(),
            is_over: Arc::default(),
        }
    }

    pub(crate) fn stop_beginning(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop_asking(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Sends a request. `None` where no answer came.
    pub(crate) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let gateway = &self.gateways[self.asked.fetch_add(1, Ordering::Relaxed) % self.gateways.len()];
        let mut request = self.http.request(method, format!("http://{}{path}", gateway.address()));
        request = request.bearer_auth("sk_acme");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Answer { status, headers, body: response.text().await.ok()? })
    }

    pub(crate) async fn create(&self, key: Option<&str>, body: &Value) -> Option<Answer> {
        self.send(reqwest::Method::POST, "/v1/customers", key, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Answer> {
        self.send(reqwest::Method::GET, path, None, None).await
    }

    /// What is known of a write.
    pub(crate) async fn known(&self, id: OperationId) -> Option<Value> {
        let answer = self.get(&format!("/v1/operations/{id}")).await?;
        assert!(answer.status == 200, "what was told is known: {} {}", answer.status, answer.body);
        Some(answer.json())
    }

    /// Asks for a create with one key until the outcome is known, or is left to a person.
    pub(crate) async fn insist(&self, key: &str, body: &Value) -> Outcome {
        self.insist_on(reqwest::Method::POST, "/v1/customers", key, body).await
    }

    /// The same for any write.
    pub(crate) async fn insist_on(&self, method: reqwest::Method, path: &str, key: &str, body: &Value) -> Outcome {
        let mut told_unknown = None;
        loop {
            let answer = self.send(method.clone(), path, Some(key), Some(body)).await;
            match answer {
                Some(answer) if answer.status < 300 => return Outcome::Done(answer),
                Some(answer) if answer.code() == "outcome_unknown" => {
                    let id = answer.operation().expect("an id");
                    told_unknown = Some(id);
                    if let Some(known) = self.known(id).await
                        && known["held"] == true
                    {
                        return Outcome::Held(id);
                    }
                }
                Some(answer) if matches!(answer.code().as_str(), "idempotency_in_progress") => {}
                Some(answer) if answer.status == 429 || answer.status == 503 => {}
                Some(answer) => return Outcome::Refused(answer),
                // The gateway is dead, or died with the request.
                None => {}
            }
            assert!(!self.is_over.load(Ordering::Relaxed), "{key} has no outcome in time; unknown as {told_unknown:?}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// What a client knows in the end.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Done(Answer),
    Refused(Answer),
    Held(OperationId),
}
