//! A merchant between two twins, whose customers are copied by hand: no planner and no driver runs.

use std::{collections::BTreeSet, sync::Arc};

use passerelle::{
    store::{Erased, KnownCustomer, ShownRecord},
    switch::{
        context::{Context, Copied, Order, Pair, Stalled},
        copy::copy_one,
        service::{RunOptions, SwitchService, VerifyOptions},
        verify::{PageOptions, Verified, verify_page},
        view::{Outcome, SwitchRecord, SwitchState, SwitchView},
    },
    twin::{
        Twin,
        faults::{FaultPlan, OperationName},
        log::{self, Log},
    },
};
use passerelle_providers::{
    Settings,
    kit::server::base_path,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::merchant::{codes_of, decided, is_copied, to_new};
use crate::{
    partial_lists::open,
    support::{Answer, Gateway},
};

/// The providers that can create customers.
pub(super) const CREATING: [&str; 4] = ["modempay", "lomi", "bitnob", "notchpay"];

/// A twin over HTTP, and the folder of its log.
pub(super) struct Vendor {
    pub(super) provider: &'static str,
    pub(super) base: String,
    pub(super) folder: TempDir,
    pub(super) twin: Arc<Twin>,
}

impl Vendor {
    pub(super) fn start(provider: &'static str, faults: &str) -> Self {
        Self::serving(provider, faults, |twin| twin)
    }

    /// The same with other records.
    pub(super) fn serving(provider: &'static str, faults: &str, with: impl FnOnce(Twin) -> Twin) -> Self {
        Self::of(provider, None, faults, with)
    }

    /// The same of a generation.
    pub(super) fn of(
        provider: &'static str,
        generation: Option<&str>,
        faults: &str,
        with: impl FnOnce(Twin) -> Twin,
    ) -> Self {
        let vendor = vendor(provider).expect("a vendor");
        let manifest = vendor.manifest(generation).expect("a generation");
        let settings = Settings { generation: manifest.generation, region: None, livemode: true };
        let folder = tempfile::tempdir().expect("a folder");
        let plan = FaultPlan::read(faults, "faults.toml").expect("a plan");
        let log = Log::open(&folder.path().join("log")).expect("a log");
        let twin = with(Twin::new(vendor, settings, Credentials::default())).with_faults(plan).with_log(log);
        let twin = Arc::new(twin);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(Arc::clone(&twin).serve_shared(listener, axum_server::Handle::new()));
        let base = format!("http://{address}{}", base_path(manifest));
        Self { provider, base, folder, twin }
    }

    /// The generation whose paths its address has.
    fn generation(&self) -> &'static str {
        let mut manifests = vendor(self.provider).expect("a vendor").manifests.iter();
        manifests.find(|manifest| self.base.ends_with(base_path(manifest))).expect("a generation").generation
    }

    pub(super) fn connection(&self) -> String {
        let credentials = match (self.provider, self.generation()) {
            ("lomi", _) => "api_key",
            ("paymentkit", _) => "access_key",
            ("bitnob", "v2") => "client_id = \"c\", client_secret",
            ("modempay" | "bitnob", _) => "secret_key",
            _ => "public_key",
        };
        // Its lists show only a part of the customers, so nothing is sent again there.
        let ambiguous = if self.provider == "lomi" { "" } else { "on_ambiguous = \"resend_after_lag\", " };
        format!(
            "{{ provider = \"{}\", generation = \"{}\", base_url = \"{}\", visibility_lag = \"1ms\", timeout = \"2s\", \
             {ambiguous}credentials = {{ {credentials} = \"secret_7411\" }} }}",
            self.provider,
            self.generation(),
            self.base
        )
    }

    /// How many requests of an operation have arrived.
    pub(super) fn received(&self, operation: Operation) -> usize {
        let entries = log::read(&self.folder.path().join("log")).expect("a log");
        log::requests(&entries).filter(|request| request.operation == Some(OperationName(operation))).count()
    }

    /// How many requests of an operation had an effect.
    pub(super) fn effects(&self, operation: Operation) -> usize {
        let entries = log::read(&self.folder.path().join("log")).expect("a log");
        log::effects(&entries).filter(|effect| effect.operation == OperationName(operation)).count()
    }

    /// How many requests of an operation came.
    pub(super) fn requests(&self, operation: Operation) -> usize {
        let entries = log::read(&self.folder.path().join("log")).expect("a log");
        log::requests(&entries).filter(|request| request.operation == Some(OperationName(operation))).count()
    }

    /// How many requests changed something.
    pub(super) fn changes(&self) -> usize {
        let entries = log::read(&self.folder.path().join("log")).expect("a log");
        log::effects(&entries).count()
    }

    /// A gateway of its own in front of it, with a store of its own: what it shows, the provider has.
    pub(super) async fn looked_at(&self) -> Gateway {
        Gateway::in_front_of(self.provider, &self.base, &format!("generation = \"{}\"", self.generation())).await
    }

    /// The records with an e-mail address.
    pub(super) async fn with_email(&self, email: &str) -> Vec<Value> {
        let listed = self.looked_at().await.get(&format!("/v1/customers?limit=100&email={email}")).await;
        assert_eq!(listed.status, 200, "{}", listed.text);
        listed.body["data"].as_array().cloned().unwrap_or_default()
    }
}

/// A merchant with a switch from `old` to `new`.
pub(super) struct Bed {
    pub(super) gateway: Gateway,
    pub(super) old: Vendor,
    pub(super) new: Vendor,
    pub(super) folder: TempDir,
    pub(super) pair: Pair,
}

impl Bed {
    /// A merchant at `from`, before the switch to `to`.
    pub(super) async fn start(from: &'static str, to: &'static str, faults: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::between(Vendor::start(from, ""), Vendor::start(to, faults), folder).await
    }

    /// A process between two vendors, on the store in a folder.
    pub(super) async fn between(old: Vendor, new: Vendor, folder: TempDir) -> Self {
        let gateway = Gateway::start(&configuration(&folder, &old, &new)).await.with_key("sk_acme");
        Self { gateway, old, new, folder, pair: Self::pair() }
    }

    pub(super) fn pair() -> Pair {
        let [switch_id, merchant, from, to] = ["sw_1", "acme", "old", "new"].map(str::to_owned);
        Pair { switch_id, merchant, from, to, reference: None }
    }

    /// The same with these customers at the home, and the switch begun.
    pub(super) async fn with(from: &'static str, to: &'static str, faults: &str, count: usize) -> Self {
        let bed = Self::start(from, to, faults).await;
        for number in 0..count {
            bed.create(&person(number)).await;
        }
        bed.begin().await;
        bed
    }

    pub(super) async fn create(&self, body: &Value) -> String {
        let created = self.gateway.post("/v1/customers", body.clone()).await;
        assert_eq!(created.status, 201, "{}", created.text);
        created.body["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Opens the switch, and gives the customers that were created through the gateway their rows.
    pub(super) async fn begin(&self) {
        let ids = self.gateway.ids();
        ids.begin("acme", "old", "sw_1", "new").await.expect("begun");
        self.gateway.learn_routing().await;
        let listed = self.gateway.get("/v1/customers?limit=100").await;
        assert_eq!(listed.status, 200, "{}", listed.text);
        for customer in listed.body["data"].as_array().into_iter().flatten() {
            let record = ShownRecord {
                provider_id: customer["provider"]["id"].as_str().unwrap_or_default(),
                email: customer["email"].as_str(),
                phone: customer["phone"].as_str(),
            };
            ids.adopt("acme", "old", &[record]).await.expect("adopted");
        }
    }

    pub(super) fn context(&self) -> Context {
        let app = self.gateway.app();
        Context { store: app.store.clone(), gateway: Arc::clone(&app.gateway), writes: Arc::clone(&app.writes) }
    }

    pub(super) async fn copy(&self, public_id: &str) -> Result<Copied, Stalled> {
        copy_one(&self.context(), &self.pair, public_id, &Order::default()).await
    }

    pub(super) async fn ordered(&self, public_id: &str, order: &Order) -> Copied {
        copy_one(&self.context(), &self.pair, public_id, order).await.expect("no stall")
    }

    /// Waits until no erasure of these customers is pending.
    pub(super) async fn erased(&self, public_ids: &[String]) {
        for public_id in public_ids {
            wait_for_erasures(&self.gateway, public_id).await;
        }
    }

    /// Copies a customer until its other side is current.
    pub(super) async fn copy_fully(&self, public_id: &str) -> Copied {
        let ends = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            let copied = self.copy(public_id).await;
            match copied {
                Ok(copied) if copied.is_current => return copied,
                Ok(copied) => {
                    // A copy that was made within the visibility lag of a write is made again.
                    let is_made = matches!(copied.outcome, Outcome::Created | Outcome::Linked | Outcome::AlreadyLinked);
                    let is_waiting = is_made || matches!(copied.outcome, Outcome::InDoubt | Outcome::Pending);
                    assert!(is_waiting && tokio::time::Instant::now() < ends, "{public_id}: {copied:?}");
                }
                Err(stalled) => assert!(tokio::time::Instant::now() < ends, "{public_id}: {stalled:?}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The customers of the switch that these tests made.
    pub(super) async fn customers(&self) -> Vec<KnownCustomer> {
        let mut customers = self.gateway.ids().all("acme", None, 1000).await.expect("customers");
        // No planner has read the list of the target. So at Bitnob the samples of its twin count as another account's.
        let is_sample = |id: &str| id.bytes().rev().take(8).collect::<BTreeSet<_>>().len() <= 2;
        customers.retain(|customer| self.new.provider != "bitnob" || !is_sample(&customer.public_id));
        customers
    }

    pub(super) async fn copy_all(&self) -> Vec<Copied> {
        let mut all = Vec::new();
        for customer in self.customers().await {
            all.push(self.copy_fully(&customer.public_id).await);
        }
        all
    }

    pub(super) async fn verified(&self) -> Vec<Verified> {
        let page = verify_page(&self.context(), &self.pair, None, 1000, PageOptions::default()).await;
        page.expect("no stall").checked
    }

    pub(super) async fn patch(&self, public_id: &str, body: Value) -> Answer {
        let patched = self.gateway.patch(&format!("/v1/customers/{public_id}"), body).await;
        assert_eq!(patched.status, 200, "{}", patched.text);
        patched
    }

    /// Plans by the planner.
    pub(super) async fn planned(&self) -> SwitchView {
        let planned = self.gateway.switches().plan("acme", to_new(), None).await.expect("a plan");
        self.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await
    }

    /// Plans and runs until everything is copied, by the planner and the driver.
    pub(super) async fn driven(&self) -> SwitchView {
        let planned = self.planned().await;
        self.run(&planned).await;
        self.wait(&planned.id, "the copies", is_copied).await
    }

    /// Runs the switch, so that a pass begins.
    pub(super) async fn run(&self, view: &SwitchView) -> SwitchView {
        self.gateway.switches().run(&view.id, RunOptions::default(), decided(view)).await.expect("it runs")
    }

    pub(super) async fn wait(&self, id: &str, what: &str, is_so: impl Fn(&SwitchView) -> bool) -> SwitchView {
        let ends = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            let view = self.gateway.switches().get(id).await.expect("a switch");
            if is_so(&view) {
                return view;
            }
            assert!(tokio::time::Instant::now() < ends, "{what} did not come: {view:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Verifies, and makes the target active. What the sample customers of the twins lack is accepted, and nothing else.
    pub(super) async fn cut_over(&self, view: &SwitchView) -> SwitchView {
        let switches = self.gateway.switches();
        let ready = switches.get(&view.id).await.expect("a switch");
        switches.verify(&view.id, VerifyOptions::default(), decided(&ready)).await.expect("it begins");
        let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
        let ready = self.wait(&view.id, "the verification", is_done).await;
        let records = switches.records(&view.id, None, None, 500).await.expect("records").entries;
        switches.cutover(&view.id, codes_of(&records), decided(&ready)).await.expect("the gate is open")
    }

    /// The record of a customer in a switch.
    pub(super) async fn record(&self, id: &str, public_id: &str) -> SwitchRecord {
        let page = self.gateway.switches().records(id, None, None, 500).await.expect("records");
        let is_named = |record: &SwitchRecord| record.public_id.as_deref() == Some(public_id);
        page.entries.into_iter().find(is_named).expect("a record")
    }

    /// What remains when the process dies.
    pub(super) fn killed(self) -> (Vendor, Vendor, TempDir) {
        (self.old, self.new, self.folder)
    }

    /// The same for a process that stops.
    pub(super) async fn killed_softly(self) -> (Vendor, Vendor, TempDir) {
        self.gateway.stop().await;
        drop(open(&self.folder.path().join("store.db")).await);
        (self.old, self.new, self.folder)
    }

    /// Makes the other side active.
    pub(super) async fn flip(&self, to: &str) {
        let ids = self.gateway.ids();
        let routing = ids.resolve("acme", None).await.expect("read").expect("a routing row").routing;
        assert!(ids.flip("acme", "sw_1", &routing, to).await.expect("flipped"));
    }

    /// The customer with an e-mail address, as the merchant knows it.
    pub(super) async fn public_id(&self, number: usize) -> String {
        let found = self.gateway.get(&format!("/v1/customers/lookup?email=awa{number}@example.com")).await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.body["id"].as_str().unwrap_or_default().to_owned()
    }
}

pub(super) fn configuration(folder: &TempDir, old: &Vendor, new: &Vendor) -> String {
    format!(
        "[store]\nurl = \"sqlite:{}\"\n[outbound]\nallow_insecure = true\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"old\"\nregion = \"SN\"\non_loss = \"drop\"\n\
         connections.old = {}\nconnections.new = {}\n",
        folder.path().join("store.db").display(),
        old.connection(),
        new.connection()
    )
}

/// Waits until no erasure of a customer is pending, and returns the outcomes by connection.
pub(super) async fn wait_for_erasures(gateway: &Gateway, public_id: &str) -> Vec<(String, Erased)> {
    for _ in 0..4000 {
        let kept = gateway.ids().erasures("acme", public_id).await.expect("read");
        if kept.iter().all(|kept| kept.erased != Erased::Pending) {
            return kept.into_iter().map(|kept| (kept.connection, kept.erased)).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    unreachable!("{public_id} is not erased")
}

/// A customer that every provider accepts.
pub(super) fn person(number: usize) -> Value {
    json!({
        "first_name": "Awa", "last_name": format!("Ndiaye{}", letters(number)),
        "email": format!("awa{number}@example.com"), "phone": format!("+22177123{number:04}"),
    })
}

/// A number in letters, because some providers accept no digits in a name.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}
