//! A way to the vendor that can be closed, and that can keep the vendor's answers back.

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

/// A way to the vendor.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) address: String,
    /// While it is not, it takes what is sent, and brings it nowhere.
    pub(crate) is_open: Arc<AtomicBool>,
    /// Whether anything was brought to the vendor.
    pub(crate) has_passed: Arc<AtomicBool>,
    /// While it does, nobody who asks hears anything.
    pub(crate) keeps_answers: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = Self {
            address: listener.local_addr().expect("an address").to_string(),
            is_open: Arc::new(AtomicBool::new(true)),
            has_passed: Arc::default(),
            keeps_answers: Arc::default(),
        };
        let (this, to) = (relay.clone(), to.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().bring(stream, to.clone()));
            }
        });
        relay
    }

    async fn bring(self, mut from: TcpStream, to: String) {
        if !self.is_open.load(Ordering::Relaxed) {
            // Until the other side is dead.
            let mut nowhere = Vec::new();
            let _ = from.read_to_end(&mut nowhere).await;
            return;
        }
        let Ok(mut vendor) = TcpStream::connect(to).await else { return };
        let mut first = vec![0; 1 << 16];
        let Ok(read @ 1..) = from.read(&mut first).await else { return };
        if vendor.write_all(&first[..read]).await.is_ok() {
            self.has_passed.store(true, Ordering::Relaxed);
            while self.keeps_answers.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Not even its end is told to the vendor, which may read the request long after.
            let ((mut asked, mut told), (mut answers, mut requests)) = (from.split(), vendor.split());
            let _ = tokio::join!(tokio::io::copy(&mut asked, &mut requests), tokio::io::copy(&mut answers, &mut told));
        }
    }
}
