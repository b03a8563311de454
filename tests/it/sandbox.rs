//! The same requests against all five providers in the sandbox. An operation that a provider lacks is refused with the
//! reason.

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, PROVIDERS};

/// Whether the provider has the operation. If it has not, the answer must be a refusal with the reason.
fn is_supported(answer: &Answer) -> bool {
    if answer.code() == "operation_not_supported" {
        assert_eq!(answer.status, 405);
        assert!(answer.headers.contains_key("allow"));
        assert_eq!(answer.body["outcome"], "none");
        assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains(';')), "{}", answer.text);
        return false;
    }
    true
}

/// A new customer, or a sample customer where the provider cannot create one.
async fn new_or_sample_customer(gateway: &Gateway) -> Value {
    let wanted = json!({ "name": "Awa Ndiaye", "email": "awa.ndiaye@example.com", "phone": "+221770001122" });
    let created = gateway.post("/v1/customers", wanted).await;
    if is_supported(&created) {
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.header("preference-applied"), "loss=reject");
        let id = created.body["id"].as_str().expect("an id");
        assert_eq!(created.header("location"), format!("/v1/customers/{id}"));
        assert_eq!(created.body["name"], "Awa Ndiaye");
        assert_eq!(created.body["phone"], "+221770001122");
        return created.body;
    }
    gateway.get("/v1/customers?limit=1").await.body["data"][0].clone()
}

async fn run_every_operation(provider: &str) {
    let gateway = Gateway::sandbox(provider).await;
    let customer = new_or_sample_customer(&gateway).await;
    let id = customer["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/customers/{id}");
    let email = customer["email"].as_str().expect("an e-mail").to_owned();

    let retrieved = gateway.get(&path).await;
    assert_eq!(retrieved.status, 200);
    assert_eq!(retrieved.body["email"], email);
    assert_eq!(retrieved.body["provider"]["name"], provider);

    let found = gateway.get(&format!("/v1/customers/lookup?email={email}")).await;
    assert_eq!((found.status.as_u16(), &found.body["id"]), (200, &json!(id)), "{}", found.text);
    let missing = gateway.get("/v1/customers/lookup?email=nobody@example.com").await;
    assert_eq!(missing.status_and_code(), (404, "customer_not_found"), "{}", missing.text);

    let updated = gateway.patch(&path, json!({ "name": "Awa Diop", "email": "awa.diop@example.com" })).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    assert_eq!((&updated.body["name"], &updated.body["last_name"]), (&json!("Awa Diop"), &json!("Diop")));
    assert_eq!(gateway.get(&path).await.body["email"], "awa.diop@example.com");
    let same = gateway.patch(&path, json!({})).await;
    assert_eq!((same.status.as_u16(), &same.body["name"]), (200, &json!("Awa Diop")));

    read_all_pages(&gateway, &id).await;
    block_and_unblock(&gateway, &path).await;
    read_records_of_a_customer(&gateway, provider).await;

    let deleted = gateway.delete(&path).await;
    if is_supported(&deleted) {
        assert_eq!(deleted.body, json!({ "object": "customer", "id": id, "deleted": true }));
        assert_eq!(gateway.get(&path).await.status_and_code(), (404, "customer_not_found"));
        let again = gateway.delete(&path).await;
        assert_eq!(again.status_and_code(), (404, "customer_not_found"), "{}", again.text);
    }
}

/// Reads all pages. Every customer must be on exactly one of them.
async fn read_all_pages(gateway: &Gateway, id: &str) {
    let mut seen = Vec::new();
    let mut next = "/v1/customers?limit=2".to_owned();
    loop {
        let page = gateway.get(&next).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let data = page.body["data"].as_array().expect("a list");
        assert!(data.len() <= 2);
        seen.extend(data.iter().map(|customer| customer["id"].as_str().expect("an id").to_owned()));
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            assert_eq!(page.body["has_more"], false);
            assert_eq!(page.header("link"), "");
            break;
        };
        assert_eq!(page.body["has_more"], true);
        let link = page.header("link");
        let (target, relation) = link.split_once("; ").expect("a link");
        assert_eq!(relation, "rel=\"next\"");
        assert!(target.contains(cursor));
        next = target.trim_matches(['<', '>']).to_owned();
    }
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len(), "no customer is listed twice");
    assert!(seen.len() >= 3 && seen.iter().any(|seen| seen == id), "{seen:?}");
}

async fn block_and_unblock(gateway: &Gateway, path: &str) {
    let blocked = gateway.send(gateway.request(reqwest::Method::POST, &format!("{path}/block"))).await;
    if !is_supported(&blocked) {
        return;
    }
    assert_eq!(blocked.body["blocked"], true, "{}", blocked.text);
    assert_eq!(gateway.get(path).await.body["blocked"], true);
    let only_blocked = gateway.get("/v1/customers?blocked=true").await;
    assert_eq!(only_blocked.body["data"].as_array().map(Vec::len), Some(1), "{}", only_blocked.text);
    let unblocked = gateway.send(gateway.request(reqwest::Method::POST, &format!("{path}/unblock"))).await;
    assert_eq!(unblocked.body["blocked"], false);
}

/// A sample customer has payment methods, payments and invoices where the provider has such records.
async fn read_records_of_a_customer(gateway: &Gateway, provider: &str) {
    let samples = gateway.get("/v1/customers/lookup?email=amadou.ba@example.com").await;
    let id = samples.body["id"].as_str().expect("a sample customer").to_owned();
    let methods = gateway.get(&format!("/v1/customers/{id}/payment_methods")).await;
    if is_supported(&methods) {
        assert_eq!(methods.body["data"][0]["object"], "payment_method", "{provider}: {}", methods.text);
    }
    let payments = gateway.get(&format!("/v1/customers/{id}/payments?limit=2")).await;
    if is_supported(&payments) {
        assert_eq!(payments.body["data"][0]["amount"], "5000", "{provider}: {}", payments.text);
        assert_eq!(payments.body["has_more"], true);
        let complete = gateway.get(&format!("/v1/customers/{id}/payments?status=complete")).await;
        assert_eq!(complete.body["data"].as_array().map(Vec::len), Some(2));
    }
    let invoices = gateway.get(&format!("/v1/customers/{id}/overdue_invoices")).await;
    if is_supported(&invoices) {
        assert_eq!(invoices.body["data"][0]["amount_remaining"], "2500", "{provider}: {}", invoices.text);
        assert_eq!(invoices.body["summary"]["curr_usd"]["amount"], "2500");
        assert_eq!(invoices.body["customer"], samples.body, "the invoices answer their customer too");
    }
}

#[tokio::test]
async fn the_same_requests_work_at_modempay() {
    run_every_operation("modempay").await;
}

#[tokio::test]
async fn the_same_requests_work_at_lomi() {
    run_every_operation("lomi").await;
}

#[tokio::test]
async fn the_same_requests_work_at_paymentkit() {
    run_every_operation("paymentkit").await;
}

#[tokio::test]
async fn the_same_requests_work_at_bitnob() {
    run_every_operation("bitnob").await;
}

#[tokio::test]
async fn the_same_requests_work_at_notchpay() {
    run_every_operation("notchpay").await;
}

#[tokio::test]
async fn an_unknown_customer_is_not_found_at_any_provider() {
    for provider in PROVIDERS {
        let gateway = Gateway::sandbox(provider).await;
        let id = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
        let answer = gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!(answer.status_and_code(), (404, "customer_not_found"), "{provider}: {}", answer.text);
        assert_eq!(answer.body["provider"]["name"], provider);
    }
}

#[tokio::test]
async fn the_api_lists_the_capabilities_of_every_provider() {
    for provider in PROVIDERS {
        let gateway = Gateway::sandbox(provider).await;
        let merchant = gateway.get("/v1/merchant").await;
        assert_eq!(merchant.body["provider"]["name"], provider);
        let described = gateway.get(&format!("/v1/providers/{provider}")).await;
        assert_eq!(described.body["generations"][0]["name"], provider);
    }
    let gateway = Gateway::sandbox("lomi").await;
    let all = gateway.get("/v1/providers").await;
    assert!(all.body["data"].as_array().is_some_and(|all| all.len() >= PROVIDERS.len()));
    assert_eq!(gateway.get("/v1/providers/stripe").await.status_and_code(), (404, "not_found"));
}

#[tokio::test]
async fn the_api_lists_the_dedupe_class_of_every_write() {
    let gateway = Gateway::sandbox("lomi").await;
    for (provider, create, classes) in [
        ("lomi", json!("search"), json!({ "create": "search", "update": "id", "delete": "id" })),
        ("bitnob", json!("unique"), json!({ "create": "unique", "update": "id", "block": "id", "unblock": "id" })),
        ("paymentkit", json!(null), json!({ "update": "id" })),
    ] {
        let generation = gateway.get(&format!("/v1/providers/{provider}")).await.body["generations"][0].take();
        assert_eq!(generation["dedupe"], create, "{provider}");
        let operations = generation["operations"].as_array().expect("operations").iter();
        let named =
            operations.map(|operation| (operation["operation"].as_str().unwrap_or_default(), &operation["dedupe"]));
        let listed: serde_json::Map<_, _> = named
            .filter(|(_, class)| !class.is_null())
            .map(|(operation, class)| (operation.to_owned(), class.clone()))
            .collect();
        assert_eq!(json!(listed), classes, "{provider}: reads and missing operations have no class");
    }
}

#[tokio::test]
async fn a_distinct_create_answers_with_the_existing_customer() {
    for provider in ["modempay", "lomi", "bitnob", "notchpay"] {
        let gateway = Gateway::sandbox(provider).await;
        let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
        let existing = gateway.post("/v1/customers?distinct=true", body).await;
        assert_eq!(existing.status, 200, "{provider}: {}", existing.text);
        let report = existing.body["fidelity"].as_array().expect("a report");
        let matched = report.iter().find(|entry| entry["field"] == "id").expect("the report names the match");
        assert!(matched["rule"].as_str().is_some_and(|rule| rule.ends_with("by the gateway")), "{provider}: {matched}");
        let body = json!({ "name": "Fatou Sow", "email": "fatou.sow@example.com" });
        let created = gateway.post("/v1/customers?distinct=true", body).await;
        assert_eq!(created.status, 201, "{provider}: {}", created.text);
    }
}

#[tokio::test]
async fn a_create_that_bitnob_answers_with_another_customer_is_a_conflict() {
    let gateway = Gateway::sandbox("bitnob").await;
    let body = json!({ "name": "Somebody Else", "email": "amadou.ba@example.com" });
    let answer = gateway.post("/v1/customers", body).await;
    assert_eq!(answer.status_and_code(), (409, "vendor_record_shared"), "{}", answer.text);
    assert_eq!(answer.body["outcome"], "none");
    assert!(answer.body["provider"]["id"].is_string());
    assert!(!answer.text.contains("Amadou"), "the data of the other customer is not shown");
}

#[tokio::test]
async fn an_update_merges_metadata() {
    let gateway = Gateway::sandbox("notchpay").await;
    let body = json!({ "name": "Awa", "email": "awa@example.com", "metadata": { "crm": "1", "tier": "gold" } });
    let created = gateway.post("/v1/customers", body).await;
    let path = format!("/v1/customers/{}", created.body["id"].as_str().expect("an id"));
    let updated = gateway.patch(&path, json!({ "metadata": { "crm": null, "since": 2021 } })).await;
    assert_eq!(updated.body["metadata"], json!({ "tier": "gold", "since": 2021 }), "{}", updated.text);
}

#[tokio::test]
async fn a_search_at_paymentkit_finds_dids() {
    let gateway = Gateway::sandbox("paymentkit").await;
    let sample = gateway.get("/v1/customers/lookup?email=amadou.ba@example.com").await;
    let did = sample.body["did"].as_str().expect("a DID");
    let part = did.get(2..8).unwrap_or(did);
    let found = gateway.get(&format!("/v1/customers?search={part}")).await;
    assert_eq!((&found.body["data"][0]["did"], &found.body["filtered_by"]), (&json!(did), &json!("provider")));
}

#[tokio::test]
async fn a_payment_method_of_modem_pay_is_the_one_of_its_documents() {
    let gateway = Gateway::sandbox("modempay").await;
    let sample = gateway.get("/v1/customers/lookup?email=caleb@modempay.com").await;
    let id = sample.body["id"].as_str().expect("an id");
    let methods = gateway.get(&format!("/v1/customers/{id}/payment_methods?include=raw")).await;
    let mut shown = methods.body["raw"][0]["body"]["data"][0].clone();
    assert_eq!(shown["id"].as_str().map(str::len), Some(36), "{shown}");
    assert_eq!(shown["mobilepay"]["fingerprint"].as_str().map(str::len), Some(32), "{shown}");
    shown["id"].take();
    shown["mobilepay"]["fingerprint"].take();
    assert_eq!(
        shown,
        json!({
            "mobilepay": {
                "logo": "https://api.modempay.com/images/qcell.png",
                "type": "mobilepay",
                "group": "wallet-gm",
                "last4": "9944",
                "gateway": "qmoney",
                "fingerprint": null,
                "gateway_name": "QMoney",
            },
            "id": null,
            "type": "mobilepay",
            "customer": id,
            "business_id": "a10a51ae-05c8-406e-968c-7b1d309a77e0",
            "account_id": "7788dd90-3801-47a6-8597-b46eaa0a7d7d",
            "test_mode": true,
            "has_been_detached": false,
            "createdAt": "2025-05-11T13:54:10.104Z",
            "updatedAt": "2025-05-11T13:54:10.104Z",
        })
    );
    let method = &methods.body["data"][0];
    assert_eq!(
        (&method["channel"], &method["last4"], &method["phone"]),
        (&json!("qmoney"), &json!("9944"), &json!(null))
    );
}

/// The refusals that need no record. `fixtures` has those that do.
#[tokio::test]
async fn an_update_cannot_remove_what_a_create_requires() {
    for (provider, patch, pointer) in [
        ("modempay", json!({ "name": null }), "/name"),
        ("modempay", json!({ "first_name": null, "last_name": null }), "/first_name"),
        ("notchpay", json!({ "email": null, "phone": null }), "/email"),
        ("bitnob", json!({ "email": null }), "/email"),
    ] {
        let gateway = Gateway::sandbox(provider).await;
        let sample = gateway.get("/v1/customers/lookup?email=amadou.ba@example.com").await;
        let path = format!("/v1/customers/{}", sample.body["id"].as_str().expect("an id"));
        for query in ["", "?explain=true"] {
            let refused = gateway.patch(&format!("{path}{query}"), patch.clone()).await;
            assert_eq!(refused.status_and_code(), (422, "invalid_request"), "{provider}: {}", refused.text);
            assert_eq!(
                (&refused.body["errors"][0]["pointer"], &refused.body["outcome"]),
                (&json!(pointer), &json!("none"))
            );
        }
        assert_eq!(gateway.get(&path).await.body["updated_at"], sample.body["updated_at"], "{provider}");
    }
    let gateway = Gateway::sandbox("notchpay").await;
    let created = gateway.post("/v1/customers", json!({ "email": "awa@example.com" })).await;
    let path = format!("/v1/customers/{}", created.body["id"].as_str().expect("an id"));
    let refused = gateway.patch(&path, json!({ "email": null })).await;
    assert_eq!((refused.status_and_code(), &refused.body["outcome"]), ((422, "invalid_request"), &json!("none")));
    let replaced = gateway.patch(&path, json!({ "email": null, "phone": "+237677123456" })).await;
    assert_eq!((&replaced.body["email"], &replaced.body["phone"]), (&json!(null), &json!("+237677123456")));
}
