//! `docs/metrics.md`, made from the table of the metrics.

use std::fmt::Write;

use super::{Declared, Metrics};

impl Declared {
    /// The type, as Prometheus names it.
    fn shown_kind(&self) -> &'static str {
        match self.kind {
            "counter" | "total" => "counter",
            "histogram" => "histogram",
            _ => "gauge",
        }
    }

    /// The name, as it is shown.
    pub fn shown_name(&self) -> String {
        match self.kind {
            "counter" | "total" => format!("{}_total", self.name),
            _ => self.name.to_owned(),
        }
    }
}

/// The whole document.
pub fn markdown() -> String {
    let mut text = String::from(
        "<!-- made from src/metrics.rs: UPDATE_DOCUMENTS=1 cargo test --test it documents -->\n\n\
         # Metrics\n\n\
         `GET /metrics` of the [operator's listener](operating.md#health) shows these metrics in the text format of OpenMetrics.\n\
         A histogram has `_bucket`, `_count` and `_sum` behind its name. A series is shown from the first time that it is\n\
         recorded. It stays until the process ends, but a gauge that the store or the limits are asked for is read at each\n\
         request of `/metrics`. The values of labels are names of the configuration and the words that are listed here; an id, a path\n\
         or a value of a customer never is one. So the number of series depends on the configuration alone.\n\n\
         What to watch:\n\n\
         | question | query |\n\
         |---|---|\n\
         | the rate of requests of each merchant | `sum by (merchant) (rate(http_server_request_duration_seconds_count[5m]))` |\n\
         | the part that failed at each connection | `sum by (merchant, connection) (rate(http_server_request_duration_seconds_count{outcome=~\"failed\\|unknown\"}[5m])) / sum by (merchant, connection) (rate(http_server_request_duration_seconds_count[5m]))` |\n\
         | the 99th percentile of a provider's time | `histogram_quantile(0.99, sum by (provider, le) (rate(http_client_request_duration_seconds_bucket[5m])))` |\n\
         | the 99th percentile of the gateway's own time | `histogram_quantile(0.99, sum by (le) (rate(passerelle_overhead_seconds_bucket[5m])))` |\n",
    );
    for metric in Metrics::DECLARED {
        let help: Vec<&str> = metric.help.lines().map(str::trim).collect();
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        let (name, kind) = (metric.shown_name(), metric.shown_kind());
        let _ = write!(text, "\n## {name}\n\n{}\n\n{kind}; labels: {labels}\n", help.join(" ").trim());
    }
    text
}
