//! The state that all requests share: the resolved configuration, the store, the writes, and the signatures that were
//! used. `app` makes it once; the handlers of `http` and `drop_in` get it from axum.

mod bodies;
mod replays;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::task::{JoinHandle, JoinSet};

pub use bodies::{BodyBudget, BodyOwner, OverBudget, Reservation};
pub use replays::{Admitted, NotAdmitted, Once, Repeated, Replays, Seen};

use crate::{
    admission::{Places, Refusals},
    merchant::{Gateway, Merchant},
    metrics::{LastHour, Metrics, number},
    store::{OpenCount, Store, StoreError},
    switch::{Switches, context::Context, service::Refused},
    telemetry::Exporter,
    upstream::Shared,
    workers::keep_running,
    writes::{FindSurface, Writes},
};

/// How often a replica looks for merchants who have begun to switch providers.
const LEARN_INTERVAL: Duration = Duration::from_secs(1);

/// How often the last hour gets another minute.
const MINUTE: Duration = Duration::from_mins(1);

/// The state that all requests share.
#[derive(Debug)]
pub struct App {
    /// The resolved configuration. A reload replaces it as a whole.
    pub gateway: Arc<ArcSwap<Gateway>>,
    /// What the connections of all configurations share.
    pub shared: Shared,
    /// The store, which survives a restart.
    pub store: Store,
    /// Executes everything that changes something at a provider.
    pub writes: Arc<Writes>,
    /// Switches merchants from one provider to another.
    pub switches: Switches,
    /// Whether the process is about to stop. Readiness probes then fail, so that the balancer sends no more requests.
    pub draining: AtomicBool,
    /// The signatures of drop-in clients that were used.
    pub replays: Replays,
    /// The memory of all request bodies.
    pub bodies: BodyBudget,
    /// The places of the requests that are being answered.
    pub places: Arc<Places>,
    /// Counts the requests that are refused because there are too many.
    pub refusals: Arc<Refusals>,
    /// What happened in the last hour, for the console.
    pub last_hour: LastHour,
    /// Sends the spans of sampled requests.
    exporter: Exporter,
    /// One request at a time shows the metrics, because some of them are read then.
    shows_metrics: tokio::sync::Mutex<()>,
}

impl App {
    /// The state for a resolved configuration and a store. `find_surface` makes the surface of a stored write again.
    pub fn new(gateway: Gateway, store: Store, shared: Shared, find_surface: FindSurface) -> Arc<Self> {
        let bodies = BodyBudget::new(gateway.max_bodies);
        let places = Places::new(gateway.places);
        store.record_in(shared.metrics());
        shared.metrics().loaded_at().set(crate::clock::now().as_second());
        let gateway = Arc::new(ArcSwap::from_pointee(gateway.with_ids(&store).with_carried(store.carried())));
        let writes = Writes::new(&store, Arc::clone(&gateway), find_surface);
        let context = Context { store: store.clone(), gateway: Arc::clone(&gateway), writes: Arc::clone(&writes) };
        Arc::new(Self {
            writes,
            switches: Switches::new(context),
            places,
            refusals: Arc::new(Refusals::new(shared.metrics())),
            exporter: Exporter::new(&shared),
            shared,
            last_hour: LastHour::default(),
            replays: Replays::new(store.signatures().clone()),
            store,
            gateway,
            draining: AtomicBool::new(false),
            bodies,
            shows_metrics: tokio::sync::Mutex::default(),
        })
    }

    /// Accepts the configuration of a reload, and replaces the one before. The error says why it is not accepted. Otherwise
    /// there are warnings for the operator.
    pub async fn reload(&self, gateway: Gateway) -> Result<Vec<String>, Refused> {
        let warnings = self.switches.reload(&gateway).await?;
        self.replace_gateway(gateway);
        Ok(warnings)
    }

    /// Replaces the configuration.
    pub fn replace_gateway(&self, gateway: Gateway) {
        let gateway = gateway.with_ids(&self.store).with_carried(self.store.carried());
        self.gateway.store(Arc::new(gateway));
    }

    /// Learns from the store which merchants have begun to switch providers, and which have carried fields. Their ids go through the store from then on.
    /// Until a replica has learned of the first routing row, it serves as the configuration says, and so does that row:
    /// the first change of a routing row comes later.
    pub async fn learn_routing(&self) -> Result<(), StoreError> {
        self.switches.learn_routing().await
    }

    /// The merchant for another plan of a write that was planned for another home than there is now. If this process did not
    /// know of its routing row, it learns of it first.
    pub async fn merchant_of_moved(&self, merchant: Arc<Merchant>) -> Arc<Merchant> {
        if merchant.middleware.is_some() {
            return merchant;
        }
        if let Err(error) = self.learn_routing().await {
            tracing::warn!(
                merchant = merchant.name,
                "the store does not say which connection serves a merchant: {error}"
            );
        }
        self.gateway.load().merchant_named(&merchant.name).map_or(merchant, Arc::clone)
    }

    /// Starts the workers. They run until the handle is aborted.
    pub fn run_in_background(self: &Arc<Self>) -> JoinHandle<()> {
        let app = Arc::clone(self);
        tokio::spawn(async move {
            // In a task of its own, because it measures how long a task waits until it runs. It ends with this one.
            let mut measuring = JoinSet::new();
            measuring.spawn(Arc::clone(&app).keep_adapting());
            tokio::join!(
                app.writes.run_workers(),
                keep_running("routing", || app.keep_learning()),
                keep_running("last hour", || app.keep_last_hour()),
                keep_running("switches", || app.switches.work()),
                keep_running("erasures", || app.switches.erase()),
                keep_running("signatures", || app.replays.keep_reaping()),
                keep_running("traces", || app.exporter.run(&app.shared, &app.gateway)),
            );
        })
    }

    /// Waits until the spans of all requests so far were sent, but not longer than `longest_wait`. `serve` calls this at
    /// shutdown.
    pub async fn spans_sent(&self, longest_wait: Duration) {
        if self.gateway.load().traces.is_some() {
            // What is not sent until then is lost.
            let _ = tokio::time::timeout(longest_wait, self.shared.spans().flushed()).await;
        }
    }

    async fn keep_adapting(self: Arc<Self>) {
        let start = self.gateway.load_full();
        let adapt = || self.places.keep_adapting(start.places, start.overload_wait, self.metrics());
        keep_running("request places", adapt).await;
    }

    async fn keep_learning(&self) {
        let mut failed = false;
        loop {
            tokio::time::sleep(LEARN_INTERVAL).await;
            let learned = self.learn_routing().await;
            // A failure is logged once, not every second.
            if let (Err(error), false) = (&learned, failed) {
                tracing::warn!("the store does not say which merchants have begun to switch providers: {error}");
            }
            failed = learned.is_err();
        }
    }

    async fn keep_last_hour(&self) {
        loop {
            tokio::time::sleep(MINUTE).await;
            let gateway = self.gateway.load_full();
            self.last_hour.end_minute(gateway.connections().map(|(_, connection)| &**connection.upstream.series()));
        }
    }

    /// The metrics of the process as text, with those that are read now.
    pub async fn metrics_text(&self) -> String {
        let _one = self.shows_metrics.lock().await;
        self.metrics().clear_samples();
        self.shared.sample();
        self.metrics().sample_process();
        let gateway = self.gateway.load_full();
        for (merchant, connection) in gateway.connections() {
            let open = connection.upstream.open_breakers();
            self.metrics().breakers_open(&merchant.name, &connection.name).set(number(open));
        }
        if let Some(served) = &gateway.tls {
            let expires = served.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.metrics().certificate_expires_at("api").set(expires.as_secs_f64());
        }
        // The log has the failures of the store.
        let is_read = self.sample_store().await.is_ok();
        let is_failing = self.store.is_failing() || !is_read;
        self.metrics().store_failing().set(if is_failing { 1.0 } else { 0.0 });
        self.metrics().text()
    }

    async fn sample_store(&self) -> Result<(), StoreError> {
        let now = crate::clock::now();
        for open in self.store.operations().open_counts().await? {
            let OpenCount { merchant, connection, state, count, oldest } = open;
            self.metrics().open_operations(&merchant, &connection, &state).set(number(count));
            let age = now.duration_since(oldest).as_secs_f64().max(0.0);
            self.metrics().oldest_operation(&merchant, &connection, &state).set(age);
        }
        self.switches.sample_metrics(self.metrics()).await
    }

    /// Records a reload that began at this time. `is_success`: the new configuration is served.
    pub fn record_reload(&self, began: Instant, is_success: bool) {
        self.metrics().reloads(if is_success { "success" } else { "failure" }).inc();
        if is_success {
            self.metrics().reload_seconds().observe(began.elapsed().as_secs_f64());
            self.metrics().loaded_at().set(crate::clock::now().as_second());
        }
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        self.shared.metrics()
    }
}

/// The id that the edge in `app` has chosen for a request that may change something.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);
