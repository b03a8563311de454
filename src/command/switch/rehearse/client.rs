//! The merchant's client during a rehearsal: it reads, updates and creates, one request after another, and compares every
//! answer with what it wrote last.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::twin::{Person, many};

/// The time between two requests.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a write without a known outcome is repeated, with the same key.
const REPETITIONS: u32 = 100;
/// The time between two repetitions.
const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// What the client has seen.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Seen {
    pub(super) reads: u64,
    pub(super) updates: u64,
    pub(super) creates: u64,
    /// Requests whose last answer was an error.
    pub(super) failed: u64,
    /// Ids that were handed out.
    pub(super) ids: u64,
    /// Ids that do not answer.
    pub(super) missing: u64,
    /// Answers that are older than what the client wrote before.
    pub(super) stale: u64,
    pub(super) slowest_ms: u128,
}

impl Seen {
    pub(super) const fn is_whole(&self) -> bool {
        self.missing == 0 && self.stale == 0
    }
}

/// A customer as the client knows it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) email: Option<String>,
    /// `None`: the outcome of the last write is not known.
    name: Option<String>,
}

/// Checks that all customers of the source are known, because the end misses only those.
fn check_known(known: &BTreeMap<String, Known>, source: impl Iterator<Item = Person>) -> Result<(), String> {
    let listed: HashSet<&str> = known.values().filter_map(|known| known.email.as_deref()).collect();
    let (mut count, mut missing) = (0_u32, 0_u32);
    for person in source {
        count += 1;
        missing += u32::from(person.email().is_none_or(|email| !listed.contains(email)));
    }
    match missing {
        0 => Ok(()),
        _ => Err(format!("the list of the source lacks {missing} of its {count} customers, before the switch begins")),
    }
}

/// The client, which goes on until it is stopped.
pub(super) struct Client {
    task: JoinHandle<Work>,
    is_ended: Arc<AtomicBool>,
    only_reads: Arc<AtomicBool>,
}

impl Client {
    /// Lists the customers and begins. The rehearsal has made `count` of them.
    pub(super) async fn start(address: SocketAddr, key: &'static str, count: u32) -> Result<Self, String> {
        let caller = Caller::new(address, key)?;
        let mut work = Work { caller, known: BTreeMap::new(), seen: Seen::default(), number: 0, can_create: true };
        for customer in work.caller.list().await? {
            work.know(&customer);
        }
        check_known(&work.known, many(count))?;
        let (is_ended, only_reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (ended, reading) = (Arc::clone(&is_ended), Arc::clone(&only_reads));
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                work.step(reading.load(Ordering::Relaxed)).await;
                tokio::time::sleep(PAUSE).await;
            }
            work.read_all().await;
            work
        });
        Ok(Self { task, is_ended, only_reads })
    }

    /// From now on the client only reads.
    pub(super) fn only_read(&self) {
        self.only_reads.store(true, Ordering::Relaxed);
    }

    /// Reads every id once more, and ends.
    pub(super) async fn stop(self) -> (Seen, BTreeMap<String, Known>) {
        self.is_ended.store(true, Ordering::Relaxed);
        match self.task.await {
            Ok(work) => (Seen { ids: work.known.len() as u64, ..work.seen }, work.known),
            Err(_) => (Seen { missing: 1, ..Seen::default() }, BTreeMap::new()),
        }
    }
}

/// Sends requests with one key.
pub(super) struct Caller {
    http: reqwest::Client,
    base: String,
    key: &'static str,
}

impl Caller {
    pub(super) fn new(address: SocketAddr, key: &'static str) -> Result<Self, String> {
        #[expect(clippy::disallowed_methods, reason = "it calls the gateway in this process, never a provider")]
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
        Ok(Self { http, base: format!("http://{address}/v1/customers"), key })
    }

    async fn send(&self, method: Method, path: &str, write: Option<(&str, &Value)>) -> Option<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.key);
        if let Some((key, body)) = write {
            request = request.header("idempotency-key", key).header("content-type", "application/json");
            request = request.body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        let bytes = response.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// Reads; an error of the provider is repeated.
    pub(super) async fn read(&self, path: &str) -> Option<(StatusCode, Value)> {
        let mut last = None;
        for _ in 0..REPETITIONS {
            last = self.send(Method::GET, path, None).await;
            match &last {
                Some((status, _)) if !is_passing(*status) => break,
                _ => tokio::time::sleep(REPEAT_AFTER).await,
            }
        }
        last
    }

    /// All customers.
    pub(super) async fn list(&self) -> Result<Vec<Value>, String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, mut page) =
                self.read(&format!("?limit=100{cursor}")).await.ok_or("the gateway does not answer")?;
            let Some(data) = page["data"].as_array_mut() else {
                return Err(format!("the customers cannot be listed: {status} {}", page["detail"]));
            };
            all.append(data);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }
}

/// Whether the same request may have another answer a moment later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS)
}

struct Work {
    caller: Caller,
    known: BTreeMap<String, Known>,
    seen: Seen,
    number: u64,
    can_create: bool,
}

impl Work {
    fn know(&mut self, customer: &Value) {
        let text = |member: &str| customer[member].as_str().map(str::to_owned);
        if let Some(id) = text("id") {
            self.known.insert(id, Known { email: text("email"), name: text("name") });
        }
    }

    /// Every tenth request creates, every fifth updates, the others read.
    async fn step(&mut self, only_reads: bool) {
        self.number += 1;
        let place = usize::try_from(self.number).unwrap_or_default().wrapping_mul(7919);
        let chosen = self.known.keys().nth(place.checked_rem(self.known.len()).unwrap_or_default()).cloned();
        match (self.number % 10, chosen) {
            (0, _) if !only_reads && self.can_create => self.create().await,
            (3 | 8, Some(id)) if !only_reads && self.is_own(&id) => self.update(&id).await,
            (_, Some(id)) => self.check(&id).await,
            _ => {}
        }
    }

    /// Whether a customer is not one of the samples. Both twins have those, and another name at one of them would need a
    /// decision.
    fn is_own(&self, id: &str) -> bool {
        let email = self.known.get(id).and_then(|known| known.email.as_deref());
        email.is_some_and(|email| email.starts_with("customer") || email.starts_with("client"))
    }

    async fn create(&mut self) {
        let number = self.number;
        let email = format!("client{number}@example.com");
        let body =
            json!({ "name": format!("Fatou Sow {number}"), "email": email, "phone": format!("+22170{number:07}") });
        let answer = self.write(Method::POST, "", &format!("create-{number}"), &body).await;
        match answer {
            Some((StatusCode::CREATED, customer)) => {
                self.seen.creates += 1;
                self.know(&customer);
            }
            // The provider that is active now cannot create.
            Some((StatusCode::METHOD_NOT_ALLOWED, _)) => self.can_create = false,
            _ => self.seen.failed += 1,
        }
    }

    async fn update(&mut self, id: &str) {
        let number = self.number;
        let name = format!("Awa Diop {number}");
        let answer =
            self.write(Method::PATCH, &format!("/{id}"), &format!("update-{number}"), &json!({ "name": name })).await;
        let known = match answer {
            Some((StatusCode::OK, _)) => {
                self.seen.updates += 1;
                Some(name)
            }
            Some((StatusCode::NOT_FOUND, _)) => {
                self.seen.missing += 1;
                return;
            }
            _ => {
                self.seen.failed += 1;
                None
            }
        };
        if let Some(entry) = self.known.get_mut(id) {
            entry.name = known;
        }
    }

    /// Sends a write, and repeats it with its key until its outcome is known.
    async fn write(&mut self, method: Method, path: &str, key: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let mut last = None;
        for repetition in 0..REPETITIONS {
            let begun = Instant::now();
            last = self.caller.send(method.clone(), path, Some((key, body))).await;
            if repetition == 0 {
                self.note(begun);
            }
            match &last {
                Some((status, _)) if !is_passing(*status) => break,
                _ => tokio::time::sleep(REPEAT_AFTER).await,
            }
        }
        last
    }

    /// Reads a customer, and compares.
    async fn check(&mut self, id: &str) {
        let begun = Instant::now();
        let answer = self.caller.read(&format!("/{id}")).await;
        self.note(begun);
        self.seen.reads += 1;
        let known = self.known.get(id).and_then(|known| known.name.as_deref());
        match answer {
            Some((StatusCode::OK, customer)) => {
                let is_stale = known.is_some_and(|name| customer["name"].as_str() != Some(name));
                self.seen.stale += u64::from(is_stale);
                self.seen.missing += u64::from(customer["id"].as_str() != Some(id));
            }
            Some((StatusCode::NOT_FOUND, _)) => self.seen.missing += 1,
            _ => self.seen.failed += 1,
        }
    }

    async fn read_all(&mut self) {
        let ids: Vec<String> = self.known.keys().cloned().collect();
        for id in ids {
            self.check(&id).await;
        }
    }

    fn note(&mut self, begun: Instant) {
        self.seen.slowest_ms = self.seen.slowest_ms.max(begun.elapsed().as_millis());
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, check_known};
    use crate::twin::many;

    #[test]
    fn a_customer_whom_the_list_lacks_at_the_beginning_is_missed() {
        let known = |email: &str| (email.to_owned(), Known { email: Some(email.to_owned()), name: None });
        let [first, second, other] = ["customer1@example.com", "customer2@example.com", "customer3@example.com"];
        assert_eq!(check_known(&[first, second].map(known).into(), many(2)), Ok(()));
        let refused = check_known(&[first, other].map(known).into(), many(2)).expect_err("one is missing");
        assert!(refused.contains("lacks 1 of its 2 customers"), "{refused}");
    }
}
