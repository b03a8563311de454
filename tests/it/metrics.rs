//! The metrics as the operator reads them. The test of what a metric counts is beside the other tests of that behaviour:
//! `Gateway::metric` reads one series.

use reqwest::Method;
use serde_json::json;

use crate::support::{Gateway, JsonText};

#[tokio::test]
async fn only_the_operators_listener_shows_the_metrics() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let request = gateway.plain(Method::POST, "/as/lomi/v1/customers").header("x-api-key", "sk_sandbox_lomi");
    gateway.send_to_dialect(request.json_text(&json!({ "name": "Amadou Ba" }))).await;
    let answer = gateway.at_operator("/metrics").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await.expect("a text");
    assert!(text.contains("# TYPE passerelle_request_body_bytes histogram") && text.ends_with("# EOF\n"), "{text}");
    assert_eq!(gateway.plain(Method::GET, "/metrics").send().await.expect("an answer").status(), 404);
}

#[test]
fn the_operators_manual_has_every_metric() {
    let manual = include_str!("../../docs/operating.md");
    for name in passerelle::metrics::Metrics::NAMES {
        assert!(manual.contains(&format!("`{name}`")), "docs/operating.md does not have the metric {name}");
    }
}

#[tokio::test]
async fn bodies_are_measured_for_each_merchant_in_the_api_and_in_drop_in() {
    let gateway = Gateway::sandbox("lomi").await;
    let bodies = |figure: &str, merchant: &str| {
        gateway.metric(&format!("passerelle_request_body_bytes_{figure}{{merchant=\"{merchant}\"}}"))
    };
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    gateway.post("/v1/customers", body.clone()).await;
    let drop_in = gateway.plain(Method::POST, "/as/lomi/v1/customers").header("x-api-key", "sk_sandbox_lomi");
    gateway.send_to_dialect(drop_in.json_text(&body)).await;
    let list = gateway.plain(Method::GET, "/as/lomi/v1/customers").header("x-api-key", "sk_sandbox_lomi");
    gateway.send_to_dialect(list).await;
    assert_eq!((bodies("count", "lomi"), bodies("count", "notchpay")), (2.0, 0.0));
    let sent = 2 * body.to_string().len();
    assert!((bodies("sum", "lomi") - passerelle::metrics::bytes(sent)).abs() < 0.5);
}
