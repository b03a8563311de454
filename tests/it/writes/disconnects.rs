//! Clients that disconnect before the answer. The write is completed, and its answer counts as undelivered until a
//! client has received it.

use jiff::Timestamp;
use serde_json::json;

use super::helpers::{CUSTOMERS, count_effects, create, gateway_and_twin, start_twin, wait_for_outcome};
use crate::support::Gateway;

/// The client that began the write and the client that joined it both disconnect before the answer.
#[tokio::test]
async fn an_answer_is_undelivered_when_all_clients_disconnected() {
    let (gateway, folder) = gateway_and_twin("modempay", "delay = \"500ms\"\nonly = [\"create\"]", "").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let patience = std::time::Duration::from_millis(100);
    for _ in 0..2 {
        assert!(
            tokio::time::timeout(patience, create(&gateway, None, &body)).await.is_err(),
            "the client disconnects before the answer"
        );
    }
    let operations = gateway.get("/v1/operations").await;
    let id = operations.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(wait_for_outcome(&gateway, id, "sending").await["outcome"], "done");
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(count_effects(&folder), 1);
}

/// The client retries, and disconnects again while the store is locked, before it could return the answer.
#[tokio::test]
async fn an_answer_is_undelivered_when_the_client_disconnected_before_the_store_returned_it() {
    let (base, folder) = start_twin("modempay", "delay = \"300ms\"\nonly = [\"create\"]");
    let file = folder.path().join("store.db");
    let gateway = Gateway::with_store(&format!("sqlite:{}", file.display()), "modempay", &base, "").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let patience = std::time::Duration::from_millis(100);
    let send = || tokio::time::timeout(patience, create(&gateway, None, &body));
    assert!(send().await.is_err(), "the client disconnects before the answer");
    let operations = gateway.get("/v1/operations").await;
    let id = operations.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(wait_for_outcome(&gateway, id, "sending").await["outcome"], "done");
    let lock = rusqlite::Connection::open(&file).expect("the file");
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert!(send().await.is_err(), "the client disconnects before the answer");
    // Once the gateway has answered another request, it has seen the disconnect.
    assert_eq!(gateway.get("/v1/operations").await.status, 200);
    lock.execute_batch("ROLLBACK").expect("no lock");
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.header("x-operation-id"), id);
    let next = create(&gateway, None, &body).await;
    assert_ne!(next.header("x-operation-id"), id, "a write whose answer was delivered is not joined");
    assert_eq!(count_effects(&folder), 2);
}

#[tokio::test]
async fn a_client_that_disconnects_does_not_stop_its_write() {
    let (gateway, folder) = gateway_and_twin("lomi", "delay = \"30ms\"", "").await;
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
        let answer = gateway.get("/v1/operations?limit=100").await;
        let operations = answer.body["data"].as_array().expect("a list");
        if !operations.is_empty() && operations.iter().all(|operation| operation["outcome"] == "done") {
            assert_eq!(operations.len(), count_effects(&folder), "every effect has its record");
            break;
        }
        assert!(Timestamp::now() < ends, "{}", answer.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
