//! An HAProxy in front of two gateways, as docs/operating.md configures it, while one gateway after the other is restarted:
//! no client notices.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    bed::{Gateway, PATIENCE, Random, Setup, Twin, sized, until},
    client::{http as connect, person},
    cluster,
    installed::{Running, needing},
    trial::trial,
};

const PROGRAM: &str = "/usr/sbin/haproxy";
/// How many requests each client sends in a second.
const PER_CLIENT: usize = 10;

pub(crate) fn trials() -> Vec<Trial> {
    let restarts = trial("restarts_behind_haproxy_fail_no_request", restarts);
    vec![needing(PROGRAM, cluster::or_ignored(restarts))]
}

struct HaProxy {
    _running: Running,
    url: String,
    folder: TempDir,
    /// HAProxy has inherited this socket.
    _listener: TcpListener,
}

/// The configuration of docs/operating.md with another address to listen on, without TLS, and with these gateways.
fn documented(bind: &str, gateways: &[Arc<Gateway>]) -> String {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md"));
    let document = document.expect("the document");
    let block = document.split_once("```haproxy\n").and_then(|(_, rest)| rest.split_once("```")).expect("a block").0;
    let mut text = String::new();
    for line in block.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["bind", ..] => text.push_str(&format!("    bind {bind}\n")),
            ["server", _, _, ref options @ ..] => {
                for (number, gateway) in gateways.iter().enumerate() {
                    text.push_str(&format!("    server g{number} {} {}\n", gateway.address(), options.join(" ")));
                }
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

impl HaProxy {
    /// It asks each gateway whether it is ready, and sends no request to one that is not.
    fn start(gateways: &[Arc<Gateway>]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        fcntl_setfd(&listener, FdFlags::empty()).expect("HAProxy inherits the socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let admin = folder.path().join("admin");
        let text = format!(
            "global\n  stats socket {} mode 600 level admin\n{}",
            admin.display(),
            documented(&format!("fd@{}", listener.as_raw_fd()), gateways)
        );
        let settings = folder.path().join("haproxy.cfg");
        std::fs::write(&settings, text).expect("a configuration");
        let mut command = Command::new(PROGRAM);
        command.args(["-db", "-q", "-f"]).arg(&settings).stdin(Stdio::null()).stdout(Stdio::null());
        Self { _running: Running::start(command), url, folder, _listener: listener }
    }

    /// Executes a command of HAProxy's runtime API.
    fn command(&self, command: &str) -> String {
        let admin: PathBuf = self.folder.path().join("admin");
        let mut answer = String::new();
        if let Ok(mut stream) = UnixStream::connect(admin)
            && stream.write_all(format!("{command}\n").as_bytes()).is_ok()
        {
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }

    /// Waits until HAProxy sends requests to this many gateways.
    async fn has_ready(&self, count: usize) {
        until("the gateways are ready behind HAProxy", async || {
            let states = self.command("show stat");
            let up = states.lines().filter(|line| line.starts_with("passerelle,g") && line.contains(",UP,")).count();
            (up == count).then_some(())
        })
        .await;
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    answered: AtomicUsize,
    creates: AtomicUsize,
}

/// A client that keeps its connection for a time, and then opens another one. It repeats nothing.
async fn client(url: String, number: usize, seen: Arc<Seen>) -> Vec<String> {
    let mut random = Random::new(900 + number as u64);
    let (mut http, mut remaining, mut known, mut failures) = (connect(PATIENCE), 1, None::<String>, Vec::new());
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(PER_CLIENT).expect("a rate"));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for request in 0.. {
        ticks.tick().await;
        if seen.is_over.load(Ordering::Relaxed) {
            break;
        }
        if remaining == 0 {
            (http, remaining) = (connect(PATIENCE), 1 + random.below(200));
        }
        remaining -= 1;
        let sent = match &known {
            Some(id) if request % 4 != 0 => http.get(format!("{url}/v1/customers/{id}")),
            _ => {
                seen.creates.fetch_add(1, Ordering::Relaxed);
                let person = person(number * 1_000_000 + request).to_string();
                http.post(format!("{url}/v1/customers")).header("content-type", "application/json").body(person)
            }
        };
        let answered = match sent.bearer_auth("sk_acme").send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.map_err(|error| format!("{error:?}"))),
            Err(error) => (0, Err(format!("{error:?}"))),
        };
        match answered {
            (200 | 201, Ok(text)) => {
                seen.answered.fetch_add(1, Ordering::Relaxed);
                let customer: Value = serde_json::from_str(&text).unwrap_or_default();
                known = customer["id"].as_str().map(str::to_owned).or(known);
            }
            (status, text) => failures.push(format!("{status}: {text:?}")),
        }
    }
    failures
}

async fn restarts() {
    let (clients, count) = sized((6, 3), (30, 50));
    let twin = Twin::start("lomi", "delay = \"1ms..30ms\"\n");
    let gateways = Gateway::replicas(&twin, &Setup::of(""), cluster::shared_database());
    let haproxy = Arc::new(HaProxy::start(&gateways));
    haproxy.has_ready(2).await;
    let (seen, begun) = (Arc::new(Seen::default()), Instant::now());
    let running: Vec<_> =
        (0..clients).map(|number| tokio::spawn(client(haproxy.url.clone(), number, Arc::clone(&seen)))).collect();
    for restart in 0..count {
        let (number, gateway) = (restart % 2, Arc::clone(&gateways[restart % 2]));
        tokio::task::spawn_blocking(move || {
            gateway.stop();
            gateway.start();
        })
        .await
        .expect("it was restarted");
        let address = gateways[number].address();
        let (host, port) = address.rsplit_once(':').expect("an address");
        haproxy.command(&format!("set server passerelle/g{number} addr {host} port {port}"));
        haproxy.has_ready(2).await;
    }
    seen.is_over.store(true, Ordering::Relaxed);
    let mut failures = Vec::new();
    for client in running {
        failures.extend(client.await.expect("no panic"));
    }
    let (answered, creates) = (seen.answered.load(Ordering::Relaxed), seen.creates.load(Ordering::Relaxed));
    assert!(
        failures.is_empty(),
        "{} of {answered} requests failed: {:#?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    let created: Vec<_> = twin.created().into_values().collect();
    assert!(created.iter().all(|effects| effects.len() == 1), "no customer twice");
    assert_eq!(created.len(), creates, "every create was executed");
    eprintln!(
        "haproxy: {count} restarts of one of two gateways in {:.0?}, {answered} requests, {creates} of them creates, 0 failed",
        begun.elapsed()
    );
}
