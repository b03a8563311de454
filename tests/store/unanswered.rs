//! Commits whose answer is lost on the way from PostgreSQL. The caller of the store gets an error, and the change is durable.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use libtest_mimic::Trial;
use passerelle::store::{End, Event, StoreError};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};

use crate::{
    bed::{Bed, answer, claim, keyed, soon},
    cluster,
    server::bed,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let claim = trial("unanswered::a_claim_whose_commit_was_not_answered_is_released", released);
    let takeover = trial("unanswered::a_takeover_whose_commit_was_not_answered_is_given_back", given_back);
    [claim, takeover].map(cluster::or_ignored).into()
}

/// Starts a proxy between a store and its server. Once the returned flag is set, the proxy forwards one more commit, and
/// no answers on that connection from then on.
fn cutting_proxy(bed: &mut Bed, folder: &TempDir) -> Arc<AtomicBool> {
    let (server, database) = cluster::place(&bed.url);
    let listener = UnixListener::bind(folder.path().join(cluster::SOCKET)).expect("a socket");
    bed.url = cluster::url(folder.path(), database);
    let cut_next_commit = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cut_next_commit);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(server.join(cluster::SOCKET)).await.expect("a connection");
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let (cut_next_commit, is_cut) = (Arc::clone(&cut_next_commit), Arc::new(AtomicBool::new(false)));
            let cut = Arc::clone(&is_cut);
            tokio::spawn(async move {
                let mut bytes = [0; 1 << 13];
                while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                    let commits = bytes[..count].windows(7).any(|text| text == b"COMMIT\0");
                    cut.fetch_or(commits && cut_next_commit.swap(false, Ordering::SeqCst), Ordering::SeqCst);
                    if to_server.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
            tokio::spawn(async move {
                let mut bytes = [0; 1 << 13];
                while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                    if !is_cut.load(Ordering::SeqCst) && to_client.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    flag
}

async fn released() {
    let (mut bed, folder) = (bed(), tempfile::tempdir().expect("a folder"));
    let cut_next_commit = cutting_proxy(&mut bed, &folder);
    let store = bed.open().await;
    claim(&store, keyed("acme", "before", "r")).await;
    cut_next_commit.store(true, Ordering::SeqCst);
    let refused = store.operations().claim(keyed("acme", "k", "r")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let events = async || {
        let records = store.audit().records(1, 10).await.expect("audit");
        records.iter().map(|record| record.event).collect::<Vec<_>>()
    };
    soon("the claim is released", async || events().await == [Event::Intent, Event::NotSent]).await;
    claim(&store, keyed("acme", "k", "r")).await;
}

async fn given_back() {
    let (mut bed, folder) = (bed(), tempfile::tempdir().expect("a folder"));
    let cut_next_commit = cutting_proxy(&mut bed, &folder);
    let store = bed.open().await;
    let operations = store.operations();
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let due = End::Unknown { reconcile_after: Some(bed.clock.now()), answer: answer(504) };
    assert_eq!(operations.finish(id, 1, due).await, Ok(true));
    cut_next_commit.store(true, Ordering::SeqCst);
    let refused = operations.take_over(10).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // The clock of this store stands still, so the lease of the lost takeover does not run out.
    soon("it is taken over again", async || {
        let taken = operations.take_over(10).await.unwrap_or_default();
        // A repetition may not have been answered in time either.
        taken.iter().any(|record| record.id == id && record.attempt >= 3)
    })
    .await;
}
