//! `explain=true` answers with the exact requests and sends none of them.

use reqwest::Method;
use serde_json::json;

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, JsonText, PROVIDERS, SECRET},
};

#[tokio::test]
async fn every_operation_can_be_explained_without_a_provider() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    for provider in PROVIDERS {
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let id = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
        let body = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": "+221771234567" });
        for (method, path, body) in [
            (Method::POST, "/v1/customers?explain=true".to_owned(), Some(&body)),
            (Method::GET, format!("/v1/customers/{id}?explain=true"), None),
            (Method::GET, "/v1/customers/lookup?email=awa@example.com&explain=true".to_owned(), None),
            (Method::PATCH, format!("/v1/customers/{id}?explain=true"), Some(&body)),
            (Method::DELETE, format!("/v1/customers/{id}?explain=true"), None),
            (Method::GET, "/v1/customers?limit=7&explain=true".to_owned(), None),
            (Method::POST, format!("/v1/customers/{id}/block?explain=true"), None),
            (Method::GET, format!("/v1/customers/{id}/payment_methods?explain=true"), None),
            (Method::GET, format!("/v1/customers/{id}/payments?explain=true"), None),
            (Method::GET, format!("/v1/customers/{id}/overdue_invoices?explain=true"), None),
        ] {
            let request = gateway.request(method, &path);
            let answer = gateway
                .send(match body {
                    Some(body) => request.json_text(body),
                    None => request,
                })
                .await;
            if answer.code() == "operation_not_supported" {
                continue;
            }
            assert_eq!(answer.status, 200, "{provider} {path}: {}", answer.text);
            assert_eq!(answer.body["object"], "explanation");
            assert_eq!(answer.body["provider"], json!({ "name": provider, "connection": "main" }));
            let url = answer.body["requests"][0]["url"].as_str().unwrap_or_default();
            assert!(url.starts_with(&vendor.url()), "{url}");
            assert!(!answer.text.contains(SECRET), "secrets are masked");
            assert!(answer.text.contains("***"), "the header with the secret is shown");
        }
    }
    assert_eq!(vendor.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn the_explained_request_is_the_one_that_is_sent() {
    let vendor = StandIn::always(json_answer("500 Internal Server Error", "{}")).await;
    let gateway = Gateway::in_front_of("lomi", &vendor.url(), "").await;
    let body = json!({ "name": "Awa Diop", "phone": "77 123 45 67", "address": { "country": "Sénégal" } });
    let explained = gateway.post("/v1/customers?explain=true", body.clone()).await;
    gateway.post("/v1/customers", body).await;
    let sent = &vendor.requests()[0];
    let request = &explained.body["requests"][0];
    assert_eq!(format!("{}/customers", vendor.url()), request["url"]);
    assert!(sent.starts_with("POST /customers HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.ends_with(&request["body"].to_string().replace(": ", ":")) || same_json(sent, &request["body"]),
        "{sent}"
    );
    for (name, value) in request["headers"].as_object().expect("headers") {
        let value = value.as_str().expect("text").replace("***", SECRET);
        assert!(sent.to_lowercase().contains(&format!("{name}: {value}").to_lowercase()), "{name}: {value} in {sent}");
    }
}

fn same_json(sent: &str, body: &serde_json::Value) -> bool {
    let sent_body = sent.split("\r\n\r\n").nth(1).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(sent_body).ok().as_ref() == Some(body)
}

#[tokio::test]
async fn requests_that_depend_on_an_earlier_answer_say_so() {
    let gateway = Gateway::in_front_of("notchpay", "http://127.0.0.1:9", "").await;
    let answer = gateway.patch("/v1/customers/cus.1?explain=true", json!({ "metadata": { "a": 1 } })).await;
    let requests = answer.body["requests"].as_array().expect("requests");
    assert_eq!(requests[0]["method"], "GET");
    assert_eq!(requests[0].get("depends_on_previous"), None);
    assert_eq!((&requests[1]["method"], &requests[1]["depends_on_previous"]), (&json!("PUT"), &json!(true)));
}

#[tokio::test]
async fn a_request_that_is_merged_with_the_record_marks_what_comes_from_it() {
    for (provider, patch, body, from_record) in [
        ("notchpay", json!({ "last_name": "Sow" }), json!({ "name": "<from the record> Sow" }), json!(["/name"])),
        (
            "notchpay",
            json!({ "address": { "city": "Douala" } }),
            json!({ "address": {
                "address_line1": "<from the record>",
                "address_line2": "<from the record>",
                "city": "Douala",
                "state": "<from the record>",
                "postal_code": "<from the record>",
                "country": "<from the record>",
            } }),
            json!([
                "/address/country",
                "/address/state",
                "/address/postal_code",
                "/address/address_line1",
                "/address/address_line2",
            ]),
        ),
        (
            "lomi",
            json!({ "metadata": { "crm": "2", "shop": { "till": 1 } } }),
            json!({ "metadata": {
                "shop": { "<from the record>": "<from the record>", "till": 1 },
                "<from the record>": "<from the record>",
                "crm": "2",
            } }),
            json!(["/metadata/shop/<from the record>", "/metadata/<from the record>"]),
        ),
        // Nothing of the record is sent here. It only decides whether the customer keeps an e-mail or a phone.
        ("notchpay", json!({ "email": null }), json!({ "email": null }), json!([])),
    ] {
        let gateway = Gateway::in_front_of(provider, "http://127.0.0.1:9", "").await;
        let path = "/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985?explain=true";
        let explained = gateway.patch(path, patch).await;
        let requests = explained.body["requests"].as_array().expect("requests");
        assert_eq!((&requests[0]["method"], requests[0].get("from_record")), (&json!("GET"), None));
        assert_eq!((&requests[1]["body"], &requests[1]["depends_on_previous"]), (&body, &json!(true)), "{provider}");
        let marked = requests[1].get("from_record").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(marked, from_record, "{provider}");
    }
}

#[tokio::test]
async fn include_raw_shows_the_answer_of_the_provider_without_secrets() {
    let body = format!(r#"{{"id":"8a8c8a0e-c5d2-4692-a94b-25284d36adc7","name":"Awa","echo":"{SECRET}"}}"#);
    let vendor = StandIn::start(vec![
        json_answer("200 OK", &body),
        json_answer("404 Not Found", r#"{"message":"no such customer","statusCode":404}"#),
    ])
    .await;
    let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
    let path = "/v1/customers/8a8c8a0e-c5d2-4692-a94b-25284d36adc7?include=raw";
    let found = gateway.get(path).await;
    assert_eq!((found.status.as_u16(), &found.body["raw"][0]["status"]), (200, &json!(200)));
    assert_eq!(found.body["raw"][0]["body"]["name"], "Awa");
    assert_eq!(found.body["raw"][0]["body"]["echo"], "***", "a secret that is echoed is masked");
    let missing = gateway.get(path).await;
    assert_eq!(missing.status_and_code(), (404, "customer_not_found"));
    assert_eq!(missing.body["raw"][0]["body"]["message"], "no such customer");
}
