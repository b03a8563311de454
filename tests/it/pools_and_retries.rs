//! How many connections to a provider stay open, and how often a request is sent again, by the configuration.

use crate::{
    faults::read,
    stand_in::{Act, StandIn, bytes_of},
    support::Gateway,
};

const FOUND: &str = r#"{"data":{"customer_id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985","name":"Amadou Ba"}}"#;

/// A provider that answers each request in this way and keeps the connection, and a gateway with these keys of `[outbound]`.
async fn started(status: &str, outbound: &str) -> (StandIn, Gateway) {
    let head = [("content-type", "application/json")];
    let vendor = StandIn::always(Act::Keep(bytes_of(status, &head, FOUND.as_bytes()))).await;
    let configuration = format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n{outbound}\n[merchants.acme]\n\
         api_keys = [\"sk_acme\"]\nactive = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\n\
         base_url = \"{}\"\ncredentials = {{ api_key = \"any\" }}\n",
        vendor.url()
    );
    let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
    (vendor, gateway)
}

#[tokio::test]
async fn a_request_is_sent_again_as_often_as_the_configuration_says() {
    for (retries, sent) in [(0, 1), (1, 2), (4, 5)] {
        let (vendor, gateway) = started("500 Internal Server Error", &format!("max_retries = {retries}")).await;
        assert_eq!(read(&gateway).await.status, 502);
        assert_eq!(vendor.requests().len(), sent);
    }
}

#[tokio::test]
async fn a_connection_stays_open_where_the_configuration_has_room_for_it() {
    for (idle, connections) in [(0, 3), (1, 1)] {
        let (vendor, gateway) = started("200 OK", &format!("max_idle_per_host = {idle}")).await;
        for _ in 0..3 {
            assert_eq!(read(&gateway).await.status, 200);
        }
        assert_eq!(vendor.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_was_idle_for_longer_than_the_configuration_says_is_not_used_again() {
    let (vendor, gateway) = started("200 OK", "idle_timeout = \"1us\"").await;
    for _ in 0..3 {
        assert_eq!(read(&gateway).await.status, 200);
    }
    assert_eq!(vendor.connections(), 3);
}
