//! Providers behind real proxies, in a process of its own that trusts the stand-ins. Where a proxy is not installed, its
//! tests are listed as ignored.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../it/door.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod door;
mod program;
#[path = "../it/stand_in.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod stand_in;
#[path = "../shared/trial.rs"]
mod trial;

use std::process::Output;

use assert_cmd::Command;
use libtest_mimic::{Arguments, Trial};
use tempfile::NamedTempFile;

use crate::{
    door::{Authority, Door},
    program::{Program, Running, or_ignored},
    stand_in::{StandIn, json},
    trial::trial,
};

const SECRET: &str = "vendor_secret_7411";

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    for program in [Program::Tinyproxy, Program::Microsocks] {
        let name = program.name();
        let all = [
            trial(format!("{name}_leads_to_a_provider"), move || leads_to_a_provider(program)),
            trial(format!("{name}_takes_its_credentials_and_no_others"), move || takes_its_credentials(program)),
            trial(format!("{name}_is_asked_no_exceptions"), move || is_asked_no_exceptions(program)),
            trial(format!("{name}_that_cannot_reach_the_provider_is_named"), move || cannot_reach(program)),
            trial(format!("{name}_that_is_gone_is_named"), move || is_gone(program)),
        ];
        trials.extend(all.into_iter().map(|trial| or_ignored(program, trial)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A provider behind TLS, and the authority that vouches for it.
struct Provider {
    vendor: StandIn,
    door: Door,
    trusted: NamedTempFile,
}

impl Provider {
    async fn start() -> Self {
        let authority = Authority::new();
        let vendor = StandIn::always(json("200 OK", r#"{"data":[]}"#)).await;
        let door = Door::before(&vendor, authority.certificate("localhost")).await;
        Self { vendor, door, trusted: authority.file() }
    }

    fn url(&self) -> String {
        self.door.url("localhost")
    }

    /// Asks the provider for a list of one customer. The proxy is told in the environment.
    async fn probe(&self, base_url: &str, proxy: String, no_proxy: &str) -> Probed {
        let mut written = NamedTempFile::new().expect("a file");
        let configuration = format!(
            "[outbound]\nallow_insecure = true\nproxy = {{ env = \"EGRESS\" }}\nno_proxy = [{no_proxy}]\n\
             [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n[merchants.acme.connections.main]\n\
             provider = \"lomi\"\nbase_url = \"{base_url}\"\ncredentials = {{ api_key = \"{SECRET}\" }}\n"
        );
        std::io::Write::write_all(&mut written, configuration.as_bytes()).expect("it is written");
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("SSL_CERT_FILE", self.trusted.path()).env("EGRESS", proxy);
        command.args(["check", "--probe", "--config"]).arg(written.path());
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await;
        Probed(output.expect("no panic"))
    }
}

struct Probed(Output);

impl Probed {
    fn told(&self) -> String {
        let told = [&self.0.stdout[..], &self.0.stderr[..]].concat();
        String::from_utf8_lossy(&told).into_owned()
    }

    fn assert_answered(&self) {
        assert!(self.0.status.success(), "{}", self.told());
        assert!(self.told().contains("answers, and takes the credentials"), "{}", self.told());
    }

    /// What is told names the proxy without its password, and what to check.
    fn assert_refused(&self, proxy: &Running, why: &str) {
        let told = self.told();
        assert_eq!(self.0.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("through the proxy {}: ", proxy.url(""))), "{told}");
        assert!(told.contains(why) && told.contains("; nothing was sent"), "{why}: {told}");
        assert!(!told.contains("hush") && !told.contains(SECRET), "{told}");
    }
}

async fn leads_to_a_provider(program: Program) {
    let provider = Provider::start().await;
    let proxy = Running::start(program, None).await;
    provider.probe(&provider.url(), proxy.url(""), "").await.assert_answered();
    let asked = provider.vendor.requests();
    assert!(asked[0].starts_with("GET /customers?limit=1&page=1 HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains(&format!("\r\nx-api-key: {SECRET}\r\n")), "{}", asked[0]);

    provider.probe(&provider.vendor.url(), proxy.url(""), "").await.assert_answered();
}

async fn takes_its_credentials(program: Program) {
    let provider = Provider::start().await;
    // What the one cannot hold, the other shows: that escapes in a URL are undone.
    let (password, escaped, wrong): (_, _, &[_]) = match program {
        Program::Tinyproxy => ("hush1", "hush1", &[""]),
        Program::Microsocks => ("hush@1", "hush%401", &["", "user:hush@", "hush:hush%401@"]),
    };
    let proxy = Running::start(program, Some(("user", password))).await;
    let all: &[_] = &["", "user:hush@", "hush:hush%401@"];
    // Where nothing is encrypted, a 401 of tinyproxy cannot be told from one of the provider.
    for (base_url, wrong) in [(provider.url(), all), (provider.vendor.url(), wrong)] {
        provider.probe(&base_url, proxy.url(&format!("user:{escaped}@")), "").await.assert_answered();
        let asked = provider.vendor.requests().len();
        for credentials in wrong {
            let probed = provider.probe(&base_url, proxy.url(credentials), "").await;
            probed.assert_refused(&proxy, "the credentials in `outbound.proxy`");
        }
        assert_eq!(provider.vendor.requests().len(), asked, "nothing reached the provider");
    }
}

async fn is_asked_no_exceptions(program: Program) {
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
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let probed = provider.probe(&format!("https://{nobody}"), proxy.url(""), "").await;
    probed.assert_refused(&proxy, "allows this host and port");
}

async fn is_gone(program: Program) {
    let provider = Provider::start().await;
    let mut proxy = Running::start(program, None).await;
    proxy.stop();
    let probed = provider.probe(&provider.url(), proxy.url("user:hush@"), "").await;
    probed.assert_refused(&proxy, "the proxy does not answer; check that it runs");
    assert_eq!(provider.vendor.requests().len(), 0);
}
