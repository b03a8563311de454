//! Clients without idempotency keys: a request that repeats a write in flight, or one whose answer no client received,
//! joins that write.

use http::Method;
use serde_json::json;

use super::helpers::{CUSTOMERS, count_effects, create, create_fails, gateway_and_twin, with_fitting_seed};
use crate::{
    stand_in::{Act, StandIn},
    support::{Answer, Gateway, JsonText},
};

#[tokio::test]
async fn a_retry_without_a_key_creates_no_second_customer() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = gateway_and_twin("modempay", faults, "visibility_lag = \"1ms\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, None, &body).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.header("x-operation-id"), first.header("x-operation-id"));
    assert_eq!(count_effects(&folder), 1);
    let next = create(&gateway, None, &body).await;
    assert_ne!(
        next.header("x-operation-id"),
        first.header("x-operation-id"),
        "a write whose answer was delivered is not joined"
    );
}

/// One of the retries reconciles the write. The others join it too.
#[tokio::test]
async fn concurrent_retries_without_a_key_are_one_write() {
    let faults = "error_after = 0.3\ndelay = \"300ms\"\nonly = [\"create\", \"list\"]";
    let faults =
        with_fitting_seed(faults, |plan| create_fails(plan, 1) && (2..20).all(|later| !create_fails(plan, later)));
    let (gateway, folder) = gateway_and_twin("modempay", &faults, "visibility_lag = \"1h\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, None, &body).await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"));
    let retry = || create(&gateway, None, &body);
    for answer in <[Answer; 4]>::from(tokio::join!(retry(), retry(), retry(), retry())) {
        assert_eq!(answer.header("x-operation-id"), first.header("x-operation-id"), "{}", answer.text);
    }
    assert_eq!(count_effects(&folder), 1);
}

/// The clients share one answer of the provider, but each client can find its own request in the log.
#[tokio::test]
async fn a_problem_names_the_request_of_each_client_that_joined() {
    let vendor = StandIn::always(Act::Hang).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "timeout = \"300ms\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let send = async |id: &str| {
        let request = gateway.request(Method::POST, CUSTOMERS).header("x-request-id", id);
        gateway.send(request.json_text(&body)).await
    };
    let (one, other) = tokio::join!(send("request-one"), send("request-\"two\""));
    assert_eq!(vendor.requests().len(), 1, "one write");
    assert_eq!(one.header("x-operation-id"), other.header("x-operation-id"));
    let replayed = [&one, &other].map(|answer| answer.header("idempotent-replayed"));
    assert!(replayed.contains(&"true") && replayed.contains(&""), "{replayed:?}");
    for (answer, id) in [(&one, "request-one"), (&other, "request-\"two\"")] {
        assert_eq!(answer.status_and_code(), (504, "outcome_unknown"), "{}", answer.text);
        assert_eq!((answer.header("x-request-id"), &answer.body["request_id"]), (id, &json!(id)));
    }
    let mut rest = one.body.clone();
    rest["request_id"] = other.body["request_id"].clone();
    assert_eq!(rest, other.body, "everything else is the same");
}

#[tokio::test]
async fn a_client_without_keys_can_turn_coalescing_off() {
    let (gateway, folder) = gateway_and_twin("modempay", "delay = \"300ms\"\nonly = [\"create\"]", "").await;
    let send = async |path: &str, number: usize, coalesce: Option<&str>| {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") });
        let request = gateway.request(Method::POST, path).json_text(&body);
        gateway
            .send(coalesce.into_iter().fold(request, |request, value| request.header("idempotency-coalesce", value)))
            .await
    };
    // In the own API and in a dialect.
    for (number, path) in [CUSTOMERS, "/as/modempay/v1/customers"].into_iter().enumerate() {
        for (coalesce, count) in [(None, 1), (Some("off"), 2)] {
            let before = count_effects(&folder);
            let (one, other) = tokio::join!(send(path, number, coalesce), send(path, number, coalesce));
            assert_eq!((one.status.as_u16(), other.status.as_u16()), (201, 201), "{} {}", one.text, other.text);
            assert_eq!(count_effects(&folder) - before, count, "{path}, {coalesce:?}");
            assert_eq!(one.text == other.text, count == 1, "{path}, {coalesce:?}");
        }
    }
    let before = count_effects(&folder);
    for coalesce in ["on", "", "OFF, off"] {
        let refused = send(CUSTOMERS, 1, Some(coalesce)).await;
        assert_eq!(refused.status_and_code(), (400, "malformed_request"), "{coalesce}");
    }
    assert_eq!(count_effects(&folder), before);
}
