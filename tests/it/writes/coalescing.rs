//! Duplicates without an idempotency key.

use http::Method;
use serde_json::json;

use super::helpers::{CUSTOMERS, before_a_twin, create, effects, fails, planned};
use crate::support::{Answer, JsonText};

#[tokio::test]
async fn a_client_without_keys_that_tries_again_makes_nobody_twice() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("modempay", faults, "visibility_lag = \"1ms\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, None, &body).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.header("x-operation-id"), first.header("x-operation-id"));
    assert_eq!(effects(&folder), 1);
    let honest_twin = create(&gateway, None, &body).await;
    assert_ne!(honest_twin.header("x-operation-id"), first.header("x-operation-id"), "what is known is not joined");
}

/// One of them looks for what is unknown, and the others are no less repetitions for that.
#[tokio::test]
async fn repetitions_of_one_moment_are_one_write() {
    let faults = "error_after = 0.3\ndelay = \"300ms\"\nonly = [\"create\", \"list\"]";
    let faults = planned(faults, |plan| fails(plan, 1) && (2..20).all(|later| !fails(plan, later)));
    let (gateway, folder) = before_a_twin("modempay", &faults, "visibility_lag = \"1h\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, None, &body).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let ask = || create(&gateway, None, &body);
    for answer in <[Answer; 4]>::from(tokio::join!(ask(), ask(), ask(), ask())) {
        assert_eq!(answer.header("x-operation-id"), first.header("x-operation-id"), "{}", answer.text);
    }
    assert_eq!(effects(&folder), 1);
}

#[tokio::test]
async fn whoever_means_two_can_say_so_without_keys() {
    let (gateway, folder) = before_a_twin("modempay", "delay = \"300ms\"\nonly = [\"create\"]", "").await;
    let ask = async |path: &str, number: usize, coalesce: Option<&str>| {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") });
        let request = gateway.request(Method::POST, path).json_text(&body);
        gateway
            .send(coalesce.into_iter().fold(request, |request, told| request.header("idempotency-coalesce", told)))
            .await
    };
    // In an imitated provider's dialect as well.
    for (number, path) in [CUSTOMERS, "/as/modempay/v1/customers"].into_iter().enumerate() {
        for (coalesce, count) in [(None, 1), (Some("off"), 2)] {
            let before = effects(&folder);
            let (one, other) = tokio::join!(ask(path, number, coalesce), ask(path, number, coalesce));
            assert_eq!((one.status.as_u16(), other.status.as_u16()), (201, 201), "{} {}", one.text, other.text);
            assert_eq!(effects(&folder) - before, count, "{path}, {coalesce:?}");
            assert_eq!(one.text == other.text, count == 1, "{path}, {coalesce:?}");
        }
    }
    let before = effects(&folder);
    for coalesce in ["on", "", "OFF, off"] {
        let refused = ask(CUSTOMERS, 1, Some(coalesce)).await;
        assert_eq!(refused.told(), (400, "malformed_request"), "{coalesce}");
    }
    assert_eq!(effects(&folder), before);
}
