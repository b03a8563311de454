//! Providers behind a proxy that the operator names. The proxies here are stand-ins that record what the gateway
//! sends to them. `tests/proxies` uses real ones.

use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    faults::{read, write},
    stand_in::{Act, StandIn, json as json_answer, refusing_address},
    support::{Answer, Gateway, SECRET},
    terminal::{err, file, out},
    tls::check_in,
    tls_front::{ATTEMPTS, Authority, TlsFront},
};

/// What a proxy does with a request.
#[derive(Debug, Clone, Copy)]
enum ProxyAct {
    /// Connects to this address, whatever address the request names.
    Connect(SocketAddr),
    /// Sends this and closes the connection.
    Answer(&'static str),
}

/// A proxy, and the heads of the requests that it received.
struct StandInProxy {
    address: SocketAddr,
    received: mpsc::UnboundedReceiver<String>,
}

impl StandInProxy {
    async fn start(act: ProxyAct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, act, sender.clone()));
            }
        });
        Self { address, received }
    }

    fn requests(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

async fn serve(mut stream: TcpStream, act: ProxyAct, received: mpsc::UnboundedSender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let _ = received.send(String::from_utf8_lossy(&head).into_owned());
    match act {
        ProxyAct::Connect(address) => {
            let mut target = TcpStream::connect(address).await.expect("the target");
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("it is sent");
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
        }
        ProxyAct::Answer(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }
}

fn no_customers() -> Act {
    json_answer("200 OK", r#"{"data":[]}"#)
}

fn configuration(base_url: &str, outbound: &str) -> String {
    format!(
        "[outbound]\n{outbound}\n[store]\nurl = \"sqlite::memory:\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\nbase_url = \"{base_url}\"\n\
         credentials = {{ api_key = \"{SECRET}\" }}\n"
    )
}

async fn gateway(base_url: &str, outbound: &str) -> Gateway {
    Gateway::start(&configuration(base_url, outbound)).await.with_key("sk_acme")
}

fn assert_nothing_was_sent(answer: &Answer, proxy: &str, why: &str) {
    assert_eq!(answer.status_and_code(), (503, "provider_unavailable"), "{}", answer.text);
    assert_eq!((&answer.body["outcome"], &answer.body["safe_to_retry"]), (&json!("none"), &json!(true)));
    let reason = format!("the provider could not be reached through the proxy {proxy}: ");
    assert!(answer.text.contains(&reason) && answer.text.contains(why), "{why}: {}", answer.text);
    assert!(answer.text.contains("; nothing was sent") && !answer.text.contains("hush"), "{}", answer.text);
}

/// The provider's name does not exist in DNS, and the name of the proxy leads to a private address. Both are allowed.
#[tokio::test]
async fn the_proxy_resolves_the_name_of_the_provider_and_sees_no_request() {
    let authority = Authority::new();
    let trusted = authority.file();
    let vendor = StandIn::always(no_customers()).await;
    let front = TlsFront::in_front_of(&vendor, authority.certificate("provider.test")).await;
    let mut proxy = StandInProxy::start(ProxyAct::Connect(front.address)).await;
    let mut proxy_over_tls = TlsFront::to(proxy.address, authority.certificate("localhost")).await;
    for (url, secure) in [
        (format!("http://user:hush@localhost:{}", proxy.address.port()), false),
        (proxy_over_tls.url("user:hush@localhost"), true),
    ] {
        let written = configuration("https://provider.test", &format!("proxy = \"{url}\""));
        let probed = check_in(&[], &["--probe"], file(&written), trusted.path()).await;
        assert!(probed.status.success(), "{}{}", out(&probed), err(&probed));
        assert!(!out(&probed).contains("hush") && !err(&probed).contains("hush"), "{}{}", out(&probed), err(&probed));

        let connect = proxy.requests().remove(0);
        assert!(connect.starts_with("CONNECT provider.test:443 HTTP/1.1\r\n"), "{connect}");
        let credentials = format!("proxy-authorization: basic {}", BASE64_STANDARD.encode("user:hush"));
        assert!(connect.to_lowercase().contains(&credentials.to_lowercase()), "{connect}");
        assert!(!connect.contains(SECRET) && !connect.contains("customers"), "{connect}");
        let request = vendor.requests().pop().expect("a request");
        assert!(request.starts_with("GET /customers?limit=1&page=1 HTTP/1.1\r\n"), "{request}");
        assert!(!request.to_lowercase().contains("proxy"), "{request}");
        if secure {
            assert_eq!(proxy_over_tls.handshake().await, Ok(()));
        }
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_what_to_check() {
    for (says, why) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "check the credentials"),
        ("HTTP/1.1 403 Filtered\r\ncontent-length: 0\r\n\r\n", "allows this host and port"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "can resolve and reach it"),
        ("", "unexpected end of file"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "check that the proxy takes the credentials"),
    ] {
        let mut proxy = StandInProxy::start(ProxyAct::Answer(says)).await;
        let outbound = format!("proxy = \"http://user:hush@{}\"", proxy.address);
        let gateway = gateway("https://provider.test", &outbound).await;
        let named = format!("http://{}", proxy.address);
        for answer in [read(&gateway).await, write(&gateway, "lomi").await] {
            assert_nothing_was_sent(&answer, &named, why);
        }
        assert_eq!(proxy.requests().len(), 2 * ATTEMPTS, "{says}");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_named_with_what_to_check() {
    let address = refusing_address();
    for scheme in ["http", "https", "socks5h"] {
        for (base_url, insecure) in [("https://provider.test", false), ("http://provider.test", true)] {
            let outbound = format!("allow_insecure = {insecure}\nproxy = \"{scheme}://user:hush@{address}\"");
            let gateway = gateway(base_url, &outbound).await;
            for answer in [read(&gateway).await, write(&gateway, "lomi").await] {
                let why = "the proxy does not answer; check that it runs, and its address in `outbound.proxy`";
                assert_nothing_was_sent(&answer, &format!("{scheme}://{address}"), why);
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_proxy_with_an_untrusted_certificate() {
    let mut proxy = StandInProxy::start(ProxyAct::Answer("")).await;
    let front = TlsFront::to(proxy.address, Authority::new().certificate("localhost")).await;
    let gateway = gateway("https://provider.test", &format!("proxy = \"{}\"", front.url("localhost"))).await;
    let why = "the proxy does not answer; its certificate was refused (UnknownIssuer); check that it runs";
    assert_nothing_was_sent(&write(&gateway, "lomi").await, &front.url("localhost"), why);
    assert_eq!(proxy.requests(), [""; 0]);
}

/// The proxy sees a request to a provider without TLS, and may answer it itself instead of passing it on.
#[tokio::test]
async fn a_request_without_tls_goes_to_the_proxy_in_absolute_form() {
    let found = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"data\":{}}";
    let refused = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    for says in [found, refused] {
        let mut proxy = StandInProxy::start(ProxyAct::Answer(says)).await;
        let outbound = format!("allow_insecure = true\nproxy = \"http://user:hush@{}\"", proxy.address);
        let gateway = gateway("http://provider.test/v1", &outbound).await;
        let answer = write(&gateway, "lomi").await;
        let requests = proxy.requests();
        assert!(requests[0].starts_with("POST http://provider.test/v1/customers HTTP/1.1\r\n"), "{}", requests[0]);
        match says == refused {
            true => {
                assert_nothing_was_sent(&answer, &format!("http://{}", proxy.address), "check the credentials");
                assert_eq!(requests.len(), ATTEMPTS);
            }
            false => assert_eq!((answer.body["outcome"].as_str(), requests.len()), (Some("unknown"), 1)),
        }
    }
}

#[tokio::test]
async fn exceptions_and_twins_are_called_without_the_proxy() {
    let vendor = StandIn::always(no_customers()).await;
    for (host, exception) in [("127.0.0.1", "127.0.0.0/8"), ("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")] {
        let base_url = format!("http://{host}:{}", vendor.address().port());
        let outbound = |exception: &str| {
            format!("allow_insecure = true\nproxy = \"http://{}\"\nno_proxy = [\"{exception}\"]", refusing_address())
        };
        let bypassing = gateway(&base_url, &outbound(exception)).await;
        assert_eq!(bypassing.get("/v1/customers").await.status, 200, "{host} is in {exception}");
        let other = gateway(&base_url, &outbound("other.example")).await;
        assert_eq!(other.get("/v1/customers").await.status, 503);
    }
    let sandbox = format!(
        "[outbound]\nproxy = \"http://{}\"\n[store]\nurl = \"sqlite::memory:\"\n[merchants.acme]\n\
         api_keys = [\"sk_acme\"]\nactive = \"main\"\nconnections.main = {{ provider = \"lomi\", sandbox = true }}\n",
        refusing_address()
    );
    let gateway = Gateway::start(&sandbox).await.with_key("sk_acme");
    assert_eq!(gateway.get("/v1/customers").await.status, 200);
}

#[tokio::test]
async fn proxy_variables_of_the_environment_are_ignored() {
    let authority = Authority::new();
    let trusted = authority.file();
    let vendor = StandIn::always(no_customers()).await;
    let front = TlsFront::in_front_of(&vendor, authority.certificate("localhost")).await;
    let dead = format!("http://{}", refusing_address());
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment = names.map(|name| (name, dead.as_str()));
    let written = configuration(&front.url("localhost"), "allow_insecure = true");
    let probed = check_in(&environment, &["--probe"], file(&written), trusted.path()).await;
    assert!(probed.status.success(), "{}{}", out(&probed), err(&probed));
}

#[tokio::test]
async fn a_password_in_the_configuration_is_warned_of() {
    let trusted = Authority::new().file();
    let secret_file = file("http://user:hush@proxy.example:3128\n");
    let path = secret_file.path().to_str().expect("a path");
    let base_url = "https://provider.test";
    for (outbound, warned) in [
        ("proxy = { env = \"EGRESS\" }".to_owned(), false),
        (format!("proxy = {{ file = \"{path}\" }}"), false),
        ("proxy = \"http://user@proxy.example:3128\"".to_owned(), false),
        ("proxy = \"http://user:hush@proxy.example:3128\"".to_owned(), true),
    ] {
        let environment = [("EGRESS", "http://user:hush@proxy.example:3128")];
        let checked = check_in(&environment, &[], file(&configuration(base_url, &outbound)), trusted.path()).await;
        assert!(checked.status.success(), "{}", err(&checked));
        let output = format!("{}{}", out(&checked), err(&checked));
        assert_eq!(output.contains(":2: `outbound.proxy` holds a password; use { env = "), warned, "{output}");
        assert!(!output.contains("hush"), "{output}");
    }
}

#[tokio::test]
async fn mistakes_are_reported_with_their_line_and_what_to_write() {
    let trusted = Authority::new().file();
    for (outbound, mistake) in [
        ("proxy = \"proxy.example:3128\"", ":2: `outbound.proxy` must begin with http://, https:// or socks5h://"),
        ("proxy = \"socks5://hush:hush@10.0.0.1\"", ":2: `outbound.proxy` must begin with socks5h://: the proxy"),
        ("proxy = \"http://hush:hush@10.0.0.1/x\"", ":2: `outbound.proxy` must end with its port"),
        (
            "proxy = { env = \"EGRESS\" }",
            ":2: `outbound.proxy` names the environment variable EGRESS, which is not set",
        ),
        (
            "\nno_proxy = [\"*.lomi.africa\"]",
            ":3: `outbound.no_proxy` `*.lomi.africa` is not a host; write \".DOMAIN\"",
        ),
        ("no_proxy = [\"https://a.example\"]", ":2: `outbound.no_proxy` `https://a.example` must be a host, a"),
        ("no_proxy = \"a.example\"", ":2: `outbound.no_proxy` must be "),
    ] {
        let written = file(&configuration("https://provider.test", outbound));
        let checked = check_in(&[], &[], written, trusted.path()).await;
        assert_eq!(checked.status.code(), Some(1), "{outbound}: {}", out(&checked));
        assert!(err(&checked).contains(mistake) && !err(&checked).contains("hush"), "{outbound}: {}", err(&checked));
    }
    let unused = file(&configuration("https://provider.test", "no_proxy = [\"a.example\"]"));
    let checked = check_in(&[], &[], unused, trusted.path()).await;
    let output = format!("{}{}", out(&checked), err(&checked));
    assert!(checked.status.success() && output.contains(":2: `outbound.no_proxy` is not used"), "{output}");
}
