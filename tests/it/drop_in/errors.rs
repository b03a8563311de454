//! Errors in the shape of the imitated provider: those that the client causes, and failures of the provider behind the
//! gateway.

use reqwest::Method;
use serde_json::json;

use super::dialects::{dialect, for_every_pair, send};
use crate::{
    stand_in::{Act, StandIn, json as json_answer},
    support::{Gateway, SECRET},
};

/// The dialects whose clients can create customers.
const CREATING: [&str; 4] = ["modempay", "lomi", "bitnob", "notchpay"];

#[tokio::test]
async fn errors_have_the_shape_of_the_imitated_provider() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let case = format!("{} by {provider}", dialect.name);
        for id in ["b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "cus_none", "z1nobody", "..%2F..%2Fetc", "%00", "a%20b"] {
            let unknown = dialect.send(gateway, key, "GET", &format!("/{id}"), None).await;
            assert_eq!(unknown.status, 404, "{case} {id}: {}", unknown.text);
            let change = (dialect.change)("a@b.example");
            let unknown = dialect.send(gateway, key, dialect.update, &format!("/{id}"), Some(&change)).await;
            assert_eq!(unknown.status, 404, "{case} {id}: {}", unknown.text);
            dialect.assert_refusal(&unknown);
        }
        let beyond = dialect.send(gateway, key, "GET", &(dialect.page)(u64::MAX - 1, 100), None).await;
        assert_eq!(beyond.status, 200, "{case}: {}", beyond.text);
        assert_eq!(beyond.at(dialect.many).as_array().map(Vec::len), Some(0), "{case}: {}", beyond.text);
        assert!(beyond.at("/count").as_u64().is_none_or(|count| count < 100), "{case}: {}", beyond.text);
        let wrong = dialect.send(gateway, "sk_nobody", "GET", "", None).await;
        assert_eq!(wrong.status, 401, "{case}: {}", wrong.text);
        assert!(!wrong.at(dialect.error).is_null(), "{case}: {}", wrong.text);
        let none = send(gateway.plain(Method::GET, dialect.path)).await;
        assert_eq!(none.status, 401, "{case}: {}", none.text);
        let elsewhere = dialect.send(gateway, key, "GET", "/x/y/z", None).await;
        assert_eq!(elsewhere.status, 404, "{case}: {}", elsewhere.text);
        if dialect.name != "paymentkit" {
            let invalid = dialect.send(gateway, key, "POST", "", Some(&(dialect.new)("no address"))).await;
            dialect.assert_refusal(&invalid);
            let mut card = (dialect.new)("card@example.com");
            card["address"] = json!("4242 4242 4242 4242");
            let refused = dialect.send(gateway, key, "POST", "", Some(&card)).await;
            dialect.assert_refusal(&refused);
        }
        let broken = dialect
            .request(gateway, key, dialect.update, "/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", None)
            .body("{\"email\":");
        let broken = send(broken).await;
        assert!([400, 404].contains(&broken.status.as_u16()), "{case}: {}", broken.text);
        let large = dialect.request(gateway, key, dialect.update, "/x", None).body(vec![b' '; (1 << 20) + 1]);
        let large = send(large).await;
        assert_eq!(large.status, dialect.refusal(413), "{case}: {}", large.text);
        assert!(!large.at(dialect.error).is_null(), "{case}: {}", large.text);
    })
    .await;
}

/// A gateway whose provider is a stand-in that always answers the same.
async fn gateway_to_stand_in(provider: &str, act: Act) -> Gateway {
    let vendor = StandIn::always(act).await;
    Gateway::in_front_of(provider, &vendor.url(), "timeout = \"300ms\"").await
}

/// An error says in the dialect what happened at the provider, and the header says whether the outcome is known.
#[tokio::test]
async fn failures_of_the_provider_are_errors_of_the_dialect() {
    for dialect in CREATING.map(dialect) {
        let body = (dialect.new)("awa@example.com");
        let gateway = gateway_to_stand_in("notchpay", Act::Hang).await;
        let hanging = dialect.send(&gateway, "sk_acme", "POST", "", Some(&body)).await;
        assert!(hanging.status.is_server_error(), "{}: {}", dialect.name, hanging.text);
        assert!(!hanging.at(dialect.error).is_null(), "{}: {}", dialect.name, hanging.text);
        // Bitnob's e-mail addresses are unique, so the gateway first searches for the address. It has not sent a write
        // yet.
        let outcome = if dialect.name == "bitnob" { "" } else { "unknown" };
        assert_eq!(hanging.header("passerelle-outcome"), outcome, "{}", dialect.name);

        let gateway = gateway_to_stand_in(
            "notchpay",
            json_answer("401 Unauthorized", r#"{"code":401,"message":"Invalid API key"}"#),
        )
        .await;
        let unauthorized = dialect.send(&gateway, "sk_acme", "POST", "", Some(&body)).await;
        assert_eq!(
            unauthorized.status, 500,
            "an error of the gateway's credentials is not the client's 401: {}",
            unauthorized.text
        );
        assert_eq!(unauthorized.header("passerelle-outcome"), "");

        let answer = format!(r#"{{"code":409,"message":"Already known, {SECRET}"}}"#);
        let gateway = gateway_to_stand_in("notchpay", json_answer("409 Conflict", &answer)).await;
        let rejected = dialect.send(&gateway, "sk_acme", "POST", "", Some(&body)).await;
        dialect.assert_refusal(&rejected);
        assert!(!rejected.text.contains(SECRET), "{}", rejected.text);
        assert!(rejected.text.contains("Already known, ***"), "{}: {}", dialect.name, rejected.text);
    }
    let limited = json_answer("429 Too Many Requests\r\nretry-after: 7", r#"{"code":429,"message":"slowly"}"#);
    let gateway = gateway_to_stand_in("notchpay", limited).await;
    let statuses = [("modempay", 427), ("lomi", 429), ("paymentkit", 429), ("bitnob", 429), ("notchpay", 429)];
    for (name, status) in statuses {
        let answer = dialect(name).send(&gateway, "sk_acme", "DELETE", "/cus.abc", None).await;
        if !["paymentkit", "bitnob"].contains(&name) {
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (status, "7"), "{}", answer.text);
        }
    }
}

/// The second request with a key that is in flight is refused with 409 in every dialect, also where the dialect has no
/// such error of its own. Only a client of Bitnob v1 crashes on a 409.
#[tokio::test]
async fn a_key_that_is_in_flight_is_a_conflict_with_the_headers_of_the_write() {
    for dialect in CREATING.map(dialect) {
        let gateway = gateway_to_stand_in("notchpay", Act::Hang).await;
        let body = (dialect.new)("awa@example.com");
        let request = || {
            let request = dialect.request(&gateway, "sk_acme", "POST", "", Some(&body));
            send(request.header("idempotency-key", "key-1"))
        };
        let (one, other) = tokio::join!(request(), request());
        let expected = dialect.refusal(409);
        let (conflict, first) = if one.status == expected { (one, other) } else { (other, one) };
        let case = dialect.name;
        assert_eq!(conflict.status, expected, "{case}: {}", conflict.text);
        assert_ne!(first.status, expected, "{case}: {}", first.text);
        assert_eq!(conflict.header("idempotency-status"), "in_progress", "{case}");
        assert_eq!(conflict.header("retry-after"), "1", "{case}");
        assert!(conflict.header("x-operation-id").starts_with("op_"), "{case}");
        assert_eq!(conflict.header("passerelle-outcome"), "", "{case}");
        assert!(conflict.text.contains("the same write is still in flight"), "{case}: {}", conflict.text);
        assert!(!conflict.text.contains("422") && !conflict.text.contains("Invalid JSON"), "{case}: {}", conflict.text);
    }
    let gateway = Gateway::sandbox("notchpay").await;
    let notchpay = dialect("notchpay");
    let request = notchpay.request(&gateway, "sk_sandbox_notchpay", "POST", "", Some(&(notchpay.new)("a@example.com")));
    let refused = send(request.header("idempotency-key", "two words")).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!(400)), "{}", refused.text);
    assert!(refused.text.contains("`Idempotency-Key` must be"), "{}", refused.text);
}

#[tokio::test]
async fn a_key_of_another_request_is_refused_with_the_operation_to_read() {
    for dialect in CREATING.map(dialect) {
        let gateway = Gateway::sandbox("notchpay").await;
        let create = async |email: &str| {
            let request = dialect.request(&gateway, "sk_sandbox_notchpay", "POST", "", Some(&(dialect.new)(email)));
            send(request.header("idempotency-key", "key-1")).await
        };
        let first = create("awa@example.com").await;
        assert!(first.status.is_success(), "{}: {}", dialect.name, first.text);
        let reused = create("another@example.com").await;
        let id = first.header("x-operation-id");
        // The published client of Bitnob v1 crashes on a status that it does not know.
        let status = if dialect.name == "bitnob" { 400 } else { 422 };
        assert_eq!((reused.status.as_u16(), reused.header("x-operation-id")), (status, id), "{}", reused.text);
        assert!(reused.text.contains(&format!("/v1/operations/{id}")), "{}: {}", dialect.name, reused.text);
        assert!(dialect.name != "notchpay" || reused.body["code"] == json!(422), "{}", reused.text);
    }
}
