//! A provider that fails is left alone for a while, and then asked by one request. No merchant stops another one's requests.
//!
//! `src/upstream/breaker/tests.rs` has the rules with a time of their own. Here, pauses last for an hour or for no time.

use std::{collections::BTreeSet, sync::Arc};

use passerelle::config::load_text;
use serde_json::json;

use crate::{
    faults::{read, write},
    stand_in::{Act, StandIn, json as json_answer, refusing_address, response},
    support::{Answer, Gateway, JsonText, SECRET},
};

const ID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";

/// The section with pauses of an hour.
const LONG: &str = "\n[outbound.breaker]\npause = \"1h\"\nmax_pause = \"1h\"\nunauthorized_pause = \"1h\"\n";

fn found() -> Act {
    json_answer("200 OK", &format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba"}}}}"#))
}

/// A create with contents of its own, so that it joins no earlier one.
async fn create(gateway: &Gateway, key: &str, number: usize, name: &str) -> Answer {
    let body = json!({ "name": name, "email": format!("awa{number}@example.com") });
    let request = gateway.plain(reqwest::Method::POST, "/v1/customers").bearer_auth(key);
    gateway.send(request.json_text(&body)).await
}

/// The refusal of an open breaker.
fn assert_refused(answer: &Answer, code: (u16, &str)) {
    assert_eq!(answer.status_and_code(), code, "{}", answer.text);
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{:?}", answer.headers);
    assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("none"), &json!(true)));
    assert!(answer.body["operation_id"].is_null() || answer.body["outcome"] == "none", "{}", answer.text);
}

/// How many breakers stop the requests of a merchant, as the metrics show it.
async fn open_breakers(gateway: &Gateway, merchant: &str) -> String {
    let series = format!("passerelle_provider_breakers_open{{merchant=\"{merchant}\",connection=\"main\"}} ");
    let text = gateway.app().metrics_text().await;
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("no series").to_owned()
}

#[tokio::test]
async fn nothing_is_sent_or_claimed_while_the_breaker_is_open() {
    let vendor = StandIn::always(json_answer("503 Service Unavailable", "{}")).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), LONG).await;
    for _ in 0..3 {
        assert_eq!(read(&gateway).await.status_and_code(), (502, "provider_error"));
    }
    assert_eq!(vendor.requests().len(), 7, "the third request is not tried again");
    for number in 0..5 {
        for answer in [read(&gateway).await, create(&gateway, "sk_acme", number, "Awa Diop").await] {
            assert_refused(&answer, (503, "provider_unavailable"));
            assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 3590));
        }
    }
    assert_eq!(vendor.requests().len(), 7);
    assert_eq!(gateway.audited().await, 0, "no write is claimed");
    assert_eq!(open_breakers(&gateway, "acme").await, "1.0");
    let refused = gateway.metric("passerelle_provider_breaker_refused_total{merchant=\"acme\",connection=\"main\"}");
    assert!((refused - 10.0).abs() < f64::EPSILON, "{refused}");
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_not_tried_all_the_time() {
    let gateway = Gateway::in_front_of("lomi", &format!("http://{}", refusing_address()), LONG).await;
    for _ in 0..3 {
        read(&gateway).await;
    }
    for answer in [read(&gateway).await, write(&gateway, "lomi").await] {
        assert_refused(&answer, (503, "provider_unavailable"));
        assert!(answer.text.contains("could not reach the provider's host"), "{}", answer.text);
    }
}

/// Merchants whose provider cannot be reached do not each try it as often. Those at another host are served.
#[tokio::test]
async fn a_host_that_cannot_be_reached_is_not_tried_by_each_merchant() {
    let vendor = StandIn::answering(|_| Some(found())).await;
    let down = format!("http://{}", refusing_address());
    let merchants: String = (0..10)
        .map(|number| merchant(&format!("shop{number}"), &down))
        .chain([merchant("other", &vendor.url())])
        .collect();
    let gateway = Gateway::start(&format!("{STORE}{LONG}{merchants}")).await;
    for number in 0..10 {
        let answer = read_as(&gateway, &format!("sk_shop{number}")).await;
        assert_eq!(answer.status_and_code(), (503, "provider_unavailable"), "{}", answer.text);
    }
    let attempts = gateway.metric("passerelle_provider_connects_total{outcome=\"failed\"}");
    assert!((attempts - 7.0).abs() < f64::EPSILON, "of 10 requests with up to 3 attempts each: {attempts}");
    assert_eq!(read_as(&gateway, "sk_other").await.status, 200);
    assert_eq!(open_breakers(&gateway, "shop9").await, "1.0");
    assert_eq!(open_breakers(&gateway, "other").await, "0.0");
}

/// The answer to a key stays the same.
#[tokio::test]
async fn a_stored_answer_is_replayed_while_the_breaker_is_open() {
    let created = json_answer("201 Created", &format!(r#"{{"customer_id":"{ID}","name":"Awa Diop"}}"#));
    let failed = json_answer("503 Service Unavailable", "{}");
    let vendor = StandIn::start(vec![created, failed]).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), LONG).await;
    let keyed = async || {
        let request = gateway.request(reqwest::Method::POST, "/v1/customers").header("idempotency-key", "one");
        gateway.send(request.json_text(&json!({ "name": "Awa Diop" }))).await
    };
    let first = keyed().await;
    assert_eq!(first.status, 201, "{}", first.text);
    for _ in 0..4 {
        read(&gateway).await;
    }
    assert_refused(&read(&gateway).await, (503, "provider_unavailable"));
    assert_eq!(keyed().await.text, first.text);
}

#[tokio::test]
async fn retry_after_is_kept_for_all_requests_of_the_connection_and_passed_on() {
    for (status, code) in [
        ("429 Too Many Requests", (429, "provider_rate_limited")),
        ("503 Service Unavailable", (503, "provider_unavailable")),
    ] {
        for (asked, bound, least) in [("30", "5m", 28), ("86400", "1m", 58)] {
            let headers = [("content-type", "application/json"), ("retry-after", asked)];
            let vendor = StandIn::start(vec![response(status, &headers, "{}"), found()]).await;
            let section = format!("\n[outbound.breaker]\nmax_retry_after = \"{bound}\"\n");
            let gateway = Gateway::in_front_of("lomi", &vendor.url(), &section).await;
            assert_eq!(read(&gateway).await.header("retry-after"), asked);
            for number in 0..5 {
                for answer in [read(&gateway).await, create(&gateway, "sk_acme", number, "Awa Diop").await] {
                    assert_refused(&answer, code);
                    let left: u32 = answer.header("retry-after").parse().expect("seconds");
                    assert!((least..=least + 2).contains(&left), "{status}, {asked}: {left}");
                }
            }
            assert_eq!(vendor.requests().len(), 1);
        }
    }
}

const STORE: &str = "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n";

/// A merchant with the key `sk_NAME`, whose provider is at this URL. The provider's secret is the name and `_7411`.
fn merchant(name: &str, url: &str) -> String {
    format!(
        "[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\n[merchants.{name}.connections.main]\n\
         provider = \"lomi\"\nbase_url = \"{url}\"\ncredentials = {{ api_key = \"{name}_7411\" }}\nvisibility_lag = \"1h\"\n"
    )
}

/// Two merchants at one provider.
async fn two_merchants(vendor: &StandIn) -> Gateway {
    let merchants = ["one", "other"].map(|name| merchant(name, &vendor.url())).concat();
    Gateway::start(&format!("{STORE}{LONG}{merchants}")).await
}

async fn read_as(gateway: &Gateway, key: &str) -> Answer {
    gateway.send(gateway.anonymous(&format!("/v1/customers/{ID}")).bearer_auth(key)).await
}

#[tokio::test]
async fn a_wrong_key_parks_only_its_own_connection() {
    let vendor = StandIn::answering(|requests| {
        let is_wrong = requests.last().is_some_and(|request| request.contains("one_7411"));
        Some(if is_wrong { json_answer("401 Unauthorized", "{}") } else { found() })
    })
    .await;
    let gateway = two_merchants(&vendor).await;
    for _ in 0..7 {
        assert_eq!(read_as(&gateway, "sk_one").await.status_and_code(), (502, "provider_unauthorized"));
    }
    for number in 0..5 {
        assert_refused(&read_as(&gateway, "sk_one").await, (502, "provider_unauthorized"));
        assert_refused(&create(&gateway, "sk_one", number, "Awa Diop").await, (502, "provider_unauthorized"));
        assert_eq!(read_as(&gateway, "sk_other").await.status, 200);
    }
    assert_eq!(vendor.requests().len(), 7 + 5);
}

#[tokio::test]
async fn contents_that_make_the_provider_fail_stop_only_their_own_operation() {
    let vendor = StandIn::answering(|requests| {
        Some(match requests.last()? {
            request if request.contains("Poison") => json_answer("500 Internal Server Error", "{}"),
            request if request.starts_with("POST") => {
                json_answer("201 Created", &format!(r#"{{"customer_id":"{ID}","name":"Awa Diop"}}"#))
            }
            _ => found(),
        })
    })
    .await;
    let gateway = two_merchants(&vendor).await;
    for number in 0..7 {
        let answer = create(&gateway, "sk_one", number, "Poison").await;
        assert_eq!(answer.status_and_code(), (502, "outcome_unknown"), "{}", answer.text);
    }
    assert_refused(&create(&gateway, "sk_one", 7, "Poison").await, (503, "provider_unavailable"));
    assert_refused(&create(&gateway, "sk_one", 8, "Awa Diop").await, (503, "provider_unavailable"));
    assert_eq!(read_as(&gateway, "sk_one").await.status, 200, "another operation");
    assert_eq!(create(&gateway, "sk_other", 9, "Awa Diop").await.status, 201, "another merchant");
}

/// The client of the probe stops waiting. So the next request is the probe.
#[tokio::test]
async fn exactly_one_request_probes_the_provider() {
    let vendor = StandIn::answering(|requests| {
        Some(match requests.len() {
            1..=7 => json_answer("503 Service Unavailable", "{}"),
            8 => Act::Hang,
            _ => found(),
        })
    })
    .await;
    let section = "\n[outbound.breaker]\npause = \"1ms\"\nmax_pause = \"1ms\"\n";
    let gateway = Arc::new(Gateway::in_front_of("lomi", &vendor.url(), section).await);
    let probe = loop {
        let of_task = Arc::clone(&gateway);
        let mut reading = tokio::spawn(async move { read(&of_task).await });
        tokio::select! {
            _ = &mut reading => {}
            () = vendor.received(8) => break reading,
        }
    };
    for number in 0..5 {
        assert_refused(&read(&gateway).await, (503, "provider_unavailable"));
        assert_refused(&create(&gateway, "sk_acme", number, "Awa Diop").await, (503, "provider_unavailable"));
    }
    assert_eq!(vendor.requests().len(), 8);
    probe.abort();
    let mut statuses = BTreeSet::new();
    while !statuses.contains(&200) {
        statuses.insert(read(&gateway).await.status.as_u16());
    }
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert_eq!(read(&gateway).await.status, 200, "it is closed");
}

/// The operator has corrected the key, so the pause is over.
#[tokio::test]
async fn a_new_key_ends_the_pause_and_a_reload_alone_does_not() {
    let vendor = StandIn::answering(|requests| {
        let is_wrong = requests.last().is_some_and(|request| request.contains("one_7411"));
        Some(if is_wrong { json_answer("401 Unauthorized", "{}") } else { found() })
    })
    .await;
    let text = |secret: &str| {
        format!(
            "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n{LONG}[merchants.acme]\n\
             api_keys = [\"sk_acme\"]\nactive = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\n\
             base_url = \"{}\"\ncredentials = {{ api_key = \"{secret}\" }}\n",
            vendor.url()
        )
    };
    let gateway = Gateway::start(&text("one_7411")).await.with_key("sk_acme");
    for _ in 0..7 {
        read(&gateway).await;
    }
    gateway.try_reload(&text("one_7411")).await.expect("reloaded");
    assert_refused(&read(&gateway).await, (502, "provider_unauthorized"));
    gateway.try_reload(&text(SECRET)).await.expect("reloaded");
    assert_eq!(read(&gateway).await.status, 200);
}

#[test]
fn every_key_of_the_breaker_can_be_set_and_is_checked() {
    let keys = "failures = 3\nmin_success = 0.25\nmin_requests = 9\nwindow = \"30s\"\npause = \"2s\"\nmax_pause = \"20s\"\njitter = 0.1\n\
                unauthorized_pause = \"3m\"\nmax_retry_after = \"1m\"\n";
    let load = |keys: &str| load_text(&format!("[outbound.breaker]\n{keys}"), "test.toml");
    let breaker = load(keys).expect("a configuration").config.outbound.breaker;
    let shown = format!("{breaker:?}");
    assert_eq!(
        shown,
        "BreakerConfig { failures: 3, min_success: 0.25, min_requests: 9, window: 30s, pause: 2s, max_pause: 20s, \
         jitter: 0.1, unauthorized_pause: 180s, max_retry_after: 60s }"
    );
    for wrong in
        ["min_success = 1.5", "min_success = -0.1", "jitter = 2", "failures = -1", "window = \"0s\"", "pauses = \"1s\""]
    {
        assert!(load(wrong).is_err(), "{wrong}");
    }
}
