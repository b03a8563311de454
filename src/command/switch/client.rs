//! The client of the operator's API: finds it by the configuration, sends the key, and makes errors of problems.

use std::time::Duration;

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Target;
use crate::{
    command::{CommandError, Configuration, terminal},
    config::{self, ApiKey, Loaded},
    merchant::SANDBOX_OPERATOR_KEY,
    switch::view::{Reason, SwitchView},
    upstream::is_loopback,
};

/// The variable with the operator's key.
const KEY: &str = "PASSERELLE_OPERATOR_KEY";

/// How long the gateway may take to begin an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of the operator's API.
#[derive(Debug)]
pub(in crate::command) struct Client {
    http: reqwest::Client,
    base: String,
    key: SecretString,
}

/// Why a request has no answer that can be used.
#[derive(Debug)]
pub(in crate::command) enum CallError {
    /// Nothing answers there.
    Unreachable(String),
    /// It was refused, or failed.
    Failed(String),
}

impl From<CallError> for CommandError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable(message) | CallError::Failed(message) => Self::Failed(message),
        }
    }
}

/// The part of a problem that a person reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemDocument {
    code: String,
    detail: String,
    reasons: Vec<Reason>,
    request_id: String,
}

impl Client {
    /// The client for a target. Without `--operator`, the configuration says where the listener is.
    pub(in crate::command) fn new(configuration: &Configuration, target: &Target) -> Result<Self, CommandError> {
        let from_environment = std::env::var(KEY).ok().filter(|key| !key.is_empty());
        let (base, key) = match (&target.operator, from_environment) {
            (Some(url), Some(key)) => (url.clone(), key),
            (Some(_), None) => {
                return Err(CommandError::Usage(format!("--operator needs the operator's key in the variable {KEY}")));
            }
            (None, from_environment) => {
                let loaded = config::load(configuration.file().as_deref())?;
                let Some(operator) = &loaded.config.operator else {
                    return Err(CommandError::Failed(format!(
                        "{} has no section [operator], so the gateway has no operator's listener; add\n\n  [operator]\n  \
                         listen = \"127.0.0.1:9464\"\n  keys = [{{ env = \"{KEY}\" }}]\n\nand restart the gateway, or name a \
                         listener with --operator URL",
                        loaded.name()
                    )));
                };
                let key = from_environment.map_or_else(|| key_of(&loaded), Ok)?;
                (format!("http://{}", reachable(&operator.listen)), key)
            }
        };
        let base = base.trim_end_matches('/').to_owned();
        let url = url::Url::parse(&base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(CommandError::Usage(format!("`{base}` is not a URL such as http://127.0.0.1:9464")));
        };
        if url.scheme() == "http" && !is_loopback(url.host()) {
            terminal::print_warning(
                "the operator's key crosses the network without encryption; use https:// or a tunnel",
            );
        }
        #[expect(clippy::disallowed_methods, reason = "it calls the operator's own gateway, never a provider")]
        let builder = reqwest::Client::builder();
        // A redirect would take the key to another host.
        let http =
            builder.no_proxy().redirect(reqwest::redirect::Policy::none()).connect_timeout(Duration::from_secs(5));
        let http = http.read_timeout(PATIENCE).build().map_err(|error| CommandError::Failed(error.to_string()))?;
        Ok(Self { http, base, key: SecretString::from(key) })
    }

    /// The client, if a gateway serves the operator's API: at the URL that is named, or where the configuration says. A
    /// configured listener where nothing answers, or whose key is not known here, is none.
    pub(in crate::command) async fn if_served(
        configuration: &Configuration,
        target: &Target,
    ) -> Result<Option<Self>, CommandError> {
        if target.operator.is_some() {
            return Self::new(configuration, target).map(Some);
        }
        let is_configured = config::load(configuration.file().as_deref())?.config.operator.is_some();
        let Some(client) = is_configured.then(|| Self::new(configuration, target).ok()).flatten() else {
            return Ok(None);
        };
        let alive = client.send(client.request(Method::GET, "/livez")).await;
        Ok(alive.is_ok().then_some(client))
    }

    /// A request with the key.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.key.expose_secret())
    }

    /// Sends a request. Every answer but a success is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|error| {
            let base = &self.base;
            match error.is_connect() {
                true => CallError::Unreachable(format!(
                    "nothing answers at {base}; start the gateway with `passerelle serve --config FILE`, or name its \
                     operator's listener with --operator URL"
                )),
                false => CallError::Unreachable(format!("{base} does not answer: {}", causes(&error))),
            }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        Err(CallError::Failed(refusal(status, &text, &self.base)))
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let response = self.send(request).await?;
        let read = async {
            serde_json::from_slice(&response.bytes().await.map_err(|error| causes(&error))?)
                .map_err(|error| error.to_string())
        };
        read.await.map_err(|error: String| {
            CallError::Failed(format!(
                "the answer of {} cannot be read: {error}; is the gateway of the same version as this command?",
                self.base
            ))
        })
    }

    /// Reads a document.
    pub(in crate::command) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.json(self.request(Method::GET, path)).await
    }

    /// Sends a command.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        self.with_body(Method::POST, path, body).await
    }

    /// Sets something.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        self.with_body(Method::PUT, path, body).await
    }

    async fn with_body<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| CallError::Failed(error.to_string()))?;
        self.json(self.request(method, path).header("content-type", "application/json").body(body)).await
    }

    /// The newest switch of a merchant.
    pub(super) async fn of_merchant(&self, merchant: &str) -> Result<SwitchView, CallError> {
        self.get(&format!("/v1/merchants/{}/switch", encoded(merchant))).await
    }
}

/// A text in a path or a query.
pub(in crate::command) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The address of a listener as a client on the same machine reaches it.
fn reachable(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => listen.to_owned(),
    }
}

/// The first key of the configuration that is more than a digest.
fn key_of(loaded: &Loaded) -> Result<String, CommandError> {
    let config = &loaded.config;
    let keys = config.operator.iter().flat_map(|operator| &operator.keys);
    let mut wrong = None;
    for key in keys {
        let ApiKey::Key(secret) = key else { continue };
        match secret.resolve(loaded.folder()) {
            Ok(key) => return Ok(key.expose_secret().to_owned()),
            Err(error) => wrong = Some(format!("`operator.keys` {error}")),
        }
    }
    let mut connections = config.merchants.values().flat_map(|merchant| merchant.connections.values());
    if wrong.is_none() && !config.merchants.is_empty() && connections.all(|connection| connection.sandbox) {
        return Ok(SANDBOX_OPERATOR_KEY.to_owned());
    }
    let why = wrong.unwrap_or_else(|| "the configuration has no key of the operator, or only its digest".to_owned());
    Err(CommandError::Failed(format!("{why}; set the variable {KEY} to the key")))
}

/// A problem in words.
fn refusal(status: StatusCode, text: &str, base: &str) -> String {
    let problem: ProblemDocument = serde_json::from_str(text).unwrap_or_default();
    if problem.code.is_empty() {
        return format!("{base} answered {status}, and not as a gateway's operator's listener does; check the URL");
    }
    let mut message = problem.detail;
    for Reason { code, detail } in &problem.reasons {
        message.push_str(&format!("\n  {code}: {detail}"));
    }
    if problem.code == "switch_changed" {
        message.push_str("\nNothing was changed. Look at the switch again with `passerelle switch status`, and repeat the command if it is still right.");
    }
    if problem.code == "unauthorized" {
        message.push_str(&format!("\nThe key comes from {KEY}, or from `operator.keys` of the configuration."));
    }
    if status.is_server_error() {
        message.push_str(&format!("\nThe gateway's log has the cause under request {}.", problem.request_id));
    }
    message
}

/// An error with its causes, without the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    if causes.is_empty() { "the connection broke".to_owned() } else { causes.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_called_on_loopback() {
        assert_eq!(reachable("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(reachable("[::]:9464"), "[::1]:9464");
        assert_eq!(reachable("10.0.0.7:9464"), "10.0.0.7:9464");
    }

    #[test]
    fn a_refusal_says_each_reason_and_an_answer_of_something_else_says_so() {
        let problem = r#"{"code":"switch_refused","detail":"the gate is closed","reasons":[{"code":"refused","detail":"3 records"}]}"#;
        assert_eq!(refusal(StatusCode::CONFLICT, problem, "http://x"), "the gate is closed\n  refused: 3 records");
        assert!(refusal(StatusCode::NOT_FOUND, "<html>", "http://x").contains("check the URL"));
    }
}
