//! Providers behind TLS: whom the gateway takes for them, and that nobody else is sent anything.

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
    door::{ATTEMPTS, Authority, Door},
    faults::{read, write},
    stand_in::{Act, PATIENCE, StandIn, json as json_answer},
    support::{Answer, Gateway, SECRET},
    terminal::{err, file, out},
};

/// Somebody who listens where TLS should be spoken.
struct Stranger {
    url: String,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Stranger {
    /// One that says something and hangs up, or says nothing and stays.
    async fn saying(says: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let (told, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let told = told.clone();
                tokio::spawn(async move {
                    if let Some(says) = says {
                        let _ = stream.write_all(says.as_bytes()).await;
                        let _ = stream.shutdown().await;
                    }
                    let mut bytes = Vec::new();
                    let _ = stream.read_to_end(&mut bytes).await;
                    let _ = told.send(bytes);
                });
            }
        });
        Self { url, heard }
    }

    /// Holds that every attempt of a request said hello and hung up.
    async fn heard_only_hellos(&mut self) {
        const HANDSHAKE: u8 = 22;
        for _ in 0..ATTEMPTS {
            let heard = timeout(PATIENCE, self.heard.recv()).await.expect("it is hung up in time").expect("a stranger");
            assert_eq!(heard.first(), Some(&HANDSHAKE), "{heard:?}");
            let text = String::from_utf8_lossy(&heard);
            assert!(!text.contains("HTTP/1.1") && !text.contains(SECRET), "{text}");
        }
        assert!(self.heard.try_recv().is_err(), "three attempts in all");
    }
}

/// Why is told as far as the operator can do something about it.
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

/// Asks a provider for a list of one customer, from a process of its own that trusts what a file holds.
pub(crate) async fn probe(base_url: &str, trusted: &Path) -> Output {
    check(&["--probe"], file(&configuration(base_url, "", "")), trusted).await
}

async fn check(arguments: &[&str], configuration: NamedTempFile, trusted: &Path) -> Output {
    check_in(&[], arguments, configuration, trusted).await
}

/// The same in an environment.
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
async fn a_provider_that_nobody_vouches_for_is_sent_nothing() {
    let vendor = StandIn::always(no_customers()).await;
    let mut door = Door::before(&vendor, Authority::new().certificate("localhost")).await;
    let gateway = Gateway::in_front_of("lomi", &door.url("localhost"), "").await;
    assert_nothing_was_sent(&read(&gateway).await, ": its certificate was refused (UnknownIssuer)");
    door.refused("UnknownCA").await;
    assert_nothing_was_sent(&write(&gateway, "lomi").await, ": its certificate was refused (UnknownIssuer)");
    door.refused("UnknownCA").await;
    assert_eq!(vendor.requests(), [""; 0]);
}

#[tokio::test]
async fn a_provider_that_an_authority_of_the_environment_vouches_for_is_asked() {
    let authority = Authority::new();
    let trusted = authority.file();
    for (host, versions) in [("localhost", &[&TLS13]), ("localhost", &[&TLS12]), ("127.0.0.1", &[&TLS13])] {
        let vendor = StandIn::always(no_customers()).await;
        let mut door = Door::speaking(versions, vendor.address(), authority.certificate(host)).await;
        let probed = probe(&door.url(host), trusted.path()).await;
        assert!(probed.status.success(), "{host}, {versions:?}: {}{}", out(&probed), err(&probed));
        assert!(out(&probed).contains("acme.main (lomi): answers, and takes the credentials"), "{}", out(&probed));
        assert_eq!(door.tried().await, Ok(()));
        let asked = vendor.requests();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].starts_with("GET /customers?limit=1&page=1 HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[0].contains(&format!("\r\nhost: {host}:{}\r\n", door.address.port())), "{}", asked[0]);
    }
}

/// Whoever holds some certificate of a trusted authority is not the provider for that.
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
        let mut door = Door::before(&vendor, certificate).await;
        let probed = probe(&door.url(host), trusted.path()).await;
        assert_eq!(probed.status.code(), Some(1), "{}{}", out(&probed), err(&probed));
        assert!(out(&probed).contains("could not be reached: its certificate was refused ("), "{}", out(&probed));
        assert!(out(&probed).contains(why) && out(&probed).contains("; nothing was sent"), "{}", out(&probed));
        door.refused(alert).await;
        assert_eq!(vendor.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn a_gateway_that_trusts_nobody_calls_only_its_own_twins() {
    let nobody = file("");
    let merchant = |connection: &str| {
        file(&format!(
            "[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
             connections.main = {{ provider = \"lomi\", {connection} }}\n"
        ))
    };
    let live = merchant(&format!("credentials = {{ api_key = \"{SECRET}\" }}"));
    let refused = check(&[], live, nobody.path()).await;
    assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
    assert!(err(&refused).contains("install `ca-certificates`"), "{}", err(&refused));
    let taken = check(&[], merchant("sandbox = true"), nobody.path()).await;
    assert!(taken.status.success(), "{}", err(&taken));
}

/// Connecting ends with the handshake, and no request has begun before.
#[tokio::test]
async fn a_provider_that_does_not_answer_the_hello_is_not_waited_for() {
    let mut mute = Stranger::saying(None).await;
    // Of these, only connecting ends within the patience of this test.
    let more = "timeout = \"1h\"\n[server]\ndeadline = \"5m\"";
    let configuration = configuration(&mute.url, "connect_timeout = \"50ms\"", more);
    let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
    assert_nothing_was_sent(&timeout(PATIENCE, read(&gateway)).await.expect("an answer in time"), ";");
    mute.heard_only_hellos().await;
    assert_nothing_was_sent(&timeout(PATIENCE, write(&gateway, "lomi")).await.expect("an answer in time"), ";");
    mute.heard_only_hellos().await;
}

#[tokio::test]
async fn a_provider_that_speaks_no_tls_is_sent_nothing() {
    let no_tls = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (says, why) in [("", ";"), (no_tls, ": it does not speak TLS as expected (")] {
        let mut stranger = Stranger::saying(Some(says)).await;
        let gateway = Gateway::in_front_of("lomi", &stranger.url, "").await;
        assert_nothing_was_sent(&read(&gateway).await, why);
        stranger.heard_only_hellos().await;
        assert_nothing_was_sent(&write(&gateway, "lomi").await, why);
        stranger.heard_only_hellos().await;
    }
}
