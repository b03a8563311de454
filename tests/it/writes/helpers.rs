//! A gateway in front of a sandbox vendor that fails on demand.

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

pub(super) async fn count(gateway: &Gateway, email: &str) -> usize {
    let found = gateway.get(&format!("{CUSTOMERS}?email={email}&limit=100")).await;
    found.body["data"].as_array().map_or(0, Vec::len)
}

/// A twin with a plan of faults, and the gateway before it.
pub(super) async fn before_a_twin(provider: &str, faults: &str, more: &str) -> (Gateway, tempfile::TempDir) {
    let (base, folder) = twin(provider, faults);
    (Gateway::before(provider, &base, more).await, folder)
}

/// A twin with a plan of faults: where it is, and the folder of its log.
pub(super) fn twin(provider: &str, faults: &str) -> (String, tempfile::TempDir) {
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

pub(super) fn effects(folder: &tempfile::TempDir) -> usize {
    log::effects(&log::read(&folder.path().join("log")).expect("a log")).count()
}

/// These faults, with a seed that makes a plan of them that fits.
pub(super) fn planned(faults: &str, fits: impl Fn(&FaultPlan) -> bool) -> String {
    let text = |seed: u64| format!("seed = {seed}\n{faults}");
    let fitting = |seed: &u64| fits(&FaultPlan::read(&text(*seed), "faults.toml").expect("a plan"));
    text((0..100_000).find(fitting).expect("a seed"))
}

pub(super) fn fails(plan: &FaultPlan, create: u64) -> bool {
    plan.fault(create, Some(Operation::Create)).is_some()
}

/// Asks until a write's outcome is another than this one, or it is left to a person.
pub(super) async fn settled(gateway: &Gateway, id: &str, from: &str) -> Value {
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let told = gateway.get(&format!("/v1/operations/{id}")).await.body;
        if told["outcome"] != from || told["held"] == true || Timestamp::now() > ends {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
