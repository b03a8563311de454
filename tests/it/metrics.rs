//! The metrics as the operator reads them. The test of what a metric counts is beside the other tests of that behaviour:
//! `Gateway::metric` reads one series.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use passerelle::metrics::Metrics;
use reqwest::Method;
use serde_json::json;
use tower::ServiceExt;
use uuid::Uuid;

use crate::{
    faults::read,
    stand_in::{StandIn, json as json_answer, refusing_address},
    support::{Gateway, JsonText},
};

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

/// The labels of every series that is shown, by the name of its metric.
async fn shown(gateway: &Gateway) -> BTreeMap<String, BTreeSet<String>> {
    let text = gateway.at_operator("/metrics").send().await.expect("an answer").text().await.expect("a text");
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            typed.split(' ').next().unwrap_or_default().clone_into(&mut last);
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&last), "{line} is not of {last}");
            let series = line.rsplit_once(' ').expect("a value").0;
            shown.entry(last.clone()).or_default().insert(series.to_owned());
        }
    }
    shown
}

/// What is exported is documented, with its type and its labels.
#[tokio::test]
async fn every_exported_metric_is_in_the_document() {
    let gateway = Gateway::sandbox("lomi").await;
    gateway.post("/v1/customers", json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" })).await;
    gateway.get("/v1/customers").await;
    // The test of the document compares the file with it.
    let document = passerelle::metrics::markdown();
    let shown = shown(&gateway).await;
    assert!(shown.len() > 8, "{shown:?}");
    for (name, series) in shown {
        let declared = Metrics::DECLARED.iter().find(|metric| metric.name == name).expect("a declared metric");
        let heading = format!("## {}\n", declared.shown_name());
        let described = document.split_once(&heading).expect("a heading").1.split("\n## ").next().unwrap_or_default();
        let labels = described.rsplit_once("labels: ").expect("labels").1;
        for series in series {
            let written = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            for label in written.split("\",").filter(|label| !label.is_empty()) {
                let (label, _) = label.split_once('=').expect("a label");
                assert!(
                    label == "le" || labels.contains(&format!("`{label}`")),
                    "{series}: {label} is not in {labels}"
                );
            }
        }
    }
}

const OF_LOMI: &str = "merchant=\"lomi\",connection=\"main\",provider=\"lomi\"";

#[tokio::test]
async fn requests_are_counted_by_operation_connection_and_outcome_with_the_time_of_the_provider_apart() {
    let gateway = Gateway::sandbox("lomi").await;
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    let made = gateway.post("/v1/customers", body.clone()).await;
    let id = made.body["id"].as_str().expect("an id").to_owned();
    gateway.get(&format!("/v1/customers/{id}")).await;
    gateway.get("/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985").await;
    gateway.post("/v1/customers", json!({ "nom": "Amadou Ba" })).await;
    let drop_in = gateway.plain(Method::POST, "/as/lomi/v1/customers").header("x-api-key", "sk_sandbox_lomi");
    gateway.send_to_dialect(drop_in.json_text(&body)).await;
    assert_eq!(gateway.plain(Method::GET, "/v1/customers").send().await.expect("an answer").status(), 401);
    let requests = |operation: &str, outcome: &str| {
        gateway.metric(&format!(
            "http_server_request_duration_seconds_count{{{OF_LOMI},operation=\"{operation}\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!((requests("create", "ok"), requests("create", "refused")), (2.0, 1.0));
    assert_eq!((requests("retrieve", "ok"), requests("retrieve", "refused")), (1.0, 1.0));
    let calls = |outcome: &str| {
        gateway.metric(&format!(
            "http_client_request_duration_seconds_count{{{OF_LOMI},server_address=\"127.0.0.1\",outcome=\"{outcome}\"}}"
        ))
    };
    assert!(calls("2xx") >= 3.0 && calls("4xx") >= 1.0);
    let sum =
        |metric: &str, rest: &str| gateway.metric(&format!("{metric}_sum{{{OF_LOMI},operation=\"retrieve\"{rest}}}"));
    let total: f64 = ["ok", "refused"]
        .iter()
        .map(|outcome| sum("http_server_request_duration_seconds", &format!(",outcome=\"{outcome}\"")))
        .sum();
    let overhead = sum("passerelle_overhead_seconds", "");
    assert!(0.0 < overhead && overhead < total, "{overhead} of {total}");
    let problems = |code: &str| gateway.metric(&format!("passerelle_problems_total{{code=\"{code}\"}}"));
    assert_eq!(
        (problems("unauthorized"), problems("customer_not_found"), problems("invalid_request")),
        (1.0, 1.0, 1.0)
    );
    let nothing = "merchant=\"\",connection=\"\",provider=\"\",operation=\"\",outcome=\"refused\"";
    let others = gateway.metric(&format!("http_server_request_duration_seconds_count{{{nothing}}}"));
    assert_eq!((others, gateway.metric("http_server_active_requests")), (1.0, 0.0));
}

/// Ids, keys, paths and merchants that clients make up add no series: 10,000 of them, or a million with `RELIABILITY=full`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_ids_add_no_series() {
    let is_full = std::env::var("RELIABILITY").is_ok_and(|size| size == "full");
    let most: u32 = if is_full { 1_000_000 } else { 10_000 };
    let gateway = Gateway::sandbox("lomi").await;
    let router = passerelle::app::router(std::sync::Arc::clone(gateway.app()));
    let send = |number: u32| {
        let (key, path) = match number % 5 {
            0 => (format!("sk_{number}"), "/v1/customers".to_owned()),
            1 => ("sk_sandbox_lomi".to_owned(), format!("/v1/paths/{number}")),
            2 => ("sk_sandbox_lomi".to_owned(), format!("/as/vendor{number}/customers")),
            3 => ("sk_sandbox_lomi".to_owned(), format!("/v1/customers/{}", Uuid::from_u128(number.into()))),
            _ => ("sk_sandbox_lomi".to_owned(), format!("/v1/customers/not-an-id-{number}")),
        };
        let request =
            http::Request::get(path).header("host", "gateway").header("authorization", format!("Bearer {key}"));
        router.clone().oneshot(request.body(Body::empty()).expect("a request"))
    };
    for number in 0..10 {
        let _ = send(number).await;
    }
    let before = shown(&gateway).await;
    for numbers in (10..most).collect::<Vec<_>>().chunks(50) {
        futures_util::future::join_all(numbers.iter().map(|number| send(*number))).await;
    }
    let after = shown(&gateway).await;
    let count = |shown: &BTreeMap<String, BTreeSet<String>>| shown.values().map(BTreeSet::len).sum::<usize>();
    assert_eq!(count(&before), count(&after), "{after:#?}");
    assert!(gateway.metric("passerelle_problems_total{code=\"customer_not_found\"}") >= f64::from(most / 5));
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
    assert!((bodies("sum", "lomi") - passerelle::metrics::number(sent)).abs() < 0.5);
}

/// The header is only on answers to operations, and off by default.
#[tokio::test]
async fn answers_have_the_time_of_the_provider_and_that_of_the_gateway() {
    let times = |header: &str| -> Option<[f64; 2]> {
        let (provider, gateway) = header.split_once(", ")?;
        Some([
            provider.strip_prefix("provider;dur=")?.parse().ok()?,
            gateway.strip_prefix("gateway;dur=")?.parse().ok()?,
        ])
    };
    let timed = passerelle::config::SANDBOX.replacen("[server]", "[server]\nserver_timing = true", 1);
    let gateway = Gateway::start(&timed).await.with_key("sk_sandbox_lomi");
    let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    let drop_in = gateway.plain(Method::POST, "/as/lomi/v1/customers").header("x-api-key", "sk_sandbox_lomi");
    let drop_in = drop_in.json_text(&body).send().await.expect("an answer");
    let drop_in = drop_in.headers()["server-timing"].to_str().expect("a text").to_owned();
    for answer in [gateway.post("/v1/customers", body.clone()).await, gateway.get("/v1/customers").await] {
        let [provider, own] = times(answer.header("server-timing")).expect("two times");
        assert!(provider > 0.0 && own > 0.0, "{provider} {own}");
    }
    assert!(times(&drop_in).is_some_and(|[provider, _]| provider > 0.0), "{drop_in}");
    let refused = gateway.post("/v1/customers", json!({ "nom": "Amadou Ba" })).await;
    assert!(times(refused.header("server-timing")).is_some_and(|[provider, _]| provider == 0.0), "nothing was sent");
    assert_eq!(gateway.get("/livez").await.header("server-timing"), "");
    let silent = Gateway::sandbox("lomi").await;
    assert_eq!(silent.get("/v1/customers").await.header("server-timing"), "");
}

#[tokio::test]
async fn what_is_sent_again_and_the_new_connections_to_providers_are_counted() {
    let found =
        json_answer("200 OK", r#"{"data":{"customer_id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985","name":"Amadou Ba"}}"#);
    let vendor = StandIn::start(vec![json_answer("500 Internal Server Error", "{}"), found]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    assert_eq!(read(&gateway).await.status, 200);
    let retries = "passerelle_provider_retries_total{merchant=\"acme\",connection=\"main\"}";
    assert!((gateway.metric(retries) - 1.0).abs() < f64::EPSILON, "{}", gateway.metric(retries));
    let connects = |gateway: &Gateway, outcome: &str| {
        gateway.metric(&format!("passerelle_provider_connects_total{{outcome=\"{outcome}\"}}"))
    };
    assert!(connects(&gateway, "opened") >= 1.0 && connects(&gateway, "failed") == 0.0);

    let gateway = Gateway::in_front_of("lomi", &format!("http://{}", refusing_address()), "").await;
    assert_eq!(read(&gateway).await.status, 503);
    assert!(connects(&gateway, "opened") == 0.0 && connects(&gateway, "failed") >= 1.0);
}
