//! Upgrades: idempotency keys in stores of earlier versions, which compared requests after they had completed them. The
//! stores are in `tests/store/earlier_keys`. Remove these tests together with `src/writes/earlier.rs`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use http::Method;
use passerelle::twin::{
    Twin,
    log::{self, Log},
};
use passerelle_providers::{Settings, kit::server::base_path, model::auth::Credentials, vendor};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Gateway};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/earlier_keys");

/// The folders: what was compared had the name of the connection, or not.
const VERSIONS: [&str; 2] = ["with_connection", "without_connection"];

/// A gateway of this version on a copy of a store. Its twin has none of the customers.
struct Upgraded {
    version: &'static str,
    gateway: Gateway,
    sent: Vec<Value>,
    folder: TempDir,
}

impl Upgraded {
    /// With `on_loss` of the merchants `acme` and `baobab`.
    async fn start(version: &'static str, on_loss: [&str; 2]) -> Self {
        let (folder, files) = (tempfile::tempdir().expect("a folder"), Path::new(FILES).join(version));
        for name in ["store.db", "store.db.key"] {
            let copy = folder.path().join(name);
            fs::copy(files.join(name), &copy).expect("a copy");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("a mode");
        }
        let sent = fs::read_to_string(files.join("requests.json")).expect("the requests");
        let vendor = vendor("lomi").expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let twin = Twin::new(vendor, settings, Credentials::default());
        let twin = twin.with_log(Log::open(&folder.path().join("log")).expect("a log"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}{}", listener.local_addr().expect("an address"), base_path(vendor.manifests[0]));
        tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
        let mut configuration = format!(
            "[store]\nurl = \"sqlite:{}\"\nkeep_answers = \"876000h\"\nkeep_tombstones = \"876000h\"\n\
             [outbound]\nallow_insecure = true\n",
            folder.path().join("store.db").display()
        );
        for (merchant, on_loss) in ["acme", "baobab"].into_iter().zip(on_loss) {
            configuration.push_str(&format!(
                "[merchants.{merchant}]\napi_keys = [\"sk_{merchant}\"]\nactive = \"main\"\nregion = \"CM\"\n\
                 on_loss = \"{on_loss}\"\n[merchants.{merchant}.connections.main]\nprovider = \"lomi\"\n\
                 base_url = \"{base}\"\nvisibility_lag = \"50ms\"\ncredentials = {{ api_key = \"sk_test_secret\" }}\n"
            ));
        }
        let sent = serde_json::from_str(&sent).expect("requests");
        Self { version, gateway: Gateway::start(&configuration).await, sent, folder }
    }

    /// Sends a request with its key, with its own body or with another one.
    async fn send(&self, sent: &Value, body: &str) -> Answer {
        let text = |member: &str| sent[member].as_str().expect("a text");
        let scheme = if text("path").starts_with("/as/") { "" } else { "Bearer " };
        let request = self.gateway.plain(Method::try_from(text("method")).expect("a method"), text("path"));
        let request = request.header("authorization", format!("{scheme}{}", text("merchant_key")));
        let request = request.header("idempotency-key", text("key")).header("content-type", "application/json");
        let request = request.body(body.to_owned());
        match text("path").starts_with("/as/") {
            true => self.gateway.send_to_dialect(request).await,
            false => self.gateway.send(request).await,
        }
    }

    async fn assert_all_are_answered(&self) {
        for sent in &self.sent {
            let name = format!("{} {}", self.version, sent["name"]);
            let again = self.send(sent, sent["body"].as_str().expect("a body")).await;
            assert_eq!(again.header("x-operation-id"), sent["operation"], "{name}: {}", again.text);
            if sent["status"] == 502 {
                assert!(["idempotency_in_progress", "outcome_unknown"].contains(&again.code()), "{}", again.text);
            } else {
                assert_eq!(
                    (json!(again.status.as_u16()), json!(again.text)),
                    (sent["status"].clone(), sent["answer"].clone()),
                    "{name}"
                );
                assert_eq!(again.header("idempotent-replayed"), "true", "{name}");
            }
        }
        let effects = log::effects(&log::read(&self.folder.path().join("log")).expect("a log")).count();
        assert_eq!(effects, 0, "{}: nothing is sent", self.version);
    }
}

#[tokio::test]
async fn keys_are_answered_although_the_values_were_completed_by_other_rules() {
    for version in VERSIONS {
        Upgraded::start(version, ["reject", "drop"]).await.assert_all_are_answered().await;
    }
}

#[tokio::test]
async fn keys_are_answered_although_the_loss_policy_of_the_merchant_changed() {
    for version in VERSIONS {
        Upgraded::start(version, ["drop", "reject"]).await.assert_all_are_answered().await;
    }
}

#[tokio::test]
async fn a_key_of_an_earlier_version_with_another_content_is_refused() {
    for version in VERSIONS {
        let upgraded = Upgraded::start(version, ["reject", "drop"]).await;
        for sent in &upgraded.sent {
            let mut body: Value = serde_json::from_str(sent["body"].as_str().expect("a body")).expect("JSON");
            body["phone"] = json!("77 123 45 99");
            let reused = upgraded.send(sent, &body.to_string()).await;
            assert_eq!(reused.status, 422, "{version} {}: {}", sent["name"], reused.text);
            assert_eq!(reused.header("x-operation-id"), sent["operation"], "{}", reused.text);
            assert!(reused.text.contains("/v1/operations/"), "{}", reused.text);
        }
    }
}
