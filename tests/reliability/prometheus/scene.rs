//! Two gateways to which everything has happened that their metrics can count: providers that fail, hang and send too much,
//! writes without a known outcome, a switch that waits, refusals and reloads.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    bed::{Gateway, PATIENCE, Setup, Twin, until},
    client::{email, http},
    switch::operator::{Goal, KEY, Kills, Operator},
};

/// The key `sk_reader`, as the configuration has it.
const READER: &str = "{ name = \"reader\", scopes = [\"read\"], \
                      sha256 = \"8489a752ad497fd6dfc57a5287fed4005e0f5dc95e9f57f9e888bd925f5f352f\" }";

/// The gateways and their providers.
pub(super) struct Scene {
    /// Its providers fail and hang, and its merchant `acme` switches.
    pub(super) first: Arc<Gateway>,
    /// It has few places, and a reload has changed its listener to TLS.
    pub(super) second: Arc<Gateway>,
    _twins: Vec<Twin>,
}

/// A merchant with one connection to a twin.
fn merchant(name: &str, twin: &Twin, connection: &str) -> String {
    let connection = twin.connection("main", None, connection).replace("merchants.acme", &format!("merchants.{name}"));
    format!("[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\nregion = \"SN\"\n{connection}")
}

/// Sends a request of a merchant. Returns the code of its problem, or its status.
async fn send(gateway: &Gateway, merchant: &str, method: Method, path: &str, body: Option<&Value>) -> String {
    let mut request = http(PATIENCE).request(method, format!("http://{}{path}", gateway.address()));
    request = request.bearer_auth(format!("sk_{merchant}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").header("idempotency-key", "key");
        request = request.body(body.to_string());
    }
    let response = request.send().await.expect("an answer");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    body["code"].as_str().map_or_else(|| status.as_str().to_owned(), str::to_owned)
}

async fn create(gateway: &Gateway, merchant: &str, number: usize) -> String {
    // With what both providers of the switch require.
    let person = json!({ "name": "Awa Diop", "email": email(number), "phone": format!("+22177{number:07}") });
    send(gateway, merchant, Method::POST, "/v1/customers", Some(&person)).await
}

async fn list(gateway: &Gateway, merchant: &str) -> String {
    send(gateway, merchant, Method::GET, "/v1/customers", None).await
}

impl Scene {
    pub(super) async fn play() -> Self {
        let (first, mut twins) = first().await;
        let (second, slow) = second().await;
        twins.push(slow);
        Self { first, second, _twins: twins }
    }
}

async fn first() -> (Arc<Gateway>, Vec<Twin>) {
    let main = Twin::start("lomi", "");
    let new = Twin::start("bitnob", "");
    let failing = Twin::start("lomi", "error_before = 1.0\n");
    let lost = Twin::start("lomi", "hang_after = 1.0\nonly = [\"create\"]\n");
    let never = Twin::start("lomi", "hang_before = 1.0\nonly = [\"create\"]\n");
    let impatient = "timeout = \"200ms\"\nvisibility_lag";
    let tables = [
        new.connection("new", None, "timeout = \"200ms\""),
        merchant("failing", &failing, ""),
        merchant("reconciled", &lost, &format!("{impatient} = \"100ms\"")),
        merchant("unknown", &lost, &format!("{impatient} = \"10m\"")),
        merchant("held", &never, &format!("{impatient} = \"100ms\""))
            .replace("\"sk_held\"", &format!("\"sk_held\", {READER}")),
        format!("[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{KEY}\"]\n"),
    ];
    let server = "wrong_keys_per_address = \"1/h\"".to_owned();
    let gateway = Gateway::start_for(&main, &Setup { tables: tables.concat(), server, ..Setup::of("") });

    assert_eq!(create(&gateway, "acme", 1).await, "201");
    assert_eq!(list(&gateway, "acme").await, "200");
    assert_eq!(send(&gateway, "acme", Method::GET, "/v1/customers/none", None).await, "invalid_id");
    assert_eq!(create(&gateway, "reader", 1).await, "forbidden");
    assert_eq!(list(&gateway, "nobody").await, "unauthorized");
    assert_eq!(list(&gateway, "nobody").await, "too_many_wrong_keys");
    for name in ["reconciled", "unknown", "held"] {
        assert_eq!(create(&gateway, name, 2).await, "outcome_unknown", "{name}");
    }
    until("the breaker refuses a request", async || {
        (list(&gateway, "failing").await == "provider_unavailable").then_some(())
    })
    .await;
    let operator = Operator::of(std::slice::from_ref(&gateway));
    let planned = operator.reach(Goal::Planned, &mut Kills::none(), PATIENCE).await;
    // The new provider does not answer any more.
    new.signal(Signal::STOP);
    operator.command(Some(&planned), "run", &Value::Null).await.expect("an answer");
    operator.wait("the switch waits", PATIENCE, |view| !view["blocked_by"].is_null()).await;
    (gateway, vec![main, new, failing, lost, never])
}

async fn second() -> (Arc<Gateway>, Twin) {
    let slow = Twin::start("lomi", "delay = \"2s\"\n");
    let large = endless_replies().await;
    let connection = "timeout = \"3s\"";
    let tables = format!(
        "{}[operator]\nlisten = \"127.0.0.1:0\"\n\
         [telemetry.traces]\nendpoint = \"http://127.0.0.1:1/v1/traces\"\nsample_ratio = 1.0\n",
        merchant("large", &slow, connection).replace(slow.address(), &large),
    );
    let outbound = "max_in_flight = 2".to_owned();
    let gateway = Gateway::start_for(&slow, &Setup { outbound, tables, ..Setup::of("") });

    let codes = futures_util::future::join_all((0..4).map(|_| list(&gateway, "acme"))).await;
    assert!(codes.iter().any(|code| code == "overloaded"), "two of the four have a place: {codes:?}");
    let codes = futures_util::future::join_all((0..2).map(|_| list(&gateway, "large"))).await;
    assert!(codes.iter().any(|code| code == "overloaded"), "there is room for one of the two replies: {codes:?}");

    let metrics = format!("http://{}/metrics", gateway.operator_address());
    let good = std::fs::read_to_string(gateway.config()).expect("a configuration");
    let with_tls = good.replacen("[server]\n", &format!("[server]\n{}\n", tls(&gateway)), 1);
    for (text, outcome) in [(with_tls, "success"), ("no = \"key\"\n".to_owned(), "failure")] {
        std::fs::write(gateway.config(), text).expect("written");
        gateway.signal(Signal::HUP);
        until("the reload has ended", async || {
            let answer = http(PATIENCE).get(&metrics).send().await.ok()?;
            assert_eq!(answer.status(), StatusCode::OK);
            let line = format!("passerelle_reloads_total{{outcome=\"{outcome}\"}} 1");
            answer.text().await.ok()?.contains(&line).then_some(())
        })
        .await;
    }
    (gateway, slow)
}

/// `server.tls` with a certificate of its own, whose files are beside the configuration.
fn tls(gateway: &Gateway) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| gateway.config().with_file_name(name));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    format!("tls = {{ certificate = \"{}\", key = \"{}\" }}", certificate.display(), key.display())
}

/// The address of a provider whose replies announce nearly 8 MiB, and do not end.
async fn endless_replies() -> String {
    const LENGTH: usize = 8_000_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = async |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1 << 14]).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {LENGTH}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&vec![b' '; LENGTH - 1]).await;
        // Until the gateway closes the connection.
        let _ = stream.read(&mut [0; 1]).await;
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}
