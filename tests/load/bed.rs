//! A gateway in a process of its own, providers that answer what a test chooses, and clients that measure.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Mutex, mpsc::UnboundedReceiver},
    time::{interval, timeout},
};

use crate::priority;

/// The longest that a test waits for an answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// Whether the sizes are those that the gateway must bear, or small ones.
pub(crate) fn is_full() -> bool {
    std::env::var("LOAD").is_ok_and(|size| size == "full")
}

/// A gateway that serves merchants, each with its own provider. A merchant's key is `sk_` and its name.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Its configuration.
    file: PathBuf,
    /// The lines of its log that a configuration was reloaded.
    reloads: Mutex<UnboundedReceiver<String>>,
    _folder: TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts it for merchants of lomi, each with the address of its provider.
    pub(crate) fn start(merchants: &[(String, SocketAddr)]) -> Self {
        Self::start_with(merchants, "", "")
    }

    /// Starts it with more keys of `[server]`, and more keys of every connection.
    pub(crate) fn start_with(merchants: &[(String, SocketAddr)], server: &str, connection: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passerelle.toml");
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[store]\nurl = \"sqlite:{}\"\n[outbound]\nallow_insecure = true\n",
            folder.path().join("passerelle.db").display()
        );
        for (name, provider) in merchants {
            text.push_str(&format!(
                "[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\n[merchants.{name}.connections.main]\n\
                 provider = \"lomi\"\nbase_url = \"http://{provider}\"\ncredentials = {{ api_key = \"any\" }}\n{connection}\n"
            ));
        }
        fs::write(&file, text).expect("a configuration");
        let mut child = Command::new(env!("CARGO_BIN_EXE_passerelle"))
            .args(["serve", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .expect("a gateway");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("serving on http://")).expect("an address");
        let address = line.split("serving on http://").nth(1).and_then(|rest| rest.split('"').next());
        let address = address.and_then(|address| address.trim().parse().ok()).expect("an address");
        // The log must be read, or else the gateway waits for it.
        let (reloaded, reloads) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.filter(|line| line.contains("the configuration was reloaded")) {
                let _ = reloaded.send(line);
            }
        });
        Self { child, address, file, reloads: reloads.into(), _folder: folder }
    }

    /// Changes the text of its configuration. The next reload reads it.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.file).expect("its configuration");
        fs::write(&self.file, change(text)).expect("a configuration");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the signal is sent");
    }

    /// Reloads its configuration, and returns how long that took.
    pub(crate) async fn reload(&self) -> Duration {
        let began = Instant::now();
        self.signal(Signal::HUP);
        let reloaded = timeout(PATIENCE, async { self.reloads.lock().await.recv().await }).await;
        reloaded.ok().flatten().expect("it is reloaded");
        began.elapsed()
    }

    /// Lets the gateway run on the second processor alone, and this process on the first one. Returns whether there are two.
    pub(crate) fn has_a_processor_alone(&self) -> bool {
        let is_possible = std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        is_possible && pin(std::process::id(), 0) && pin(self.child.id(), 1)
    }

    /// The most memory that the process ever had, in MiB.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that the process has now, in MiB.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the figure");
        line.split_whitespace().nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size") / 1024
    }
}

/// What a provider answers to the first line of a request. `None`: it never answers.
pub(crate) type Answers = Arc<dyn Fn(&str) -> Option<Arc<Vec<u8>>> + Send + Sync>;

/// A provider on a free port.
pub(crate) async fn provider(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = Arc::clone(&answers);
            let mut stream = BufStream::new(stream);
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                    if tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await.is_err() {
                        return;
                    }
                    let Some(answer) = answers(head.lines().next().unwrap_or_default()) else {
                        return std::future::pending().await;
                    };
                    if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A provider that answers each request with these bytes, again and again.
pub(crate) async fn flooding_provider(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            let mut stream = BufStream::new(stream);
            tokio::spawn(async move {
                read_head(&mut stream).await;
                while stream.write_all(&bytes).await.is_ok() {}
            });
        }
    });
    address
}

/// The bytes of an answer.
pub(crate) fn answer(status: &str, body: &str) -> Arc<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Arc::new([head.as_bytes(), body.as_bytes()].concat())
}

/// A provider that answers one customer at once.
pub(crate) async fn healthy_provider() -> SocketAddr {
    let customer = answer("200 OK", &format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba"}}}}"#));
    let answers = provider(Arc::new(move |_| Some(Arc::clone(&customer))));
    priority::high(answers).await.expect("a provider")
}

/// The id of every customer.
pub(crate) const ID: &str = "b78de3c9-7f76-4f43-9c5d-7a84a7c5b2f1";

async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// The value of a header.
pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

fn retry_after(head: &str) -> Option<Duration> {
    header(head, "retry-after")?.parse().ok().map(Duration::from_secs)
}

/// A client of one merchant, with a connection that it keeps.
pub(crate) struct Client {
    gateway: SocketAddr,
    from: Option<IpAddr>,
    merchant: String,
    stream: Option<BufStream<TcpStream>>,
    /// How long the last answer asked the client to wait.
    retry_after: Option<Duration>,
    /// The body of the last answer, if that was a refusal.
    refusal: Vec<u8>,
}

impl Client {
    pub(crate) fn new(gateway: &Gateway, merchant: &str) -> Self {
        let (gateway, merchant) = (gateway.address, merchant.to_owned());
        Self { gateway, from: None, merchant, stream: None, retry_after: None, refusal: Vec::new() }
    }

    /// Sends a `GET`, reads the whole answer, and returns its status. Zero is no answer.
    pub(crate) async fn get(&mut self, path: &str) -> u16 {
        self.send("GET", path, "").await
    }

    /// Sends a request, reads the whole answer, and returns its status. Zero is no answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> u16 {
        timeout(PATIENCE, self.exchange(method, path, body)).await.ok().flatten().unwrap_or_else(|| {
            self.stream = None;
            0
        })
    }

    /// Sends a `GET` over a new connection, and reads nothing of the answer after its head.
    pub(crate) async fn get_head(&mut self, path: &str) -> Option<String> {
        self.stream = None;
        let stream = self.write("GET", path, "").await?;
        let head = read_head(stream).await?;
        self.retry_after = retry_after(&head);
        Some(head)
    }

    /// Waits as long as the last answer asked for (`Retry-After`), as clients do that are refused.
    pub(crate) async fn wait(&mut self) {
        if let Some(pause) = self.retry_after.take() {
            tokio::time::sleep(pause).await;
        }
    }

    async fn write(&mut self, method: &str, path: &str, body: &str) -> Option<&mut BufStream<TcpStream>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(BufStream::new(connect(self.from, self.gateway).await.ok()?)),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_{}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.merchant,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        Some(stream)
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &str) -> Option<u16> {
        let stream = self.write(method, path, body).await?;
        let head = read_head(stream).await?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = header(&head, "content-length")?.parse().ok()?;
        let mut body = stream.take(length);
        let mut refusal = Vec::new();
        match status {
            400.. => body.read_to_end(&mut refusal).await.map(drop),
            _ => tokio::io::copy(&mut body, &mut tokio::io::sink()).await.map(drop),
        }
        .ok()?;
        (self.retry_after, self.refusal) = (retry_after(&head), refusal);
        Some(status)
    }

    /// Whether the last answer was the problem with this code.
    pub(crate) fn is_refused_as(&self, code: &str) -> bool {
        String::from_utf8_lossy(&self.refusal).contains(code)
    }
}

/// Connects, from an address if it matters. It may be any of 127.0.0.0/8.
pub(crate) async fn connect(from: Option<IpAddr>, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}

/// What a client saw that sent requests at a constant rate.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) times: Vec<Duration>,
    pub(crate) failed: usize,
}

impl Seen {
    pub(crate) fn p99(&mut self) -> Duration {
        self.times.sort_unstable();
        let last = self.times.len() * 99 / 100;
        self.times.get(last).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failed += other.failed;
    }
}

/// Sends retrieves of a merchant, so many per second, over a few connections, from an address if it matters.
pub(crate) async fn retrieve_steadily(
    gateway: &Gateway,
    (merchant, from): (&str, Option<IpAddr>),
    per_second: u32,
    duration: Duration,
) -> Seen {
    const CLIENTS: u32 = 4;
    let clients = (0..CLIENTS).map(|_| {
        let mut client = Client { from, ..Client::new(gateway, merchant) };
        priority::high(async move {
            let mut seen = Seen::default();
            let mut ticks = interval(Duration::from_secs(1) * CLIENTS / per_second);
            let mut answered = Instant::now();
            let end = answered + duration;
            while Instant::now() < end {
                // A request that waited for the answer before it began when it should have been sent.
                let due = ticks.tick().await.into_std();
                let begun = if due < answered { due } else { Instant::now() };
                if client.get(&format!("/v1/customers/{ID}")).await != 200 {
                    seen.failed += 1;
                }
                answered = Instant::now();
                seen.times.push(answered - begun);
            }
            seen
        })
    });
    let mut all = Seen::default();
    for seen in clients.collect::<Vec<_>>() {
        all.add(seen.await.expect("a client"));
    }
    all
}

/// Elsewhere, a process cannot be bound to a processor.
#[cfg(not(target_os = "linux"))]
fn pin(_: u32, _: usize) -> bool {
    false
}

/// Binds every thread of a process to a processor. Threads that it starts later inherit that.
#[cfg(target_os = "linux")]
fn pin(process: u32, processor: usize) -> bool {
    let mut only = rustix::thread::CpuSet::new();
    only.set(processor);
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("its threads").filter_map(Result::ok);
    threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)).all(|thread| {
        // The thread may have ended meanwhile.
        matches!(rustix::thread::sched_setaffinity(Some(thread), &only), Ok(()) | Err(rustix::io::Errno::SRCH))
    })
}
