//! The parts of a name at a provider with one name, blocks at one that cannot block, and updates that send nothing.

use http::Method;
use serde_json::json;

use super::{CARRYING, create, fields, names};
use crate::{
    stand_in::{StandIn, json as json_answer},
    support::Gateway,
};

/// R28: the split of a name is carried, and follows every update of the name.
#[tokio::test]
async fn the_split_of_a_name_is_carried_and_follows_updates() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let (path, created) = create(&gateway, &json!({ "first_name": "Awa", "last_name": "Ndiaye Fall" })).await;
    assert_eq!(names(&created.body), ["Awa Ndiaye Fall", "Awa", "Ndiaye Fall"], "{}", created.text);
    assert_eq!(fields(&created.body, "carried"), ["first_name", "last_name"], "{}", created.text);
    for (patch, expected, carried) in [
        (json!({ "email": "awa@example.com" }), ["Awa Ndiaye Fall", "Awa", "Ndiaye Fall"], 2),
        (json!({ "last_name": "Diop Sow" }), ["Awa Diop Sow", "Awa", "Diop Sow"], 2),
        (json!({ "first_name": "El Hadji" }), ["El Hadji Diop Sow", "El Hadji", "Diop Sow"], 2),
        (json!({ "last_name": "Ba" }), ["El Hadji Ba", "El Hadji", "Ba"], 0),
        (json!({ "first_name": "Awa", "last_name": "Ndiaye Fall" }), ["Awa Ndiaye Fall", "Awa", "Ndiaye Fall"], 2),
        (json!({ "name": "Awa Ndiaye Fall" }), ["Awa Ndiaye Fall", "Awa Ndiaye", "Fall"], 0),
        (json!({ "last_name": "Ndiaye Fall" }), ["Awa Ndiaye Fall", "Awa", "Ndiaye Fall"], 2),
    ] {
        let updated = gateway.patch(&path, patch.clone()).await;
        assert_eq!(updated.status, 200, "{patch}: {}", updated.text);
        for body in [updated.body, gateway.get(&path).await.body] {
            assert_eq!(names(&body), expected, "{patch}: {body}");
            assert_eq!(fields(&body, "carried").len(), carried, "{patch}: {body}");
        }
    }
}

/// `blocked` is carried where the provider cannot block, and the answer says that payments are not stopped.
#[tokio::test]
async fn a_block_is_carried_where_the_provider_cannot_block() {
    let gateway = Gateway::start(CARRYING).await.with_key("sk_acme");
    let (path, _) = create(&gateway, &json!({ "name": "Awa" })).await;
    for (change, blocked) in [("block", true), ("unblock", false), ("block", true)] {
        let answer = gateway.send(gateway.request(Method::POST, &format!("{path}/{change}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.contains("payments there are not stopped"), "{}", answer.text);
        for body in [answer.body, gateway.get(&path).await.body] {
            assert_eq!((&body["blocked"], fields(&body, "carried")), (&json!(blocked), vec!["blocked".to_owned()]));
        }
    }
    let missing =
        gateway.send(gateway.request(Method::POST, "/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985/block"));
    assert_eq!(missing.await.status_and_code(), (404, "customer_not_found"));
    let explained = gateway.send(gateway.request(Method::POST, &format!("{path}/block?explain=true"))).await;
    assert_eq!(fields(&explained.body, "carried"), ["blocked"], "{}", explained.text);
    assert_eq!(explained.body["requests"][0]["method"], "GET", "{}", explained.text);
    let strict = Gateway::start(CARRYING).await.with_key("sk_strict");
    let (path, _) = create(&strict, &json!({ "name": "Awa" })).await;
    let refused = strict.send(strict.request(Method::POST, &format!("{path}/block"))).await;
    assert_eq!(refused.status_and_code(), (405, "operation_not_supported"));
}

/// An update of carried fields alone sends the provider only a read, which shows that the customer still exists.
#[tokio::test]
async fn an_update_of_carried_fields_alone_only_reads_the_customer() {
    let id = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
    let customer = json!({ "id": id, "name": "Awa Diop", "email": "awa@example.com" }).to_string();
    let missing = json_answer("404 Not Found", r#"{"message":"Customer not found"}"#);
    let vendor = StandIn::start(vec![json_answer("200 OK", &customer), missing]).await;
    let configuration = format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"main\"\non_loss = \"carry\"\n[merchants.acme.connections.main]\nprovider = \"modempay\"\n\
         base_url = \"{}\"\ncredentials = {{ secret_key = \"sk_test\" }}\n",
        vendor.url()
    );
    let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
    let patch = json!({ "address": { "city": "Dakar" } });
    let updated = gateway.patch(&format!("/v1/customers/{id}"), patch.clone()).await;
    assert_eq!((updated.status.as_u16(), &updated.body["address"]["city"]), (200, &json!("Dakar")), "{}", updated.text);
    let gone = gateway.patch(&format!("/v1/customers/{id}"), patch).await;
    assert_eq!(gone.status_and_code(), (404, "customer_not_found"), "{}", gone.text);
    let requests = vendor.requests();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
}
