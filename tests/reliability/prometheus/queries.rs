//! Every panel of the dashboard has series, every alert selects series, and `promtool` knows when each alert fires.

use std::{path::Path, process::Command, time::Instant};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::{
    scene::Scene,
    server::{PROGRAM, Prometheus},
};
use crate::{
    bed::{PATIENCE, until},
    installed::needing,
    monitoring::{ALERTS, named, panel_queries, project_text},
    trial::trial,
};

const TOOL: &str = "/usr/bin/promtool";
/// When each alert fires, from the root of the project.
const ALERT_TESTS: &str = "tests/reliability/prometheus/alerts.test.yml";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        needing(PROGRAM, trial("every_panel_has_series_and_every_alert_selects_some", panels_and_alerts)),
        needing(TOOL, Trial::test("every_alert_fires_when_it_should_and_only_then", alerts_fire)),
    ]
}

async fn panels_and_alerts() {
    let scene = Scene::play().await;
    let prometheus = Prometheus::start(&[&scene.first, &scene.second]);
    prometheus.has_read_all().await;
    let mut waiting: Vec<(String, String)> =
        panel_queries().into_iter().map(|(title, query)| (format!("panel {title}"), query)).collect();
    for rule in rules(&prometheus).await {
        let name = format!("alert {}", rule["name"].as_str().expect("a name"));
        let query = rule["query"].as_str().expect("a query");
        waiting.extend(named(query).selectors.into_iter().map(|selector| (name.clone(), selector.text)));
    }
    // A rate needs two values.
    let ends = Instant::now() + PATIENCE;
    loop {
        let mut without = Vec::new();
        for (place, query) in waiting {
            if prometheus.series(&query).await.is_empty() {
                without.push((place, query));
            }
        }
        waiting = without;
        if waiting.is_empty() {
            break;
        }
        assert!(Instant::now() < ends, "these have no series: {waiting:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}

/// The alerts as Prometheus has read them, once it has evaluated each of them without an error.
async fn rules(prometheus: &Prometheus) -> Vec<Value> {
    let rules = until("Prometheus has the alerts", async || {
        let mut answer = prometheus.get("rules", &[("type", "alert")]).await?;
        let rules = answer["groups"][0]["rules"].as_array_mut().map(std::mem::take)?;
        (!rules.is_empty()).then_some(rules)
    })
    .await;
    assert_eq!(rules.len(), project_text(ALERTS).matches("- alert: ").count());
    for rule in &rules {
        // The expression is also a query by itself, so that an error is shown now.
        prometheus.series(rule["query"].as_str().expect("a query")).await;
    }
    rules
}

/// `promtool` checks the file of the alerts, and plays the histories of `alerts.test.yml`.
fn alerts_fire() -> Result<(), Failed> {
    for arguments in [["check", "rules", "--lint-fatal", ALERTS].as_slice(), &["test", "rules", ALERT_TESTS]] {
        let mut command = Command::new(TOOL);
        command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
        let output = command.output().map_err(|error| error.to_string())?;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success() && text.contains("SUCCESS"), "promtool {arguments:?}\n{text}");
    }
    let tests = project_text(ALERT_TESTS);
    for alert in project_text(ALERTS).lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")) {
        // A history of its own, which has a moment when the alert fires, and one when it does not.
        let parts: Vec<&str> = tests.split("  - name: ").filter(|part| part.contains(alert)).collect();
        assert!(parts.iter().any(|part| part.contains("value: 1") || part.contains("exp_labels")), "{alert} fires");
        assert!(
            parts.iter().any(|part| part.contains("_samples: []") || part.contains("_alerts: []")),
            "{alert}: silent"
        );
    }
    Ok(())
}
