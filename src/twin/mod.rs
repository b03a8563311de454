//! Twins: sandbox vendors. A twin is a vendor's server side over records in memory, served over real HTTP, so that
//! everything between a merchant's code and a vendor can be tried without the vendor. The sandbox, `passerelle twin` and
//! the tests use it. A twin executes one request at a time.

pub mod faults;
pub mod log;
mod people;
mod play;
mod samples;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{Extension, Router, body::Bytes, extract::State, response::Response};
use axum_server::Handle;
use http::{StatusCode, Uri, header, request::Parts};
use jiff::{SignedDuration, Timestamp};
use passerelle_providers::{
    Settings, Vendor, VendorServer,
    engine::records::Records,
    kit::server::base_path,
    model::{Command, CustomerId, Error, Kind, Reply, Request, auth::Credentials, manifest::Manifest},
    text::Text,
};

use faults::{Fault, FaultPlan};
use log::{Applied, Entry, Log, Received};
pub(crate) use people::of_sandbox;
pub use people::{Person, many};
use play::ConnectionSocket;

/// A sandbox vendor.
#[derive(Debug)]
pub struct Twin {
    vendor: Arc<dyn VendorServer>,
    manifest: &'static Manifest,
    credentials: Credentials,
    faults: FaultPlan,
    memory: Mutex<Memory>,
}

/// The state that requests change. A request holds the lock from its number to its last log entry, so the log has the
/// requests in the order of their effects.
#[derive(Debug)]
struct Memory {
    records: Records,
    requests: u64,
    log: Option<Log>,
}

impl Memory {
    /// Writes a line to the log, if the twin has one.
    fn log(&mut self, entry: impl FnOnce() -> Option<Entry>) -> Result<(), Error> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let Some(entry) = entry() else { return Ok(()) };
        log.write(&entry).map_err(|error| {
            tracing::error!("cannot write the twin's log: {error}");
            Error::new(Kind::ProviderFailed, "the log cannot be written")
        })
    }
}

/// A twin's answer, and how it is sent.
struct TwinResponse {
    response: http::Response<Bytes>,
    fault: Option<Fault>,
    delay: Duration,
}

impl Twin {
    /// Makes a twin with the sample customers. Without credentials, it accepts any key, but requires one.
    pub fn new(vendor: &Vendor, settings: Settings, credentials: Credentials) -> Self {
        let server = (vendor.server)(settings);
        let manifest = server.manifest();
        let memory = Mutex::new(Memory { records: samples::records(&*server), requests: 0, log: None });
        Self { vendor: server, manifest, credentials, faults: FaultPlan::default(), memory }
    }

    /// The same twin with more customers.
    #[must_use]
    pub fn with_customers(mut self, people: impl IntoIterator<Item = Person>) -> Self {
        let now = Timestamp::now();
        if let Ok(memory) = self.memory.get_mut() {
            for Person { random, fields, is_blocked } in people {
                let id = memory.records.add(&*self.vendor, &fields, now, random);
                memory.records.set_with_transactions(id.clone());
                // A vendor that cannot block keeps the customer as it is.
                if is_blocked && let Ok(id) = CustomerId::parse(id, &self.manifest.id) {
                    let _ = memory.records.execute(&*self.vendor, &Command::Block(id), now, random);
                }
            }
        }
        self
    }

    /// The same twin beside records of another account of the vendor, made at a time. Where e-mail addresses are unique, a
    /// create with the address of such a record is answered with it. No list and no search shows it.
    #[must_use]
    pub fn with_records_of_others(mut self, people: impl IntoIterator<Item = Person>, made: Timestamp) -> Self {
        if let Ok(memory) = self.memory.get_mut() {
            for Person { random, fields, .. } in people {
                let id = memory.records.add(&*self.vendor, &fields, made, random);
                memory.records.set_of_another_account(&id);
            }
        }
        self
    }

    /// The same twin with faults.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultPlan) -> Self {
        if let Ok(memory) = self.memory.get_mut() {
            let lag = SignedDuration::try_from(faults.search_lag()).unwrap_or(SignedDuration::MAX);
            memory.records.lag_searches(lag);
        }
        if faults.probability(Fault::GzipBomb) > 0.0 {
            // Compressed now, so that no request waits for it.
            LazyLock::force(&play::BOMB);
        }
        self.faults = faults;
        self
    }

    /// The same twin, whose lists and searches show only customers with completed or refunded transactions: of the
    /// records that it starts with, all have them, and no customer that a client creates has them.
    #[must_use]
    pub fn listing_only_with_transactions(mut self) -> Self {
        if let Ok(memory) = self.memory.get_mut() {
            memory.records.list_only_with_transactions();
        }
        self
    }

    /// The same twin, writing what it is asked and what it does.
    #[must_use]
    pub fn with_log(mut self, log: Log) -> Self {
        if let Ok(memory) = self.memory.get_mut() {
            memory.log = Some(log);
        }
        self
    }

    /// Merges a record with another one: from now on its id means the other record.
    pub fn merge(&self, id: &str, into: &str) {
        if let Ok(mut memory) = self.memory.lock() {
            memory.records.merge(&Text::from(id), &Text::from(into));
        }
    }

    /// Serves every path until the handle says otherwise.
    pub async fn serve(self, listener: TcpListener, handle: Handle<SocketAddr>) -> io::Result<()> {
        Arc::new(self).serve_shared(listener, handle).await
    }

    /// The same for a twin that its owner goes on to use.
    pub async fn serve_shared(self: Arc<Self>, listener: TcpListener, handle: Handle<SocketAddr>) -> io::Result<()> {
        let router = Router::new().fallback(answer).with_state(self);
        play::serve(listener, router, handle).await
    }

    /// Answers one request without a network. Faults of the network are not played.
    pub fn answer(&self, request: Request, now: Timestamp, random: [u8; 16]) -> http::Response<Bytes> {
        self.respond(request, now, random).response
    }

    /// Answers one request as the vendor would, or with the fault that the plan chooses.
    fn respond(&self, mut request: Request, now: Timestamp, random: [u8; 16]) -> TwinResponse {
        let full_uri = request.uri().clone();
        let authorized = self.authorize(&request, now);
        below_base(&mut request, base_path(self.manifest));
        let command = authorized.and_then(|()| self.vendor.accept(&request));
        let operation = command.as_ref().ok().map(Command::operation);
        let refuse = |error: &Error| self.vendor.refuse(&request, error, now);

        let Ok(mut memory) = self.memory.lock() else {
            let response =
                refuse(&Error::new(Kind::ProviderFailed, "the records of the twin are lost: a request panicked"));
            return TwinResponse { response, fault: None, delay: Duration::ZERO };
        };
        memory.requests += 1;
        let number = memory.requests;
        let (fault, delay) = (self.faults.fault(number, operation), self.faults.delay(number, operation));
        let received = || Some(Entry::Request(Received::new(number, &request, full_uri.path(), operation, fault, now)));
        let outcome =
            memory.log(received).and_then(|()| match fault {
                Some(Fault::RateLimited) => Err(Error::new(Kind::RateLimited, "too many requests")
                    .with_retry_after(Some(self.faults.retry_after()))),
                Some(fault) if !fault.has_effect() => Err(Error::new(Kind::ProviderFailed, "a fault on demand")),
                _ => {
                    let command = command?;
                    let reply = self.execute(&mut memory, number, &command, now, random)?;
                    match fault {
                        Some(Fault::ErrorAfter) => Err(Error::new(Kind::ProviderFailed, "a fault on demand")),
                        _ => self.vendor.answer(&command, &reply),
                    }
                }
            });
        let mut response = outcome.unwrap_or_else(|error| refuse(&error));
        if fault == Some(Fault::RateLimited) {
            response.headers_mut().entry(header::RETRY_AFTER).or_insert(self.faults.retry_after().into());
        }
        TwinResponse { response, fault, delay }
    }

    /// Executes a command and logs its change.
    fn execute(
        &self,
        memory: &mut Memory,
        number: u64,
        command: &Command,
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<Reply, Error> {
        match memory.records.execute(&*self.vendor, command, now, random) {
            Err(error) if error.kind == Kind::NotFound && self.ignores_unknown(command) => Ok(Reply::DELETED),
            Err(error) => Err(error),
            Ok(reply) => {
                memory.log(|| Applied::new(number, command, &reply, now).map(Entry::Effect))?;
                Ok(reply)
            }
        }
    }

    /// Whether the vendor answers success to the command for a customer that does not exist.
    fn ignores_unknown(&self, command: &Command) -> bool {
        matches!(command, Command::Delete(_)) && self.manifest.deletes_unknown
    }

    /// Accepts any of the vendor's ways to authorize.
    fn authorize(&self, request: &Request, now: Timestamp) -> Result<(), Error> {
        let mut refused = Error::new(Kind::Unauthorized, "no key was presented");
        for scheme in self.manifest.auth {
            match scheme.verify(request, &self.credentials, now.as_second()) {
                Ok(()) => return Ok(()),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

async fn answer(
    State(twin): State<Arc<Twin>>,
    Extension(socket): Extension<ConnectionSocket>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Parts { method, uri, headers, .. } = parts;
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let random = *uuid::Uuid::new_v4().as_bytes();
    let TwinResponse { response, fault, delay } = twin.respond(request, Timestamp::now(), random);
    // The delay comes after the effect: if the client disconnects meanwhile, its change is already made.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    play::play(fault, response, &twin.faults, &socket).await
}

/// Removes the vendor's base from a path. A path without the base stays as it is, because some clients leave it out.
fn below_base(request: &mut Request, base: &str) {
    let path_and_query = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let below = path_and_query.strip_prefix(base).filter(|rest| rest.starts_with('/')).unwrap_or(path_and_query);
    if let Ok(uri) = Uri::try_from(below) {
        *request.uri_mut() = uri;
    }
}
