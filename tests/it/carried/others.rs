//! Values that change outside the gateway, and connections that hold what was carried.

use http::Method;
use serde_json::{Value, json};

use super::{create, fields, names, written};
use crate::{
    support::{Gateway, JsonText},
    writes::helpers::start_twin,
};

/// A merchant who carries, and another client of the same provider account.
fn configuration(base: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\non_loss = \"carry\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\nbase_url = \"{base}\"\n\
         credentials = {{ api_key = \"test\" }}\n\
         [merchants.hands]\napi_keys = [\"sk_hands\"]\nactive = \"main\"\non_loss = \"drop\"\n\
         [merchants.hands.connections.main]\nprovider = \"lomi\"\nbase_url = \"{base}\"\n\
         credentials = {{ api_key = \"test\" }}\n"
    )
}

async fn by_other_hands(gateway: &Gateway, path: &str, patch: &Value) {
    let request = gateway.plain(Method::PATCH, path).bearer_auth("sk_hands").json_text(patch);
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// R28: the parts of a name go when the name was changed outside the gateway, and the report says so.
#[tokio::test]
async fn a_part_goes_when_its_native_value_was_changed_by_other_hands() {
    let (base, _folder) = start_twin("lomi", "");
    let gateway = Gateway::start(&configuration(&base)).await.with_key("sk_acme");
    let (path, _) =
        create(&gateway, &json!({ "first_name": "Awa", "last_name": "Ndiaye Fall", "did": "did:abt:z1" })).await;
    by_other_hands(&gateway, &path, &json!({ "email": "awa@example.com" })).await;
    assert_eq!(names(&gateway.get(&path).await.body), ["Awa Ndiaye Fall", "Awa", "Ndiaye Fall"]);
    by_other_hands(&gateway, &path, &json!({ "name": "Awa Ndiaye Sow" })).await;
    let read = gateway.get(&path).await;
    assert_eq!(names(&read.body), ["Awa Ndiaye Sow", "Awa Ndiaye", "Sow"], "{}", read.text);
    assert_eq!(fields(&read.body, "lost"), ["first_name", "last_name"], "{}", read.text);
    assert_eq!((fields(&read.body, "carried"), &read.body["did"]), (vec!["did".to_owned()], &json!("did:abt:z1")));
    let listed = gateway.get("/v1/customers").await;
    assert_eq!(names(&listed.body["data"][0]), names(&read.body), "{}", listed.text);
    // An update of one part keeps the other one of the name that the provider has now.
    let updated = gateway.patch(&path, json!({ "last_name": "Ba" })).await;
    assert_eq!(names(&updated.body), ["Awa Ndiaye Ba", "Awa Ndiaye", "Ba"], "{}", updated.text);
    assert_eq!(fields(&updated.body, "lost"), Vec::<String>::new(), "{}", updated.text);
    // The next write has removed the parts, so that the old name does not bring them back.
    by_other_hands(&gateway, &path, &json!({ "name": "Awa Ndiaye Fall" })).await;
    let read = gateway.get(&path).await;
    assert_eq!(names(&read.body), ["Awa Ndiaye Fall", "Awa Ndiaye", "Fall"], "{}", read.text);
}

/// R28: a value that the provider cannot remove is answered as removed, until it is changed outside the gateway.
#[tokio::test]
async fn a_removal_that_the_provider_cannot_execute_is_carried() {
    let (base, _folder) = start_twin("lomi", "");
    let gateway = Gateway::start(&configuration(&base)).await.with_key("sk_acme");
    let (path, _) =
        create(&gateway, &json!({ "name": "Awa", "email": "awa@example.com", "phone": "+221771234567" })).await;
    let removed = gateway.patch(&path, json!({ "email": null })).await;
    for body in [removed.body, gateway.get(&path).await.body] {
        assert_eq!((&body["email"], fields(&body, "carried")), (&Value::Null, vec!["email".to_owned()]), "{body}");
    }
    by_other_hands(&gateway, &path, &json!({ "email": "new@example.com" })).await;
    let read = gateway.get(&path).await;
    assert_eq!(
        (&read.body["email"], fields(&read.body, "lost")),
        (&json!("new@example.com"), vec!["email".to_owned()])
    );
    let removed = gateway.patch(&path, json!({ "email": null })).await;
    assert_eq!((&removed.body["email"], removed.status.as_u16()), (&Value::Null, 200), "{}", removed.text);
    let set = gateway.patch(&path, json!({ "email": "last@example.com" })).await;
    for body in [set.body, gateway.get(&path).await.body] {
        assert_eq!(
            (&body["email"], body["fidelity"].to_string().contains("email")),
            (&json!("last@example.com"), false)
        );
    }
}

/// R28: where the home holds the field, the carried row is hidden. It shows again where it does not.
#[tokio::test]
async fn a_carried_field_is_hidden_where_the_home_holds_it() {
    let configuration = |active: &str| {
        format!(
            "[store]\nurl = \"sqlite::memory:\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"{active}\"\n\
             on_loss = \"carry\"\nconnections.main = {{ provider = \"modempay\", sandbox = true }}\n\
             connections.next = {{ provider = \"notchpay\", sandbox = true }}\n"
        )
    };
    let gateway = Gateway::start(&configuration("main")).await.with_key("sk_acme");
    let body = json!({ "first_name": "Awa", "last_name": "Ndiaye Fall", "email": "awa@example.com", "whatsapp": "+221771234567",
                       "address": { "city": "Dakar" } });
    let (path, created) = create(&gateway, &body).await;
    let public = created.body["id"].as_str().expect("an id");
    gateway.reload(&configuration("next"));
    let (_, other) = create(
        &gateway,
        &json!({ "name": "Awa Ndiaye Fall", "email": "awa@example.com", "address": { "city": "Thiès" } }),
    )
    .await;
    gateway.ids().route("acme", "next").await.expect("stored");
    for (connection, provider_id) in [("main", public), ("next", other.body["id"].as_str().expect("an id"))] {
        let [public_id, connection, provider_id] = [public, connection, provider_id].map(str::to_owned);
        let new = passerelle::store::NewId { public_id, connection, provider_id, pinned: None };
        assert_eq!(gateway.ids().add("acme", &new).await, Ok(passerelle::store::Added::Stored));
    }
    gateway.learn_routing().await;
    let read = gateway.get(&path).await;
    assert_eq!((&read.body["id"], &read.body["provider"]["connection"]), (&json!(public), &json!("next")));
    assert_eq!(read.body["address"]["city"], "Thiès", "the home holds it: {}", read.text);
    assert_eq!(fields(&read.body, "carried"), ["first_name", "last_name", "whatsapp"], "{}", read.text);
    let mut expected = written(&created.body);
    expected["address"]["city"] = json!("Thiès");
    assert_eq!(written(&read.body), expected);
}
