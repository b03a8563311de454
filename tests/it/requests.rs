//! Invalid requests: the answer says what is wrong, where, and what to do, and nothing reaches a provider.

use reqwest::Method;
use serde_json::json;

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, JsonText},
};

async fn post_refused(body: &str) -> (u16, String, String) {
    let gateway = Gateway::sandbox("notchpay").await;
    let request = gateway.request(Method::POST, "/v1/customers");
    let answer = gateway.send(request.header("content-type", "application/json").body(body.to_owned())).await;
    let pointer = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), answer.code().to_owned(), pointer)
}

#[tokio::test]
async fn an_invalid_body_is_refused() {
    for (body, status, code, pointer) in [
        ("{", 400, "malformed_request", ""),
        ("", 400, "malformed_request", ""),
        (r#"{"name":"a","name":"b"}"#, 400, "malformed_request", ""),
        (r#"{"name":"a\u0000"}"#, 400, "malformed_request", ""),
        (r#"{"metadata":{"n":123456789012345678901234567890}}"#, 400, "malformed_request", ""),
        ("[]", 422, "invalid_request", ""),
        ("null", 422, "invalid_request", ""),
        (r#"{"nmae":"a"}"#, 422, "invalid_request", "/nmae"),
        (r#"{"id":"x","email":"a@example.com"}"#, 422, "invalid_request", "/id"),
        (r#"{"email":"not an address"}"#, 422, "invalid_request", "/email"),
        (r#"{"email":17}"#, 422, "invalid_request", "/email"),
        (r#"{"email":"a@example.com","phone":"call me"}"#, 422, "invalid_request", "/phone"),
        (r#"{"email":"a@example.com","type":"robot"}"#, 422, "invalid_request", "/type"),
        (r#"{"email":"a@example.com","address":{"town":"x"}}"#, 422, "invalid_request", "/address/town"),
        (r#"{"email":"a@example.com","metadata":[]}"#, 422, "invalid_request", "/metadata"),
        (r#"{"email":"a@example.com","balance":"1e3"}"#, 422, "invalid_request", "/balance"),
        (r#"{"email":"a@example.com","name":"  "}"#, 422, "invalid_request", "/name"),
        (r#"{"email":"a@example.com","name":"A B","last_name":"C"}"#, 422, "invalid_request", "/name"),
        (r#"{"name":"pays with 4242 4242 4242 4242"}"#, 422, "card_data_refused", "/name"),
        (
            r#"{"email":"a@example.com","metadata":{"note":"4242-4242-4242-4242"}}"#,
            422,
            "card_data_refused",
            "/metadata/note",
        ),
        (r#"{"name":"Awa"}"#, 422, "invalid_request", "/email"),
    ] {
        let refusal = post_refused(body).await;
        assert_eq!(refusal, (status, code.to_owned(), pointer.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn one_answer_names_every_mistake_of_a_body() {
    let gateway = Gateway::sandbox("notchpay").await;
    let answer = gateway.post("/v1/customers", json!({ "email": "x", "phone": "y", "colour": "red" })).await;
    let mut pointers: Vec<_> =
        answer.body["errors"].as_array().expect("errors").iter().map(|error| error["pointer"].as_str()).collect();
    pointers.sort();
    assert_eq!(pointers, [Some("/colour"), Some("/email"), Some("/phone")]);
}

#[tokio::test]
async fn media_type_size_path_and_method_are_checked() {
    let gateway = Gateway::sandbox("lomi").await;
    let post = || gateway.request(Method::POST, "/v1/customers");
    let body = r#"{"name":"Awa"}"#;
    let plain = gateway.send(post().header("content-type", "text/plain").body(body)).await;
    assert_eq!(plain.status_and_code(), (415, "unsupported_media_type"));
    let missing = gateway.send(post().body(body)).await;
    assert_eq!(missing.status_and_code(), (415, "unsupported_media_type"));
    let with_charset = gateway.send(post().header("content-type", "Application/JSON; charset=utf-8").body(body)).await;
    assert_eq!(with_charset.status, 201);
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(1 << 20));
    let large = gateway.send(post().header("content-type", "application/json").body(large)).await;
    assert_eq!(large.status_and_code(), (413, "body_too_large"));
    let compressed = post().header("content-type", "application/json").header("content-encoding", "gzip").body(body);
    assert_eq!(gateway.send(compressed).await.status_and_code(), (415, "unsupported_media_type"));

    assert_eq!(gateway.get("/v1/nothing").await.status_and_code(), (404, "not_found"));
    assert_eq!(gateway.get("/v1/customers/").await.status_and_code(), (404, "not_found"));
    let put = gateway.send(gateway.request(Method::PUT, "/v1/customers")).await;
    assert_eq!(put.status_and_code(), (405, "method_not_allowed"));
    assert!(put.header("allow").contains("GET") && put.header("allow").contains("POST"), "{}", put.header("allow"));
}

#[tokio::test]
async fn only_a_valid_api_key_is_accepted() {
    let gateway = Gateway::sandbox("lomi").await;
    let list_with = |authorization: Option<&str>| {
        let request = gateway.anonymous("/v1/customers");
        match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        }
    };
    for authorization in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer sk_wrong"),
        Some("Basic c2s6"),
        Some("sk_sandbox_lomi"),
    ] {
        let answer = gateway.send(list_with(authorization)).await;
        assert_eq!(answer.status_and_code(), (401, "unauthorized"), "{authorization:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let in_the_query = gateway.send(gateway.anonymous("/v1/customers?api_key=sk_sandbox_lomi")).await;
    assert_eq!(in_the_query.status_and_code(), (401, "unauthorized"));
    assert_eq!(gateway.send(list_with(Some("bearer sk_sandbox_lomi"))).await.status, 200);
}

#[tokio::test]
async fn an_invalid_query_is_refused() {
    let gateway = Gateway::sandbox("lomi").await;
    for (query, status, code) in [
        ("limit=0", 422, "invalid_request"),
        ("limit=101", 422, "invalid_request"),
        ("limit=x", 422, "invalid_request"),
        ("limit=1&limit=2", 422, "invalid_request"),
        ("page=2", 422, "invalid_request"),
        ("email=nonsense", 422, "invalid_request"),
        ("email=", 422, "invalid_request"),
        ("blocked=maybe", 422, "invalid_request"),
        ("blocked=true", 422, "invalid_request"),
        ("did=z1abc", 422, "invalid_request"),
        ("include=everything", 422, "invalid_request"),
        ("explain=yes", 422, "invalid_request"),
        ("email=%ff%fe", 400, "malformed_request"),
        ("cursor=", 400, "invalid_cursor"),
        ("cursor=abc", 400, "invalid_cursor"),
    ] {
        let answer = gateway.get(&format!("/v1/customers?{query}")).await;
        assert_eq!(answer.status_and_code(), (status, code), "{query}: {}", answer.text);
    }
    for query in ["", "email=a@example.com&phone=%2B221771234567", "name=x", "reference=r1"] {
        let answer = gateway.get(&format!("/v1/customers/lookup?{query}")).await;
        assert_eq!(answer.status_and_code(), (422, "invalid_request"), "{query}");
    }
}

/// An id in a path can never become another path, query or header of the request to the provider.
#[tokio::test]
async fn hostile_ids_never_reach_a_provider() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    for provider in crate::support::PROVIDERS {
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let long = "a".repeat(7000);
        for id in [
            "..%2f..%2fadmin",
            "%2e%2e",
            "%2E%2E%2f",
            "a%2fb",
            "a%5cb",
            "%252e%252e",
            "%00",
            "a%00b",
            "a%0d%0aX:1",
            "%20",
            "%3fexpand=x",
            "%23",
            "%ff",
            "..;",
            "...",
            "%e2%80%ae",
            long.as_str(),
        ] {
            // A raw request, because HTTP clients normalize such paths.
            let answer = crate::support::raw_get(&gateway, &format!("/v1/customers/{id}")).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{provider} {id}: {}", &answer[..answer.len().min(80)]);
            for action in ["payments", "payment_methods", "overdue_invoices"] {
                let answer = crate::support::raw_get(&gateway, &format!("/v1/customers/{id}/{action}")).await;
                assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 405"), "{provider} {id}");
            }
        }
        for id in [".", "..", ""] {
            let answer = crate::support::raw_get(&gateway, &format!("/v1/customers/{id}")).await;
            assert!(answer.starts_with("HTTP/1.1 40"), "{provider} {id:?}");
        }
    }
    assert_eq!(vendor.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn an_operation_that_a_provider_lacks_is_refused_without_a_request() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let path = "/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
    let answer = gateway.send(gateway.request(Method::POST, &format!("{path}/block"))).await;
    assert_eq!(answer.status_and_code(), (405, "operation_not_supported"));
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("bitnob") && detail.contains("notchpay"), "{detail}");
    let gateway = Gateway::in_front_of("paymentkit", &vendor.url(), "").await;
    let answer = gateway.delete("/v1/customers/cus_1").await;
    assert_eq!((answer.status_and_code(), answer.header("allow")), ((405, "operation_not_supported"), "GET, PATCH"));
    let answer = gateway.post("/v1/customers", json!({ "name": "Awa" })).await;
    assert_eq!((answer.status_and_code(), answer.header("allow")), ((405, "operation_not_supported"), "GET"));
    assert_eq!(vendor.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn fields_that_a_provider_cannot_store_follow_the_loss_policy() {
    let created = r#"{"id":"8a8c8a0e-c5d2-4692-a94b-25284d36adc7","name":"Awa","email":null,"phone":null,"balance":0}"#;
    let vendor = StandIn::always(json_answer("201 Created", created)).await;
    let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
    let body = json!({ "name": "Awa", "address": { "city": "Banjul" }, "metadata": { "a": 1 } });
    let refused = gateway.post("/v1/customers", body.clone()).await;
    assert_eq!(refused.status_and_code(), (422, "fields_not_supported"), "{}", refused.text);
    let pointers: Vec<_> =
        refused.body["errors"].as_array().expect("errors").iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/address/city", "/metadata"]);
    assert_eq!(refused.body["outcome"], "none");
    assert_eq!(refused.header("preference-applied"), "loss=reject");
    let explained = gateway.post("/v1/customers?explain=true", body.clone()).await;
    assert_eq!((explained.code(), explained.header("preference-applied")), ("fields_not_supported", "loss=reject"));
    let other = gateway.post("/v1/customers", json!({ "name": 1 })).await;
    assert_eq!((other.code(), other.header("preference-applied")), ("invalid_request", ""));
    assert_eq!(vendor.requests(), Vec::<String>::new());

    let prefer =
        |policy: &str| gateway.request(Method::POST, "/v1/customers").header("prefer", policy).json_text(&body);
    let dropped = gateway.send(prefer("respond-async, loss=drop")).await;
    assert_eq!((dropped.status.as_u16(), dropped.header("preference-applied")), (201, "loss=drop"));
    let lost: Vec<_> = dropped.body["fidelity"]
        .as_array()
        .expect("a report")
        .iter()
        .filter(|entry| entry["outcome"] == "lost")
        .map(|entry| entry["field"].clone())
        .collect();
    assert_eq!(lost, ["address.city", "metadata"]);
    assert!(!vendor.requests()[0].contains("Banjul"));
    for policy in ["loss=carry", "loss=keep"] {
        assert_eq!(gateway.send(prefer(policy)).await.status_and_code(), (422, "invalid_request"), "{policy}");
    }
}

#[tokio::test]
async fn a_valid_request_id_of_the_client_is_used() {
    let gateway = Gateway::sandbox("lomi").await;
    let with_id = |id: &str| gateway.request(Method::GET, "/v1/merchant").header("x-request-id", id);
    assert_eq!(gateway.send(with_id("order-42")).await.header("x-request-id"), "order-42");
    for id in ["", "two words", &"x".repeat(129)] {
        assert_ne!(gateway.send(with_id(id)).await.header("x-request-id"), id);
    }
}

#[tokio::test]
async fn a_request_must_have_exactly_one_host_header() {
    let gateway = Gateway::sandbox("lomi").await;
    for hosts in ["", "host: a\r\nhost: b\r\n"] {
        let answer =
            crate::support::raw(&gateway, &format!("GET /livez HTTP/1.1\r\n{hosts}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}
