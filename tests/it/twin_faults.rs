//! Twins that misbehave on demand: what a client sees of each fault, what was done all the same, what the log
//! says of it, and what the gateway makes of it.

use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use passerelle::twin::{
    Twin,
    faults::{Fault, FaultPlan, Named},
    log::{self, Entry, Log},
};
use passerelle_providers::{
    Settings,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    stand_in::{StandIn, json as json_answer},
    support::{Gateway, PROVIDERS},
};

/// A twin that is served, with a plan and a log.
struct Served {
    address: SocketAddr,
    log: tempfile::NamedTempFile,
}

impl Served {
    fn start(provider: &str, plan: &str) -> Self {
        let vendor = vendor(provider).expect("a provider");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let log = tempfile::NamedTempFile::new().expect("a file");
        let twin = Twin::new(vendor, settings, Credentials::default())
            .with_faults(FaultPlan::read(plan, "faults.toml").expect("a plan"))
            .with_log(Log::open(log.path()).expect("a log"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
        Self { address, log }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn entries(&self) -> Vec<Entry> {
        log::read(self.log.path()).expect("a log")
    }

    /// The faults of the requests for an operation, and the effects that it had.
    fn played(&self, operation: Operation) -> (Vec<Option<Fault>>, usize) {
        let entries = self.entries();
        let asked = log::requests(&entries).filter(|request| request.operation == Some(Named(operation)));
        let faults = asked.map(|request| request.fault).collect();
        (faults, log::effects(&entries).filter(|effect| effect.operation.0 == operation).count())
    }

    /// Sends a request on a connection of its own.
    async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request(method, path, body).as_bytes()).await.expect("it is sent");
        stream
    }

    /// What comes back until the connection ends, and how it ended.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (String, io::Result<usize>) {
        let mut stream = self.send(method, path, body).await;
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer).await;
        (String::from_utf8_lossy(&answer).into_owned(), ended)
    }

    /// Whether a list shows somebody.
    async fn knows(&self, email: &str) -> bool {
        self.ask("GET", "/v1/customers?limit=100", "").await.0.contains(email)
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: twin\r\nconnection: close\r\nx-api-key: any\r\nidempotency-key: key_1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const EMAIL: &str = "Awa.Diop@example.com";

fn awa() -> String {
    json!({ "name": "Awa Diop", "email": EMAIL, "metadata": { "passerelle_op": "op_1" } }).to_string()
}

/// Waits until something is so, and fails when it never is.
async fn until(so: impl Fn() -> bool) {
    let waits = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits).await.expect("it happens");
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

fn announced(answer: &str) -> usize {
    let head = answer.to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    length.and_then(|length| length.parse().ok()).expect("a length")
}

/// Every fault at a create, as bytes on the wire.
#[tokio::test]
async fn a_client_sees_each_fault() {
    for fault in Fault::ALL {
        let plan = format!("{fault} = 1\npace = \"1ms\"\nonly = [\"create\"]\nretry_after = \"7s\"");
        let twin = Served::start("lomi", &plan);
        match fault {
            Fault::HangBefore | Fault::HangAfter => {
                let mut stream = twin.send("POST", "/v1/customers", &awa()).await;
                until(|| twin.played(Operation::Create) == (vec![Some(fault)], usize::from(fault.has_effect()))).await;
                let silence = tokio::time::timeout(Duration::from_millis(30), stream.read(&mut [0; 1])).await;
                assert!(silence.is_err(), "{fault}: neither an answer nor an end");
            }
            Fault::ResetBefore | Fault::ResetAfter => {
                let (answer, ended) = twin.ask("POST", "/v1/customers", &awa()).await;
                assert_eq!(answer, "", "{fault}");
                assert_eq!(ended.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset, "{fault}");
            }
            _ => {
                let (answer, ended) = twin.ask("POST", "/v1/customers", &awa()).await;
                ended.expect("an end");
                let (status, body) = (&answer[9..12], body_of(&answer));
                match fault {
                    Fault::ErrorBefore | Fault::ErrorAfter => {
                        assert_eq!(status, "500");
                        assert!(body.contains("INTERNAL_ERROR"), "the vendor's own: {body}");
                    }
                    Fault::Truncated => {
                        assert!(matches!(status, "200" | "201"), "{answer}");
                        assert_eq!(announced(&answer) / 2, body.len());
                        assert!(body.starts_with('{') && !body.is_empty());
                    }
                    Fault::Drip => {
                        assert_eq!((status, announced(&answer)), ("201", body.len()), "{answer}");
                        assert!(body.contains("customer_id"));
                    }
                    Fault::RateLimited => {
                        assert_eq!(status, "429");
                        assert!(answer.contains("retry-after: 7\r\n") && body.contains("Rate limit"), "{answer}");
                    }
                    Fault::Redirect => {
                        assert_eq!(status, "307");
                        assert!(answer.contains("location: https://elsewhere.invalid/"), "{answer}");
                    }
                    Fault::Garbage => assert!(status == "200" && body.starts_with("<!DOCTYPE html>"), "{answer}"),
                    _ => {
                        assert!(status == "200" && answer.contains("content-encoding: gzip"), "{fault}");
                        assert!(announced(&answer) < 1 << 17);
                    }
                }
            }
        }
        assert_eq!(twin.played(Operation::Create), (vec![Some(fault)], usize::from(fault.has_effect())), "{fault}");
        assert_eq!(twin.knows(EMAIL).await, fault.has_effect(), "{fault}");
    }
}

#[tokio::test]
async fn a_bomb_unpacks_to_much_more() {
    let twin = Served::start("lomi", "gzip_bomb = 1");
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{}/v1/customers", twin.url())).send().await.expect("an answer");
    assert_eq!(answer.bytes().await.expect("a body").len(), 64 << 20);
}

#[tokio::test]
async fn a_twin_without_a_plan_behaves() {
    let twin = Served::start("lomi", "");
    let (created, _) = twin.ask("POST", "/v1/customers", &awa()).await;
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    assert_eq!(twin.played(Operation::Create), (vec![None], 1));
    assert!(twin.knows(EMAIL).await);
}

#[tokio::test]
async fn the_log_tells_what_happened_and_to_nobody() {
    let twin = Served::start("lomi", "");
    twin.ask("POST", "/v1/customers", &awa()).await.1.expect("an answer");
    let created = log::effects(&twin.entries()).next().cloned().expect("an effect");
    let path = format!("/v1/customers/{}", created.customer);
    twin.ask("PATCH", &path, r#"{"name":"Awa Sow"}"#).await.1.expect("an answer");
    twin.ask("DELETE", &path, "").await.1.expect("an answer");
    twin.ask("DELETE", &path, "").await.1.expect("an answer");
    twin.ask("GET", "/v1/customers?email=awa.diop@example.com", "").await.1.expect("an answer");
    twin.ask("GET", "/nowhere/awa@example.com", "").await.1.expect("an answer");

    let entries = twin.entries();
    let asked: Vec<_> = log::requests(&entries).collect();
    assert_eq!(asked.iter().map(|request| request.n).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!((&*asked[0].method, &*asked[0].path), ("POST", "/v1/customers"));
    assert_eq!(asked[0].idempotency_key.as_deref(), Some("key_1"));
    assert!(asked[0].body_hash.as_ref().is_some_and(|hash| hash.len() == 64));
    assert_eq!(asked[2].body_hash, None);
    assert_eq!((asked[5].operation, &*asked[5].path), (None, "/nowhere/*"));

    let done: Vec<_> = log::effects(&entries).map(|effect| (effect.n, effect.operation.0)).collect();
    assert_eq!(done, [(1, Operation::Create), (2, Operation::Update), (3, Operation::Delete)]);
    assert_eq!(created.marker.as_deref(), Some("op_1"));
    assert_eq!(created.email_hash, Some(log::email_hash("awa.diop@example.com")));
    let text = std::fs::read_to_string(twin.log.path()).expect("a log");
    for secret in ["Awa", "Diop", "example.com", "any"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.starts_with(r#"{"event":"request","n":1,"at":""#), "{text}");
}

#[tokio::test]
async fn the_same_seed_plays_the_same() {
    let mut played = Vec::new();
    for seed in [11, 11, 12] {
        let plan = format!("seed = {seed}\nerror_before = 0.2\nrate_limited = 0.2\nredirect = 0.1\ngarbage = 0.1");
        let twin = Served::start("notchpay", &plan);
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.push(twin.ask("GET", "/customers", "").await.0[9..12].to_owned());
        }
        let faults: Vec<_> = log::requests(&twin.entries()).map(|request| request.fault).collect();
        assert!(faults.iter().any(Option::is_some) && faults.iter().any(Option::is_none));
        played.push((faults, statuses));
    }
    assert_eq!(played[0], played[1]);
    assert_ne!(played[0], played[2]);
}

#[tokio::test]
async fn searches_lag() {
    let twin = Served::start("lomi", "search_lag = \"1h\"");
    twin.ask("POST", "/v1/customers", &awa()).await.1.expect("an answer");
    let id = log::effects(&twin.entries()).next().map(|effect| effect.customer.clone()).expect("an effect");
    assert!(!twin.knows(EMAIL).await);
    assert!(twin.ask("GET", &format!("/v1/customers/{id}"), "").await.0.contains(EMAIL));

    let twin = Served::start("lomi", "search_lag = \"20ms\"");
    twin.ask("POST", "/v1/customers", &awa()).await.1.expect("an answer");
    let seen = async { while !twin.knows(EMAIL).await {} };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it is seen at last");
}

#[tokio::test]
async fn answers_are_held_back_and_effects_are_not() {
    let twin = Served::start("lomi", "delay = \"1h\"\nonly = [\"create\"]");
    let stream = twin.send("POST", "/v1/customers", &awa()).await;
    until(|| twin.played(Operation::Create) == (vec![None], 1)).await;
    drop(stream);
    assert!(twin.knows(EMAIL).await, "what a client asked and did not wait for is done");

    let twin = Served::start("lomi", "delay = \"30ms\"");
    let begun = Instant::now();
    twin.ask("GET", "/v1/customers", "").await.1.expect("an answer");
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

/// What a merchant is told when the provider fails at a write: the truth, or that it is not known.
#[tokio::test]
async fn the_gateway_tells_what_a_fault_may_have_done() {
    let elsewhere = StandIn::always(json_answer("200 OK", "{}")).await;
    let each = async |provider: &'static str| {
        // One has no create.
        let (operation, key) = match provider {
            "paymentkit" => (Operation::Update, "update"),
            _ => (Operation::Create, "create"),
        };
        for fault in Fault::ALL {
            let waits = matches!(fault, Fault::HangBefore | Fault::HangAfter | Fault::Drip);
            let plan = format!(
                "{fault} = 1\nonly = [\"{key}\"]\npace = \"1s\"\nretry_after = \"7s\"\nredirect_to = \"{}\"",
                elsewhere.url()
            );
            let twin = Served::start(provider, &plan);
            let gateway = Gateway::before(provider, &twin.url(), if waits { "timeout = \"500ms\"" } else { "" }).await;
            let answer = if operation == Operation::Create {
                let body = json!({ "name": "Awa Diop", "email": EMAIL, "phone": "+221771234568" });
                gateway.post("/v1/customers", body).await
            } else {
                let list = gateway.get("/v1/customers").await;
                let id = list.body["data"][0]["id"].as_str().expect("a customer").to_owned();
                gateway.patch(&format!("/v1/customers/{id}"), json!({ "name": "Awa Diop" })).await
            };
            let told = match fault {
                // No answer, as opposed to a bad one.
                Fault::ResetBefore | Fault::ResetAfter => (504, "outcome_unknown"),
                _ if waits => (504, "outcome_unknown"),
                Fault::RateLimited => (429, "provider_rate_limited"),
                _ => (502, "outcome_unknown"),
            };
            assert_eq!(answer.told(), told, "{provider}, {fault}: {}", answer.text);
            if fault == Fault::RateLimited {
                assert_eq!(answer.header("retry-after"), "7", "{provider}");
                assert_eq!(answer.body["outcome"], "none");
            } else {
                assert_eq!(answer.body["outcome"], "unknown", "{provider}, {fault}");
            }
            let done = (vec![Some(fault)], usize::from(fault.has_effect()));
            until(|| twin.played(operation) == done).await;
        }
    };
    // At once, because most of the time is waiting for time-outs.
    futures_util::future::join_all(PROVIDERS.map(each)).await;
    assert!(elsewhere.asked().is_empty(), "no redirect is followed");
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let twin = Served::start("lomi", "drip = 1\npace = \"1ms\"");
    let gateway = Gateway::before("lomi", &twin.url(), "").await;
    let created = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": EMAIL })).await;
    assert_eq!(created.status, 201, "{}", created.text);
}

/// A mixture of everything, with many at once: no answer but the documented ones, and the log agrees with them.
#[tokio::test]
async fn a_storm_of_faults_is_told_truly() {
    let sorts: Vec<String> = Fault::ALL.iter().map(|fault| format!("{fault} = 0.07")).collect();
    let plan = format!("seed = 5\nonly = [\"create\"]\n{}", sorts.join("\n"));
    let twin = Served::start("notchpay", &plan);
    let gateway = Gateway::before("notchpay", &twin.url(), "timeout = \"2s\"").await;
    let one = async |number: usize| {
        let email = format!("person{number}@example.com");
        let answer = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": email })).await;
        (log::email_hash(&email), answer)
    };
    let answers = futures_util::future::join_all((0..60).map(one)).await;
    let entries = twin.entries();
    for (person, answer) in answers {
        let done = log::effects(&entries).filter(|effect| effect.email_hash.as_ref() == Some(&person)).count();
        match answer.told() {
            (201, _) => assert_eq!(done, 1, "{}", answer.text),
            (429, "provider_rate_limited") => assert_eq!(done, 0, "{}", answer.text),
            (502 | 504, "outcome_unknown") => assert!(done <= 1, "{}", answer.text),
            _ => panic!("not documented: {}", answer.text),
        }
    }
    let mut bodies: Vec<_> = log::requests(&entries).filter_map(|request| request.body_hash.as_deref()).collect();
    let sent = bodies.len();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(sent, bodies.len(), "nothing is sent twice");
}

fn passerelle(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("passerelle"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A process that does not outlive its test: `kill -9`.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// What was done is in the log when the twin is killed, and so when anything else is.
#[tokio::test]
async fn the_log_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, log_file) = (folder.path().join("faults.toml"), folder.path().join("twin.jsonl"));
    std::fs::write(&plan, "hang_after = 1\n").expect("a plan");
    let arguments = [
        "twin",
        "--provider",
        "lomi",
        "--listen",
        "127.0.0.1:0",
        "--faults",
        text_of(&plan),
        "--log",
        text_of(&log_file),
    ];
    let mut twin = Killed(passerelle(&arguments).stderr(Stdio::piped()).spawn().expect("it starts"));
    let told = BufReader::new(twin.0.stderr.take().expect("its words")).lines().next().expect("a line").expect("text");
    let address = told.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request("POST", "/v1/customers", &awa()).as_bytes()).await.expect("it is sent");
    until(|| log::read(&log_file).is_ok_and(|entries| entries.len() == 2)).await;
    drop(twin);
    let entries = log::read(&log_file).expect("a log");
    assert_eq!(log::requests(&entries).next().and_then(|request| request.fault), Some(Fault::HangAfter));
    assert_eq!(log::effects(&entries).next().and_then(|effect| effect.marker.as_deref()), Some("op_1"));
}

#[test]
fn mistakes_in_a_plan_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("faults.toml");
    std::fs::write(&plan, "seed = 1\nhang_aftr = 1\n").expect("a plan");
    let output = passerelle(&["twin", "--provider", "lomi", "--faults", text_of(&plan)]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("faults.toml:2: `hang_aftr` is not a key; did you mean `hang_after`?"), "{told}");
    let missing = passerelle(&["twin", "--provider", "lomi", "--faults", "/no/such.toml"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such.toml cannot be read"));
    let nowhere = passerelle(&["twin", "--provider", "lomi", "--log", "/no/such/log"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/no/such/log cannot be written"));
}

#[test]
fn help_and_documents_name_every_fault() {
    let output = passerelle(&["twin", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in ["--faults", "--log", "error_after", "search_lag", "Examples", "forgets everything when it stops"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("config/faults.toml")).expect("the example");
    FaultPlan::read(&example, "config/faults.toml").expect("no mistakes");
    let document = std::fs::read_to_string(root.join("docs/twins.md")).expect("the document");
    for fault in Fault::ALL {
        assert!(example.contains(&format!("\n{fault} = ")), "{fault}");
        assert!(document.contains(&format!("`{fault}`")), "{fault}");
    }
}
