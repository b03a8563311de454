//! A real Prometheus reads the metrics of the operator's listener.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bed::{Gateway, PATIENCE, Setup, Twin, until},
    client::{Client, http, person},
    installed::{Running, needing},
    trial::trial,
};

const PROGRAM: &str = "/usr/bin/prometheus";

pub(crate) fn trials() -> Vec<Trial> {
    vec![needing(PROGRAM, trial("prometheus_reads_every_series_with_its_kind_and_help", metrics))]
}

struct Prometheus {
    _running: Running,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n  - job_name: passerelle\n    scrape_interval: 1s\n    static_configs:\n      - targets: ['{target}']\n"
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

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = http(PATIENCE).get(format!("{}/{path}", self.url)).send().await.ok()?;
        let text = answer.text().await.ok()?;
        serde_json::from_str::<Value>(&text).ok().map(|mut answer| answer["data"].take())
    }
}

/// After requests of several kinds, so that the usual series are there.
async fn metrics() {
    let twin = Twin::start("lomi", "");
    let tables = "[operator]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    let gateway = Gateway::start_for(&twin, &Setup { tables, ..Setup::of("") });
    let client = Client::of(&gateway);
    let created = client.create(Some("k"), &person(1)).await.expect("an answer");
    assert_eq!(created.status, 201, "{}", created.body);
    for (path, status) in [("/v1/customers", 200), ("/v1/customers/none", 400), ("/v1/operations", 200)] {
        assert_eq!(client.get(path).await.expect("an answer").status, status, "{path}");
    }
    let prometheus = Prometheus::start(&gateway.operator_address());
    until("Prometheus has read the metrics", async || {
        let targets = prometheus.get("targets?state=active").await?;
        let target = &targets["activeTargets"][0];
        assert_eq!(target["lastError"].as_str().unwrap_or_default(), "", "Prometheus cannot read the metrics");
        (target["health"] == "up").then_some(())
    })
    .await;
    let writes = "query?query=passerelle_writes_total%7Bend%3D%22done%22%7D";
    let writes = until("the write is counted", async || {
        let result = prometheus.get(writes).await?["result"].take();
        result.as_array().is_some_and(|series| !series.is_empty()).then_some(result)
    })
    .await;
    assert_eq!(writes[0]["value"][1], "1", "{writes}");
    let metadata = prometheus.get("metadata").await.expect("metadata");
    let url = format!("http://{}/metrics", gateway.operator_address());
    let text = http(PATIENCE).get(url).send().await.expect("an answer").text().await.expect("metrics");
    let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert!(families.len() > 20, "{text}");
    for (name, kind) in families {
        let described = &metadata[name][0];
        assert_eq!(described["type"], kind, "{name}");
        assert!(described["help"].as_str().is_some_and(|help| !help.is_empty()), "{name}: {described}");
    }
}
