//! The metrics of the gateway. The table below declares each of them: a line in it is a metric with its help, its type,
//! its name and its labels, and a function of [`Metrics`] that finds one of its series. `docs/metrics.md` is made from it.
//!
//! One [`Metrics`] serves a process, over every reload. It belongs to what all connections share: code with a connection
//! calls `connection.upstream.metrics()`, a handler `app.metrics()`, the HTTP client of a provider `shared.metrics()`. The
//! operator's listener shows them as `GET /metrics` (`src/operator/scrape.rs`).
//!
//! To find a series allocates memory for its labels. So what a request records is found once and stored in the loaded
//! configuration ([`ConnectionSeries`]), and only recorded for each request.
//!
//! A label has few values: a name from the configuration, a word of an enum. It never has an id, a path or a value of a
//! customer.

mod connection;
mod document;
mod during;
mod last_hour;
mod process;
pub mod request;
mod store;

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter as WholeCounter, family::Family, gauge::Gauge as AnyGauge},
    registry::Registry,
};

pub use connection::{CallOutcome, ConnectionSeries, Outcome, WriteEnd};
pub use document::markdown;
pub use last_hour::{LastHour, MINUTES, Traffic};
pub use prometheus_client::metrics::histogram::Histogram;
pub use store::{Access, JobTime, StoreSeries};

/// A number that only grows.
pub type Counter = WholeCounter;
/// A number that the code changes when it happens.
pub type Gauge = AnyGauge;
/// A number that is read when the metrics are shown.
pub type Sample = AnyGauge<f64, std::sync::atomic::AtomicU64>;
/// A number that only grows, and is read when the metrics are shown.
pub type Total = WholeCounter<f64, std::sync::atomic::AtomicU64>;

/// The names and the values of the labels of one series.
type Labels = Vec<(&'static str, String)>;

/// A metric as the table declares it.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Its name in the table. A counter is shown with `_total` behind it.
    pub name: &'static str,
    /// `counter`, `total`, `gauge`, `sample` or `histogram`.
    pub kind: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// Makes [`Metrics`] from the table.
macro_rules! metrics {
    ($(
        $(#[doc = $help:literal])+
        $kind:ident $metric:ident = $name:literal ($($label:ident),*) $(in $buckets:ident)?;
    )*) => {
        /// The metrics of a process. All clones are one.
        #[derive(Clone)]
        pub struct Metrics(Arc<Families>);

        struct Families {
            registry: Registry,
            $($metric: metrics!(@family $kind),)*
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::default();
                $(
                    let $metric = metrics!(@new $kind $($buckets)?);
                    // The registry ends the help with a full stop.
                    let help = concat!($($help),+).trim().trim_end_matches('.');
                    registry.register($name, help, $metric.clone());
                )*
                Self(Arc::new(Families { registry, $($metric),* }))
            }
        }

        impl Metrics {
            /// All metrics, in the order of the table.
            pub const DECLARED: &[Declared] = &[$(Declared {
                name: $name,
                kind: stringify!($kind),
                help: concat!($($help),+),
                labels: &[$(stringify!($label)),*],
            }),*];

            /// Forgets what was read when the metrics were shown last.
            pub fn clear_samples(&self) {
                $(metrics!(@clear $kind self.0.$metric);)*
            }

            $(
                $(#[doc = $help])+
                pub fn $metric(&self, $($label: &str),*) -> metrics!(@type $kind) {
                    self.0.$metric.get_or_create_owned(&vec![$((stringify!($label), $label.to_owned())),*])
                }
            )*
        }
    };
    (@type counter) => { Counter };
    (@type total) => { Total };
    (@type gauge) => { Gauge };
    (@type sample) => { Sample };
    (@type histogram) => { Histogram };
    (@family histogram) => { Family<Labels, Histogram, fn() -> Histogram> };
    (@family $kind:ident) => { Family<Labels, metrics!(@type $kind)> };
    (@new histogram $buckets:ident) => {
        Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new($buckets))
    };
    (@new $kind:ident) => { Family::<Labels, metrics!(@type $kind)>::default() };
    (@clear sample $family:expr) => { $family.clear() };
    (@clear $kind:ident $family:expr) => {};
}

/// Buckets for sizes in bytes.
const SIZES: [f64; 6] = [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 1_048_576.0];
/// Buckets for times that a provider takes, in seconds.
const TIMES: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Buckets for times that the gateway itself takes, in seconds.
const SHORT_TIMES: [f64; 11] = [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 10.0];
/// Buckets for the number of writes of one transaction.
const GROUPS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

metrics! {
    /// Requests that the gateway refused because there were too many, by the code of the answer.
    counter requests_refused = "passerelle_requests_refused" (code);

    /// Requests of a merchant's clients that the gateway refused because it had too many to answer, or because the merchant
    /// sent more than its `rate_limit`.
    counter merchant_requests_refused = "passerelle_merchant_requests_refused" (merchant);

    /// Requests that were refused because of a key with a name, of a merchant's client. `reason` is `expired` or `not_yet_valid`
    /// (the answer is that to an unknown key), or `lacks_scope`.
    counter keys_refused = "passerelle_keys_refused" (merchant, key, reason);

    /// The time from the head of a client's request to its answer, in seconds. `outcome` is `ok`, `refused` (4xx), `failed`
    /// (5xx), `unknown` (a write whose outcome is not known) or `abandoned` (the client has disconnected).
    /// `connection` is the one that was asked last. Requests without an operation, such as those with a wrong key or for
    /// `/livez`, have empty labels.
    histogram request_seconds = "http_server_request_duration_seconds" (merchant, connection, provider, operation, outcome) in TIMES;

    /// Clients' requests that are not answered yet.
    gauge active_requests = "http_server_active_requests" ();

    /// Answers with a problem, by its code. `docs/problems.md` has the codes.
    counter problems = "passerelle_problems" (code);

    /// The part of `http_server_request_duration_seconds` in which no request to a provider was open, in seconds: the time
    /// of the gateway itself, of the store, and of the arrival of the client's body.
    histogram overhead_seconds = "passerelle_overhead_seconds" (merchant, connection, provider, operation) in SHORT_TIMES;

    /// The time of each attempt to send a request to a provider, in seconds, also of the gateway's own requests. `outcome`
    /// is `2xx`, `3xx`, `4xx`, `429`, `5xx`, `unreachable` (not sent), `interrupted`, `timed_out`, `unusable` (the reply
    /// cannot be read) or `abandoned` (the gateway did not wait for it).
    histogram call_seconds = "http_client_request_duration_seconds" (merchant, connection, provider, server_address, outcome) in TIMES;

    /// Requests to providers that were not sent because all places were in use: those of the connection, of the provider's
    /// host or of the gateway (`places`).
    counter places_refused = "passerelle_places_refused" (merchant, connection, places);

    /// Places of a connection that are in use: commands of which requests are in flight. Their limit is
    /// `outbound.max_in_flight`.
    sample places_of_connection = "passerelle_connection_places_in_use" (merchant, connection);

    /// Places of a provider's host that are in use. Their limit is `outbound.max_in_flight_per_host`.
    sample places_of_host = "passerelle_host_places_in_use" (host);

    /// Places of the gateway that are in use. Their limit is `outbound.max_in_flight_total`.
    sample places_of_gateway = "passerelle_gateway_places_in_use" ();

    /// Replies of providers that were not read to their end, because the replies of all providers together needed too
    /// much memory.
    counter replies_refused = "passerelle_provider_replies_refused" (merchant, connection);

    /// Attempts to send a request to a provider again: reads that failed, and requests that were certainly not sent. Each is an
    /// attempt in `http_client_request_duration_seconds` as well.
    counter provider_retries = "passerelle_provider_retries" (merchant, connection);

    /// New connections to providers, their TLS handshakes included: `opened` or `failed`. Requests use open connections first. If
    /// about as many are opened as requests are sent, something closes each connection after one request.
    counter provider_connects = "passerelle_provider_connects" (outcome);

    /// Circuit breakers that are open, so that requests of a connection are not sent: its own, those of single operations, and that of
    /// the provider's host.
    sample breakers_open = "passerelle_provider_breakers_open" (merchant, connection);

    /// Requests to providers that were not sent because a circuit breaker was open. Those of a switch wait, and do not count.
    counter breaker_refused = "passerelle_provider_breaker_refused" (merchant, connection);

    /// How many requests the gateway answers at once. It falls while the gateway is overloaded.
    gauge request_places = "passerelle_request_places" ();

    /// Open connections of a listener: `api` or `operator`. Their limits are `server.max_connections` and 64.
    gauge connections = "passerelle_connections" (listener);

    /// New connections that a listener closed because too many were open.
    counter connections_refused = "passerelle_connections_refused" (listener);

    /// Connections that a listener closed in favour of new ones, because they waited for their client and all places were taken.
    counter connections_replaced = "passerelle_connections_replaced" (listener);

    /// TLS handshakes that failed: the client sent something else, does not trust the certificate, speaks no version of TLS
    /// that the gateway speaks, or was too slow.
    counter handshakes_failed = "passerelle_tls_handshakes_failed" (listener);

    /// When the certificate expires that a listener with TLS (`api`) serves, in seconds since 1970. The certificate is the first
    /// one of its file, as it was loaded last. Without TLS there is no series.
    sample certificate_expires_at = "passerelle_tls_certificate_expiry_timestamp_seconds" (listener);

    /// Work of the store that has not ended: what waits, and what is executed. `access` is `read` or `write`.
    gauge store_jobs = "passerelle_store_jobs" (access);

    /// The time from a caller's request to the store to its result, in seconds: waiting, executing, and for a write the
    /// commit of its group.
    histogram store_job_seconds = "passerelle_store_job_seconds" (access) in SHORT_TIMES;

    /// Work of the store that failed.
    counter store_jobs_failed = "passerelle_store_jobs_failed" (access);

    /// The time of one transaction that writes, in seconds. It commits a group of writes together.
    histogram store_group_seconds = "passerelle_store_group_seconds" () in SHORT_TIMES;

    /// How many writes one transaction commits together.
    histogram store_group_jobs = "passerelle_store_group_jobs" () in GROUPS;

    /// 1 while the store cannot record writes, otherwise 0. When the store does not answer, it is 1, and the metrics that are
    /// read from the store are missing.
    sample store_failing = "passerelle_store_failing" ();

    /// Writes of clients and of copies, by how each attempt ended: `done`, `failed`, `not_sent` or `unknown`.
    counter writes = "passerelle_writes" (merchant, connection, provider, end);

    /// Writes whose outcome was unknown, or whose process had ended, and whose outcome is known now: `done`, `failed` or
    /// `not_sent`.
    counter writes_reconciled = "passerelle_writes_reconciled" (merchant, connection, provider, end);

    /// Writes in the store that have not ended, of all replicas. `state` is `sending` (in flight), `unknown` (the gateway will
    /// reconcile it) or `held` (an operator decides).
    sample open_operations = "passerelle_open_operations" (merchant, connection, state);

    /// The age of the oldest write in the store that has not ended, in seconds.
    sample oldest_operation = "passerelle_oldest_open_operation_seconds" (merchant, connection, state);

    /// 1 for the open switch of a merchant, with its state and the code of what it waits for, if it waits.
    sample switches = "passerelle_switches" (merchant, state, blocked_by);

    /// Customers of the open switch of a merchant, by what became of them: `pending`, `created`, `linked`, `already_linked`,
    /// `refused`, `needs_decision`, `in_doubt`, `left`, `deleted` or `gone`. They are counted anew when twenty times as long has passed as the last count took.
    sample switch_customers = "passerelle_switch_customers" (merchant, outcome);

    /// Reloads of the configuration. `outcome` is `success`, or `failure`: the gateway kept the configuration before.
    counter reloads = "passerelle_reloads" (outcome);

    /// The time of the reloads that succeeded, in seconds.
    histogram reload_seconds = "passerelle_reload_seconds" () in TIMES;

    /// Spans of sampled requests, by what became of them: `sent` to the collector, `failed` (the collector could not be
    /// reached, or refused them) or `dropped` (too many were waiting).
    counter spans = "passerelle_spans" (outcome);

    /// When the configuration that is served was loaded, in seconds since 1970.
    gauge loaded_at = "passerelle_configuration_loaded_timestamp_seconds" ();

    /// Memory of the process that is in use, in bytes. On Linux only, like all metrics that begin with `process_`.
    sample process_resident_bytes = "process_resident_memory_bytes" ();

    /// Processor time that the process has taken, in seconds.
    total process_cpu_seconds = "process_cpu_seconds" ();

    /// Files and connections that the process has open.
    sample process_open_files = "process_open_fds" ();

    /// How many files and connections the process may have open.
    sample process_most_files = "process_max_fds" ();

    /// When the process began, in seconds since 1970.
    sample process_started_at = "process_start_time_seconds" ();

    /// Sizes of the bodies of clients' requests, in bytes.
    histogram body_bytes = "passerelle_request_body_bytes" (merchant) in SIZES;
}

impl Metrics {
    /// Every metric in the text format of OpenMetrics, which adds `_total` to the name of a counter.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

/// A number, as metrics take it.
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_metric_is_shown_with_its_help_its_type_and_its_labels() {
        let metrics = Metrics::default();
        metrics.replies_refused("acme", "main").inc();
        metrics.clone().replies_refused("acme", "main").inc();
        metrics.body_bytes("acme").observe(number(300));
        let text = metrics.text();
        for line in [
            "# HELP passerelle_provider_replies_refused Replies of providers that were not read to their end, because",
            "# TYPE passerelle_provider_replies_refused counter",
            "passerelle_provider_replies_refused_total{merchant=\"acme\",connection=\"main\"} 2",
            "passerelle_request_body_bytes_bucket{le=\"1024.0\",merchant=\"acme\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|shown| shown.starts_with(line)), "{line}\n{text}");
        }
    }
}
