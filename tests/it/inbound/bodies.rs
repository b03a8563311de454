//! Request bodies: how long they may take, and how much memory they may occupy.

use super::{Client, PATIENCE, head, sandbox};
use crate::support::Gateway;

#[tokio::test]
async fn a_slow_body_is_refused_also_with_a_valid_key() {
    let gateway = Gateway::start(&sandbox("body_timeout = \"300ms\"")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(head("/v1/customers", 100)).await;
    client.send("{").await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status_and_code(), (408, "request_timeout"));
    answer.assert_closing_problem();
    client.assert_closed().await;
    let mut chunked = Client::connect(gateway.address()).await;
    let endless = head("/v1/customers", 0).replace("content-length: 0", "transfer-encoding: chunked");
    chunked.send(endless + "1\r\n{\r\n").await;
    assert_eq!(chunked.answer().await.expect("an answer").status_and_code(), (408, "request_timeout"));
}

#[tokio::test]
async fn a_slow_body_of_a_drop_in_client_is_refused_in_its_dialect() {
    let gateway = Gateway::start(&sandbox("body_timeout = \"300ms\"")).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(head("/as/lomi/customers", 100)).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status, 408);
    assert!(answer.head.contains("connection: close") && answer.body["error"].is_object(), "{answer:?}");
}

/// Sends a large body, which is not a customer.
async fn send_large(gateway: &Gateway) -> (u16, String) {
    let mut client = Client::connect(gateway.address()).await;
    client.send(head("/v1/customers", 32 << 10)).await;
    client.send(vec![b' '; 32 << 10]).await;
    let answer = client.answer().await.expect("an answer");
    let retries = answer.head.contains("retry-after: ");
    assert_eq!(retries, answer.status == 503, "{answer:?}");
    (answer.status, answer.status_and_code().1.to_owned())
}

/// Repeats a large body until it is answered like this.
async fn large_is_answered(gateway: &Gateway, expected: (u16, &str)) {
    let repeated = async {
        while send_large(gateway).await != (expected.0, expected.1.to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, repeated).await.expect("the expected answer");
}

#[tokio::test]
async fn bodies_share_a_budget_which_large_ones_cannot_take_from_small_ones() {
    let gateway = Gateway::start(&sandbox("max_body = 32768\nmax_bodies = 131072")).await;
    large_is_answered(&gateway, (400, "malformed_request")).await;
    // Half of three quarters of the memory holds one of them.
    let mut holding = Client::connect(gateway.address()).await;
    holding.send(head("/v1/customers", 32 << 10).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n")).await;
    // The gateway reads this body now. Otherwise it may read that of a later connection first.
    assert_eq!(holding.answer().await.expect("an answer").status, 100);
    holding.send(vec![b' '; (32 << 10) - 1]).await;
    large_is_answered(&gateway, (503, "overloaded")).await;
    let mut small = Client::connect(gateway.address()).await;
    let body = r#"{"name":"Awa Diop"}"#;
    small.send(head("/v1/customers", body.len()) + body).await;
    assert_eq!(small.answer().await.expect("an answer").status, 201, "small bodies have a part of their own");
    holding.send(" ").await;
    assert_eq!(holding.answer().await.expect("an answer").status_and_code(), (400, "malformed_request"));
    large_is_answered(&gateway, (400, "malformed_request")).await;
}

#[tokio::test]
async fn a_declared_length_alone_reserves_no_memory() {
    let gateway = Gateway::start(&sandbox("max_body = 32768\nmax_bodies = 131072")).await;
    let mut declaring = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(gateway.address()).await;
        client.send(head("/v1/customers", 32 << 10)).await;
        client.send("{").await;
        declaring.push(client);
    }
    large_is_answered(&gateway, (400, "malformed_request")).await;
}

#[tokio::test]
async fn a_signed_request_of_a_signer_that_is_not_configured_is_refused_before_its_body() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for (path, headers) in [
        (
            "/as/bitnob/api/customers",
            "x-auth-client: none\r\nx-auth-timestamp: 1\r\nx-auth-nonce: 1\r\nx-auth-signature: 00\r\n",
        ),
        (
            "/as/paymentkit/api/customers",
            "x-component-sig: AAAA\r\nx-component-did: z8iaNone\r\nx-component-sig-pk: 00\r\n",
        ),
    ] {
        let mut client = Client::connect(gateway.address()).await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: gateway\r\n{headers}content-length: 100000\r\n\r\n");
        client.send(head).await;
        let answer = client.answer().await.expect("an answer before the body is sent");
        assert_eq!(answer.status, 401, "{path}");
    }
}
