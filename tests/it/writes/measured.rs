//! What the metrics show of writes.

use serde_json::json;

use super::helpers::{create, gateway_and_twin, wait_for_outcome};
use crate::support::Gateway;

const OF_ACME: &str = "merchant=\"acme\",connection=\"main\"";

/// The value of a series that is read when the metrics are shown.
async fn sampled(gateway: &Gateway, series: &str) -> Option<f64> {
    let text = gateway.app().metrics_text().await;
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn a_write_is_shown_as_unknown_until_it_is_reconciled() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let (gateway, _folder) = gateway_and_twin("lomi", faults, "visibility_lag = \"1h\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, Some("k"), &awa).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let open = format!("passerelle_open_operations{{{OF_ACME},state=\"unknown\"}}");
    let writes = |metric: &str, end: &str| {
        gateway.metric(&format!("passerelle_{metric}_total{{{OF_ACME},provider=\"lomi\",end=\"{end}\"}}"))
    };
    assert_eq!((sampled(&gateway, &open).await, writes("writes", "unknown")), (Some(1.0), 1.0));
    let oldest = format!("passerelle_oldest_open_operation_seconds{{{OF_ACME},state=\"unknown\"}}");
    assert!(sampled(&gateway, &oldest).await.is_some_and(|age| (0.0..60.0).contains(&age)));
    let requests = "http_server_request_duration_seconds_count";
    let unknown = format!("{requests}{{{OF_ACME},provider=\"lomi\",operation=\"create\",outcome=\"unknown\"}}");
    assert_eq!((gateway.metric(&unknown), writes("writes_reconciled", "done")), (1.0, 0.0));
    // The client repeats its request, which reconciles the write.
    assert_eq!(create(&gateway, Some("k"), &awa).await.status, 201);
    let id = first.body["operation_id"].as_str().expect("an id");
    assert_eq!(wait_for_outcome(&gateway, id, "unknown").await["outcome"], "done");
    assert_eq!(sampled(&gateway, &open).await, None);
    assert_eq!((writes("writes", "done"), writes("writes_reconciled", "done")), (1.0, 1.0));
}

#[tokio::test]
async fn the_work_of_the_store_is_timed() {
    let (gateway, _folder) = gateway_and_twin("lomi", "", "").await;
    create(&gateway, None, &json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    assert_eq!(sampled(&gateway, "passerelle_store_failing").await, Some(0.0));
    for series in [
        "passerelle_store_job_seconds_count{access=\"write\"}",
        "passerelle_store_job_seconds_count{access=\"read\"}",
        "passerelle_store_group_seconds_count",
        "passerelle_store_group_jobs_count",
    ] {
        assert!(gateway.metric(series) >= 1.0, "{series}");
    }
    let failed = gateway.metric("passerelle_store_jobs_failed_total{access=\"write\"}");
    assert_eq!((failed, gateway.metric("passerelle_store_jobs{access=\"read\"}")), (0.0, 0.0));
}
