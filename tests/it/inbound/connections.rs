//! The caps of connections, and the operator's listener.

use std::net::SocketAddr;

use super::{Client, PATIENCE, head, sandbox};
use crate::support::Gateway;

/// Connects until the gateway serves the connection.
async fn served(address: SocketAddr) -> Client {
    let connected = async {
        loop {
            let mut client = Client::connect(address).await;
            if client.live().await == Some(200) {
                return client;
            }
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.expect("a served connection")
}

/// A client with a request that the gateway has begun to answer.
async fn busy(address: SocketAddr) -> Client {
    let mut client = served(address).await;
    client.send(head("/v1/customers", 1000).replacen("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n", 1)).await;
    assert_eq!(client.answer().await.map(|answer| answer.status), Some(100), "the gateway waits for the body");
    client
}

#[tokio::test]
async fn connections_over_the_cap_are_closed_at_once_while_the_others_have_requests() {
    let gateway = Gateway::start(&sandbox("max_connections = 2")).await;
    let first = busy(gateway.address()).await;
    let _second = busy(gateway.address()).await;
    for _ in 0..3 {
        Client::connect(gateway.address()).await.assert_closed().await;
    }
    drop(first);
    served(gateway.address()).await;
    assert!(gateway.metric("passerelle_connections_refused_total{listener=\"api\"}") >= 3.0);
}

#[tokio::test]
async fn a_new_connection_gets_the_place_of_one_that_waits_for_its_client() {
    let gateway = Gateway::start(&sandbox("max_connections = 3")).await;
    let _busy = busy(gateway.address()).await;
    let mut waiting = [served(gateway.address()).await, Client::connect(gateway.address()).await];
    // It waits for a moment only, so it is not closed at once.
    let _new = served(gateway.address()).await;
    waiting[0].assert_closed().await;
    let _newer = served(gateway.address()).await;
    waiting[1].assert_closed().await;
    assert!(gateway.metric("passerelle_connections_replaced_total{listener=\"api\"}") >= 2.0);
}

#[tokio::test]
async fn one_address_cannot_use_the_connections_of_others() {
    let gateway = Gateway::start(&sandbox("max_connections_per_address = 2")).await;
    let _held = [served(gateway.address()).await, served(gateway.address()).await];
    Client::connect(gateway.address()).await.assert_closed().await;
    let mut other = Client::connect_from("127.0.0.2", gateway.address()).await;
    assert_eq!(other.live().await, Some(200));
}

#[tokio::test]
async fn a_trusted_proxy_is_not_capped_by_its_address() {
    let server = "max_connections_per_address = 1\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
    let gateway = Gateway::start(&sandbox(server)).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(gateway.address()).await;
        assert_eq!(client.live().await, Some(200));
        clients.push(client);
    }
}

#[tokio::test]
async fn the_operators_listener_answers_health_while_clients_use_all_connections() {
    let operator = "max_connections = 1\n[operator]\nlisten = \"127.0.0.1:0\"";
    let gateway = Gateway::start(&sandbox(operator)).await;
    let address = gateway.operator_address().expect("the operator's listener");
    let mut held = busy(gateway.address()).await;
    Client::connect(gateway.address()).await.assert_closed().await;
    let mut client = Client::connect(address).await;
    for (path, status, code) in
        [("/livez", 200, ""), ("/readyz", 200, ""), ("/v1/merchant", 404, "not_found"), ("/docs", 404, "not_found")]
    {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n")).await;
        assert_eq!(client.answer().await.expect("an answer").status_and_code(), (status, code), "{path}");
    }
    held.send(format!("{:1000}", "{}")).await;
    assert!(held.answer().await.is_some());
    assert_eq!(held.live().await, Some(200), "the API's listener still has health, too");
}

#[tokio::test]
async fn the_operators_listener_has_a_cap_of_its_own() {
    let gateway = Gateway::start(&sandbox("[operator]\nlisten = \"127.0.0.1:0\"")).await;
    let address = gateway.operator_address().expect("the operator's listener");
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(served(address).await);
    }
    Client::connect(address).await.assert_closed().await;
    served(gateway.address()).await;
}

#[tokio::test]
async fn without_its_section_there_is_no_operators_listener() {
    assert_eq!(Gateway::start(&sandbox("")).await.operator_address(), None);
}

#[test]
fn mistakes_in_the_limits_are_reported_with_their_line() {
    for (typed, expected) in [
        ("trusted_proxies = [\"proxy.internal\"]", "must have addresses and networks"),
        ("max_bodies = 1048576", "must be at least four times `server.max_body`"),
        ("body_timeout = \"0s\"", "must be a duration above zero"),
        ("stop_notice = \"soon\"", "must be a duration, such as \"3s\", or \"0s\" for none"),
        ("stop_timeout = \"9000000000000000s\"", "must be a duration above zero"),
        ("max_uri = 65535", "must be a number from 256 to 65534, not `65535`"),
        ("max_headers = 31", "must be a number from 32 to 1000, not `31`"),
        ("max_headers_size = 0", "must be a number from 4096 to 262144, not `0`"),
        ("max_json_depth = 128", "must be a number from 1 to 127, not `128`"),
        ("max_json_keys = 0", "must be a number from 1 to 1000, not `0`"),
        ("max_json_items = 10001", "must be a number from 1 to 10000, not `10001`"),
        ("stream_window = 16777217", "must be a number from 1024 to 16777216, not `16777217`"),
        ("connection_window = 65534", "must be a number from 65535 to 16777216, not `65534`"),
    ] {
        let text = sandbox(typed);
        let mistake = match passerelle::config::load_text(&text, "t.toml") {
            Err(error) => error,
            Ok(loaded) => {
                passerelle::merchant::Gateway::resolve(&loaded, None, &Default::default()).expect_err("a mistake")
            }
        };
        let mistake = mistake.to_string();
        assert!(mistake.starts_with("t.toml:6: ") && mistake.contains(expected), "{mistake}");
    }
}

#[test]
fn the_old_key_for_metrics_is_answered_with_the_new_one() {
    let text = sandbox("metrics_listen = \"127.0.0.1:9464\"");
    let loaded = passerelle::config::load_text(&text, "t.toml").expect("a configuration");
    let warnings =
        passerelle::merchant::Gateway::resolve(&loaded, None, &Default::default()).expect("only a warning").warnings;
    assert!(warnings.iter().any(|warning| warning.contains("`operator.listen`")), "{warnings:?}");
}
