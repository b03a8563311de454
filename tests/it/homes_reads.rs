//! Reads of one customer of a merchant who switches providers (R3, R4, R5, R13).

use reqwest::Method;
use serde_json::json;

use crate::{
    homes_bed::{Shown, Two, check, text},
    support::JsonText,
};

/// R3: a public id of one customer that another customer has at a connection names the first one.
#[tokio::test]
async fn a_public_id_comes_before_the_ids_at_connections() {
    let two = Two::start("notchpay", "modempay").await;
    let awa = two.create("old", "Awa Ndiaye", "awa@example.com").await;
    let amadou = two.create("new", "Amadou Ba", "amadou@example.com").await;
    two.route("new").await;
    // Amadou was given the id first that Awa has at `old`.
    two.add(&awa, "new", &amadou, None).await;
    two.add("first", "old", &awa, Some("old")).await;
    check(&two.gateway.get(&format!("/v1/customers/{awa}")).await, (&awa, "new", &amadou));
    check(&two.gateway.get(&format!("/v1/customers/{amadou}")).await, (&awa, "new", &amadou));
    check(&two.gateway.get("/v1/customers/first").await, ("first", "old", &awa));
}

/// R3: a client that was given the packed form of an id by a drop-in dialect uses it everywhere.
#[tokio::test]
async fn a_packed_id_of_drop_in_is_an_alias() {
    let two = Two::start("notchpay", "modempay").await;
    let own = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.route("new").await;
    two.add("cus_Awa1", "new", &own, None).await;
    let packed = passerelle_providers::text::packed::to_uuid("cus_Awa1").expect("it fits");
    for id in [packed.to_string(), packed.to_uppercase()] {
        check(&two.gateway.get(&format!("/v1/customers/{id}")).await, ("cus_Awa1", "new", &own));
    }
}

/// R3: a DID is the name of a customer at the provider that gave it, also after the customer has moved.
#[tokio::test]
async fn a_did_is_an_alias_of_a_customer_who_has_moved() {
    let two = Two::start("paymentkit", "modempay").await;
    let listed = two.gateway.get("/v1/customers?limit=100").await;
    let customers = listed.body["data"].as_array().expect("a page");
    let customer = customers.iter().find(|customer| !text(customer, "did").is_empty()).expect("one with a DID");
    let (did, own) = (text(customer, "did"), text(customer, "id"));
    let moved = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.route("new").await;
    two.add(own, "old", own, Some("old")).await;
    check(&two.gateway.get(&format!("/v1/customers/{did}")).await, (own, "old", own));
    two.add(own, "new", &moved, None).await;
    two.pin(own, None);
    check(&two.gateway.get(&format!("/v1/customers/{did}")).await, (own, "new", &moved));
}

/// R4
#[tokio::test]
async fn while_a_switch_is_open_an_id_without_a_row_is_asked_for_at_both_connections() {
    let two = Two::start("notchpay", "modempay").await;
    let awa = two.create("old", "Awa Ndiaye", "awa@example.com").await;
    let fatou = two.create("old", "Fatou Diop", "fatou@example.com").await;
    let amadou = two.create("new", "Amadou Ba", "amadou@example.com").await;
    two.open("new").await;
    check(&two.gateway.get(&format!("/v1/customers/{awa}")).await, (&awa, "old", &awa));
    check(&two.gateway.get(&format!("/v1/customers/{amadou}")).await, (&amadou, "new", &amadou));
    // A write is resolved in the same way.
    let path = format!("/v1/customers/{fatou}");
    check(&two.gateway.patch(&path, json!({ "email": "new@example.com" })).await, (&fatou, "old", &fatou));
    for (id, home) in [(&awa, "old"), (&fatou, "old"), (&amadou, "new")] {
        let resolved = two.gateway.ids().resolve("acme", Some(id)).await.expect("read").expect("a routing row");
        assert_eq!(resolved.customers[0].pinned.as_deref(), Some(home), "{id}");
    }
    for id in ["b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "cus_unknown"] {
        let unknown = two.gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!(unknown.status_and_code(), (404, "customer_not_found"), "{}", unknown.text);
    }
}

/// R4
#[tokio::test]
async fn without_an_open_switch_an_id_without_a_row_lives_at_the_active_connection() {
    let two = Two::start("notchpay", "modempay").await;
    let awa = two.create("old", "Awa Ndiaye", "awa@example.com").await;
    let amadou = two.create("new", "Amadou Ba", "amadou@example.com").await;
    two.route("new").await;
    let unknown = two.gateway.get(&format!("/v1/customers/{awa}")).await;
    assert!([400, 404].contains(&unknown.status.as_u16()), "{}", unknown.text);
    check(&two.gateway.get(&format!("/v1/customers/{amadou}")).await, (&amadou, "new", &amadou));
}

/// R4: the records of both have the same id, and no row says that they are one customer.
#[tokio::test]
async fn an_id_that_both_connections_have_is_ambiguous_and_gets_no_row() {
    let two = Two::start("modempay", "modempay").await;
    let listed = two.gateway.get("/v1/customers?limit=1").await;
    let id = text(&listed.body["data"][0], "id").to_owned();
    two.open("new").await;
    for (method, below) in [(Method::GET, ""), (Method::PATCH, ""), (Method::DELETE, "")] {
        let request = two.gateway.request(method.clone(), &format!("/v1/customers/{id}{below}"));
        let refused = two.gateway.send(request.json_text(&json!({ "email": "new@example.com" }))).await;
        assert_eq!(refused.status_and_code(), (409, "id_ambiguous"), "{method}: {}", refused.text);
        assert_eq!(refused.body["ids"], json!([id]), "{method}: {}", refused.text);
    }
    let resolved = two.gateway.ids().resolve("acme", Some(&id)).await.expect("read").expect("a routing row");
    assert!(resolved.customers.is_empty());
    two.complete().await;
    check(&two.gateway.get(&format!("/v1/customers/{id}")).await, (&id, "new", &id));
}

/// R4: the customer may exist at the connection that cannot be asked.
#[tokio::test]
async fn a_connection_that_cannot_be_asked_is_an_error_and_never_a_404() {
    const GONE: &str = "connections.gone = { provider = \"lomi\", base_url = \"http://127.0.0.1:9/v1\", \
                        credentials = { api_key = \"secret\" } }";
    let two = Two::with("notchpay", "modempay", GONE).await;
    two.gateway.ids().begin("acme", "new", "sw_1", "gone").await.expect("stored");
    two.gateway.learn_routing().await;
    let refused = two.gateway.get("/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985").await;
    assert!(refused.status.as_u16() >= 500, "{}", refused.text);
    assert_eq!(text(&refused.body["provider"], "connection"), "gone", "{}", refused.text);
}

/// R5
#[tokio::test]
async fn a_deleted_customer_is_neither_found_nor_listed_although_its_record_is_there() {
    let two = Two::start("notchpay", "modempay").await;
    let awa = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.open("new").await;
    assert!(two.walk("limit=100", async |_| ()).await.iter().any(|shown| shown.id == awa));
    two.bury(&awa);
    assert!(two.walk("limit=100", async |_| ()).await.iter().all(|shown| shown.id != awa));
    for path in [format!("/v1/customers/{awa}"), "/v1/customers/lookup?email=awa@example.com".to_owned()] {
        let gone = two.gateway.get(&path).await;
        assert_eq!(gone.status_and_code(), (404, "customer_not_found"), "{path}: {}", gone.text);
    }
    let filtered = two.gateway.get("/v1/customers?email=awa@example.com").await;
    assert_eq!(filtered.body["data"], json!([]), "{}", filtered.text);
}

/// R5
#[tokio::test]
async fn a_record_has_its_row_before_a_list_or_a_look_up_shows_it() {
    let two = Two::start("notchpay", "modempay").await;
    let listed = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.open("new").await;
    let found = two.gateway.get("/v1/customers/lookup?email=awa@example.com").await;
    check(&found, (&listed, "new", &listed));
    let pinned = async |id: &str| {
        let resolved = two.gateway.ids().resolve("acme", Some(id)).await.expect("read").expect("a routing row");
        resolved.customers.first().and_then(|customer| customer.pinned.clone())
    };
    assert_eq!(pinned(&listed).await.as_deref(), Some("new"));
    let shown = two.walk("limit=7", async |_| ()).await;
    assert!(shown.len() > 2, "{shown:?}");
    for Shown { id, home, .. } in shown {
        assert_eq!(pinned(&id).await, Some(home), "{id}");
    }
}

/// R5: the id of a record is another customer's public id, so the record gets an id of its own.
#[tokio::test]
async fn a_record_whose_id_is_taken_is_shown_under_a_derived_id_that_goes_on_to_work() {
    let two = Two::start("modempay", "modempay").await;
    two.open("old").await;
    let seeded = two.walk("limit=100", async |_| ()).await;
    two.flip().await;
    let again = two.walk("limit=100", async |_| ()).await;
    assert_eq!(again.len(), 2 * seeded.len(), "the twins have the same customers: {again:?}");
    for Shown { id, home, .. } in &again {
        let retrieved = two.gateway.get(&format!("/v1/customers/{id}")).await;
        let own = text(&retrieved.body["provider"], "id").to_owned();
        check(&retrieved, (id, home, &own));
        assert_eq!(*id == own, home == "old", "{id} {own}");
    }
}

/// R13
#[tokio::test]
async fn a_store_that_tells_a_lower_epoch_stops_the_merchant_until_a_higher_one_is_written() {
    let two = Two::start("notchpay", "modempay").await;
    let awa = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.open("new").await;
    let path = format!("/v1/customers/{awa}");
    let epoch = |epoch: u64| two.sql(&format!("UPDATE routing SET epoch = {epoch}"));
    epoch(4);
    check(&two.gateway.get(&path).await, (&awa, "new", &awa));
    epoch(3);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let request = two.gateway.request(method.clone(), &path).json_text(&json!({ "email": "new@example.com" }));
        let refused = two.gateway.send(request).await;
        assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{method}: {}", refused.text);
        assert!(text(&refused.body, "detail").contains("passerelle switch set"), "{}", refused.text);
    }
    for path in ["/v1/customers", "/v1/customers/lookup?email=awa@example.com", "/v1/customers/unknown"] {
        let refused = two.gateway.get(path).await;
        assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{path}: {}", refused.text);
    }
    epoch(5);
    check(&two.gateway.get(&path).await, (&awa, "new", &awa));
    assert_eq!(two.gateway.ids().epochs().highest("acme"), Some(5));
}
