//! How long a gateway takes to stop, by its configuration.

use std::{io::Write as _, net::TcpStream, time::Instant};

use rustix::process::Signal;

use super::process::{ACME, Gateway, PATIENCE, SERVER};

/// A gateway with a client whose request does not end, and with other times to stop since a reload.
fn stopping(times: &str) -> (Gateway, TcpStream) {
    // The client has longer than any test for the rest of its head.
    let gateway =
        Gateway::start(&format!("{}{ACME}", SERVER.replace("[server]\n", "[server]\nhead_timeout = \"1h\"\n")));
    gateway.write("passerelle.toml", &format!("{}{ACME}", SERVER.replace("[server]\n", &format!("[server]\n{times}"))));
    gateway.reload();
    let mut client = TcpStream::connect(&gateway.address).expect("it accepts");
    client.write_all(b"POST /v1/customers HTTP/1.1\r\nhost: gateway\r\n").expect("it is sent");
    // A later client is answered, so the gateway has accepted this one.
    gateway.merchant("sk_acme_0123456789abcdef");
    (gateway, client)
}

#[test]
fn a_stop_ends_in_its_time_whatever_its_clients_do() {
    let (mut gateway, _client) = stopping(
        "stop_notice = \"0s\"
stop_timeout = \"50ms\"
",
    );
    gateway.signal(Signal::TERM);
    let lines = gateway.messages_until("stopping");
    assert_eq!(
        lines.last().map(String::as_str),
        Some("INFO stopping: no new connections, requests in flight have 0.05 s")
    );
    gateway.ends();
}

#[test]
fn a_stop_without_notice_accepts_no_further_connection() {
    let (gateway, _client) = stopping(
        "stop_notice = \"0s\"
stop_timeout = \"1h\"
",
    );
    gateway.signal(Signal::TERM);
    gateway.logged_until("stopping: no new connections");
    let ends = Instant::now() + PATIENCE;
    while TcpStream::connect(&gateway.address).is_ok() {
        assert!(Instant::now() < ends, "it still accepts connections");
    }
}

#[test]
fn a_stop_with_notice_accepts_connections_for_its_time() {
    let (mut gateway, _client) = stopping("stop_notice = \"1h\"\n");
    gateway.signal(Signal::TERM);
    let lines = gateway.messages_until("stopping");
    let expected = "INFO stopping: /readyz answers 503, new connections are accepted for 3600 s";
    assert_eq!(lines.last().map(String::as_str), Some(expected));
    assert!(gateway.merchant("sk_acme_0123456789abcdef").starts_with("HTTP/1.1 200"));
    gateway.signal(Signal::TERM);
    gateway.ends();
}
