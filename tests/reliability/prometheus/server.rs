//! A Prometheus in a process of its own, on a free port.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bed::{Gateway, PATIENCE, until},
    client::http,
    installed::Running,
    monitoring::ALERTS,
};

pub(super) const PROGRAM: &str = "/usr/bin/prometheus";

/// A Prometheus that reads gateways and has the alerts.
pub(super) struct Prometheus {
    _running: Running,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Reads these gateways once a second, as the job `passerelle`.
    pub(super) fn start(gateways: &[&Gateway]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("prometheus.yml");
        let targets: Vec<String> = gateways.iter().map(|gateway| gateway.operator_address()).collect();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join(ALERTS);
        let text = format!(
            "rule_files: ['{}']\nscrape_configs:\n  - job_name: passerelle\n    scrape_interval: 1s\n    static_configs:\n      \
             - targets: ['{}']\n",
            rules.display(),
            targets.join("', '")
        );
        std::fs::write(&settings, text).expect("a configuration");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--config.file={}", settings.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={free}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { _running: Running::start(command), url: format!("http://{free}/api/v1"), _folder: folder }
    }

    /// What an endpoint answers. `None`: it does not answer yet.
    pub(super) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/{path}", self.url), parameters).expect("a URL");
        let text = http(PATIENCE).get(url).send().await.ok()?.text().await.ok()?;
        let mut answer: Value = serde_json::from_str(&text).ok()?;
        assert_eq!(answer["status"], "success", "{path} {parameters:?}: {answer}");
        Some(answer["data"].take())
    }

    /// The series of a query. Empty: there are none, or not yet.
    pub(super) async fn series(&self, query: &str) -> Vec<Value> {
        let answer = self.get("query", &[("query", query)]).await;
        answer.and_then(|mut answer| answer["result"].as_array_mut().map(std::mem::take)).unwrap_or_default()
    }

    /// Waits until all gateways have been read.
    pub(super) async fn has_read_all(&self) {
        until("Prometheus has read the metrics", async || {
            let targets = self.get("targets", &[("state", "active")]).await?;
            targets["activeTargets"]
                .as_array()?
                .iter()
                .all(|target| {
                    assert_eq!(
                        target["lastError"].as_str().unwrap_or_default(),
                        "",
                        "Prometheus cannot read the metrics"
                    );
                    target["health"] == "up"
                })
                .then_some(())
        })
        .await;
    }
}
