//! A real Prometheus reads the metrics of the operator's listener, and has what it needs for every panel and every alert.

mod queries;
mod scene;
mod server;

use libtest_mimic::Trial;

use self::server::{PROGRAM, Prometheus};
use crate::{
    bed::{Gateway, PATIENCE, Setup, Twin, until},
    client::{Client, http, person},
    installed::needing,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![needing(PROGRAM, trial("prometheus_reads_every_series_with_its_kind_and_help", metrics))];
    trials.extend(queries::trials());
    trials
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
    let prometheus = Prometheus::start(&[&gateway]);
    prometheus.has_read_all().await;
    let writes = until("the write is counted", async || {
        let series = prometheus.series("passerelle_writes_total{end=\"done\"}").await;
        (!series.is_empty()).then_some(series)
    })
    .await;
    assert_eq!(writes[0]["value"][1], "1", "{writes:?}");
    let metadata = prometheus.get("metadata", &[]).await.expect("metadata");
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
