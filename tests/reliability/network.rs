//! Three replicas whose network to PostgreSQL fails all the time, each in its own way: it is slow, it hangs, it loses its
//! connections, it refuses new ones. A lost connection may have committed or not.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
    time::sleep,
};

use crate::{
    bed::{Gateway, Random, Setup, Twin, assert_agree, count, records_of, sized},
    client::{Client, Outcome, email, person},
    cluster::{self, Cluster},
    trial::trial,
};

const REPLICAS: usize = 3;

pub(crate) fn trials() -> Vec<Trial> {
    let name = "three_replicas_with_a_faulty_network_to_postgres_lose_and_double_nothing";
    vec![cluster::or_ignored(trial(name, faulty_network))]
}

/// What a network does to the connections that cross it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Normal,
    /// Everything arrives this much later.
    Slow(Duration),
    /// Nothing arrives; connections stay open.
    Hangs,
    /// Every connection is closed, and so is each new one.
    Down,
}

/// The condition of a network, and how often it has closed every connection. A new one can be made after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    condition: Condition,
    resets: u64,
}

/// The network between a replica and the database: a socket for the replica, whose connections are passed on.
struct Network {
    folder: TempDir,
    state: watch::Sender<Link>,
    /// How many connections it has closed.
    closed: Arc<AtomicUsize>,
}

impl Network {
    fn to(server: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(cluster::SOCKET)).expect("a socket");
        let (state, current) = watch::channel(Link { condition: Condition::Normal, resets: 0 });
        let (database, closed) = (server.join(cluster::SOCKET), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&closed);
        tokio::spawn(async move {
            while let Ok((replica, _)) = listener.accept().await {
                tokio::spawn(pass_on(replica, database.clone(), current.clone(), Arc::clone(&count)));
            }
        });
        Self { folder, state, closed }
    }
}

async fn pass_on(replica: UnixStream, database: PathBuf, state: watch::Receiver<Link>, closed: Arc<AtomicUsize>) {
    let resets = state.borrow().resets;
    if state.borrow().condition == Condition::Down {
        return;
    }
    let Ok(database) = UnixStream::connect(database).await else { return };
    let (from_replica, to_replica) = replica.into_split();
    let (from_database, to_database) = database.into_split();
    let mut ends = state.clone();
    let is_closed = |state: &Link| state.resets != resets || state.condition == Condition::Down;
    tokio::select! {
        biased;
        _ = ends.wait_for(is_closed) => drop(closed.fetch_add(1, Ordering::Relaxed)),
        // If one direction ends, both do.
        () = carry(from_replica, to_database, state.clone()) => {}
        () = carry(from_database, to_replica, state) => {}
    }
}

/// Passes bytes on in one direction until the connection ends.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut state: watch::Receiver<Link>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let condition = state.borrow().condition;
        if let Condition::Slow(delay) = condition {
            sleep(delay).await;
        }
        let passes = state.wait_for(|state| state.condition != Condition::Hangs).await.is_ok();
        if !passes || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Causes faults in one network after the other.
async fn inject_faults(networks: &[Network], faults: usize) {
    let mut random = Random::new(31);
    for _ in 0..faults {
        let state = &random.one_of(networks).state;
        let set = |condition| state.send_modify(|state| state.condition = condition);
        let lasts = match random.below(5) {
            0 => {
                set(Condition::Slow(random.milliseconds(1, 60)));
                random.milliseconds(50, 800)
            }
            1 => {
                set(Condition::Hangs);
                random.milliseconds(20, 2500)
            }
            2 => {
                set(Condition::Down);
                random.milliseconds(20, 1200)
            }
            // The commonest: the answer to a commit is lost.
            _ => {
                state.send_modify(|state| state.resets += 1);
                Duration::ZERO
            }
        };
        sleep(lasts).await;
        set(Condition::Normal);
        sleep(random.milliseconds(5, 150)).await;
    }
}

/// What a client changes about a customer that it has created.
#[derive(Debug, Clone, Copy)]
enum Change {
    Update,
    Block,
    Delete,
}

impl Change {
    fn of(number: usize) -> Self {
        [Self::Update, Self::Block, Self::Delete][number % 3]
    }

    async fn send_until_known(self, client: &Client, number: usize, id: &str) {
        let path = format!("/v1/customers/{id}");
        let (method, path, body) = match self {
            Self::Update => (Method::PATCH, path, Some(json!({ "name": "Mariama Ba" }))),
            Self::Block => (Method::POST, path + "/block", None),
            Self::Delete => (Method::DELETE, path, None),
        };
        let outcome = client.send_until_known(method, &path, &format!("change-{number}"), body.as_ref()).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{self:?}: {outcome:?}");
    }

    async fn assert_made(self, client: &Client, id: &str) {
        let answer = client.get(&format!("/v1/customers/{id}")).await.expect("an answer");
        let shown = answer.json();
        match self {
            Self::Update => assert_eq!(shown["name"], "Mariama Ba", "{shown}"),
            Self::Block => assert_eq!(shown["blocked"], true, "{shown}"),
            Self::Delete => assert_eq!(answer.status, 404, "{shown}"),
        }
    }
}

/// Clients create and change customers with keys, each until its outcome is known. There is one effect for each key, and the
/// store says so.
async fn faulty_network() {
    let (clients, faults) = sized((6, 40), (12, 600));
    let twin = Twin::start("notchpay", "delay = \"1ms..40ms\"\nonly = [\"create\"]\nsearch_lag = \"50ms\"");
    let cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let database = cluster.database();
    let (server, name) = cluster::place(&database);
    let networks: Vec<Network> = (0..REPLICAS).map(|_| Network::to(&server)).collect();
    let gateways: Vec<_> = networks
        .iter()
        .map(|network| {
            let setup = Setup {
                store: "lease = \"2s\"".to_owned(),
                database: Some(cluster::url(network.folder.path(), name)),
                // If the answer to the commit of a claim is lost, no other process knows whether the write was sent.
                ..Setup::of("visibility_lag = \"200ms\"\non_ambiguous = \"resend_after_lag\"")
            };
            Gateway::start_for(&twin, &setup)
        })
        .collect();
    let client = Client::between(&gateways);
    let working: Vec<_> = (0..clients)
        .map(|first| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for number in (first..).step_by(clients) {
                    if client.is_stopping() {
                        break;
                    }
                    let outcome = client.create_until_known(&format!("key-{number}"), &person(number)).await;
                    let Outcome::Done(answer) = outcome else { panic!("{outcome:?}") };
                    let id = answer.json()["id"].as_str().expect("an id").to_owned();
                    let change = Change::of(number);
                    change.send_until_known(&client, number, &id).await;
                    done.push((number, id));
                }
                done
            })
        })
        .collect();
    inject_faults(&networks, faults).await;
    client.stop_beginning();
    let mut numbers = Vec::new();
    for work in working {
        numbers.extend(work.await.expect("every create has its outcome"));
    }
    for (number, id) in &numbers {
        Change::of(*number).assert_made(&client, id).await;
    }
    let records = records_of(&gateways).await;
    assert_agree(&twin, &records);
    let (total, created) = (numbers.len(), twin.created());
    for (number, _) in numbers {
        assert_eq!(created.get(&email_hash(&email(number))).map_or(0, Vec::len), 1, "customer {number}");
    }
    assert_eq!((records.len(), count(&records, State::Done)), (2 * total, 2 * total));
    let closed: usize = networks.iter().map(|network| network.closed.load(Ordering::Relaxed)).sum();
    assert!(total > faults && closed > faults / 2, "only {total} creates, and {closed} closed connections");
    eprintln!(
        "faulty network: {faults} faults between three replicas and PostgreSQL, which closed {closed} connections; {total} \
         creates and as many changes, one effect each"
    );
}
