//! A gateway in front of a sandbox vendor whose creates fail on demand.

use http::Method;
use jiff::Timestamp;
use passerelle::twin::{
    Twin,
    faults::FaultPlan,
    log::{self, Log},
};
use passerelle_providers::{
    Settings,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde_json::Value;

use crate::support::{Answer, Gateway, JsonText};

pub(super) const CUSTOMERS: &str = "/v1/customers";

pub(super) async fn create(gateway: &Gateway, key: Option<&str>, body: &Value) -> Answer {
    let request = gateway.request(Method::POST, CUSTOMERS).json_text(body);
    gateway.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

pub(super) async fn count_customers(gateway: &Gateway, email: &str) -> usize {
    let found = gateway.get(&format!("{CUSTOMERS}?email={email}&limit=100")).await;
    found.body["data"].as_array().map_or(0, Vec::len)
}

/// Starts a twin with a plan of faults, and a gateway that calls it. `connection` holds more keys of the connection.
pub(super) async fn gateway_and_twin(provider: &str, faults: &str, connection: &str) -> (Gateway, tempfile::TempDir) {
    let (base, folder) = start_twin(provider, faults);
    (Gateway::in_front_of(provider, &base, connection).await, folder)
}

/// Starts a twin with a plan of faults. Returns its URL and the folder of its log.
pub(crate) fn start_twin(provider: &str, faults: &str) -> (String, tempfile::TempDir) {
    let vendor = vendor(provider).expect("a vendor");
    let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
    let folder = tempfile::tempdir().expect("a folder");
    let plan = FaultPlan::read(faults, "faults.toml").expect("a plan");
    let log = Log::open(&folder.path().join("log")).expect("a log");
    let twin = Twin::new(vendor, settings, Credentials::default()).with_faults(plan).with_log(log);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!(
        "http://{}{}",
        listener.local_addr().expect("an address"),
        passerelle_providers::kit::server::base_path(vendor.manifests[0])
    );
    tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
    (base, folder)
}

pub(crate) fn count_effects(folder: &tempfile::TempDir) -> usize {
    log::effects(&log::read(&folder.path().join("log")).expect("a log")).count()
}

/// These faults with the first seed whose plan satisfies the condition.
pub(super) fn with_fitting_seed(faults: &str, fits: impl Fn(&FaultPlan) -> bool) -> String {
    let text = |seed: u64| format!("seed = {seed}\n{faults}");
    let fitting = |seed: &u64| fits(&FaultPlan::read(&text(*seed), "faults.toml").expect("a plan"));
    text((0..100_000).find(fitting).expect("a seed"))
}

pub(super) fn create_fails(plan: &FaultPlan, create: u64) -> bool {
    plan.fault(create, Some(Operation::Create)).is_some()
}

/// Reads the operation until its outcome is no longer `from`, or until it waits for an operator (`held`).
pub(crate) async fn wait_for_outcome(gateway: &Gateway, id: &str, from: &str) -> Value {
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let operation = gateway.get(&format!("/v1/operations/{id}")).await.body;
        if operation["outcome"] != from || operation["held"] == true || Timestamp::now() > ends {
            return operation;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A repeated request has the answer of the first one.
pub(super) fn assert_replayed(again: &Answer, first: &Answer) {
    assert_eq!((again.status, &again.text), (first.status, &first.text), "byte for byte");
    assert_eq!(again.header("x-operation-id"), first.header("x-operation-id"));
    assert_eq!(again.header("idempotency-status"), "replayed");
}
