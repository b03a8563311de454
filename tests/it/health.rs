//! What `/readyz` says about a store that cannot record writes.

use std::fs;

use serde_json::json;

use crate::support::Gateway;

const CUSTOMERS: &str = "/v1/customers";

async fn status(gateway: &Gateway) -> String {
    let ready = gateway.send(gateway.anonymous("/readyz")).await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    ready.body["status"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_gateway_whose_database_is_gone_says_that_it_only_reads_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, away) = (folder.path().join("store.db"), folder.path().join("away.db"));
    let configuration = passerelle::config::SANDBOX.replace("sqlite::memory:", &format!("sqlite:{}", file.display()));
    assert!(configuration.contains("store.db"), "the sandbox names its store");
    let gateway = Gateway::start(&configuration).await.with_key("sk_sandbox_lomi");
    let awa = || json!({ "name": "Awa Diop", "email": "awa@example.com" });
    assert_eq!(status(&gateway).await, "ok");
    fs::rename(&file, &away).expect("moved");
    assert_eq!(status(&gateway).await, "store unavailable: reads only");
    let refused = gateway.post(CUSTOMERS, awa()).await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    assert_eq!(gateway.get(CUSTOMERS).await.status, 200, "reads still work");
    fs::rename(&away, &file).expect("moved back");
    assert_eq!(status(&gateway).await, "ok");
    assert_eq!(gateway.post(CUSTOMERS, awa()).await.status, 201);
}
