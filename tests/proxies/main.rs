//! Providers behind real proxies. Each test runs `passerelle check --probe` in a process that trusts the certificate of
//! the stand-in. Where a proxy is not installed, its tests are listed as ignored.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../shared/installed.rs"]
mod installed;
mod program;
#[path = "../it/stand_in.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod stand_in;
#[path = "../it/tls_front.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod tls_front;
#[path = "../shared/trial.rs"]
mod trial;

use std::process::Output;

use assert_cmd::Command;
use libtest_mimic::{Arguments, Trial};
use tempfile::NamedTempFile;

use crate::{
    installed::needing,
    program::{Program, Running},
    stand_in::{StandIn, json},
    tls_front::{Authority, TlsFront},
    trial::trial,
};

const SECRET: &str = "vendor_secret_7411";

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    for program in [Program::Tinyproxy, Program::Microsocks] {
        let name = program.name();
        let all = [
            trial(format!("{name}_reaches_the_provider"), move || reaches_the_provider(program)),
            trial(format!("{name}_accepts_its_credentials_and_no_others"), move || accepts_its_credentials(program)),
            trial(format!("{name}_is_not_used_for_exceptions"), move || is_not_used_for_exceptions(program)),
            trial(format!("{name}_that_cannot_reach_the_provider_is_named"), move || cannot_reach(program)),
            trial(format!("{name}_that_has_stopped_is_named"), move || has_stopped(program)),
        ];
        trials.extend(all.into_iter().map(|trial| needing(program.path(), trial)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A provider behind TLS, and the file with the authority of its certificate.
struct Provider {
    vendor: StandIn,
    front: TlsFront,
    trusted: NamedTempFile,
}

impl Provider {
    async fn start() -> Self {
        let authority = Authority::new();
        let vendor = StandIn::always(json("200 OK", r#"{"data":[]}"#)).await;
        let front = TlsFront::in_front_of(&vendor, authority.certificate("localhost")).await;
        Self { vendor, front, trusted: authority.file() }
    }

    fn url(&self) -> String {
        self.front.url("localhost")
    }

    /// Runs `passerelle check --probe`, which reads one customer from the provider. The proxy's URL is in the
    /// environment.
    async fn probe(&self, base_url: &str, proxy: String, no_proxy: &str) -> Probed {
        let mut written = NamedTempFile::new().expect("a file");
        let configuration = format!(
            "[outbound]\nallow_insecure = true\nproxy = {{ env = \"EGRESS\" }}\nno_proxy = [{no_proxy}]\n\
             [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n[merchants.acme.connections.main]\n\
             provider = \"lomi\"\nbase_url = \"{base_url}\"\ncredentials = {{ api_key = \"{SECRET}\" }}\n"
        );
        std::io::Write::write_all(&mut written, configuration.as_bytes()).expect("the file is written");
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("SSL_CERT_FILE", self.trusted.path()).env("EGRESS", proxy);
        command.args(["check", "--probe", "--config"]).arg(written.path());
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await;
        Probed(output.expect("no panic"))
    }
}

struct Probed(Output);

impl Probed {
    fn text(&self) -> String {
        let bytes = [&self.0.stdout[..], &self.0.stderr[..]].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn assert_answered(&self) {
        assert!(self.0.status.success(), "{}", self.text());
        assert!(self.text().contains("the provider answers and accepts the credentials"), "{}", self.text());
    }

    /// The message names the proxy without its password, and says what to check.
    fn assert_refused(&self, proxy: &Running, why: &str) {
        let text = self.text();
        assert_eq!(self.0.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("through the proxy {}: ", proxy.url(""))), "{text}");
        assert!(text.contains(why) && text.contains("; nothing was sent"), "{why}: {text}");
        assert!(!text.contains("hush") && !text.contains(SECRET), "{text}");
    }
}

async fn reaches_the_provider(program: Program) {
    let provider = Provider::start().await;
    let proxy = Running::start(program, None).await;
    provider.probe(&provider.url(), proxy.url(""), "").await.assert_answered();
    let requests = provider.vendor.requests();
    assert!(requests[0].starts_with("GET /customers?limit=1&page=1 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains(&format!("\r\nx-api-key: {SECRET}\r\n")), "{}", requests[0]);

    provider.probe(&provider.vendor.url(), proxy.url(""), "").await.assert_answered();
}

async fn accepts_its_credentials(program: Program) {
    let provider = Provider::start().await;
    // The file of tinyproxy cannot hold this password. With microsocks it shows that the gateway decodes escapes in a
    // URL.
    let (password, escaped, wrong): (_, _, &[_]) = match program {
        Program::Tinyproxy => ("hush1", "hush1", &[""]),
        Program::Microsocks => ("hush@1", "hush%401", &["", "user:hush@", "hush:hush%401@"]),
    };
    let proxy = Running::start(program, Some(("user", password))).await;
    let all: &[_] = &["", "user:hush@", "hush:hush%401@"];
    // Without TLS, a 401 from tinyproxy cannot be distinguished from one of the provider.
    for (base_url, wrong) in [(provider.url(), all), (provider.vendor.url(), wrong)] {
        provider.probe(&base_url, proxy.url(&format!("user:{escaped}@")), "").await.assert_answered();
        let before = provider.vendor.requests().len();
        for credentials in wrong {
            let probed = provider.probe(&base_url, proxy.url(credentials), "").await;
            probed.assert_refused(&proxy, "the credentials in `outbound.proxy`");
        }
        assert_eq!(provider.vendor.requests().len(), before, "nothing reached the provider");
    }
}

async fn is_not_used_for_exceptions(program: Program) {
    let provider = Provider::start().await;
    let proxy = Running::start(program, Some(("user", "hush1"))).await;
    for exception in ["\"localhost\"", "\"other.example\", \".localhost\""] {
        provider.probe(&provider.url(), proxy.url("user:wrong@"), exception).await.assert_answered();
    }
    let probed = provider.probe(&provider.url(), proxy.url("user:wrong@"), "\"other.example\"").await;
    probed.assert_refused(&proxy, "the credentials in `outbound.proxy`");
}

async fn cannot_reach(program: Program) {
    let provider = Provider::start().await;
    let proxy = Running::start(program, None).await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let probed = provider.probe(&format!("https://{unused}"), proxy.url(""), "").await;
    probed.assert_refused(&proxy, "allows this host and port");
}

async fn has_stopped(program: Program) {
    let provider = Provider::start().await;
    let mut proxy = Running::start(program, None).await;
    proxy.stop();
    let probed = provider.probe(&provider.url(), proxy.url("user:hush@"), "").await;
    probed.assert_refused(&proxy, "the proxy does not answer; check that it runs");
    assert_eq!(provider.vendor.requests().len(), 0);
}
