//! Deletions: a customer who does not exist, and answers that do not show that the customer is deleted.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use passerelle_providers::{
    model::{Customer, Operation},
    text::Text,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    played::{Played, ids_of, playing_bodies, reply_with},
    stand_in::StandIn,
    support::Gateway,
};

/// Providers that have deletions, with the path and the key of their own clients.
const DELETING: [(&str, &str, (&str, &str)); 3] = [
    ("modempay", "/as/modempay/v1/customers", ("authorization", "Bearer sk_acme")),
    ("lomi", "/as/lomi/v1/customers", ("x-api-key", "sk_acme")),
    ("notchpay", "/as/notchpay/customers", ("authorization", "sk_acme")),
];

/// Bodies of a success that do not show the deletion.
const BODIES: [&str; 12] = [
    "",
    "[]",
    "null",
    "7",
    "{}",
    r#"{"deleted":false}"#,
    r#"{"status":"error","message":"no"}"#,
    r#"{"message":"Customer deleted"}"#,
    r#"{"message":"Customer could not be deleted"}"#,
    r#"{"success":true}"#,
    r#"{"status":true,"message":"Customer could not be deleted"}"#,
    r#"{"code":202,"status":"Accepted","message":"The deletion is pending","customer":[]}"#,
];

/// A provider that has one customer, until it is deleted if `deletes`. It answers every deletion with this body.
async fn provider_answering(provider: &'static str, body: &'static str, exists: bool, deletes: bool) -> StandIn {
    let is_there = AtomicBool::new(exists);
    playing_bodies(provider, move |command| {
        if command.operation() == Operation::Delete {
            is_there.fetch_and(!deletes, Relaxed);
            return Ok(Played::Body(body));
        }
        let customer = Customer {
            id: Text::from(ids_of(provider)[0]),
            name: Some(Text::from_static("Awa Diop")),
            email: Some(Text::from_static("awa@example.com")),
            ..Customer::default()
        };
        let customers = if is_there.load(Relaxed) { vec![customer] } else { Vec::new() };
        reply_with(&customers, command).map(|reply| Played::Reply(Box::new(reply)))
    })
    .await
}

/// In the API, and for the clients of the same provider.
#[tokio::test]
async fn a_success_that_does_not_show_the_deletion_is_checked_with_a_read() {
    for (provider, path, (header, key)) in DELETING {
        for body in BODIES {
            for is_gone in [true, false] {
                let case = format!("{provider}, {body}, gone: {is_gone}");
                let vendor = provider_answering(provider, body, true, is_gone).await;
                let gateway = Gateway::in_front_of(provider, &vendor.url(), "visibility_lag = \"10m\"").await;
                let answer = gateway.delete(&format!("/v1/customers/{}", ids_of(provider)[0])).await;
                if is_gone {
                    assert_eq!((answer.status.as_u16(), &answer.body["deleted"]), (200, &json!(true)), "{case}");
                    assert_eq!(vendor.requests().len(), 3, "{case}");
                    continue;
                }
                assert_eq!(answer.status_and_code(), (502, "outcome_unknown"), "{case}: {}", answer.text);
                assert_eq!(answer.body["operation_id"], answer.header("x-operation-id"), "{case}");
                let request = gateway.plain(Method::DELETE, &format!("{path}/{}", ids_of(provider)[0]));
                let request = request.header(header, key).header("idempotency-key", "k");
                let answer = gateway.send_to_dialect(request).await;
                assert!(answer.status.is_server_error(), "{case}: {}", answer.text);
                assert_eq!(answer.header("passerelle-outcome"), "unknown", "{case}");
            }
        }
    }
}

/// Also where the provider answers success to any deletion.
#[tokio::test]
async fn the_deletion_of_a_customer_who_does_not_exist_is_a_404() {
    for (provider, path, (header, key)) in DELETING {
        for body in ["", r#"{"message":"Customer deleted"}"#, r#"{"deleted":true}"#] {
            let vendor = provider_answering(provider, body, false, true).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let id = ids_of(provider)[0];
            let answer = gateway.delete(&format!("/v1/customers/{id}")).await;
            assert_eq!(answer.status_and_code(), (404, "customer_not_found"), "{provider}, {body}: {}", answer.text);
            assert_eq!(answer.body["outcome"], "none", "{provider}, {body}");
            let request = gateway.plain(Method::DELETE, &format!("{path}/{id}")).header(header, key);
            let answer = gateway.send_to_dialect(request).await;
            assert_eq!(answer.status, 404, "{provider}, {body}: {}", answer.text);
            assert!(vendor.requests().iter().all(|request| request.starts_with("GET ")), "{provider}: only reads");
        }
    }
}

#[tokio::test]
async fn an_answer_that_shows_the_deletion_needs_no_read_after_it() {
    for (provider, ..) in DELETING {
        let vendor = provider_answering(provider, r#"{"data":{"deleted":true}}"#, true, false).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let answer = gateway.delete(&format!("/v1/customers/{}", ids_of(provider)[0])).await;
        assert_eq!((answer.status.as_u16(), vendor.requests().len()), (200, 2), "{provider}: {}", answer.text);
    }
}
