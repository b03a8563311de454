//! Lists that belong to a customer, at a provider that answers more entries than the gateway asked for.

use http::Method;
use serde_json::{Value, json};

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::Gateway,
};

/// The answer of a provider that knows no page size: all payment methods at once.
fn all_methods(count: usize, meta: &Value) -> String {
    let methods: Vec<Value> = (0..count).map(|index| json!({ "id": format!("pm_{index}"), "type": "card" })).collect();
    json!({ "data": methods, "meta": meta }).to_string()
}

fn ids(body: &Value) -> Vec<String> {
    let entries = body["data"].as_array().into_iter().flatten();
    entries.map(|entry| entry["id"].as_str().unwrap_or_default().to_owned()).collect()
}

fn expected(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|index| format!("pm_{index}")).collect()
}

#[tokio::test]
async fn every_entry_is_served_where_the_provider_answers_all_of_them_at_once() {
    for meta in [json!({ "total": 25 }), Value::Null] {
        let vendor = StandIn::always(json_answer("200 OK", &all_methods(25, &meta))).await;
        let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
        let path = "/v1/customers/cus_1/payment_methods";
        let first = gateway.get(path).await;
        assert_eq!((first.status.as_u16(), ids(&first.body)), (200, expected(0..20)), "{}", first.text);
        let cursor = first.body["next_cursor"].as_str().expect("another page");
        let last = gateway.get(&format!("{path}?cursor={cursor}")).await;
        assert_eq!((last.status.as_u16(), ids(&last.body)), (200, expected(20..25)), "{}", last.text);
        let whole = gateway.get(&format!("{path}?limit=100")).await;
        assert_eq!((ids(&whole.body), &whole.body["has_more"]), (expected(0..25), &json!(false)), "{}", whole.text);
    }
}

#[tokio::test]
async fn a_drop_in_client_gets_its_page_where_the_provider_answers_all_entries_at_once() {
    let vendor = StandIn::always(json_answer("200 OK", &all_methods(25, &json!({ "total": 25 })))).await;
    let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
    for (offset, range) in [(0, 0..10), (10, 10..20), (20, 20..25), (30, 0..0)] {
        let path = format!("/as/modempay/v1/customers/cus_1/payment-methods?offset={offset}&limit=10");
        let answer = gateway.plain(Method::GET, &path).header("authorization", "Bearer sk_acme").send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
        assert_eq!((status, ids(&body)), (200, expected(range)), "{offset}: {body}");
        assert_eq!(body["meta"]["total"], 25, "{offset}: {body}");
    }
}

#[tokio::test]
async fn overdue_invoices_have_their_customer_also_where_the_answer_lacks_it() {
    let invoices = json_answer("200 OK", &json!({ "invoices": [], "summary": {} }).to_string());
    let customer = json_answer("200 OK", &json!({ "id": "cus_1", "name": "Awa Diop" }).to_string());
    let vendor = StandIn::start(vec![invoices, customer]).await;
    let gateway = Gateway::in_front_of("paymentkit", &vendor.url(), "").await;
    let answer = gateway.get("/v1/customers/cus_1/overdue_invoices").await;
    let shown = (&answer.body["customer"]["id"], &answer.body["customer"]["name"]);
    assert_eq!((answer.status.as_u16(), shown), (200, (&json!("cus_1"), &json!("Awa Diop"))), "{}", answer.text);
}

#[tokio::test]
async fn entries_of_another_customer_or_with_unusable_ids_are_refused() {
    let methods = |member: &str, method: &Value| json!({ member: [{ "id": "pm_1" }, method] }).to_string();
    let invoices = |invoice: &Value| json!({ "customer": { "id": "cus_1", "did": "z1Awa" }, "invoices": [invoice] });
    for (is_served, entry) in [
        (true, json!({ "id": "pm_2", "customer": "cus_1", "customer_id": "cus_1" })),
        (true, json!({ "id": "pm_2", "customer": { "id": "cus_1" }, "customerId": null })),
        (false, json!({ "id": "pm_2", "customer": "cus_2" })),
        (false, json!({ "id": "pm_2", "customer": { "id": "cus_2" } })),
        (false, json!({ "id": "pm_2", "customer_id": "cus_2" })),
        (false, json!({ "id": "../x" })),
        (false, json!({ "id": "pm_2\n" })),
    ] {
        for (provider, list, drop_in, text) in [
            ("modempay", "payment_methods", "/as/modempay/v1/customers/cus_1/payment-methods", methods("data", &entry)),
            ("notchpay", "payment_methods", "/as/notchpay/customers/cus_1/payment_methods", methods("items", &entry)),
            ("notchpay", "payments", "/as/notchpay/customers/cus_1/payments", methods("items", &entry)),
            (
                "paymentkit",
                "overdue_invoices",
                "/as/paymentkit/api/customers/cus_1/overdue/invoices",
                invoices(&entry).to_string(),
            ),
        ] {
            let vendor = StandIn::always(json_answer("200 OK", &text)).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let answer = gateway.get(&format!("/v1/customers/cus_1/{list}")).await;
            let expected = if is_served { 200 } else { 502 };
            assert_eq!(answer.status.as_u16(), expected, "{provider} {list} {entry}: {}", answer.text);
            assert!(is_served || answer.code() == "provider_bad_response", "{provider}: {}", answer.text);
            let key = if provider == "notchpay" { "sk_acme" } else { "Bearer sk_acme" };
            let request = gateway.plain(Method::GET, drop_in).header("authorization", key);
            let status = request.send().await.expect("an answer").status();
            assert_eq!(status.is_success(), is_served, "{provider} {drop_in} {entry}");
        }
    }
}

#[tokio::test]
async fn an_invoice_may_name_its_customer_by_the_id_or_the_did() {
    for (named, status) in [("cus_1", 200), ("z1Awa", 200), ("did:abt:z1Awa", 200), ("cus_2", 502), ("z1Other", 502)] {
        for has_customer in [true, false] {
            let customer = json!({ "id": "cus_1", "did": "z1Awa" });
            let shown = if has_customer { customer.clone() } else { Value::Null };
            let invoices = json!({ "customer": shown, "invoices": [{ "id": "in_1", "customer_id": named }] });
            let replies = [invoices, customer].map(|body| json_answer("200 OK", &body.to_string())).to_vec();
            let vendor = StandIn::start(replies).await;
            let gateway = Gateway::in_front_of("paymentkit", &vendor.url(), "").await;
            let answer = gateway.get("/v1/customers/z1Awa/overdue_invoices").await;
            assert_eq!(answer.status.as_u16(), status, "{named} {has_customer}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_record_with_its_id_and_its_did_swapped_is_refused() {
    let swapped = json!({ "id": "z1Awa", "did": "cus_1" });
    for (path, body) in [
        ("/v1/customers/z1Awa", swapped.clone()),
        ("/v1/customers/cus_1", swapped.clone()),
        ("/v1/customers", json!({ "count": 1, "list": [swapped] })),
    ] {
        let vendor = StandIn::always(json_answer("200 OK", &body.to_string())).await;
        let gateway = Gateway::in_front_of("paymentkit", &vendor.url(), "").await;
        let answer = gateway.get(path).await;
        assert_eq!(answer.status_and_code(), (502, "provider_bad_response"), "{path}: {}", answer.text);
    }
}
