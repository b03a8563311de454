//! A twin on a free port, and a client that reads bytes.

use std::{io, net::SocketAddr, time::Duration};

use passerelle::twin::{
    Twin,
    faults::{Fault, FaultPlan, OperationName},
    log::{self, Entry, Log},
};
use passerelle_providers::{
    Settings,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A twin with a plan of faults and a log, on a free port.
pub(super) struct ServedTwin {
    address: SocketAddr,
    pub(super) log: tempfile::NamedTempFile,
}

impl ServedTwin {
    pub(super) fn start(provider: &str, plan: &str) -> Self {
        let vendor = vendor(provider).expect("a provider");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let log = tempfile::NamedTempFile::new().expect("a file");
        let twin = Twin::new(vendor, settings, Credentials::default())
            .with_faults(FaultPlan::read(plan, "faults.toml").expect("a plan"))
            .with_log(Log::open(log.path()).expect("a log"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
        Self { address, log }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        log::read(self.log.path()).expect("a log")
    }

    /// The faults that the requests for an operation met, and how many effects they had.
    pub(super) fn faults_and_effects(&self, operation: Operation) -> (Vec<Option<Fault>>, usize) {
        let entries = self.entries();
        let requests = log::requests(&entries).filter(|request| request.operation == Some(OperationName(operation)));
        let faults = requests.map(|request| request.fault).collect();
        (faults, log::effects(&entries).filter(|effect| effect.operation.0 == operation).count())
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(request(method, path, body).as_bytes()).await.expect("it is sent");
        stream
    }

    /// Sends a request, and reads until the connection ends. Returns the bytes, and how the connection ended.
    pub(super) async fn exchange(&self, method: &str, path: &str, body: &str) -> (String, io::Result<usize>) {
        let mut stream = self.send(method, path, body).await;
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer).await;
        (String::from_utf8_lossy(&answer).into_owned(), ended)
    }

    /// Whether the list of customers shows this e-mail address.
    pub(super) async fn lists(&self, email: &str) -> bool {
        self.exchange("GET", "/v1/customers?limit=100", "").await.0.contains(email)
    }
}

pub(super) fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: twin\r\nconnection: close\r\nx-api-key: any\r\nidempotency-key: key_1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) const EMAIL: &str = "Awa.Diop@example.com";

pub(super) fn create_body() -> String {
    json!({ "name": "Awa Diop", "email": EMAIL, "metadata": { "passerelle_op": "op_1" } }).to_string()
}

/// Waits until the condition is true. Fails after 20 seconds.
pub(super) async fn until(condition: impl Fn() -> bool) {
    let waits = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits).await.expect("the condition becomes true in time");
}

pub(super) fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

pub(super) fn content_length(answer: &str) -> usize {
    let head = answer.to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    length.and_then(|length| length.parse().ok()).expect("a length")
}
