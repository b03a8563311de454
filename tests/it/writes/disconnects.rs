//! Clients that disconnect before the answer.

use jiff::Timestamp;
use serde_json::json;

use super::helpers::{CUSTOMERS, before_a_twin, create, effects, settled, twin};
use crate::support::Gateway;

/// Whoever joins a write and goes away before its end has heard as little of it as whoever began it.
#[tokio::test]
async fn who_has_joined_and_gone_has_heard_nothing() {
    let (gateway, folder) = before_a_twin("modempay", "delay = \"500ms\"\nonly = [\"create\"]", "").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let patience = std::time::Duration::from_millis(100);
    for _ in 0..2 {
        assert!(tokio::time::timeout(patience, create(&gateway, None, &body)).await.is_err(), "it does not wait");
    }
    let known = gateway.get("/v1/operations").await;
    let id = known.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(settled(&gateway, id, "sending").await["outcome"], "done");
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(effects(&folder), 1);
}

/// Nor has who came back for it, and was gone again before the store could tell it.
#[tokio::test]
async fn who_was_gone_when_the_store_told_has_heard_nothing() {
    let (base, folder) = twin("modempay", "delay = \"300ms\"\nonly = [\"create\"]");
    let file = folder.path().join("store.db");
    let gateway = Gateway::keeping(&format!("sqlite:{}", file.display()), "modempay", &base, "").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let patience = std::time::Duration::from_millis(100);
    let ask = || tokio::time::timeout(patience, create(&gateway, None, &body));
    assert!(ask().await.is_err(), "it does not wait");
    let known = gateway.get("/v1/operations").await;
    let id = known.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(settled(&gateway, id, "sending").await["outcome"], "done");
    let other = rusqlite::Connection::open(&file).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert!(ask().await.is_err(), "it does not wait");
    // By the time of another answer, the gateway knows that whoever asked is gone.
    assert_eq!(gateway.get("/v1/operations").await.status, 200);
    other.execute_batch("ROLLBACK").expect("no lock");
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.header("x-operation-id"), id);
    let honest_twin = create(&gateway, None, &body).await;
    assert_ne!(honest_twin.header("x-operation-id"), id, "what was heard stands for nobody else");
    assert_eq!(effects(&folder), 2);
}

#[tokio::test]
async fn a_client_that_goes_away_stops_nothing() {
    let (gateway, folder) = before_a_twin("lomi", "delay = \"30ms\"", "").await;
    for number in 0..10 {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") }).to_string();
        let head = format!(
            "POST {CUSTOMERS} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_acme\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("sent");
        tokio::time::sleep(std::time::Duration::from_millis(number)).await;
        drop(stream);
    }
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let told = gateway.get("/v1/operations?limit=100").await;
        let known = told.body["data"].as_array().expect("a list");
        if !known.is_empty() && known.iter().all(|operation| operation["outcome"] == "done") {
            assert_eq!(known.len(), effects(&folder), "no effect without its record");
            break;
        }
        assert!(Timestamp::now() < ends, "{}", told.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
