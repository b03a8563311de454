//! Bodies, heads, connections and signatures of one client, and what others still get.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use passerelle_providers::{
    model::auth::{AuthScheme, Credentials, Stamp},
    vendor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

pub(crate) const MIB: u64 = 1 << 20;
/// The longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(5);

/// The size of a test: small, or with `LOAD=full` the size of the attack that it repeats.
pub(crate) fn sized(small: usize, full: usize) -> usize {
    match std::env::var("LOAD").is_ok_and(|size| size == "full") {
        true => full,
        false => small,
    }
}

/// The merchants, each with a twin of lomi, a key (`sk_` and its name) and a signing client.
pub(crate) const MERCHANTS: [&str; 8] = ["acme", "other", "third", "fourth", "fifth", "sixth", "seventh", "eighth"];

/// A gateway in a process of its own.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    operator: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    pub(crate) fn start(server: &str) -> Self {
        raise_file_limit();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passerelle.toml");
        let merchants = MERCHANTS.map(|name| {
            format!(
                "[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\n\
                 connections.main = {{ provider = \"lomi\", sandbox = true }}\n\
                 ingress.bitnob = {{ client_id = \"client_{name}\", client_secret = \"secret_{name}\" }}\n"
            )
        });
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[operator]\nlisten = \"127.0.0.1:0\"\n\
             [store]\nurl = \"sqlite::memory:\"\n{}",
            merchants.concat()
        );
        fs::write(&file, text).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        command.arg("serve").arg("--config").arg(&file).env_remove("PASSERELLE_CONFIG");
        command.env("PASSERELLE_LOG", "error,passerelle::command=info").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let mut address_after = |phrase: &str| {
            let line =
                lines.by_ref().map_while(Result::ok).find_map(|line| Some(line.split_once(phrase)?.1.to_owned()));
            let line = line.expect("the gateway serves");
            line[..line.find('"').unwrap_or(line.len())].parse().expect("an address")
        };
        let address = address_after("serving on http://");
        let operator = address_after("the operator on http://");
        // The pipe must not become full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, operator, _folder: folder }
    }

    /// A figure of the process in bytes, such as its peak of memory.
    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure");
        let kibibytes = line.trim_matches([':', '\t', ' ']).split(' ').next().and_then(|text| text.parse::<u64>().ok());
        kibibytes.expect("a number") << 10
    }

    /// By how much the peak of memory is above the memory at a moment.
    pub(crate) fn peak_above(&self, before: u64) -> u64 {
        self.memory("VmHWM").saturating_sub(before)
    }

    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        stream
    }
}

/// The test opens as many files as the gateway.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The status of the next answer; `None` if the gateway closes the connection instead.
pub(crate) async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    let read = async {
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            if !stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {
                return None;
            }
        }
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    };
    timeout(PATIENCE, read).await.expect("an answer, or the end of the connection")
}

const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n";

/// The status of a health check on a connection of its own; `None` if the connection is closed.
async fn live(from: IpAddr, to: SocketAddr) -> Option<u16> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from, 0)).expect("a local address");
    let mut stream = socket.connect(to).await.ok()?;
    let _ = stream.write_all(LIVE).await;
    status(&mut stream).await
}

/// The head of a write with a valid key.
fn head(length: usize) -> String {
    head_of("acme", length)
}

/// The head of a write of a merchant.
pub(crate) fn head_of(merchant: &str, length: usize) -> String {
    format!(
        "POST /v1/customers HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_{merchant}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

pub(crate) fn report(name: &str, count: usize, begun: Instant, peak: u64) {
    let (seconds, peak) = (begun.elapsed().as_secs_f32(), peak / 1024);
    eprintln!("{name}: {count} in {seconds:.1} s, peak of memory {peak} KiB above the start");
}

/// How long the client waits after each byte, so that the gateway reads it alone. A timer is too coarse for this.
const PAUSE: Duration = Duration::from_micros(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_sent_byte_by_byte_costs_what_it_holds() {
    let size = sized(32 << 10, 1 << 20);
    let gateway = Gateway::start("body_timeout = \"60m\"\nmax_body = 1048577");
    let (before, begun) = (gateway.resident(), Instant::now());
    let mut stream = gateway.connect().await;
    stream.write_all(head(size).as_bytes()).await.expect("it is sent");
    for _ in 0..size {
        stream.write_all(b" ").await.expect("it is sent");
        let sent = Instant::now();
        while sent.elapsed() < PAUSE {
            std::hint::spin_loop();
        }
    }
    assert_eq!(status(&mut stream).await, Some(400));
    let peak = gateway.peak_above(before);
    report("bytes of a body sent one by one", size, begun, peak);
    assert!(peak < 16 * MIB, "{peak}");
}

/// What one merchant may hold of large bodies, in MiB: half of three quarters of the budget of 64 MiB.
const MOST_HELD: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_at_once_stay_within_their_budget_and_small_ones_are_read() {
    let count = sized(150, 1900);
    let gateway = Gateway::start("body_timeout = \"5m\"");
    let (before, begun) = (gateway.resident(), Instant::now());
    let size = 1 << 20;
    let incomplete = bytes::Bytes::from(vec![b' '; size - 1]);
    let mut bodies = JoinSet::new();
    for _ in 0..count {
        let mut stream = gateway.connect().await;
        let incomplete = incomplete.clone();
        bodies.spawn(async move {
            // A refused body is not read to its end, so that writing it may fail.
            let sent = async {
                stream.write_all(head(size).as_bytes()).await?;
                stream.write_all(&incomplete).await
            };
            let _ = sent.await;
            status(&mut stream).await
        });
    }
    // Those that are held are not complete, so their clients wait.
    let mut refused = 0;
    while refused < count - MOST_HELD {
        let answer = timeout(PATIENCE, bodies.join_next()).await.expect("bodies beyond the budget are answered");
        assert_eq!(answer.expect("a client").expect("no panic"), Some(503));
        refused += 1;
    }
    let mut small = gateway.connect().await;
    let body = r#"{"name":"Awa Diop"}"#;
    small.write_all((head(body.len()) + body).as_bytes()).await.expect("it is sent");
    assert_eq!(status(&mut small).await, Some(201), "small bodies have a part of the budget of their own");
    let peak = gateway.peak_above(before);
    report("bodies of 1 MiB at once", count, begun, peak);
    eprintln!("  {refused} got 503, the others are held");
    // The budget, the moves of bodies that grow, and the buffers of the connections.
    assert!(peak < 128 * MIB, "{peak}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_heads_at_once_are_refused_with_little_memory() {
    let count = sized(200, 2000);
    let gateway = Gateway::start("");
    let (before, begun) = (gateway.resident(), Instant::now());
    let head = format!("GET /livez HTTP/1.1\r\nhost: gateway\r\nx-large: {}\r\n\r\n", "a".repeat(380 << 10));
    let mut heads = JoinSet::new();
    for _ in 0..count {
        let mut stream = gateway.connect().await;
        let head = head.clone();
        heads.spawn(async move {
            let _ = stream.write_all(head.as_bytes()).await;
            status(&mut stream).await
        });
    }
    let answers = heads.join_all().await;
    assert!(answers.iter().all(|answer| *answer == Some(431)), "{answers:?}");
    let peak = gateway.peak_above(before);
    report("heads of 380 KiB", count, begun, peak);
    assert!(peak < 16 * MIB + count as u64 * (80 << 10), "{peak}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_over_the_caps_are_closed_and_health_and_other_addresses_are_answered() {
    let (count, cap) = (sized(600, 6000), sized(300, 4096));
    let gateway = Gateway::start(&format!("max_connections = {cap}\nmax_connections_per_address = {}", cap / 2));
    let (before, begun) = (gateway.resident(), Instant::now());
    let mut held = Vec::new();
    let mut closed = 0;
    for _ in 0..count {
        let mut stream = gateway.connect().await;
        let _ = stream.write_all(LIVE).await;
        match status(&mut stream).await {
            Some(200) => held.push(stream),
            other => closed += usize::from(other.is_none()),
        }
    }
    assert_eq!((held.len(), closed), (cap / 2, count - cap / 2));
    let others = IpAddr::from([127, 0, 0, 2]);
    assert_eq!(live(others, gateway.address).await, Some(200), "another address is served");
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let asked = Instant::now();
        assert_eq!(live(IpAddr::from([127, 0, 0, 1]), gateway.operator).await, Some(200));
        longest = longest.max(asked.elapsed());
    }
    let peak = gateway.peak_above(before);
    report("connections of one address", count, begun, peak);
    eprintln!("  {} were served, {closed} were closed, the slowest of 50 health checks took {longest:?}", held.len());
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

/// A read that is signed as the clients of Bitnob sign. The path does not exist in the imitated API.
fn signed(name: &str, number: u128) -> Vec<u8> {
    let schemes = vendor("bitnob").expect("a provider").manifests.iter().flat_map(|manifest| manifest.auth);
    let scheme = schemes.into_iter().find(|scheme| matches!(scheme, AuthScheme::Signed { .. })).expect("a signature");
    let credentials = [("client_id", format!("client_{name}")), ("client_secret", format!("secret_{name}"))];
    let credentials = credentials.map(|(key, value)| (key.to_owned(), value));
    let request = http::Request::get("/as/bitnob/none").body(bytes::Bytes::new());
    let mut request = request.expect("a request");
    let stamp = Stamp { now: jiff::Timestamp::now().as_second(), nonce: number.to_be_bytes() };
    scheme.authorize(&mut request, &Credentials::new(credentials), &stamp).expect("a signature");
    let mut bytes = b"GET /as/bitnob/none HTTP/1.1\r\nhost: gateway\r\n".to_vec();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(format!("{name}: {}\r\n", value.to_str().expect("text")).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// In its full size the test fills the record of one signer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signatures_of_one_signer_do_not_refuse_another_signer() {
    let count = sized(1000, 230_000);
    let gateway = Gateway::start("");
    let (before, begun) = (gateway.resident(), Instant::now());
    let mut senders = JoinSet::new();
    for sender in 0..8 {
        let mut stream = gateway.connect().await;
        senders.spawn(async move {
            let mut full = 0;
            for number in (sender..count as u128).step_by(8) {
                stream.write_all(&signed("acme", number)).await.expect("it is sent");
                full += usize::from(answered(&mut stream).await == 503);
            }
            full
        });
    }
    let full: usize = senders.join_all().await.into_iter().sum();
    let mut other = gateway.connect().await;
    other.write_all(&signed("other", 0)).await.expect("it is sent");
    assert_eq!(answered(&mut other).await, 404, "the other signer is answered");
    let peak = gateway.peak_above(before);
    report("signatures of one signer", count, begun, peak);
    eprintln!("  {full} were refused, because the record of this signer was full");
    assert_eq!(full > 0, count > 229_376, "{full}");
    assert!(peak < 48 * MIB, "{peak}");
}

/// The status of an answer, which is read to its end.
async fn answered(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or_default() {
                return head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            }
        }
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "the connection was closed");
    }
}
