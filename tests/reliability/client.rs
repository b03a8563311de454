//! A client as a careful merchant writes it: one idempotency key for each customer, and the same request again until
//! its outcome is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use passerelle::store::OperationId;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::bed::Gateway;

/// No write takes so long, unless a test wants it.
const LONG: Duration = Duration::from_secs(100);

/// An answer with its whole body.
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
        let header = self.header("x-operation-id").to_owned();
        header.parse().ok().or_else(|| self.json()["operation_id"].as_str()?.parse().ok())
    }
}

/// A client of one or several gateways. It follows a gateway to its new address after a restart. Clones share their
/// state.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    gateways: Vec<Arc<Gateway>>,
    /// The number of requests, which chooses the next gateway.
    sent: Arc<AtomicUsize>,
    /// Whether it must begin no new write.
    is_stopping: Arc<AtomicBool>,
    /// Whether the test has given up waiting for outcomes.
    is_over: Arc<AtomicBool>,
}

pub(crate) fn email(number: usize) -> String {
    format!("customer{number}@example.com")
}

pub(crate) fn person(number: usize) -> Value {
    json!({ "name": format!("Awa Diop {number}"), "email": email(number) })
}

/// A client of gateways with connections of its own.
pub(crate) fn http(timeout: Duration) -> reqwest::Client {
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().timeout(timeout).build().expect("a client")
}

impl Client {
    pub(crate) fn of(gateway: &Arc<Gateway>) -> Self {
        Self::between(std::slice::from_ref(gateway))
    }

    /// A client that sends its requests to several gateways in turn.
    pub(crate) fn between(gateways: &[Arc<Gateway>]) -> Self {
        Self {
            http: http(Duration::from_secs(40)),
            gateways: gateways.to_vec(),
            sent: Arc::default(),
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

    pub(crate) fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Sends a request. `None` if no answer came.
    pub(crate) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let gateway = &self.gateways[self.sent.fetch_add(1, Ordering::Relaxed) % self.gateways.len()];
        let mut request = self.http.request(method, format!("http://{}{path}", gateway.address()));
        // Notch Pay's clients send the key alone.
        request = match path.starts_with("/as/notchpay/") {
            true => request.header("authorization", "sk_acme"),
            false => request.bearer_auth("sk_acme"),
        };
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

    /// The operation of a write, as the API shows it. `None` also if the store cannot be read.
    pub(crate) async fn operation(&self, id: OperationId) -> Option<Value> {
        let answer = self.get(&format!("/v1/operations/{id}")).await?;
        if answer.code() == "store_unavailable" {
            return None;
        }
        assert!(answer.status == 200, "the gateway still has the operation: {} {}", answer.status, answer.body);
        Some(answer.json())
    }

    /// Sends a create with this key until its outcome is known, or until it is held for an operator.
    pub(crate) async fn create_until_known(&self, key: &str, body: &Value) -> Outcome {
        self.send_until_known(reqwest::Method::POST, "/v1/customers", key, Some(body)).await
    }

    /// Prints what may explain why a write has no outcome for so long. The time limit of a test alone would not tell it.
    fn report(&self, key: &str, answer: Option<&Answer>) {
        let answer = answer.map(|answer| (answer.status, answer.body.as_str()));
        eprintln!("{key} has no outcome after {LONG:?}, at {}; the last answer: {answer:?}", jiff::Timestamp::now());
        for gateway in &self.gateways {
            eprintln!("the last lines of the gateway at {}:\n{}", gateway.address(), gateway.last_lines(40));
        }
    }

    /// Like `create_until_known`, for any write.
    pub(crate) async fn send_until_known(
        &self,
        method: reqwest::Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Outcome {
        let mut unknown = None;
        let mut report_at = Instant::now() + LONG;
        loop {
            let answer = self.send(method.clone(), path, Some(key), body).await;
            if Instant::now() > report_at {
                report_at += LONG;
                self.report(key, answer.as_ref());
            }
            match answer {
                Some(answer) if answer.status < 300 => return Outcome::Done(answer),
                Some(answer) if answer.code() == "outcome_unknown" => {
                    let id = answer.operation().expect("an id");
                    unknown = Some(id);
                    if let Some(known) = self.operation(id).await
                        && known["held"] == true
                    {
                        return Outcome::Held(id);
                    }
                }
                Some(answer) if matches!(answer.code().as_str(), "idempotency_in_progress") => {}
                Some(answer) if answer.status == 429 || answer.status == 503 => {}
                Some(answer) => return Outcome::Refused(answer),
                // The gateway was killed before it answered.
                None => {}
            }
            assert!(
                !self.is_over.load(Ordering::Relaxed),
                "{key} has no outcome in time; unknown operation: {unknown:?}"
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// The outcome of a write, as its client knows it.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Done(Answer),
    Refused(Answer),
    Held(OperationId),
}
