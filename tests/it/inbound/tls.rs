//! TLS of the API's listener: what a client can negotiate, how the certificate is replaced, which mistakes `check` finds,
//! and what a handshake may cost.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::{
    SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Client, PATIENCE, sandbox};
use crate::{
    support::Gateway,
    tls_front::{Authority, Certificate},
};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A folder with the files of `server.tls`.
struct Files(TempDir);

impl Files {
    fn of(certificate: &Certificate) -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.replace(certificate);
        files
    }

    fn replace(&self, certificate: &Certificate) {
        self.write("certificate.pem", &certificate.pem);
        self.write("key.pem", &certificate.key_pem);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("it is written");
    }

    /// The sandbox with these files, and with more keys of `[server]`.
    fn sandbox(&self, server: &str) -> String {
        let folder = self.0.path().display();
        let tls = format!("tls = {{ certificate = \"{folder}/certificate.pem\", key = \"{folder}/key.pem\" }}");
        sandbox(&format!("{tls}\n{server}"))
    }
}

async fn connect(
    authority: &Authority,
    address: SocketAddr,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(authority.client(versions, protocols)));
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    timeout(PATIENCE, connector.connect(name, stream)).await.expect("a handshake, or its end")
}

/// The status line of a health check over HTTP/1.1.
async fn live(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it is sent");
    let mut line = [0; 15];
    timeout(PATIENCE, stream.read_exact(&mut line)).await.expect("an answer").expect("an answer");
    String::from_utf8_lossy(&line).into_owned()
}

/// The status and the body of a health check over HTTP/2.
async fn live_over_http2(stream: TlsStream<TcpStream>) -> u16 {
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/livez").body(()).expect("a request");
    let (answer, _) = client.send_request(request, true).expect("it is sent");
    timeout(PATIENCE, answer).await.expect("in time").expect("an answer").status().as_u16()
}

#[tokio::test]
async fn clients_choose_http2_or_http1_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let files = Files::of(&authority.certificate("localhost"));
    let gateway = Gateway::start(&files.sandbox("")).await;
    for version in BOTH {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let mut stream = connect(&authority, gateway.address(), &[version], offered).await.expect("a handshake");
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
            match chosen {
                Some("h2") => assert_eq!(live_over_http2(stream).await, 200),
                _ => assert_eq!(live(&mut stream).await, "HTTP/1.1 200 OK"),
            }
        }
    }
}

/// The first message of a client that speaks at most a version, and only these ciphers.
fn client_hello(version: u16, ciphers: &[u16]) -> Vec<u8> {
    let ciphers: Vec<u8> = ciphers.iter().flat_map(|cipher| cipher.to_be_bytes()).collect();
    // Groups X25519 and P-256, signatures by ECDSA and RSA-PSS, points that are not compressed.
    let extensions =
        [&[0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17][..], &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4], &[0, 11, 0, 2, 1, 0]].concat();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_be_bytes();
    let [no_session, no_compression] = [&[0][..], &[1, 0]];
    let hello = [
        &version.to_be_bytes()[..],
        &[7; 32],
        no_session,
        &length(&ciphers),
        &ciphers,
        no_compression,
        &length(&extensions),
        &extensions,
    ]
    .concat();
    let message = [&[1, 0][..], &length(&hello), &hello].concat();
    [&[22, 3, 1][..], &length(&message), &message].concat()
}

#[tokio::test]
async fn old_versions_of_tls_and_weak_ciphers_are_refused() {
    const MODERN: &[u16] = &[0xc02b, 0xc02f];
    // RSA key exchange, CBC, 3DES and RC4.
    const WEAK: &[u16] = &[0x002f, 0x0035, 0xc013, 0xc009, 0x000a, 0x0005];
    const PROTOCOL_VERSION: u8 = 70;
    const HANDSHAKE_FAILURE: u8 = 40;
    let authority = Authority::new();
    let files = Files::of(&authority.certificate("localhost"));
    let gateway = Gateway::start(&files.sandbox("")).await;
    for (version, ciphers, reason) in [
        (0x0300, MODERN, PROTOCOL_VERSION),
        (0x0301, MODERN, PROTOCOL_VERSION),
        (0x0302, MODERN, PROTOCOL_VERSION),
        (0x0303, WEAK, HANDSHAKE_FAILURE),
    ] {
        let mut client = Client::connect(gateway.address()).await;
        client.0.write_all(&client_hello(version, ciphers)).await.expect("it is sent");
        let mut alert = Vec::new();
        let _ = timeout(PATIENCE, client.0.read_to_end(&mut alert)).await.expect("the gateway closes it");
        assert!(alert.first() == Some(&21) && alert.ends_with(&[2, reason]), "{version:#06x}: {alert:?}");
    }
    let mut client = Client::connect(gateway.address()).await;
    client.0.write_all(&client_hello(0x0303, MODERN)).await.expect("it is sent");
    let mut record = [0];
    timeout(PATIENCE, client.0.read_exact(&mut record)).await.expect("an answer").expect("a record");
    assert_eq!(record, [22], "the same message of a client of TLS 1.2 is answered");
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let authority = Authority::new();
    let files = Files::of(&authority.certificate("localhost"));
    let gateway = Gateway::start(&files.sandbox("http2 = \"off\"")).await;
    let mut stream = connect(&authority, gateway.address(), BOTH, &["h2", "http/1.1"]).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(live(&mut stream).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn failed_handshakes_are_counted_and_their_connections_closed() {
    let authority = Authority::new();
    let files = Files::of(&authority.certificate("localhost"));
    let gateway = Gateway::start(&files.sandbox("")).await;
    let stranger = connect(&Authority::new(), gateway.address(), BOTH, &[]).await;
    assert!(stranger.is_err(), "its client does not trust the certificate");
    let mut plain = Client::connect(gateway.address()).await;
    plain.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut alert = Vec::new();
    let _ = timeout(PATIENCE, plain.0.read_to_end(&mut alert)).await.expect("the gateway closes it");
    assert!(!alert.starts_with(b"HTTP"), "nothing is answered without TLS");
    let counted = async {
        while gateway.metric("passerelle_tls_handshakes_failed_total{listener=\"api\"}") < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.expect("both are counted");
}

#[tokio::test]
async fn a_connection_counts_against_the_cap_before_its_handshake() {
    let authority = Authority::new();
    let files = Files::of(&authority.certificate("localhost"));
    let gateway = Gateway::start(&files.sandbox("max_connections_per_address = 1")).await;
    let silent = TcpStream::connect(gateway.address()).await.expect("a connection");
    Client::connect(gateway.address()).await.assert_closed().await;
    drop(silent);
    let connected = async {
        while connect(&authority, gateway.address(), BOTH, &[]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, connected).await.expect("the place is free again");
}

/// A gateway in a process of its own, which ends with the test.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Process {
    fn start(configuration: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        command.args(["serve", "--config"]).arg(configuration).env_remove("PASSERELLE_LOG").env_remove("NOTIFY_SOCKET");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("a log"));
        Self { child, log }
    }

    /// The next line of the log that contains this text.
    fn logged(&mut self, text: &str) -> Value {
        let line = self.log.by_ref().lines().map_while(Result::ok).find(|line| line.contains(text));
        serde_json::from_str(&line.expect("the line")).expect("JSON")
    }

    fn reload(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the signal is sent");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_replaces_the_certificate_and_keeps_it_where_the_new_one_cannot_be_used() {
    let authority = Authority::new();
    let [first, second] = [authority.certificate("localhost"), authority.certificate("localhost")];
    let files = Files::of(&first);
    let configuration = files.0.path().join("passerelle.toml");
    fs::write(&configuration, files.sandbox("listen = \"127.0.0.1:0\"")).expect("it is written");
    let mut process = Process::start(&configuration);
    let address = process.logged("serving on https://")["server.address"].as_str().expect("a text").to_owned();
    let address: SocketAddr = address.parse().expect("an address");
    let served = async || {
        let stream = connect(&authority, address, BOTH, &[]).await.expect("a handshake");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let mut open = connect(&authority, address, BOTH, &[]).await.expect("a handshake");
    assert_eq!(served().await, first.signed);

    files.replace(&second);
    process.reload();
    for key in ["certificate", "key"] {
        assert_eq!(process.logged("changed")["message"], format!("server.tls.{key}: changed"));
    }
    assert_eq!(process.logged("reloaded")["message"], "the configuration was reloaded; changes: 2");
    assert_eq!(served().await, second.signed, "new connections get the new certificate");
    assert_eq!(live(&mut open).await, "HTTP/1.1 200 OK", "open connections go on");

    files.replace(&authority.expired("localhost"));
    process.reload();
    let refused = process.logged("reloaded");
    let message = refused["message"].as_str().expect("a text");
    assert!(
        message.contains("the gateway keeps the one it serves") && message.contains("expired at 2002-"),
        "{message}"
    );
    assert_eq!(served().await, second.signed);
}

/// The end of the certificate that is served, in seconds since 1970, as `/metrics` shows it.
async fn shown_end(gateway: &Gateway) -> Option<f64> {
    let text = gateway.app().metrics_text().await;
    let series = "passerelle_tls_certificate_expiry_timestamp_seconds{listener=\"api\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).map(|value| value.parse().expect("a number"))
}

#[tokio::test]
async fn a_metric_shows_when_the_certificate_expires_that_was_loaded_last() {
    let authority = Authority::new();
    let files = Files::of(&authority.until("localhost", 2100));
    let configuration = files.sandbox("");
    let gateway = Gateway::start(&configuration).await;
    assert_eq!(shown_end(&gateway).await, Some(4_102_444_800.0));

    files.replace(&authority.until("localhost", 2101));
    assert_eq!(shown_end(&gateway).await, Some(4_102_444_800.0), "the renewed certificate is not served yet");
    gateway.reload(&configuration);
    assert_eq!(shown_end(&gateway).await, Some(4_133_980_800.0));

    gateway.reload(&sandbox(""));
    assert_eq!(shown_end(&gateway).await, None, "no certificate is served");
}

#[test]
fn check_finds_a_certificate_that_cannot_be_used() {
    let authority = Authority::new();
    let [good, other] = [authority.certificate("localhost"), authority.certificate("localhost")];
    let with = |certificate: Option<&str>, key: Option<&str>| {
        let files = Files(tempfile::tempdir().expect("a folder"));
        for (name, text) in [("certificate.pem", certificate), ("key.pem", key)] {
            text.inspect(|text| files.write(name, text));
        }
        let configuration = files.0.path().join("passerelle.toml");
        fs::write(&configuration, files.sandbox("listen = \"127.0.0.1:0\"")).expect("it is written");
        let mut check = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        let checked = check.arg("check").arg("--config").arg(&configuration).output().expect("it runs");
        (checked.status.success(), String::from_utf8_lossy(&checked.stderr).into_owned())
    };
    let (pem, key) = (Some(good.pem.as_str()), Some(good.key_pem.as_str()));
    let (is_good, told) = with(pem, key);
    assert!(is_good, "{told}");
    for (certificate, key, setting, expected) in [
        (None, key, "certificate", "certificate.pem, which cannot be read: No such file"),
        (pem, None, "key", "key.pem, which cannot be read: No such file"),
        (Some("a certificate"), key, "certificate", "which has no certificate in PEM"),
        (pem, Some("a key"), "key", "which has no private key in PEM"),
        (key, key, "certificate", "which has no certificate in PEM"),
        (Some("-----BEGIN CERTIFICATE-----\nMII"), key, "certificate", "which is not valid PEM"),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            key,
            "certificate",
            "cannot be decoded",
        ),
        (Some(&authority.expired("localhost").pem), key, "certificate", "expired at 2002-01-01T00:00:00Z; replace it"),
        (pem, Some(&other.key_pem), "key", "whose key is not the one of the certificate in "),
    ] {
        let (is_good, told) = with(certificate, key);
        assert!(!is_good, "{expected}");
        let named = format!("passerelle.toml:6: `server.tls.{setting}` names the file ");
        assert!(told.contains(&named) && told.contains(expected), "{expected}: {told}");
        assert!(!told.contains("BEGIN PRIVATE"), "{told}");
    }
}
