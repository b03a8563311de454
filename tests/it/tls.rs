//! Providers behind TLS: which certificates the gateway accepts, and that it sends nothing to a server whose
//! certificate it refuses.

use std::{path::Path, process::Output};

use assert_cmd::Command;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};

use crate::{
    faults::{read, write},
    stand_in::{Act, PATIENCE, StandIn, json as json_answer},
    support::{Answer, Gateway, SECRET},
    terminal::{err, file, out},
    tls_front::{ATTEMPTS, Authority, TlsFront},
};

/// A server that does not speak TLS where the gateway expects it.
struct NoTlsServer {
    url: String,
    received: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl NoTlsServer {
    /// With an answer, it sends the answer and closes the connection. Without one, it sends nothing and keeps it open.
    async fn sending(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(answer) = answer {
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.shutdown().await;
                    }
                    let mut bytes = Vec::new();
                    let _ = stream.read_to_end(&mut bytes).await;
                    let _ = sender.send(bytes);
                });
            }
        });
        Self { url, received }
    }

    /// Asserts that the gateway sent only a TLS hello in every attempt of one request.
    async fn assert_only_hellos(&mut self) {
        const HANDSHAKE: u8 = 22;
        for _ in 0..ATTEMPTS {
            let received = timeout(PATIENCE, self.received.recv())
                .await
                .expect("the gateway closes the connection in time")
                .expect("the server still runs");
            assert_eq!(received.first(), Some(&HANDSHAKE), "{received:?}");
            let text = String::from_utf8_lossy(&received);
            assert!(!text.contains("HTTP/1.1") && !text.contains(SECRET), "{text}");
        }
        assert!(self.received.try_recv().is_err(), "three attempts in all");
    }
}

/// The answer names the reason, so that the operator can remove it.
fn assert_nothing_was_sent(answer: &Answer, why: &str) {
    assert_eq!(answer.status_and_code(), (503, "provider_unavailable"), "{}", answer.text);
    assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("none"), &json!(true)));
    assert!(answer.text.contains(&format!("the provider could not be reached{why}")), "{}", answer.text);
    assert!(answer.text.contains("; nothing was sent"), "{}", answer.text);
}

pub(crate) fn configuration(base_url: &str, outbound: &str, more: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n{outbound}\n[merchants.acme]\n\
         api_keys = [\"sk_acme\"]\nactive = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\n\
         base_url = \"{base_url}\"\ncredentials = {{ api_key = \"{SECRET}\" }}\n{more}\n"
    )
}

/// Runs `passerelle check --probe`, which reads one customer from the provider. The process trusts the authority in the
/// file.
pub(crate) async fn probe(base_url: &str, trusted: &Path) -> Output {
    check(&["--probe"], file(&configuration(base_url, "", "")), trusted).await
}

async fn check(arguments: &[&str], configuration: NamedTempFile, trusted: &Path) -> Output {
    check_in(&[], arguments, configuration, trusted).await
}

/// Runs `passerelle check` with these variables in its environment.
pub(crate) async fn check_in(
    environment: &[(&str, &str)],
    arguments: &[&str],
    configuration: NamedTempFile,
    trusted: &Path,
) -> Output {
    let mut command = Command::cargo_bin("passerelle").expect("the binary");
    command.env_clear().envs(environment.iter().copied()).env("SSL_CERT_FILE", trusted);
    command.arg("check").args(arguments);
    command.arg("--config").arg(configuration.path());
    let checked = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await;
    drop(configuration);
    checked.expect("no panic")
}

fn no_customers() -> Act {
    json_answer("200 OK", r#"{"data":[]}"#)
}

#[tokio::test]
async fn nothing_is_sent_to_a_provider_with_an_untrusted_certificate() {
    let vendor = StandIn::always(no_customers()).await;
    let mut front = TlsFront::in_front_of(&vendor, Authority::new().certificate("localhost")).await;
    let gateway = Gateway::in_front_of("lomi", &front.url("localhost"), "").await;
    assert_nothing_was_sent(&read(&gateway).await, ": its certificate was refused (UnknownIssuer)");
    front.assert_refused("UnknownCA").await;
    assert_nothing_was_sent(&write(&gateway, "lomi").await, ": its certificate was refused (UnknownIssuer)");
    front.assert_refused("UnknownCA").await;
    assert_eq!(vendor.requests(), [""; 0]);
}

#[tokio::test]
async fn an_authority_of_ssl_cert_file_is_trusted() {
    let authority = Authority::new();
    let trusted = authority.file();
    for (host, versions) in [("localhost", &[&TLS13]), ("localhost", &[&TLS12]), ("127.0.0.1", &[&TLS13])] {
        let vendor = StandIn::always(no_customers()).await;
        let mut front = TlsFront::with_versions(versions, vendor.address(), authority.certificate(host)).await;
        let probed = probe(&front.url(host), trusted.path()).await;
        assert!(probed.status.success(), "{host}, {versions:?}: {}{}", out(&probed), err(&probed));
        assert!(
            out(&probed).contains(&format!(
                "acme.main (lomi, {}): the provider answers and accepts the credentials",
                front.url(host)
            )),
            "{}",
            out(&probed)
        );
        assert_eq!(front.handshake().await, Ok(()));
        let requests = vendor.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].starts_with("GET /customers?limit=1&page=1 HTTP/1.1\r\n"), "{}", requests[0]);
        assert!(requests[0].contains(&format!("\r\nhost: {host}:{}\r\n", front.address.port())), "{}", requests[0]);
    }
}

const TOO_LATE: &str = ": no connection was made within `outbound.connect_timeout`; nothing was sent";

/// The authority is trusted, and still the certificate must be valid for the host and at this time.
#[tokio::test]
async fn a_certificate_that_is_not_the_providers_own_is_refused() {
    let authority = Authority::new();
    let trusted = authority.file();
    for (host, certificate, alert, why) in [
        ("localhost", authority.certificate("provider.example"), "BadCertificate", "not valid for name"),
        ("127.0.0.1", authority.certificate("localhost"), "BadCertificate", "not valid for name"),
        ("localhost", authority.expired("localhost"), "CertificateExpired", "certificate expired"),
    ] {
        let vendor = StandIn::always(no_customers()).await;
        let mut front = TlsFront::in_front_of(&vendor, certificate).await;
        let probed = probe(&front.url(host), trusted.path()).await;
        assert_eq!(probed.status.code(), Some(1), "{}{}", out(&probed), err(&probed));
        assert!(out(&probed).contains("could not be reached: its certificate was refused ("), "{}", out(&probed));
        assert!(out(&probed).contains(why) && out(&probed).contains("; nothing was sent"), "{}", out(&probed));
        front.assert_refused(alert).await;
        assert_eq!(vendor.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn a_gateway_without_trusted_authorities_calls_only_its_own_twins() {
    let no_authorities = file("");
    let merchant = |connection: &str| {
        file(&format!(
            "[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
             connections.main = {{ provider = \"lomi\", {connection} }}\n"
        ))
    };
    let live = merchant(&format!("credentials = {{ api_key = \"{SECRET}\" }}"));
    let refused = check(&[], live, no_authorities.path()).await;
    assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
    assert!(err(&refused).contains("install `ca-certificates`"), "{}", err(&refused));
    let accepted = check(&[], merchant("sandbox = true"), no_authorities.path()).await;
    assert!(accepted.status.success(), "{}", err(&accepted));
}

/// The connect timeout includes the handshake, and the gateway sends no request before the handshake ends.
#[tokio::test]
async fn the_connect_timeout_ends_a_handshake_that_gets_no_answer() {
    let mut silent = NoTlsServer::sending(None).await;
    // Only the connect timeout ends within `PATIENCE`.
    let more = "timeout = \"1h\"\n[server]\ndeadline = \"5m\"";
    let configuration = configuration(&silent.url, "connect_timeout = \"50ms\"", more);
    let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
    assert_nothing_was_sent(&timeout(PATIENCE, read(&gateway)).await.expect("an answer in time"), TOO_LATE);
    silent.assert_only_hellos().await;
    assert_nothing_was_sent(&timeout(PATIENCE, write(&gateway, "lomi")).await.expect("an answer in time"), TOO_LATE);
    silent.assert_only_hellos().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_provider_without_tls() {
    let no_tls = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (answer, why) in [("", ";"), (no_tls, ": it does not speak TLS as expected (")] {
        let mut server = NoTlsServer::sending(Some(answer)).await;
        let gateway = Gateway::in_front_of("lomi", &server.url, "").await;
        assert_nothing_was_sent(&read(&gateway).await, why);
        server.assert_only_hellos().await;
        assert_nothing_was_sent(&write(&gateway, "lomi").await, why);
        server.assert_only_hellos().await;
    }
}
