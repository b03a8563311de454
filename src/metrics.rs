//! The metrics of the gateway. The table below declares each of them: a line in it is a metric with its help, its type,
//! its name and its labels, and a function of [`Metrics`] that records it.
//!
//! One [`Metrics`] serves a process, over every reload. It belongs to what all connections share: code with a connection
//! calls `connection.upstream.metrics()`, a handler `app.metrics()`, the HTTP client of a provider `shared.metrics()`. The
//! operator's listener shows them as `GET /metrics` (`operator_router` in `src/app.rs`).
//!
//! A label has few values: a name from the configuration, a word of an enum, a status. It never has an id, a path or a
//! value of a customer.

use std::{fmt, ops::Deref, sync::Arc};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// The names and the values of the labels of one series.
type Labels = Vec<(&'static str, String)>;

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
            /// The names of all metrics, as the table has them.
            pub const NAMES: &[&str] = &[$($name),*];

            $(
                $(#[doc = $help])+
                pub fn $metric(&self, $($label: &str),*) -> impl Deref<Target = metrics!(@type $kind)> {
                    self.0.$metric.get_or_create(&vec![$((stringify!($label), $label.to_owned())),*])
                }
            )*
        }
    };
    (@type counter) => { Counter };
    (@type gauge) => { prometheus_client::metrics::gauge::Gauge };
    (@type histogram) => { Histogram };
    (@family counter) => { Family<Labels, Counter> };
    (@family gauge) => { Family<Labels, prometheus_client::metrics::gauge::Gauge> };
    (@family histogram) => { Family<Labels, Histogram, fn() -> Histogram> };
    (@new counter) => { Family::<Labels, Counter>::default() };
    (@new gauge) => { Family::<Labels, prometheus_client::metrics::gauge::Gauge>::default() };
    (@new histogram $buckets:ident) => {
        Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new($buckets))
    };
}

/// Buckets for sizes in bytes.
const SIZES: [f64; 6] = [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 1_048_576.0];

metrics! {
    /// Requests that the gateway refused because there were too many, by the code of the answer.
    counter requests_refused = "passerelle_requests_refused" (code);

    /// Replies of providers that were not read to their end, because the replies of all providers together needed too
    /// much memory.
    counter replies_refused = "passerelle_provider_replies_refused" (merchant, connection);

    /// Circuit breakers of a connection that are open: its own, and those of single operations.
    gauge breakers_open = "passerelle_provider_breakers_open" (merchant, connection);

    /// How many requests the gateway answers at once. It falls while the gateway is overloaded.
    gauge request_places = "passerelle_request_places" ();

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

/// A number of bytes, as a histogram takes it.
pub fn bytes(length: usize) -> f64 {
    f64::from(u32::try_from(length).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_metric_is_shown_with_its_help_its_type_and_its_labels() {
        let metrics = Metrics::default();
        metrics.replies_refused("acme", "main").inc();
        metrics.clone().replies_refused("acme", "main").inc();
        metrics.body_bytes("acme").observe(bytes(300));
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
