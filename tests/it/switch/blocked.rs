//! Each reason in `blocked_by` (5.7) is caused, read from the operator's API, and gone when its cause is gone.
//!
//! A switch that fails tries again after half a second, so a reason that is shown before the fourth try is shown within two
//! seconds. `src/switch/control.rs` tests with a clock of its own how long a provider may be silent.

use std::{fs, net::TcpListener, sync::Arc, time::Duration};

use passerelle::{
    switch::{
        service::{Decision, SwitchService},
        view::{BlockedCode, DecisionKind, SwitchView},
    },
    twin::{
        Twin,
        log::{self, Log},
    },
};
use passerelle_providers::{Settings, kit::server::base_path, model::auth::Credentials, vendor};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    bed::{Bed, Vendor, configuration, person},
    door::Door,
    merchant::decided,
};
use crate::{
    contract::Contract,
    stand_in::refusing_address,
    support::{Gateway, JsonText},
};

const KEY: &str = "op_blocked_key";
/// The tries of two seconds.
const TRIES: usize = 4;

/// A merchant whose customers are copied, and the doors to both providers.
struct Blocked {
    bed: Bed,
    /// The same providers, without the doors.
    behind: [Vendor; 2],
    doors: [Door; 2],
    switch: SwitchView,
    ids: Vec<String>,
    /// The configuration.
    text: String,
}

impl Blocked {
    async fn start(customers: usize) -> Self {
        let mut at = [Vendor::start("modempay", ""), Vendor::start("notchpay", "")];
        let behind = at.each_ref().map(same);
        let doors = [Door::before(&mut at[0]).await, Door::before(&mut at[1]).await];
        let folder = tempfile::tempdir().expect("a folder");
        let [old, new] = at;
        let text = format!(
            "[operator]\nlisten = \"127.0.0.1:9464\"\nkeys = [\"{KEY}\"]\n{}",
            configuration(&folder, &old, &new)
        );
        let gateway = Gateway::start(&text).await.with_key("sk_acme");
        let pair = Bed::pair();
        let bed = Bed { gateway, old, new, folder, pair };
        let mut ids = Vec::new();
        for number in 0..customers {
            ids.push(bed.create(&person(number)).await);
        }
        let switch = bed.driven().await;
        Self { bed, behind, doors, switch, ids, text }
    }

    /// The switch as the operator's API answers it.
    async fn shown(&self) -> Value {
        let path = format!("/v1/switches/{}", self.switch.id);
        let answer = self.bed.gateway.send(self.bed.gateway.at_operator(&path).bearer_auth(KEY)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Contract::operator().check(&Method::GET, &path, &answer);
        answer.body
    }

    /// Reads the switch until it waits for something; `None`: until it waits for nothing.
    async fn until(&self, code: Option<&str>, is_in_time: impl Fn() -> bool) -> Value {
        let ends = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            let shown = self.shown().await;
            if shown["blocked_by"]["code"].as_str() == code && (code.is_some() || shown["marks"]["pending"] == 0) {
                return shown["blocked_by"].clone();
            }
            assert!(is_in_time(), "{code:?} is shown too late: {shown:#}");
            assert!(tokio::time::Instant::now() < ends, "{code:?} did not come: {shown:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A client's write, which has to be copied.
    async fn write(&self, name: &str) {
        self.bed.patch(&self.ids[0], json!({ "first_name": name })).await;
    }

    /// The target becomes another one, a customer is written, and the switch waits. Then the target is itself again, and the
    /// customer is copied without a command.
    async fn with_target(&self, failing: &Vendor, code: &str) -> Value {
        self.doors[1].leads_to(failing);
        self.write("Fatou").await;
        let blocked = self.until(Some(code), || requests(failing) < TRIES).await;
        self.doors[1].leads_to(&self.behind[1]);
        self.until(None, || true).await;
        let id = self.bed.record(&self.switch.id, &self.ids[0]).await.target_id.expect("a copy");
        let copy = self.behind[1].looked_at().await.get(&format!("/v1/customers/{id}")).await;
        assert!(copy.text.contains("Fatou"), "{}", copy.text);
        blocked
    }
}

fn same(vendor: &Vendor) -> Vendor {
    let folder = tempfile::tempdir().expect("a folder");
    Vendor { provider: vendor.provider, base: vendor.base.clone(), folder, twin: Arc::clone(&vendor.twin) }
}

/// How many requests a twin has received.
fn requests(vendor: &Vendor) -> usize {
    log::requests(&log::read(&vendor.folder.path().join("log")).expect("a log")).count()
}

/// A Notch Pay that knows another key.
fn locked() -> Vendor {
    let vendor = vendor("notchpay").expect("a vendor");
    let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
    let folder = tempfile::tempdir().expect("a folder");
    let log = Log::open(&folder.path().join("log")).expect("a log");
    let key = Credentials::new([("public_key".to_owned(), "another_key".to_owned())]);
    let twin = Arc::new(Twin::new(vendor, settings, key).with_log(log));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(Arc::clone(&twin).serve_shared(listener, axum_server::Handle::new()));
    Vendor { provider: "notchpay", base: format!("http://{address}{}", base_path(vendor.manifests[0])), folder, twin }
}

#[tokio::test]
async fn provider_rate_limited_is_shown_and_goes_with_the_limit() {
    let blocked = Blocked::start(1).await;
    let limited = Vendor::start("notchpay", "rate_limited = 1.0\nretry_after = \"1s\"");
    let shown = blocked.with_target(&limited, "provider_rate_limited").await;
    assert!(shown["detail"].as_str().is_some_and(|detail| detail.contains("`new`")), "{shown}");
}

/// A provider that fails, one that resets connections, and one that never answers.
#[tokio::test]
async fn provider_unavailable_is_shown_and_goes_when_the_provider_is_back() {
    let blocked = Blocked::start(1).await;
    for faults in ["error_before = 1.0", "reset_before = 1.0", "hang_before = 1.0"] {
        let failing = Vendor::start("notchpay", faults);
        blocked.with_target(&failing, "provider_unavailable").await;
        blocked.write("Awa").await;
        blocked.until(None, || true).await;
    }
}

/// After some tries that fail, no worker tries it any more.
#[tokio::test]
async fn provider_unavailable_is_shown_while_the_breaker_is_open() {
    let blocked = Blocked::start(1).await;
    let section = "[outbound.breaker]\npause = \"1h\"\nmax_pause = \"1h\"\n";
    blocked.bed.gateway.try_reload(&format!("{}\n{section}", blocked.text)).await.expect("reloaded");
    let base = format!("http://{}/", refusing_address());
    blocked.doors[1].leads_to(&Vendor { base, ..same(&blocked.behind[1]) });
    blocked.write("Fatou").await;
    let mut tries = 0;
    loop {
        let stalled = blocked.bed.copy(&blocked.ids[0]).await.expect_err("it cannot be reached");
        assert_eq!(stalled.code, BlockedCode::ProviderUnavailable, "{stalled:?}");
        if stalled.retry_after.is_some_and(|left| left > Duration::from_mins(50)) {
            break;
        }
        tries += 1;
        assert!(tries < 7, "the breaker does not open: {stalled:?}");
    }
    blocked.until(Some("provider_unavailable"), || true).await;
}

#[tokio::test]
async fn credentials_refused_is_shown_and_goes_with_the_right_key() {
    let blocked = Blocked::start(1).await;
    let shown = blocked.with_target(&locked(), "credentials_refused").await;
    assert!(!shown.to_string().contains("secret_7411"), "{shown}");
}

/// Nothing can be stored, not even the reason.
#[tokio::test]
async fn store_unavailable_is_shown_and_goes_when_the_store_is_back() {
    let blocked = Blocked::start(1).await;
    let (file, away) = (blocked.bed.folder.path().join("store.db"), blocked.bed.folder.path().join("away.db"));
    fs::rename(&file, &away).expect("moved");
    let shown = blocked.shown().await;
    assert_eq!(shown["blocked_by"]["code"], "store_unavailable", "the first look shows it: {shown:#}");
    assert_eq!(blocked.shown().await["blocked_by"]["since"], shown["blocked_by"]["since"]);
    fs::rename(&away, &file).expect("moved back");
    blocked.until(None, || true).await;
    blocked.write("Fatou").await;
    blocked.until(None, || true).await;
}

/// The limit of the target's connection leaves nothing for copies. Nothing is sent, so the target's log shows no try.
#[tokio::test]
async fn target_rate_is_shown_and_goes_with_the_limit() {
    let blocked = Blocked::start(1).await;
    let (head, new) = blocked.text.split_once("connections.new = {").expect("a connection");
    let limited = format!("{head}connections.new = {{ rate_limit = \"1/hour\",{new}");
    blocked.bed.gateway.try_reload(&limited).await.expect("reloaded");
    blocked.write("Fatou").await;
    blocked.until(Some("target_rate"), || true).await;
    blocked.bed.gateway.try_reload(&blocked.text).await.expect("reloaded");
    blocked.until(None, || true).await;
}

#[tokio::test]
async fn decision_needed_is_shown_and_goes_with_the_decision() {
    let blocked = Blocked::start(2).await;
    let other = blocked.behind[1].looked_at().await;
    let record = blocked.bed.record(&blocked.switch.id, &blocked.ids[0]).await;
    let path = format!("/v1/customers/{}", record.target_id.as_deref().unwrap_or_default());
    let theirs = other.patch(&path, json!({ "email": "theirs@example.com" })).await;
    assert_eq!(theirs.status, 200, "{}", theirs.text);
    blocked.bed.patch(&blocked.ids[0], json!({ "email": "ours@example.com" })).await;
    blocked.until(Some("decision_needed"), || true).await;
    let now = blocked.bed.gateway.switches().get(&blocked.switch.id).await.expect("a switch");
    assert_eq!((now.records.needs_decision, now.marks.pending), (1, 0), "who waits for a person is no mark: {now:#?}");
    let (public_id, link_id) = (blocked.ids[0].clone(), record.target_id);
    let decision = Decision { public_id, decision: DecisionKind::Link, link_id };
    let switches = blocked.bed.gateway.switches();
    switches.decide(&now.id, vec![decision], decided(&now)).await.expect("decided");
    blocked.until(None, || true).await;
}

/// R22: nothing goes on by itself here, because another account may answer.
#[tokio::test]
async fn source_vanished_is_shown_and_goes_with_run() {
    let blocked = Blocked::start(15).await;
    blocked.doors[0].leads_to(&Vendor::start("modempay", ""));
    blocked.bed.run(&blocked.switch).await;
    blocked.until(Some("source_vanished"), || true).await;
    blocked.doors[0].leads_to(&blocked.behind[0]);
    assert_eq!(blocked.shown().await["blocked_by"]["code"], "source_vanished");
    blocked.bed.run(&blocked.switch).await;
    blocked.until(None, || true).await;
}

#[tokio::test]
async fn stopped_is_shown_at_once_and_goes_with_run() {
    let blocked = Blocked::start(1).await;
    let path = format!("/v1/switches/{}/stop", blocked.switch.id);
    let address = blocked.bed.gateway.operator_address().expect("the operator's listener");
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let stop = client.post(format!("http://{address}{path}")).bearer_auth(KEY).json_text(&json!({}));
    let answer = blocked.bed.gateway.send(stop).await;
    assert_eq!((answer.status.as_u16(), &answer.body["blocked_by"]["code"]), (200, &json!("stopped")));
    assert_eq!(blocked.shown().await["blocked_by"]["code"], "stopped");
    blocked.write("Fatou").await;
    blocked.bed.run(&blocked.switch).await;
    blocked.until(None, || true).await;
}
