//! Upgrades: the previous version wrote the store in `tests/store/previous`. That folder also has the requests and
//! their answers. These tests send the requests again to a gateway of this version on a copy of the store.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use http::Method;
use passerelle::twin::{
    Twin,
    faults::OperationName,
    log::{self, Log},
};
use passerelle_providers::{
    Settings,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Answer, Gateway};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/previous");

/// A request to the previous version and its answer. A request that was cut off has no answer.
#[derive(Debug, Clone, Deserialize)]
struct Sent {
    name: String,
    merchant_key: String,
    method: String,
    path: String,
    key: Option<String>,
    body: Option<String>,
    /// The id of the operation.
    operation: String,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    answer: Option<String>,
}

/// A gateway of this version on a copy of the store. Its twin has none of the customers.
struct Upgraded {
    gateway: Gateway,
    sent: BTreeMap<String, Sent>,
    folder: TempDir,
    base: String,
}

impl Upgraded {
    /// With `creates_unknown`, the twin has the customers of the two creates whose outcome is unknown in the store.
    async fn start(creates_unknown: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["store.db", "store.db.key"] {
            let copy = folder.path().join(name);
            fs::copy(Path::new(FILES).join(name), &copy).expect("a copy");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("a mode");
        }
        let text = fs::read_to_string(Path::new(FILES).join("requests.json")).expect("the requests");
        let sent: Vec<Sent> = serde_json::from_str(&text).expect("requests");
        let sent: BTreeMap<_, _> = sent.into_iter().map(|sent| (sent.name.clone(), sent)).collect();
        let base = start_twin(folder.path());
        if creates_unknown {
            for name in ["unknown create", "sending create"] {
                create_at_the_provider(&base, &sent[name]).await;
            }
        }
        let configuration = configuration(folder.path(), &base, "main");
        Self { gateway: Gateway::start(&configuration).await, sent, folder, base }
    }

    /// Sends the same request once more.
    async fn again(&self, name: &str) -> (&Sent, Answer) {
        let sent = &self.sent[name];
        let method = Method::try_from(sent.method.as_str()).expect("a method");
        let scheme = if sent.path.starts_with("/as/") { "" } else { "Bearer " };
        let mut request = self.gateway.plain(method, &sent.path);
        request = request.header("authorization", format!("{scheme}{}", sent.merchant_key));
        if let Some(body) = &sent.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        if let Some(key) = &sent.key {
            request = request.header("idempotency-key", key);
        }
        (sent, self.gateway.send(request).await)
    }

    /// The operation of a request, as the API shows it.
    async fn operation(&self, name: &str) -> serde_json::Value {
        let sent = &self.sent[name];
        let request = self.gateway.plain(Method::GET, &format!("/v1/operations/{}", sent.operation));
        self.gateway.send(request.bearer_auth(&sent.merchant_key)).await.body
    }

    /// How many customers were made, changed or deleted at the provider.
    fn effects(&self) -> usize {
        log::effects(&log::read(&self.folder.path().join("log")).expect("a log")).count()
    }
}

/// Two merchants, each with two connections to the twin: `main`, through which the previous version sent, and `second`.
fn configuration(folder: &Path, base: &str, active: &str) -> String {
    let mut configuration = format!(
        "[store]\nurl = \"sqlite:{}\"\nkeep_answers = \"876000h\"\nkeep_tombstones = \"876000h\"\n\
         [outbound]\nallow_insecure = true\n",
        folder.join("store.db").display()
    );
    for merchant in ["acme", "baobab"] {
        configuration.push_str(&format!(
            "[merchants.{merchant}]\napi_keys = [\"sk_{merchant}\"]\nactive = \"{active}\"\nregion = \"SN\"\n"
        ));
        for connection in ["main", "second"] {
            configuration.push_str(&format!(
                "[merchants.{merchant}.connections.{connection}]\nprovider = \"lomi\"\nbase_url = \"{base}\"\n\
                 visibility_lag = \"50ms\"\ncredentials = {{ api_key = \"sk_test_secret\" }}\n"
            ));
        }
    }
    configuration
}

/// Starts a twin of the provider, with its log in the folder. Returns its URL.
fn start_twin(folder: &Path) -> String {
    let vendor = vendor("lomi").expect("a vendor");
    let manifest = vendor.manifests[0];
    let settings = Settings { generation: manifest.generation, region: None, livemode: true };
    let log = Log::open(&folder.join("log")).expect("a log");
    let twin = Twin::new(vendor, settings, Credentials::default()).with_log(log);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
    format!("http://{address}{}", passerelle_providers::kit::server::base_path(manifest))
}

/// Creates the customer of a request as the previous version did: with the idempotency marker.
async fn create_at_the_provider(base: &str, sent: &Sent) {
    let mut body: serde_json::Value = serde_json::from_str(sent.body.as_deref().expect("a body")).expect("JSON");
    body["metadata"] = json!({ "passerelle_op": sent.operation });
    #[expect(clippy::disallowed_methods, reason = "a client of the twin, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.post(format!("{base}/customers")).header("x-api-key", "sk_test_secret");
    let response = request.header("content-type", "application/json").body(body.to_string()).send().await;
    assert!(response.expect("an answer").status().is_success());
}

#[tokio::test]
async fn answers_in_a_store_of_the_previous_version_are_replayed_byte_for_byte() {
    let upgraded = Upgraded::start(false).await;
    for name in ["done create", "done update", "failed update", "done delete", "drop-in create"] {
        let (sent, again) = upgraded.again(name).await;
        assert_eq!(Some(again.status.as_u16()), sent.status, "{name}: {}", again.text);
        assert_eq!(Some(&again.text), sent.answer.as_ref(), "{name}");
        for (header, value) in &sent.headers {
            assert_eq!(again.header(header), value, "{name}: {header}");
        }
        assert_eq!(again.header("x-operation-id"), sent.operation, "{name}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{name}");
        let outcome = if name.starts_with("failed") { "failed" } else { "done" };
        assert_eq!(upgraded.operation(name).await["outcome"], outcome, "{name}");
    }
    assert_eq!(upgraded.effects(), 0, "nothing is sent");
}

/// The previous version counted the connection as a part of the request.
#[tokio::test]
async fn keys_of_the_previous_version_are_known_after_another_connection_became_active() {
    let upgraded = Upgraded::start(false).await;
    upgraded.gateway.reload(&configuration(upgraded.folder.path(), &upgraded.base, "second"));
    for name in ["done create", "done update", "failed update", "done delete", "drop-in create"] {
        let (sent, again) = upgraded.again(name).await;
        assert_eq!((Some(again.status.as_u16()), Some(&again.text)), (sent.status, sent.answer.as_ref()), "{name}");
        assert_eq!(again.header("x-operation-id"), sent.operation, "{name}");
    }
    let (_, erased) = upgraded.again("erased create").await;
    assert_eq!(erased.status_and_code(), (410, "replay_erased"), "{}", erased.text);
    let request = upgraded.gateway.plain(Method::POST, "/v1/customers").bearer_auth("sk_acme");
    let request = request.header("idempotency-key", "created").header("content-type", "application/json");
    let reused = upgraded.gateway.send(request.body(r#"{"name":"Another"}"#)).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"), "{}", reused.text);
    assert_eq!(upgraded.effects(), 0, "nothing is sent");
}

#[tokio::test]
async fn keys_in_a_store_of_the_previous_version_are_used_even_without_an_answer() {
    let upgraded = Upgraded::start(false).await;
    let (_, erased) = upgraded.again("erased create").await;
    assert_eq!(erased.status_and_code(), (410, "replay_erased"), "{}", erased.text);
    let (sent, unknown) = upgraded.again("held create").await;
    assert_eq!(unknown.code(), "outcome_unknown", "{}", unknown.text);
    assert_eq!(unknown.header("x-operation-id"), sent.operation);
    let operation = upgraded.operation("held create").await;
    assert_eq!((&operation["outcome"], &operation["held"]), (&json!("unknown"), &json!(true)));
    let mut other = upgraded.sent["done create"].clone();
    other.body = Some(json!({ "name": "Another" }).to_string());
    let request = upgraded.gateway.plain(Method::POST, &other.path).bearer_auth(&other.merchant_key);
    let request = request.header("idempotency-key", "created").header("content-type", "application/json");
    let reused = upgraded.gateway.send(request.body(other.body.unwrap_or_default())).await;
    assert_eq!(reused.status_and_code(), (422, "idempotency_key_reused"), "{}", reused.text);
    assert_eq!(upgraded.effects(), 0, "nothing is sent");
}

#[tokio::test]
async fn unfinished_writes_of_the_previous_version_are_reconciled() {
    let upgraded = Upgraded::start(true).await;
    let before = upgraded.effects();
    for name in ["unknown create", "sending create"] {
        // While another task reconciles it, the answer is a 409, or says that the outcome is still unknown.
        let ends = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let answer = loop {
            let (sent, answer) = upgraded.again(name).await;
            assert_eq!(answer.header("x-operation-id"), sent.operation, "{name}: {}", answer.text);
            if answer.status.is_success() {
                break answer;
            }
            assert!(["idempotency_in_progress", "outcome_unknown"].contains(&answer.code()), "{}", answer.text);
            assert!(std::time::Instant::now() < ends, "{name}: {}", answer.text);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!((answer.status.as_u16(), answer.header("idempotent-replayed")), (201, "true"), "{}", answer.text);
        assert_eq!(upgraded.operation(name).await["outcome"], "done", "{name}");
    }
    assert_eq!(upgraded.effects(), before, "no create is sent again");
    let entries = log::read(&upgraded.folder.path().join("log")).expect("a log");
    let creates = log::requests(&entries).filter(|request| request.operation == Some(OperationName(Operation::Create)));
    assert_eq!(creates.count(), before, "the gateway sent no create to {}", upgraded.base);
}

#[tokio::test]
async fn a_finished_write_without_a_key_of_the_previous_version_is_not_joined() {
    let upgraded = Upgraded::start(false).await;
    assert_eq!(upgraded.operation("keyless create").await["outcome"], "done");
    let (sent, again) = upgraded.again("keyless create").await;
    assert_eq!(again.status.as_u16(), 201, "{}", again.text);
    assert_ne!(again.header("x-operation-id"), sent.operation);
    assert_eq!(upgraded.effects(), 1);
}
