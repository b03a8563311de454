//! Refusals that say exactly what is wrong: in the API and, where they differ, in drop-in.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, JsonText},
};

#[tokio::test]
async fn a_body_that_is_no_object_gets_a_sentence() {
    let gateway = Gateway::sandbox("lomi").await;
    let answer = gateway.post("/v1/customers", json!([])).await;
    assert_eq!(answer.status_and_code(), (422, "invalid_request"));
    let sentence = "the body must be a JSON object, such as {\"name\":\"Awa Diop\"}";
    assert_eq!(answer.body["detail"], sentence);
    assert_eq!(answer.body["errors"], json!([{ "pointer": "", "detail": sentence }]));
    let dialect = gateway.request(Method::POST, "/as/modempay/v1/customers").json_text(&json!([]));
    let dialect = gateway.send_to_dialect(dialect).await;
    assert_eq!((dialect.status.as_u16(), &dialect.body["message"]), (400, &json!("the body must be a JSON object")));
}

#[tokio::test]
async fn an_email_that_lomi_cannot_clear_is_reported_as_such() {
    let gateway = Gateway::sandbox("lomi").await;
    let created = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    let path = format!("/v1/customers/{}", created.body["id"].as_str().expect("an id"));
    let refused = gateway.patch(&path, json!({ "email": null })).await;
    assert_eq!(refused.status_and_code(), (422, "fields_not_supported"), "{}", refused.text);
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("lomi cannot clear an e-mail;"), "{detail}");
    assert_eq!(refused.body["errors"][0]["pointer"], "/email");
    let both = gateway.patch(&path, json!({ "email": null, "did": "z1abc" })).await;
    let detail = both.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("lomi cannot hold did and cannot clear an e-mail;"), "{detail}");
    let dropped = gateway.request(Method::PATCH, &path).header("prefer", "loss=drop");
    let dropped = gateway.send(dropped.json_text(&json!({ "email": null }))).await;
    let lost = dropped.body["fidelity"].as_array().expect("a report");
    let lost = lost.iter().find(|entry| entry["outcome"] == "lost").expect("a loss");
    assert!(lost["rule"].as_str().is_some_and(|rule| rule.contains("cannot clear")), "{lost}");
    assert_eq!(dropped.body["email"], "awa@example.com");
}

#[tokio::test]
async fn a_card_number_is_refused_as_text_and_as_number_and_a_device_number_is_not() {
    let gateway = Gateway::sandbox("notchpay").await;
    let with_note = |note: Value| json!({ "email": "awa@example.com", "metadata": { "note": note } });
    for card in [json!("4242-4242-4242-4242"), json!(4_242_424_242_424_242_u64), json!([4_242_424_242_424_242_u64])] {
        let refused = gateway.post("/v1/customers", with_note(card)).await;
        assert_eq!(refused.status_and_code(), (422, "card_data_refused"), "{}", refused.text);
        assert!(!refused.text.contains("4242"), "{}", refused.text);
    }
    for imei in [json!("490154203237518"), json!(356_938_035_643_809_u64)] {
        let created = gateway.post("/v1/customers", with_note(imei.clone())).await;
        assert_eq!((created.status.as_u16(), &created.body["metadata"]["note"]), (201, &imei), "{}", created.text);
    }
    let dialect = gateway.plain(Method::POST, "/as/notchpay/customers").header("authorization", "sk_sandbox_notchpay");
    let card = json!({ "email": "awa@example.com", "metadata": { "note": 4_242_424_242_424_242_u64 } });
    let refused = gateway.send_to_dialect(dialect.json_text(&card)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
}

#[tokio::test]
async fn a_metadata_key_that_the_gateway_reserves_is_refused() {
    let gateway = Gateway::sandbox("notchpay").await;
    for key in ["passerelle_op", "passerelle_", "passerelle_anything/else"] {
        let body = json!({ "email": "awa@example.com", "metadata": { "crm": "1", key: "mine" } });
        let refused = gateway.post("/v1/customers", body.clone()).await;
        assert_eq!(refused.status_and_code(), (422, "invalid_request"), "{key}: {}", refused.text);
        let pointer = format!("/metadata/{}", key.replace('/', "~1"));
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
        let refused = gateway.patch("/v1/customers/cus.x", json!({ "metadata": { key: null } })).await;
        assert_eq!(refused.status_and_code(), (422, "invalid_request"), "{key}: {}", refused.text);
        let dialect =
            gateway.plain(Method::POST, "/as/notchpay/customers").header("authorization", "sk_sandbox_notchpay");
        let refused = gateway.send_to_dialect(dialect.json_text(&body)).await;
        assert_eq!(refused.status, 422, "{key}: {}", refused.text);
        assert!(refused.text.contains("reserved"), "{}", refused.text);
    }
    // Keys that only resemble a reserved one are the merchant's own.
    let body = json!({ "email": "awa@example.com", "metadata": { "passerelle": "1", "my_passerelle_op": "2" } });
    let created = gateway.post("/v1/customers", body.clone()).await;
    assert_eq!((created.status.as_u16(), &created.body["metadata"]), (201, &body["metadata"]), "{}", created.text);
}

#[tokio::test]
async fn a_customer_in_the_uk_is_sent_as_gb() {
    let created = r#"{"status":"success","data":{"customer_id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985","name":"Awa"}}"#;
    let vendor = StandIn::always(json_answer("201 Created", created)).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    gateway.post("/v1/customers", json!({ "name": "Awa", "address": { "country": "UK" } })).await;
    assert!(vendor.requests()[0].contains(r#""country":"GB""#), "{:?}", vendor.requests());
}

/// Bitnob's older API has no blacklist. Its framework answers 404 with this message.
#[tokio::test]
async fn an_operation_that_the_providers_api_lacks_is_not_a_customer_that_does_not_exist() {
    let body = r#"{"statusCode":404,"message":"Cannot POST /api/v1/customers/blacklist/c1","error":"Not Found"}"#;
    let vendor = StandIn::always(json_answer("404 Not Found", body)).await;
    let gateway = Gateway::in_front_of("bitnob", &vendor.url(), "").await;
    let refused = gateway.send(gateway.request(Method::POST, "/v1/customers/c1/block")).await;
    assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{}", refused.text);
    assert_eq!((&refused.body["outcome"], &refused.body["provider"]["status"]), (&json!("none"), &json!(404)));
    assert!(refused.headers.contains_key("allow"));
    let refused = gateway.get("/v1/customers/c1").await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "PATCH"), "{}", refused.text);
    let created = gateway.post("/v1/customers", json!({ "name": "Awa", "email": "awa@example.com" })).await;
    for refused in [gateway.get("/v1/customers").await, created] {
        assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{}", refused.text);
        assert_eq!((&refused.body["outcome"], &refused.body["provider"]["status"]), (&json!("none"), &json!(404)));
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("is `base_url` right"), "what to do next: {}", refused.text);
        assert!(refused.headers.contains_key("allow"));
    }
    let wrong = StandIn::always(json_answer("404 Not Found", r#"{"statusCode":404,"message":"Not Found"}"#)).await;
    let gateway = Gateway::in_front_of("bitnob", &wrong.url(), "").await;
    let lists = gateway.get("/v1/customers").await;
    assert_eq!(lists.status_and_code(), (502, "provider_bad_response"), "the address is wrong: {}", lists.text);
}

/// At every provider, in whichever form it writes its own refusals.
#[tokio::test]
async fn a_missing_route_is_an_operation_that_the_provider_lacks() {
    let body = r#"{"statusCode":404,"message":"Cannot GET /customers/x","error":"Not Found"}"#;
    for (provider, id) in [
        ("bitnob", "c1"),
        ("modempay", "c1"),
        ("notchpay", "cus_123456789"),
        ("lomi", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"),
        ("paymentkit", "cus_1"),
    ] {
        let vendor = StandIn::always(json_answer("404 Not Found", body)).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let refused = gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{provider}: {}", refused.text);
        let request = gateway.plain(Method::GET, &format!("/as/notchpay/customers/{id}"));
        let refused = gateway.send_to_dialect(request.header("authorization", "sk_acme")).await;
        assert!(refused.text.contains("lacks this operation for this account"), "{provider}: {}", refused.text);
    }
}

/// A create and a list name no customer, so a 404 says that the address is wrong, and not that a customer is missing.
#[tokio::test]
async fn an_address_that_has_no_customers_is_not_a_customer_that_does_not_exist() {
    let vendor = StandIn::always(json_answer("404 Not Found", r#"{"message":"Not found"}"#)).await;
    let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
    for refused in
        [gateway.post("/v1/customers", json!({ "name": "Awa Diop" })).await, gateway.get("/v1/customers").await]
    {
        assert_eq!(refused.status_and_code(), (502, "provider_bad_response"), "{}", refused.text);
        let detail = refused.body["detail"].as_str().expect("a text");
        assert!(detail.contains("`base_url`") && !detail.contains("no such customer"), "{detail}");
    }
}

/// A 404 that names the route, and a 405, at every provider that has look-ups. The detail has no address of a customer.
#[tokio::test]
async fn a_look_up_that_the_providers_api_lacks_says_so() {
    const LACKS: &str = "the provider's API lacks the look-up of customers for this account";
    for (status, body) in [
        ("404 Not Found", r#"{"statusCode":404,"message":"Cannot POST /customers/fetch_customer"}"#),
        ("405 Method Not Allowed", r#"{"statusCode":405,"message":"Cannot POST /customers/fetch_customer"}"#),
    ] {
        for provider in ["bitnob", "modempay", "notchpay", "lomi", "paymentkit"] {
            let vendor = StandIn::always(json_answer(status, body)).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let refused = gateway.get("/v1/customers/lookup?email=awa%40example.com").await;
            assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{provider}: {}", refused.text);
            let detail = refused.body["detail"].as_str().unwrap_or_default();
            assert!(detail.starts_with(LACKS) && detail.contains("is `base_url` right"), "{provider}: {detail}");
            let request = gateway.plain(Method::POST, "/as/bitnob/api/v1/customers/fetch_customer");
            let request = request.header("authorization", "Bearer sk_acme");
            let refused = gateway.send_to_dialect(request.json_text(&json!({ "email": "awa@example.com" }))).await;
            assert_eq!(refused.status, 400, "{provider}: {}", refused.text);
            assert!(refused.text.contains(LACKS), "{provider}: {}", refused.text);
            // Only these two write their refusals in this form.
            if ["bitnob", "modempay"].contains(&provider) {
                assert!(refused.text.contains("Cannot POST /customers/fetch_customer"), "{}", refused.text);
            }
        }
    }
    // The look-up of a create that asks for the customer who exists.
    let vendor = StandIn::always(json_answer("405 Method Not Allowed", "{}")).await;
    let gateway = Gateway::in_front_of("bitnob", &vendor.url(), "").await;
    let refused =
        gateway.post("/v1/customers?distinct=true", json!({ "name": "Awa", "email": "awa@example.com" })).await;
    assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{}", refused.text);
    assert!(refused.text.contains(LACKS), "{}", refused.text);
}

/// Clients of an imitated provider get the answer that they get for the other operations.
#[tokio::test]
async fn in_drop_in_an_operation_that_the_providers_api_lacks_is_one_answer_for_every_operation() {
    let body = r#"{"statusCode":404,"message":"Cannot POST /api/v1/customers","error":"Not Found"}"#;
    let vendor = StandIn::always(json_answer("404 Not Found", body)).await;
    let gateway = Gateway::in_front_of("bitnob", &vendor.url(), "").await;
    let customers = "/as/lomi/v1/customers";
    let one = format!("{customers}/c1");
    for (method, path) in [(Method::GET, &*one), (Method::GET, customers), (Method::POST, customers)] {
        let request = gateway.plain(method.clone(), path).header("x-api-key", "sk_acme");
        let answer = request.json_text(&json!({ "name": "Awa", "email": "awa@example.com" })).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a text");
        assert_eq!(status, 400, "{method} {path}: {text}");
        assert!(text.contains("lacks this operation for this account"), "{method} {path}: {text}");
    }
}

/// In the API, and for the clients of an imitated provider. The status of the reads is 500.
#[tokio::test]
async fn a_change_that_the_provider_refuses_with_a_success_status_is_not_done() {
    for (provider, id) in [("lomi", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"), ("notchpay", "cus_123456789")] {
        for (body, outcome) in [
            (r#"{"success":false,"message":"no"}"#, "unknown"),
            (r#"{"code":422,"errors":{"email":["taken"]}}"#, "none"),
        ] {
            let vendor = StandIn::answering(move |requests| {
                let is_read = requests.last()?.starts_with("GET ");
                Some(if is_read { json_answer("500 Error", "{}") } else { json_answer("200 OK", body) })
            })
            .await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "visibility_lag = \"10m\"").await;
            let email = json!({ "email": "awa@example.com" });
            let refused = gateway.patch(&format!("/v1/customers/{id}"), email.clone()).await;
            let expected = if outcome == "none" { 422 } else { 502 };
            assert_eq!(refused.status, expected, "{provider}, {body}: {}", refused.text);
            assert_eq!(refused.body["outcome"], outcome, "{provider}, {body}: {}", refused.text);
            let request = gateway.plain(Method::PUT, &format!("/as/notchpay/customers/{id}"));
            let request = request.header("authorization", "sk_acme").header("idempotency-key", "k").json_text(&email);
            let refused = gateway.send_to_dialect(request).await;
            assert!(!refused.status.is_success(), "{provider}, {body}: {}", refused.text);
            let expected = if outcome == "none" { "" } else { outcome };
            assert_eq!(refused.header("passerelle-outcome"), expected, "{provider}, {body}: {}", refused.text);
        }
    }
}

#[tokio::test]
async fn an_update_of_a_customer_that_only_the_read_after_it_does_not_find_has_no_outcome() {
    let vendor = StandIn::answering(|requests| {
        let is_read = requests.last()?.starts_with("GET ");
        let answer = if is_read {
            ("404 Not Found", r#"{"error":{"message":"no"}}"#)
        } else {
            ("200 OK", r#"{"data":{"metadata":null}}"#)
        };
        Some(json_answer(answer.0, answer.1))
    })
    .await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let path = "/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
    let refused = gateway.patch(path, json!({ "email": "awa@example.com" })).await;
    assert_eq!(refused.status_and_code(), (404, "customer_not_found"), "{}", refused.text);
    assert_eq!(refused.body["outcome"], "none", "{}", refused.text);
}
