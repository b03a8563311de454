//! Three replicas whose network to PostgreSQL fails all the time, each in its own way: it is slow, it hangs, it loses its
//! connections, it refuses new ones. A lost connection may have committed or not.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use libtest_mimic::Trial;
use passerelle::{store::State, twin::log::email_hash};
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
enum Weather {
    Fine,
    /// Everything arrives this much later.
    Slow(Duration),
    /// Nothing arrives; connections stay open.
    Hangs,
    /// Every connection is closed, and a new one can be made.
    Resets,
    /// Every connection is closed, and so is each new one.
    Down,
}

/// The name of a server's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// The URL of a database whose server has its socket in this folder.
fn url(folder: &Path, name: &str) -> String {
    format!("postgres://passerelle@{}/{name}", folder.display().to_string().replace('/', "%2F"))
}

/// The folder of the server's socket, and the name of the database. The opposite of [`url`].
fn place(url: &str) -> (PathBuf, &str) {
    let (host, name) = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL");
    (host.replace("%2F", "/").into(), name)
}

/// The network between a replica and the database: a socket for the replica, whose connections are passed on.
struct Network {
    folder: TempDir,
    weather: watch::Sender<Weather>,
}

impl Network {
    fn to(server: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let (weather, current) = watch::channel(Weather::Fine);
        let database = server.join(SOCKET);
        tokio::spawn(async move {
            while let Ok((replica, _)) = listener.accept().await {
                tokio::spawn(pass_on(replica, database.clone(), current.clone()));
            }
        });
        Self { folder, weather }
    }
}

async fn pass_on(replica: UnixStream, database: PathBuf, weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Down {
        return;
    }
    let Ok(database) = UnixStream::connect(database).await else { return };
    let (from_replica, to_replica) = replica.into_split();
    let (from_database, to_database) = database.into_split();
    // If one direction ends, both do.
    tokio::select! {
        () = carry(from_replica, to_database, weather.clone()) => {}
        () = carry(from_database, to_replica, weather) => {}
    }
}

/// Passes bytes on in one direction until the connection ends.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            changed = weather.changed() => match (changed, *weather.borrow_and_update()) {
                (Err(_), _) | (Ok(()), Weather::Resets | Weather::Down) => return,
                (Ok(()), _) => continue,
            },
        };
        let Ok(read @ 1..) = read else { return };
        let now = *weather.borrow();
        match now {
            Weather::Fine => {}
            Weather::Slow(delay) => sleep(delay).await,
            Weather::Hangs => {
                if weather.wait_for(|weather| *weather != Weather::Hangs).await.is_err() {
                    return;
                }
            }
            Weather::Resets | Weather::Down => return,
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Changes the weather of one network after the other.
async fn storm(networks: &[Network], faults: usize) {
    let mut random = Random::new(31);
    for _ in 0..faults {
        let network = random.one_of(networks);
        let (weather, lasts) = match random.below(5) {
            0 => (Weather::Slow(random.milliseconds(1, 60)), random.milliseconds(50, 800)),
            1 => (Weather::Hangs, random.milliseconds(20, 2500)),
            2 => (Weather::Down, random.milliseconds(20, 1200)),
            // The commonest: the answer to a commit is lost.
            _ => (Weather::Resets, Duration::from_millis(1)),
        };
        network.weather.send_replace(weather);
        sleep(lasts).await;
        network.weather.send_replace(Weather::Fine);
        sleep(random.milliseconds(5, 150)).await;
    }
}

/// Clients create customers with keys, each until its outcome is known. There is one effect for each key, and the store
/// says so.
async fn faulty_network() {
    let (clients, faults) = sized((6, 40), (12, 600));
    let twin = Twin::start("notchpay", "delay = \"1ms..40ms\"\nonly = [\"create\"]\nsearch_lag = \"50ms\"");
    let cluster = Cluster::start(&cluster::programs().expect("checked before"));
    let database = cluster.database();
    let (server, name) = place(&database);
    let networks: Vec<Network> = (0..REPLICAS).map(|_| Network::to(&server)).collect();
    let gateways: Vec<_> = networks
        .iter()
        .map(|network| {
            let setup = Setup {
                store: "lease = \"2s\"".to_owned(),
                database: Some(url(network.folder.path(), name)),
                // A claim whose commit was lost cannot be told from one that was sent by a process that died.
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
                    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
                    done.push(number);
                }
                done
            })
        })
        .collect();
    storm(&networks, faults).await;
    client.stop_beginning();
    let mut numbers = Vec::new();
    for work in working {
        numbers.extend(work.await.expect("every create has its outcome"));
    }
    let records = records_of(&gateways).await;
    assert_agree(&twin, &records);
    let (total, created) = (numbers.len(), twin.created());
    for number in numbers {
        assert_eq!(created.get(&email_hash(&email(number))).map_or(0, Vec::len), 1, "customer {number}");
    }
    assert_eq!((records.len(), count(&records, State::Done)), (total, total));
    assert!(total > faults, "only {total} creates");
    eprintln!(
        "faulty network: {faults} faults between three replicas and PostgreSQL, {total} creates, one effect each"
    );
}
