//! A door in front of a twin, which can lead to another one: another account, or the same provider when it fails.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::bed::Vendor;

/// A door to one account or to another one, as a key is.
#[derive(Clone)]
pub(super) struct Door {
    behind: Arc<Mutex<(SocketAddr, JoinSet<()>)>>,
    /// A text in what is sent, and the one that arrives instead.
    changed: Arc<Mutex<(String, String)>>,
}

impl Door {
    /// Stands before a vendor, whose address it takes.
    pub(super) async fn before(vendor: &mut Vendor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, path) = parts(&vendor.base);
        vendor.base = format!("http://{}{path}", listener.local_addr().expect("an address"));
        let behind = Arc::new(Mutex::new((address, JoinSet::new())));
        let door = Self { behind: Arc::clone(&behind), changed: Arc::default() };
        let changed = Arc::clone(&door.changed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut behind = behind.lock().unwrap_or_else(PoisonError::into_inner);
                let (address, changed) = (behind.0, Arc::clone(&changed));
                behind.1.spawn(async move {
                    if let Ok(server) = TcpStream::connect(address).await {
                        pass(client, server, &changed).await;
                    }
                });
            }
        });
        door
    }

    /// Changes a text in what is sent into another one of the same length.
    pub(super) fn changes(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = (from.to_owned(), to.to_owned());
    }

    /// Leads to another vendor from now on.
    pub(super) fn leads_to(&self, vendor: &Vendor) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.0 = parts(&vendor.base).0;
        behind.1.abort_all();
    }
}

async fn pass(client: TcpStream, server: TcpStream, changed: &Mutex<(String, String)>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let there = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            let sent = {
                let changed = changed.lock().unwrap_or_else(PoisonError::into_inner);
                change(&bytes[..count], &changed.0, &changed.1)
            };
            if to_server.write_all(&sent).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let back = async {
        let _ = copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::join!(there, back);
}

/// Small requests come in one piece.
fn change(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    match from.is_empty() {
        true => bytes.to_vec(),
        false => String::from_utf8_lossy(bytes).replace(from, to).into_bytes(),
    }
}

fn parts(base: &str) -> (SocketAddr, String) {
    let rest = base.trim_start_matches("http://");
    let (address, path) = rest.split_once('/').map_or((rest, String::new()), |(at, path)| (at, format!("/{path}")));
    (address.parse().expect("an address"), path)
}
