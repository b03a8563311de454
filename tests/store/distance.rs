//! A PostgreSQL server that is far away: each of its answers takes some milliseconds. A transaction may take 0.9 s.

use std::time::Duration;

use futures_util::future::join_all;
use libtest_mimic::Trial;
use passerelle::store::{Claim, ShownRecord};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{UnixListener, UnixStream},
    time::sleep,
};

use crate::{
    bed::{Bed, keyed},
    cluster,
    server::bed,
    suite::switches::{open, seen},
    trial::trial,
};

const JOURNEY: Duration = Duration::from_millis(5);

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),+ $(,)?) => { vec![$(trial(format!("distance::{}", stringify!($test)), $test)),+] };
    }
    let trials = trials![a_page_of_a_switch_is_stored_from_far_away, many_writes_at_once_are_stored_from_far_away];
    trials.into_iter().map(cluster::or_ignored).collect()
}

/// A database behind a relay that delays each answer.
fn far_away(folder: &TempDir) -> Bed {
    let mut bed = bed();
    let escaped = |path: &str| path.replace('/', "%2F");
    let (server, database) = bed.url.rsplit_once('/').expect("a database");
    let server = server.rsplit_once('@').expect("a folder").1.replace("%2F", "/");
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
    bed.url = format!("postgres://passerelle@{}/{database}", escaped(&folder.path().display().to_string()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(format!("{server}/.s.PGSQL.5432")).await.expect("a connection");
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                    sleep(JOURNEY).await;
                    if to_client.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    bed
}

async fn a_page_of_a_switch_is_stored_from_far_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = far_away(&folder).open().await;
    store.ids().begin("acme", "main", "sw_1", "new").await.expect("begun");
    let ids: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    let shown = |id| ShownRecord { provider_id: id, email: Some("awa@example.com"), phone: None };
    let records: Vec<_> = ids.iter().map(|id| shown(id)).collect();
    assert_eq!(store.ids().adopt("acme", "main", &records).await.expect("adopted").len(), 200);
    let switch = open(&store).await;
    assert_eq!(store.switches().lease_free().await.expect("leased").len(), 1);
    let page = ids.iter().map(|id| seen(id, 1)).collect();
    assert_eq!(store.switches().store_page(&switch.id, None, page).await, Ok(true));
}

async fn many_writes_at_once_are_stored_from_far_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = far_away(&folder).open().await;
    let claims = (0..64).map(|number| store.operations().claim(keyed("acme", &format!("k{number}"), "r")));
    for claimed in join_all(claims).await {
        assert_eq!(claimed, Ok(Claim::New { attempt: 1 }));
    }
}
