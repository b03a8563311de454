//! The limits for callers: the rate of a merchant, and the wrong keys of an address.

use passerelle::config::load_text;
use reqwest::{Method, StatusCode};

use super::sandbox;
use crate::{
    contract::Contract,
    support::{Answer, Gateway},
};

/// The sandbox, where the merchant `lomi` may send two requests in an hour.
fn two_an_hour() -> String {
    passerelle::config::SANDBOX.replacen("[merchants.lomi]\n", "[merchants.lomi]\nrate_limit = \"2/h\"\n", 1)
}

/// Where a merchant is read.
const MERCHANT: &str = "/v1/merchant";

fn rates(answer: &Answer) -> (&str, &str) {
    (answer.header("ratelimit-policy"), answer.header("ratelimit"))
}

#[tokio::test]
async fn a_merchant_is_served_at_its_rate_and_every_answer_says_what_is_left() {
    let gateway = Gateway::start(&two_an_hour()).await.with_key("sk_sandbox_lomi");
    let first = gateway.get(MERCHANT).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(rates(&first), ("\"merchant\";q=2;w=3600", "\"merchant\";r=1;t=1800"));
    let unknown = gateway.get("/v1/customers/no%20id").await;
    assert_eq!(rates(&unknown), ("\"merchant\";q=2;w=3600", "\"merchant\";r=0;t=3600"), "problems have them, too");
    let refused = gateway.get(MERCHANT).await;
    assert_eq!(refused.status_and_code(), (429, "rate_limited"));
    assert_eq!((refused.body["outcome"].as_str(), refused.body["safe_to_retry"].as_bool()), (Some("none"), Some(true)));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1795..=1800).contains(&wait), "{wait}");
    assert_eq!(rates(&refused).1, format!("\"merchant\";r=0;t={wait}"));
    for series in
        ["requests_refused_total{code=\"rate_limited\"}", "merchant_requests_refused_total{merchant=\"lomi\"}"]
    {
        assert!(gateway.metric(&format!("passerelle_{series}")) > 0.5, "{series}");
    }
}

#[tokio::test]
async fn other_merchants_are_not_limited_by_the_rate_of_one() {
    let gateway = Gateway::start(&two_an_hour()).await.with_key("sk_sandbox_lomi");
    for _ in 0..3 {
        gateway.get(MERCHANT).await;
    }
    let gateway = gateway.with_key("sk_sandbox_notchpay");
    for _ in 0..5 {
        let answer = gateway.get(MERCHANT).await;
        assert_eq!((answer.status, rates(&answer)), (StatusCode::OK, ("", "")), "it has no limit");
    }
}

#[tokio::test]
async fn drop_in_clients_have_the_rate_of_their_merchant_and_are_refused_before_the_body_is_read() {
    let gateway = Gateway::start(&two_an_hour()).await.with_key("sk_sandbox_lomi");
    let list = || gateway.plain(Method::GET, "/as/lomi/v1/customers").header("x-api-key", "sk_sandbox_lomi");
    assert_eq!(rates(&gateway.get(MERCHANT).await).1, "\"merchant\";r=1;t=1800");
    let served = gateway.send_to_dialect(list()).await;
    assert_eq!((served.status, rates(&served).1), (StatusCode::OK, "\"merchant\";r=0;t=3600"));
    let refused = gateway.send_to_dialect(list()).await;
    assert_eq!((refused.status, refused.header("retry-after").is_empty()), (StatusCode::TOO_MANY_REQUESTS, false));
    for path in ["/v1/customers", "/as/lomi/v1/customers"] {
        let mut client = super::Client::connect(gateway.address()).await;
        client.send(super::head(path, 100)).await;
        assert_eq!(client.answer().await.expect("an answer without the body").status, 429, "{path}");
    }
}

#[tokio::test]
async fn an_address_with_too_many_wrong_keys_gets_429_and_a_valid_key_still_works() {
    let gateway = Gateway::start(&sandbox("wrong_keys_per_address = \"2/h\"")).await;
    let with_key = async |key: &str| gateway.send(gateway.anonymous(MERCHANT).bearer_auth(key)).await;
    for _ in 0..2 {
        assert_eq!(with_key("wrong").await.status_and_code(), (401, "unauthorized"));
    }
    let refused = with_key("wrong").await;
    assert_eq!(refused.status_and_code(), (429, "too_many_wrong_keys"));
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(with_key("sk_sandbox_lomi").await.status, StatusCode::OK);
    let without = gateway.send(gateway.anonymous(MERCHANT)).await;
    assert_eq!(without.status_and_code(), (401, "unauthorized"), "a request without a key is no attempt");
    let list = gateway.plain(Method::GET, "/as/lomi/v1/customers");
    let drop_in = gateway.send_to_dialect(list.header("x-api-key", "wrong")).await;
    assert_eq!(drop_in.status, StatusCode::TOO_MANY_REQUESTS, "drop-in clients share the limit of their address");
    let list = gateway.plain(Method::GET, "/as/lomi/v1/customers");
    assert_eq!(gateway.send_to_dialect(list.header("x-api-key", "sk_sandbox_lomi")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_keys_are_counted_for_the_client_of_a_trusted_proxy() {
    let server = "wrong_keys_per_address = \"1/h\"\ntrusted_proxies = [\"127.0.0.1\"]";
    let gateway = Gateway::start(&sandbox(server)).await;
    let from = async |address: &str| {
        let request = gateway.anonymous(MERCHANT).bearer_auth("wrong").header("x-forwarded-for", address);
        gateway.send(request).await.status.as_u16()
    };
    assert_eq!([from("192.0.2.1").await, from("192.0.2.1").await], [401, 429]);
    assert_eq!([from("192.0.2.2").await, from("192.0.2.1, 192.0.2.3").await], [401, 401]);
}

#[tokio::test]
async fn the_operators_keys_have_the_limit_of_wrong_keys_as_well() {
    let operator = "wrong_keys_per_address = \"1/h\"\n[operator]\nlisten = \"127.0.0.1:0\"";
    let gateway = Gateway::start(&sandbox(operator)).await;
    let with_key = async |key: &str| {
        let answer = gateway.send(gateway.at_operator("/v1/switches").bearer_auth(key)).await;
        Contract::operator().check(&Method::GET, "/v1/switches", &answer);
        answer.status.as_u16()
    };
    assert_eq!([with_key("wrong").await, with_key("wrong").await], [401, 429]);
    assert_eq!(with_key("op_sandbox").await, 200);
}

#[test]
fn a_rate_that_is_none_is_refused_where_it_stands() {
    for (key, section) in [("wrong_keys_per_address", "[server]"), ("rate_limit", "[merchants.acme]")] {
        for wrong in ["\"0/min\"", "\"60\"", "\"60/day\"", "60"] {
            let error = load_text(&format!("{section}\n{key} = {wrong}\n"), "test.toml").expect_err("a mistake");
            let message = error.to_string();
            assert!(message.contains(key) && message.contains("a rate, such as \"60/min\""), "{message}");
        }
    }
}
