//! Thousands of connections that are idle or slow, and that are opened again whenever the gateway closes them: what others
//! still get, and when the gateway closes them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    bed::{Client, Gateway, ID, answer, healthy_provider, is_full, provider_with_tls},
    compared::{Compared, rounds},
    inbound::{head_of, raise_file_limit, sized, status},
    priority,
};

/// What a slow client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    /// It sends nothing.
    Silent,
    /// It sends one request, and then nothing.
    Idle,
    /// It sends a byte of a head now and then.
    Head,
    /// It sends a byte of a body now and then, with a valid key.
    Body,
    /// It sends requests, and reads next to nothing of the answers.
    Reader,
}

/// All kinds, with their numbers of connections: small, and in full size. In full size, those that wait for a request take all
/// places that they get, so they connect last.
const KINDS: [(Slow, usize, usize); 5] = [
    (Slow::Reader, 8, 200),
    (Slow::Body, 20, 1000),
    (Slow::Head, 20, 1000),
    (Slow::Idle, 60, 6000),
    (Slow::Silent, 60, 6000),
];

/// How many requests a slow reader sends at once. Their answers are larger than what the system buffers.
const PIPELINED: usize = 60;

/// How long a slow client waits before its next byte.
const BETWEEN_BYTES: Duration = Duration::from_millis(500);

/// How long a client waits before it connects again.
const BEFORE_AGAIN: Duration = Duration::from_secs(1);

/// A connection that is closed earlier without a byte was refused, because too many are open.
const REFUSED_WITHIN: Duration = Duration::from_millis(300);

/// The longest that the test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much later than the gateway must close a connection the test may notice it: its clients have the lowest priority.
const SLACK: Duration = Duration::from_secs(8);

/// How much the p99 of a gateway differs between two runs.
const NOISE: Duration = Duration::from_micros(150);

/// The most memory of the process, in MiB.
const MAX_PEAK: u64 = 128;

/// Others measure from this address.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

impl Slow {
    /// The time after which the gateway must have closed such a connection, by the defaults of the configuration.
    fn most(self) -> Duration {
        Duration::from_secs(match self {
            Self::Silent | Self::Head => 10,
            Self::Body => 15,
            Self::Reader => 30,
            Self::Idle => 60,
        })
    }

    /// Holds a connection as long as the gateway does. Returns whether it served the connection.
    async fn hold(self, mut stream: TcpStream, open: &OpenAtGateway) -> bool {
        let begun = Instant::now();
        let first = match self {
            Self::Silent => String::new(),
            Self::Idle => "GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned(),
            Self::Head => "GET /livez HTTP/1.1\r\nhost: gateway\r\nx-slow: ".to_owned(),
            Self::Body => head_of("slow", 10_000),
            Self::Reader => {
                "GET /v1/customers?limit=100 HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_slow\r\n\r\n"
                    .repeat(PIPELINED)
            }
        };
        let mut is_served = stream.write_all(first.as_bytes()).await.is_ok() && self == Self::Silent;
        let mut buffer = vec![0; if self == Self::Reader { 1 } else { 4096 }];
        loop {
            match timeout(BETWEEN_BYTES, stream.read(&mut buffer)).await {
                Ok(Ok(1..)) => {
                    is_served = true;
                    if self == Self::Reader {
                        sleep(BETWEEN_BYTES).await;
                    }
                    // What the system has received can be read although the gateway has closed.
                    let is_late = self == Self::Reader && begun.elapsed() > self.most();
                    if stream.take_error().ok().flatten().is_some() || (is_late && !open.has(&stream)) {
                        return true;
                    }
                }
                Ok(_) => return is_served && begun.elapsed() > REFUSED_WITHIN,
                Err(_) if matches!(self, Self::Head | Self::Body) => {
                    is_served = true;
                    let _ = stream.write_all(b"a").await;
                }
                Err(_) => {}
            }
        }
    }
}

/// The connections that the gateway has not closed. The system does not report the end of a connection to a client that has not read
/// all answers.
/// The system's table is long, so all clients share a copy of it.
#[derive(Default)]
struct OpenAtGateway(Mutex<(Option<Instant>, String)>);

impl OpenAtGateway {
    /// How old the copy may be.
    const AGE: Duration = Duration::from_secs(1);

    fn has(&self, stream: &TcpStream) -> bool {
        let written = |address: std::io::Result<SocketAddr>| match address {
            Ok(SocketAddr::V4(address)) => {
                format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port())
            }
            _ => String::new(),
        };
        // The address of the one end, that of the other, and the state: 01 is a connection that neither has closed.
        let row = format!("{} {} 01", written(stream.peer_addr()), written(stream.local_addr()));
        let (read, table) = &mut *self.0.lock().expect("no client fails here");
        if read.is_none_or(|read| read.elapsed() > Self::AGE) {
            *table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
            *read = Some(Instant::now());
        }
        table.contains(&row)
    }
}

impl std::fmt::Debug for OpenAtGateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OpenAtGateway")
    }
}

/// What became of the connections.
#[derive(Debug, Default)]
struct Tally {
    served: [AtomicUsize; KINDS.len()],
    refused: [AtomicUsize; KINDS.len()],
    /// The longest time that one was open, in milliseconds.
    longest: [AtomicUsize; KINDS.len()],
    unconnected: AtomicUsize,
    open: OpenAtGateway,
}

impl Tally {
    /// Whether the gateway has served and closed as many connections of each kind as clients hold. In full size more clients
    /// connect than it accepts, so there one of each kind is enough.
    fn has_closed_all(&self) -> bool {
        let numbers = KINDS.iter().map(|(_, small, _)| sized(*small, 1));
        self.served.iter().zip(numbers).all(|(served, number)| served.load(Ordering::Relaxed) >= number)
    }
}

/// An open connection. Its time is noted when it ends, also if the test ends first.
struct Held<'a> {
    longest: &'a AtomicUsize,
    begun: Instant,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let time = usize::try_from(self.begun.elapsed().as_millis()).unwrap_or(usize::MAX);
        self.longest.fetch_max(time, Ordering::Relaxed);
    }
}

/// Connects with small buffers, so that the system does not read what the client does not read.
async fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// Opens a connection again and again.
async fn keep_open(kind: usize, from: IpAddr, to: SocketAddr, tally: Arc<Tally>) {
    loop {
        match connect(from, to).await {
            Ok(stream) => {
                let held = Held { longest: &tally.longest[kind], begun: Instant::now() };
                let is_served = KINDS[kind].0.hold(stream, &tally.open).await;
                drop(held);
                let count = if is_served { &tally.served } else { &tally.refused };
                count[kind].fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => drop(tally.unconnected.fetch_add(1, Ordering::Relaxed)),
        }
        sleep(BEFORE_AGAIN).await;
    }
}

/// The address of a client: the same for all, or another one for each.
fn address(number: usize, is_one: bool) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from(if is_one { [127, 0, 0, 1] } else { [127, 1, high, low] })
}

async fn beside_idle_and_slow_connections(name: &str, is_one: bool) {
    raise_file_limit();
    let record = format!(r#"{{"customer_id":"{ID}","name":"Amadou Ba","metadata":{{"note":"{}"}}}}"#, "N".repeat(1000));
    let page = answer("200 OK", &format!(r#"{{"data":[{}]}}"#, vec![record; 100].join(",")));
    let slow = priority::low(provider_with_tls(Arc::new(move |_| Some(Arc::clone(&page))))).await.expect("a provider");
    let merchants = [("slow".to_owned(), slow), ("other".to_owned(), healthy_provider().await)];
    // Small: each limit is one second.
    let times = ["head", "idle", "body", "write"].map(|kind| format!("{kind}_timeout = \"1s\"\n")).concat();
    let gateway = Arc::new(Gateway::start_with(&merchants, if is_full() { "" } else { &times }, ""));
    if is_full() {
        gateway.spread();
    }
    // No slow client connects to it, and it has a higher priority than the first one. It shows how long others wait because the slow
    // clients run on the processors of the gateway here.
    let second = is_full().then(|| Gateway::start_with(&merchants, "", ""));
    if let Some(second) = &second {
        second.spread();
        second.prefer();
    }
    let (mut compared, mut reference) = (Compared::from(OTHERS), Compared::from(OTHERS));
    let quiet_rounds = rounds() * if is_full() { 3 } else { 1 };
    for _ in 0..quiet_rounds {
        compared.quiet(&gateway, "other").await;
    }
    let tally = Arc::<Tally>::default();
    let mut clients = Vec::new();
    for (kind, (_, small, full)) in KINDS.into_iter().enumerate() {
        for _ in 0..sized(small, full) {
            let from = address(clients.len(), is_one);
            clients.push(priority::low(keep_open(kind, from, gateway.address, Arc::clone(&tally))));
        }
    }
    let end = Instant::now() + Duration::from_secs(if is_full() { 90 } else { 4 });
    while Instant::now() < end {
        compared.loaded(&gateway, "other").await;
        if let Some(second) = &second {
            reference.loaded(second, "other").await;
        }
    }
    let (peak, resident) = (gateway.peak(), gateway.resident());
    let all_closed = async {
        while !tally.has_closed_all() {
            sleep(BETWEEN_BYTES).await;
        }
    };
    let is_closed = timeout(PATIENCE + SLACK, all_closed).await.is_ok();
    for client in &clients {
        client.abort();
    }
    for client in clients {
        let _ = client.await;
    }
    eprintln!(
        "{name}: peak {peak} MiB, in the end {resident} MiB; {tally:?}; {compared}; at the second gateway {:?}",
        reference.under_load()
    );
    compared.judge_beside(name, &reference, NOISE);
    assert!(peak <= MAX_PEAK, "{peak} MiB");
    assert!(is_closed, "each connection was served, and closed by the gateway: {tally:?}");
    if is_full() && !cfg!(debug_assertions) {
        for ((kind, ..), longest) in KINDS.iter().zip(&tally.longest) {
            let longest = Duration::from_millis(longest.load(Ordering::Relaxed) as u64);
            assert!(longest <= kind.most() + SLACK, "{kind:?}: {longest:?}");
        }
    }
    let mut client = Client::new(&gateway, "other");
    assert_eq!(
        client.get(&format!("/v1/customers/{ID}")).await,
        200,
        "the address of the slow clients is served again"
    );
}

/// While the gateway accepts no connection, the system does.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_come_at_once_wait_until_they_are_accepted() {
    let longest = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the longest queue of the system");
    let count = longest.trim().parse::<usize>().expect("a number").min(1000);
    let gateway = Gateway::start(&[("other".to_owned(), healthy_provider().await)]);
    gateway.signal(Signal::STOP);
    let mut waiting = Vec::new();
    for number in 0..count {
        let connected = timeout(PATIENCE, connect(OTHERS, gateway.address)).await;
        waiting.push(connected.unwrap_or_else(|_| panic!("connection {number} is queued")).expect("a connection"));
    }
    gateway.signal(Signal::CONT);
    for mut stream in waiting {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n").await.expect("it is sent");
        assert_eq!(status(&mut stream).await, Some(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_beside_idle_and_slow_connections_of_one_address() {
    beside_idle_and_slow_connections("idle and slow connections of one address", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_beside_idle_and_slow_connections_of_many_addresses() {
    beside_idle_and_slow_connections("idle and slow connections of many addresses", false).await;
}
