//! A gateway on a free port, and a client for it that reads JSON. Most tests of this folder use it.

use std::sync::Arc;

use passerelle::{
    command::{Running, start},
    config::load_text,
    merchant::{Merchant, Middleware},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

pub(crate) const PROVIDERS: [&str; 5] = ["modempay", "lomi", "paymentkit", "bitnob", "notchpay"];

/// A gateway that is served, and a client for it.
pub(crate) struct Gateway {
    running: Running,
    client: reqwest::Client,
    key: String,
    contract: Option<Arc<crate::contract::Contract>>,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    /// Reads a whole answer.
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    /// The code of a problem; empty where the answer is none.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The status and the code, as tests compare them.
    pub(crate) fn status_and_code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.code())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Gateway {
    /// Serves a configuration on a free port.
    pub(crate) async fn start(configuration: &str) -> Self {
        let mut loaded = load_text(configuration, "test.toml").expect("a configuration");
        loaded.config.server.listen = "127.0.0.1:0".to_owned();
        // The tests of a busy machine make tasks wait for long. A test of overload sets another time.
        if !configuration.contains("overload_wait") {
            loaded.config.server.overload_wait = std::time::Duration::from_mins(5);
        }
        if let Some(operator) = &mut loaded.config.operator
            && operator.listen == "127.0.0.1:9464"
        {
            operator.listen = "127.0.0.1:0".to_owned();
        }
        let running = start(&loaded).await.expect("a gateway");
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { running, client, key: String::new(), contract: None }
    }

    /// Serves the sandbox; requests carry the key of the merchant of this provider. Every answer is checked against the
    /// OpenAPI document.
    pub(crate) async fn sandbox(provider: &str) -> Self {
        let mut gateway = Self::start(passerelle::config::SANDBOX).await;
        gateway.key = format!("sk_sandbox_{provider}");
        gateway.contract = Some(crate::contract::Contract::shared());
        gateway
    }

    /// Serves one merchant in Senegal whose provider is at this URL. `connection` holds more keys of the connection,
    /// and may begin other sections.
    pub(crate) async fn in_front_of(provider: &str, base_url: &str, connection: &str) -> Self {
        Self::with_store("sqlite::memory:", provider, base_url, connection).await
    }

    /// Like `in_front_of`, with the URL of a store.
    pub(crate) async fn with_store(store: &str, provider: &str, base_url: &str, connection: &str) -> Self {
        let credentials = match provider {
            "lomi" => format!("api_key = \"{SECRET}\""),
            "paymentkit" => format!("access_key = \"{SECRET}\""),
            "bitnob" if connection.contains("\"v2\"") => format!("client_id = \"c\", client_secret = \"{SECRET}\""),
            "modempay" | "bitnob" => format!("secret_key = \"{SECRET}\""),
            _ => format!("public_key = \"{SECRET}\""),
        };
        let configuration = format!(
            "[store]\nurl = \"{store}\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\n\
             [merchants.acme.connections.main]\nprovider = \"{provider}\"\nbase_url = \"{base_url}\"\n\
             credentials = {{ {credentials} }}\n{connection}\n"
        );
        let mut gateway = Self::start(&configuration).await;
        gateway.key = "sk_acme".to_owned();
        gateway
    }

    /// Puts a middleware between every merchant of the sandbox and its connections.
    pub(crate) fn install(&self, middleware: &Arc<dyn Middleware>) {
        let loaded = load_text(passerelle::config::SANDBOX, "the sandbox").expect("a configuration");
        let resolved =
            passerelle::merchant::Gateway::resolve(&loaded, Some(&self.running.twins), &self.running.app.shared);
        let gateway = resolved.expect("a gateway").gateway.with_middleware(|_| Some(Arc::clone(middleware)));
        self.running.app.gateway.store(Arc::new(gateway));
    }

    /// Puts another middleware between merchants and their connections. It is given the merchant with the present one.
    pub(crate) fn wrap_middleware(&self, middleware: impl Fn(&Merchant) -> Option<Arc<dyn Middleware>>) {
        let gateway = passerelle::merchant::Gateway::clone(&self.running.app.gateway.load());
        self.running.app.gateway.store(Arc::new(gateway.with_middleware(middleware)));
    }

    /// Replaces the configuration, as a reload does.
    pub(crate) fn reload(&self, configuration: &str) {
        let loaded = load_text(configuration, "test.toml").expect("a configuration");
        let shared = &self.running.app.shared;
        let resolved = passerelle::merchant::Gateway::resolve(&loaded, Some(&self.running.twins), shared);
        self.running.app.replace_gateway(resolved.expect("a gateway").gateway);
    }

    /// Replaces the configuration as a reload does, with its checks.
    pub(crate) async fn try_reload(&self, configuration: &str) -> Result<(), passerelle::switch::service::Refused> {
        let loaded = load_text(configuration, "test.toml").expect("a configuration");
        let shared = &self.running.app.shared;
        let resolved = passerelle::merchant::Gateway::resolve(&loaded, Some(&self.running.twins), shared);
        self.running.app.reload(resolved.expect("a gateway").gateway).await.map(|_| ())
    }

    /// The switches of providers.
    pub(crate) fn switches(&self) -> &passerelle::switch::Switches {
        &self.running.app.switches
    }

    /// The state that the handlers use.
    pub(crate) fn app(&self) -> &Arc<passerelle::state::App> {
        &self.running.app
    }

    /// How many statements the store has executed.
    pub(crate) fn statements(&self) -> u64 {
        self.running.app.store.statements()
    }

    /// The ids in the store.
    pub(crate) fn ids(&self) -> &passerelle::store::Ids {
        self.running.app.store.ids()
    }

    /// What the gateway keeps of customers because their provider cannot hold it.
    pub(crate) fn carried(&self) -> &passerelle::store::Carried {
        self.running.app.store.carried()
    }

    /// The configuration as requests see it now.
    pub(crate) fn snapshot(&self) -> Arc<passerelle::merchant::Gateway> {
        self.running.app.gateway.load_full()
    }

    /// Learns at once which merchants have a routing row or carried fields.
    pub(crate) async fn learn_routing(&self) {
        self.running.app.learn_routing().await.expect("read");
    }

    /// How many records the audit has of writes. Those of an operator's commands are not counted.
    pub(crate) async fn audited(&self) -> usize {
        let records = self.running.app.store.audit().records(0, 1000).await.expect("the audit");
        records.iter().filter(|record| record.detail.is_none()).count()
    }

    /// The same gateway; requests carry another key.
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }

    /// Stops the gateway, and waits until its last write has ended.
    pub(crate) async fn stop(self) {
        self.running.handle.shutdown();
        self.running.stopped().await.expect("it stops");
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address
    }

    /// The value of one series of a metric, such as `name_total{merchant="acme"}`. Zero if it was never recorded.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.running.app.metrics().text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    /// A `GET` at the operator's listener.
    pub(crate) fn at_operator(&self, path: &str) -> reqwest::RequestBuilder {
        let address = self.operator_address().expect("the operator's listener");
        self.client.get(format!("http://{address}{path}"))
    }

    /// The address of the operator's listener.
    pub(crate) fn operator_address(&self) -> Option<std::net::SocketAddr> {
        self.running.operator_address
    }

    /// A request with the key.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path)).bearer_auth(&self.key)
    }

    /// A request without a key or another header.
    pub(crate) fn plain(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A `GET` without a key.
    pub(crate) fn anonymous(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }

    /// Sends a request to a dialect, whose errors have other shapes than those of the API.
    pub(crate) async fn send_to_dialect(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let is_keyed = request.headers().contains_key("idempotency-key");
        let answer = Answer::of(self.client.execute(request).await.expect("an answer")).await;
        assert!(!answer.header("x-request-id").is_empty(), "every answer has a request id");
        if !answer.status.is_success() {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
            assert_eq!(answer.body["status"], answer.status.as_u16());
            // The replayed answer to a key is the first one byte for byte, so it has the id of the first request.
            if !is_keyed || answer.header("idempotent-replayed").is_empty() {
                assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
            }
        }
        if let Some(contract) = &self.contract {
            contract.check(&method, &path, &answer);
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json_text(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json_text(&body)).await
    }
}

/// The credential of every connection in these tests. No answer may show it.
pub(crate) const SECRET: &str = "vendor_secret_7411";

/// A JSON body, without the `json` feature of reqwest.
pub(crate) trait JsonText {
    fn json_text(self, body: &Value) -> Self;
}

impl JsonText for reqwest::RequestBuilder {
    fn json_text(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }
}

/// Sends bytes unchanged, and reads until the gateway closes the connection.
pub(crate) async fn raw(gateway: &Gateway, bytes: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("the request is sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A `GET` whose path is sent unchanged. HTTP clients would normalize it.
pub(crate) async fn raw_get(gateway: &Gateway, path: &str) -> String {
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        gateway.key
    );
    raw(gateway, &head).await
}
