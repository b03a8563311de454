//! Clients that fill the memory for request bodies with bodies that do not end, and the writes of other merchants.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpSocket, task::JoinSet, time::timeout};

use crate::inbound::{Gateway, MERCHANTS, MIB, head_of, report, sized, status};

/// The largest body that may use the part of the memory for small bodies.
const SMALL: usize = 16 << 10;

/// How long a client with a slow body waits after a refusal.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);

const BETWEEN_WRITES: Duration = Duration::from_millis(20);

/// How many writes the other merchants send.
const WRITES: usize = 50;

/// The longest that a test waits until the share of a merchant is full.
const PATIENCE: Duration = Duration::from_mins(1);

/// The memory for bodies and the largest body: small, or with `LOAD=full` those of the default.
fn limits() -> (usize, usize) {
    (sized(1 << 20, 64 << 20), sized(64 << 10, 1 << 20))
}

/// A client that always has a body in flight which does not end. Whenever the gateway refuses it, the client sends another.
async fn send_slow(from: IpAddr, to: SocketAddr, head: String, length: usize) {
    let incomplete = vec![b' '; length - 1];
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from, 0)).expect("a local address");
        let mut stream = socket.connect(to).await.expect("a connection");
        // A refused body is not read to its end, so that writing it may fail.
        let sent = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&incomplete).await
        };
        let _ = sent.await;
        status(&mut stream).await;
        tokio::time::sleep(AFTER_REFUSAL).await;
    }
}

/// Makes the head of a write with a body of this length, for a client of this name.
type Head = fn(&str, usize) -> String;

/// The head of a drop-in request that names the signer of a merchant. Its signature is invalid.
fn forged_head(merchant: &str, length: usize) -> String {
    format!(
        "POST /as/bitnob/api/customers HTTP/1.1\r\nhost: gateway\r\nx-auth-client: client_{merchant}\r\n\
         x-auth-timestamp: 1\r\nx-auth-nonce: 1\r\nx-auth-signature: 00\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// The status of a write with a body of this length: a name, and spaces.
async fn write(gateway: &Gateway, head: Head, name: &str, length: usize) -> Option<u16> {
    let mut stream = gateway.connect().await;
    let body = format!("{:length$}", r#"{"name":"Awa Diop"}"#);
    let _ = stream.write_all((head(name, body.len()) + &body).as_bytes()).await;
    status(&mut stream).await
}

/// Fills the share of an owner with slow bodies of `count` clients at several addresses, `large` of them with large bodies:
/// until usual writes of this owner are refused all the time.
async fn fill(gateway: &Gateway, head: Head, name: &str, (large, count): (usize, usize)) -> JoinSet<()> {
    let (_, largest) = limits();
    let mut clients = JoinSet::new();
    for number in 0..count {
        let length = if number < large { largest } else { SMALL };
        let address = [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]][number % 3];
        clients.spawn(send_slow(address.into(), gateway.address, head(name, length), length));
    }
    let filled = async {
        let mut refused_since = None;
        while refused_since.is_none_or(|since: Instant| since.elapsed() < 3 * AFTER_REFUSAL) {
            refused_since = match write(gateway, head, name, SMALL).await {
                Some(503) => refused_since.or_else(|| Some(Instant::now())),
                _ => None,
            };
            tokio::time::sleep(BETWEEN_WRITES).await;
        }
    };
    timeout(PATIENCE, filled).await.expect("the share of the owner is full");
    clients
}

/// Sends writes of these merchants. All of them must succeed.
async fn assert_served(gateway: &Gateway, merchants: &[&str], length: usize) {
    for number in 0..WRITES {
        let merchant = merchants[number % merchants.len()];
        assert_eq!(
            write(gateway, head_of, merchant, length).await,
            Some(201),
            "write {number}, of merchant {merchant}"
        );
        tokio::time::sleep(BETWEEN_WRITES).await;
    }
}

fn start() -> Gateway {
    let (memory, largest) = limits();
    Gateway::start(&format!("body_timeout = \"5m\"\nmax_body = {largest}\nmax_bodies = {memory}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_bodies_of_one_merchant_refuse_no_write_of_another() {
    let count = sized(40, 1700);
    let (memory, largest) = limits();
    let gateway = start();
    let (before, begun) = (gateway.resident(), Instant::now());
    let slow = fill(&gateway, head_of, "acme", (memory * 3 / 4 / largest, count)).await;
    assert_served(&gateway, &MERCHANTS[1..], SMALL).await;
    let peak = gateway.peak_above(before);
    report("slow bodies of one merchant", count, begun, peak);
    assert!(peak < 128 * MIB, "{peak}");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_bodies_of_several_merchants_refuse_no_usual_write_of_another() {
    let count = sized(40, 600);
    let (filling, others) = MERCHANTS.split_at(6);
    let (memory, largest) = limits();
    let mut share = memory * 3 / 4 / largest;
    let gateway = start();
    let (before, begun) = (gateway.resident(), Instant::now());
    let (mut slow, mut clients) = (Vec::new(), 0);
    for merchant in filling {
        share /= 2;
        clients += count;
        slow.push(fill(&gateway, head_of, merchant, (share, count)).await);
    }
    assert_served(&gateway, others, 100).await;
    let peak = gateway.peak_above(before);
    report("slow bodies of six merchants", clients, begun, peak);
    // The connections have buffers of their own.
    assert!(peak < 128 * MIB + clients as u64 * (32 << 10), "{peak}");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_without_a_valid_signature_refuse_no_write_with_a_key() {
    let count = sized(20, 200);
    let (memory, largest) = limits();
    let mut share = memory / 2 / largest;
    let gateway = start();
    let (before, begun) = (gateway.resident(), Instant::now());
    let mut slow = Vec::new();
    for signer in &MERCHANTS[..4] {
        share /= 2;
        slow.push(fill(&gateway, forged_head, signer, (share, count)).await);
    }
    assert_served(&gateway, &MERCHANTS, SMALL).await;
    assert_eq!(write(&gateway, forged_head, MERCHANTS[7], 100).await, Some(401), "another signer is answered");
    let peak = gateway.peak_above(before);
    report("slow bodies that name four signers", count * slow.len(), begun, peak);
    assert!(peak < 128 * MIB, "{peak}");
}
