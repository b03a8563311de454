//! Clients that send requests over connections of their own and measure how long the answers take.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpSocket, TcpStream},
    time::{interval, timeout},
};

use super::{Gateway, ID, PATIENCE};
use crate::{machine::SlowMoments, priority};

pub(super) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
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
/// Reads bytes and forgets them.
async fn discard(stream: &mut (impl AsyncBufRead + Unpin), mut length: usize) -> Option<()> {
    while length > 0 {
        let read = stream.fill_buf().await.ok().filter(|read| !read.is_empty())?.len().min(length);
        stream.consume(read);
        length -= read;
    }
    Some(())
}

/// How many bytes a client reads at once: a page of 100 customers takes a few calls of the system.
const READ_AT_ONCE: usize = 64 << 10;

const WRITTEN_AT_ONCE: usize = 1 << 10;

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
            none => {
                let stream = connect(self.from, self.gateway).await.ok()?;
                none.insert(BufStream::with_capacity(READ_AT_ONCE, WRITTEN_AT_ONCE, stream))
            }
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
        let mut refusal = Vec::new();
        match status {
            400.. => drop(stream.take(length).read_to_end(&mut refusal).await.ok()?),
            _ => discard(stream, usize::try_from(length).ok()?).await?,
        }
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
    /// How many requests had no time that says something, because the machine was slow.
    pub(crate) not_judged: usize,
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
        self.not_judged += other.not_judged;
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
            let end = Instant::now() + duration;
            let (mut answered, mut answers) = (None, Vec::new());
            while Instant::now() < end {
                let due = ticks.tick().await.into_std();
                // If the client still waited for the previous answer when this request was due, its time counts from then.
                // Otherwise its time counts from when it is sent, because the timer can be 1 ms late.
                let begun = if answered.is_some_and(|answered| due < answered) { due } else { Instant::now() };
                let status = client.get(&format!("/v1/customers/{ID}")).await;
                if status != 200 {
                    eprintln!("a request that is measured ended with {status} after {:?}", begun.elapsed());
                    seen.failed += 1;
                }
                let now = Instant::now();
                answered = Some(now);
                answers.push((begun, now));
            }
            (seen, answers)
        })
    });
    let (mut all, mut answers, first) = (Seen::default(), Vec::new(), Instant::now());
    for client in clients.collect::<Vec<_>>() {
        let (seen, of_client) = client.await.expect("a client");
        all.add(seen);
        answers.extend(of_client);
    }
    let slow = SlowMoments::since(first);
    let at_speed = answers.iter().filter(|(begun, answered)| !slow.touch(*begun, *answered));
    all.times = at_speed.map(|(begun, answered)| *answered - *begun).collect();
    all.not_judged = answers.len() - all.times.len();
    all
}
