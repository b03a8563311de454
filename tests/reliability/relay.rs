//! A TCP relay to the vendor. A test can close it, and can make it delay the vendor's answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A relay to the vendor. Clones share their state.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) address: String,
    /// While false, the relay reads what is sent and discards it.
    pub(crate) is_open: Arc<AtomicBool>,
    /// Whether the relay has passed anything on to the vendor.
    pub(crate) has_passed: Arc<AtomicBool>,
    /// While true, the relay passes no answer on.
    pub(crate) delays_answers: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = Self {
            address: listener.local_addr().expect("an address").to_string(),
            is_open: Arc::new(AtomicBool::new(true)),
            has_passed: Arc::default(),
            delays_answers: Arc::default(),
        };
        let (this, to) = (relay.clone(), to.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().pass_on(stream, to.clone()));
            }
        });
        relay
    }

    async fn pass_on(self, mut from: TcpStream, to: String) {
        if !self.is_open.load(Ordering::Relaxed) {
            // Until the gateway closes the connection.
            let mut discarded = Vec::new();
            let _ = from.read_to_end(&mut discarded).await;
            return;
        }
        let Ok(mut vendor) = TcpStream::connect(to).await else { return };
        let mut first = vec![0; 1 << 16];
        let Ok(read @ 1..) = from.read(&mut first).await else { return };
        if vendor.write_all(&first[..read]).await.is_ok() {
            self.has_passed.store(true, Ordering::Relaxed);
            while self.delays_answers.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // The relay does not close the connection to the vendor early, so the vendor may read the request much
            // later.
            let ((mut from_gateway, mut to_gateway), (mut from_vendor, mut to_vendor)) = (from.split(), vendor.split());
            let _ = tokio::join!(
                tokio::io::copy(&mut from_gateway, &mut to_vendor),
                tokio::io::copy(&mut from_vendor, &mut to_gateway)
            );
        }
    }
}
