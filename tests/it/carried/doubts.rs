//! Writes with an unknown outcome: what they carry is kept with their command, and their recovery writes it.

use serde_json::{Value, json};

use super::{awa, fields, written};
use crate::{
    partial_lists::open,
    support::Gateway,
    writes::helpers::{count_effects, start_twin, wait_for_outcome},
};

fn configuration(base: &str, store: &str) -> String {
    format!(
        "[store]\nurl = \"{store}\"\nlease = \"2s\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"main\"\non_loss = \"carry\"\n[merchants.acme.connections.main]\nprovider = \"modempay\"\n\
         base_url = \"{base}\"\ncredentials = {{ secret_key = \"test\" }}\nvisibility_lag = \"10ms\"\n"
    )
}

async fn reads_back(gateway: &Gateway, id: &str, unknown: &Value) {
    let operation = wait_for_outcome(gateway, unknown["operation_id"].as_str().expect("an id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    let customer = operation["customer"].as_str().unwrap_or(id);
    let read = gateway.get(&format!("/v1/customers/{customer}")).await;
    assert_eq!(read.status, 200, "{}", read.text);
    for (name, value) in
        [("whatsapp", json!("+221771234567")), ("type", json!("business")), ("metadata", awa()["metadata"].clone())]
    {
        assert_eq!(read.body[name], value, "{}", read.text);
    }
    assert_eq!(fields(&read.body, "carried").len(), 6, "{}", read.text);
}

/// The answer of the provider is lost after it has made the customer.
#[tokio::test]
async fn an_unknown_create_writes_what_it_carries_when_it_is_reconciled() {
    let (base, folder) = start_twin("modempay", "error_after = 1.0\nonly = [\"create\"]");
    let gateway = Gateway::start(&configuration(&base, "sqlite::memory:")).await.with_key("sk_acme");
    let unknown = gateway.post("/v1/customers", awa()).await;
    assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"), "{}", unknown.text);
    reads_back(&gateway, "", &unknown.body).await;
    assert_eq!(count_effects(&folder), 1);
}

/// The same for an update, with one part that the provider holds and others that it does not.
#[tokio::test]
async fn an_unknown_update_writes_what_it_carries_when_it_is_reconciled() {
    let (base, _folder) = start_twin("modempay", "error_after = 1.0\nonly = [\"update\"]");
    let gateway = Gateway::start(&configuration(&base, "sqlite::memory:")).await.with_key("sk_acme");
    let created = gateway.post("/v1/customers", json!({ "name": "Awa" })).await;
    let id = created.body["id"].as_str().expect("an id");
    let unknown = gateway.patch(&format!("/v1/customers/{id}"), awa()).await;
    assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"), "{}", unknown.text);
    reads_back(&gateway, id, &unknown.body).await;
}

/// The process dies after its claim, and the configuration of the next one does not allow to carry any more: the write
/// was accepted with what it carries.
#[tokio::test]
async fn what_a_killed_process_was_about_to_carry_is_written_by_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let (base, _log) = start_twin("modempay", "error_after = 1.0\nonly = [\"create\"]");
    let slow = configuration(&base, &store).replace("10ms", "1h");
    let gateway = Gateway::start(&slow).await.with_key("sk_acme");
    let unknown = gateway.post("/v1/customers", awa()).await;
    assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"), "{}", unknown.text);
    gateway.stop().await;
    drop(open(&folder.path().join("store.db")).await);
    let file = rusqlite::Connection::open(folder.path().join("store.db")).expect("the file");
    file.execute_batch("UPDATE operations SET reconcile_after = 0").expect("due");
    drop(file);
    let next = configuration(&base, &store).replace("on_loss = \"carry\"", "on_loss = \"reject\"");
    let gateway = Gateway::start(&next).await.with_key("sk_acme");
    let operation = wait_for_outcome(&gateway, unknown.body["operation_id"].as_str().expect("an id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    gateway.learn_routing().await;
    let read = gateway.get(&format!("/v1/customers/{}", operation["customer"].as_str().expect("an id"))).await;
    assert_eq!(written(&read.body)["address"]["city"], "Dakar", "{}", read.text);
}
