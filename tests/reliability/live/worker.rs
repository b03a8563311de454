//! A client that works all the time, and knows what each of its answers must be: no failure, every customer of its own as
//! it was last acknowledged, and each of them once in a list.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::Phase;
use crate::{
    bed::Random,
    client::{Answer, Client},
};

/// The dialect of drop-in that the clients use.
const DIALECT: &str = "/as/notchpay/customers";
/// How many customers a client has at most. All customers are less than a page has: providers number their pages, so any
/// create or deletion shifts customers to another page while a client walks, also without a switch.
const MOST: usize = 8;
/// How many violations are collected. The first one often has others as its consequence.
const VIOLATIONS: usize = 20;

/// What all clients of a test share.
#[derive(Default)]
pub(super) struct Watch {
    phase: AtomicUsize,
    is_over: AtomicBool,
    /// The time of each request, with the phase in which it began.
    times: Mutex<Vec<(usize, Duration)>>,
    /// How many steps the slowest client has made in this phase.
    violations: Mutex<Vec<String>>,
}

impl Watch {
    pub(super) fn begin(&self, phase: Phase) {
        self.phase.store(phase as usize, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst) || self.violations().len() >= VIOLATIONS
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The times of a phase, sorted.
    pub(super) fn times(&self, phase: Phase) -> Vec<Duration> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_phase: Vec<_> =
            times.iter().filter(|(at, _)| *at == phase as usize).map(|(_, time)| *time).collect();
        of_phase.sort();
        of_phase
    }

    pub(super) fn violated(&self, what: String) {
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        violations.push(format!("{:?}: {what}", Phase::ALL[self.phase.load(Ordering::SeqCst)]));
    }
}

/// A customer as its client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Own {
    name: String,
    email: String,
}

/// A client with customers of its own. It sends one request after the other, so every answer is certain.
pub(super) struct Worker {
    name: String,
    client: Client,
    watch: Arc<Watch>,
    random: Random,
    pace: Duration,
    live: HashMap<String, Own>,
    /// In the order of their creation, so that a run can be repeated.
    ids: Vec<String>,
    deleted: Vec<(String, String)>,
    made: usize,
    /// The steps that it has made.
    pub(super) steps: Arc<AtomicUsize>,
}

impl Worker {
    pub(super) fn new(name: String, salt: u64, client: Client, watch: &Arc<Watch>, pace: Duration) -> Self {
        Self {
            name,
            client,
            watch: Arc::clone(watch),
            random: Random::new(salt),
            pace,
            live: HashMap::new(),
            ids: Vec::new(),
            deleted: Vec::new(),
            made: 0,
            steps: Arc::default(),
        }
    }

    /// Works until the test is over, and then reads each of its customers once more.
    pub(super) async fn work(mut self) {
        for _ in 0..6 {
            self.create().await;
        }
        while !self.watch.is_over() {
            let next = tokio::time::Instant::now() + self.pace;
            self.step().await;
            self.steps.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep_until(next).await;
        }
        self.list().await;
        for id in self.ids.clone() {
            self.read(&id).await;
        }
        for (id, email) in self.deleted.clone() {
            self.read_deleted(&id, &email).await;
        }
    }

    /// Updates one customer all the time, and reads it after each update.
    pub(super) async fn write_one(mut self) {
        self.create().await;
        let Some(id) = self.ids.first().cloned() else { return };
        while !self.watch.is_over() {
            let next = tokio::time::Instant::now() + self.pace;
            self.update(&id).await;
            self.read(&id).await;
            self.steps.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep_until(next).await;
        }
    }

    async fn step(&mut self) {
        if self.ids.is_empty() {
            return self.create().await;
        }
        let id = self.random.one_of(&self.ids).clone();
        match self.random.below(20) {
            0..=2 if self.ids.len() < MOST => self.create().await,
            0..=2 => self.delete(&id).await,
            3..=7 => self.read(&id).await,
            8..=11 => self.update(&id).await,
            12 if self.ids.len() > 3 => self.delete(&id).await,
            13 => match self.deleted.last().cloned() {
                Some((id, email)) => self.read_deleted(&id, &email).await,
                None => self.read(&id).await,
            },
            14..=15 => self.list().await,
            16 => self.list_by_email(&id).await,
            17 => self.list_in_dialect().await,
            18 => self.create_distinct(&id).await,
            _ => self.look_up(&id).await,
        }
    }

    fn uses_dialect(&mut self) -> bool {
        self.random.below(3) == 0
    }

    async fn send(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        let (phase, begun) = (self.watch.phase.load(Ordering::SeqCst), Instant::now());
        let answer = self.client.send(method, path, key, body).await.expect("an answer");
        self.watch.times.lock().unwrap_or_else(PoisonError::into_inner).push((phase, begun.elapsed()));
        answer
    }

    /// Whether the answer is a success. Otherwise that is a violation.
    fn is_fine(&self, what: &str, answer: &Answer) -> bool {
        let is_fine = answer.status < 300;
        if !is_fine {
            self.violated(what, answer);
        }
        is_fine
    }

    fn violated(&self, what: &str, answer: &Answer) {
        self.watch.violated(format!("{}: {what}: {} {}", self.name, answer.status, answer.body));
    }

    fn fresh(&mut self) -> Own {
        self.made += 1;
        let Self { name, made, .. } = self;
        Own { name: format!("Awa {name} {made}"), email: format!("awa-{name}-{made}@example.com") }
    }

    async fn create(&mut self) {
        let own = self.fresh();
        let body = json!({ "name": own.name, "email": own.email });
        let (answer, id) = if self.uses_dialect() {
            let answer = self.send(Method::POST, DIALECT, None, Some(&body)).await;
            let id = answer.json()["customer"]["id"].clone();
            (answer, id)
        } else {
            let key = format!("{}-{}", self.name, self.made);
            let answer = self.send(Method::POST, "/v1/customers", Some(&key), Some(&body)).await;
            let id = answer.json()["id"].clone();
            (answer, id)
        };
        if self.is_fine("a create", &answer) {
            let id = id.as_str().expect("an id").to_owned();
            self.ids.push(id.clone());
            self.live.insert(id, own);
        }
    }

    /// What an answer of the API or of the dialect says about a customer.
    fn check(&self, what: &str, id: &str, customer: &Value, answer: &Answer) {
        let member = |name: &str| customer[name].as_str().unwrap_or_default().to_owned();
        let shown = Own { name: member("name"), email: member("email") };
        if member("id") != id || Some(&shown) != self.live.get(id) {
            self.violated(&format!("{what} of {id}, which is {:?}", self.live.get(id)), answer);
        }
    }

    async fn read(&mut self, id: &str) {
        let is_dialect = self.uses_dialect();
        let path = if is_dialect { format!("{DIALECT}/{id}") } else { format!("/v1/customers/{id}") };
        let answer = self.send(Method::GET, &path, None, None).await;
        if self.is_fine(&format!("a read of {id}"), &answer) {
            let body = answer.json();
            self.check("a read", id, if is_dialect { &body["customer"] } else { &body }, &answer);
        }
    }

    async fn read_deleted(&self, id: &str, email: &str) {
        let answer = self.send(Method::GET, &format!("/v1/customers/{id}"), None, None).await;
        if answer.status != 404 {
            self.violated(&format!("a read of {id}, who was deleted"), &answer);
        }
        let answer = self.send(Method::GET, &format!("/v1/customers/lookup?email={email}"), None, None).await;
        // While a copy of the customer is in doubt, the gateway does not say that there is no customer.
        if answer.status != 404 && answer.code() != "idempotency_in_progress" {
            self.violated(&format!("a look-up of {id}, who was deleted"), &answer);
        }
    }

    /// Changes the name, and sometimes the address.
    async fn update(&mut self, id: &str) {
        let mut own = self.fresh();
        let Some(before) = self.live.get(id).cloned() else { return };
        let mut body = json!({ "name": own.name });
        if self.random.below(4) == 0 {
            body["email"] = own.email.clone().into();
        } else {
            own.email = before.email;
        }
        let is_dialect = self.uses_dialect();
        let (method, path) = match is_dialect {
            true => (Method::POST, format!("{DIALECT}/{id}")),
            false => (Method::PATCH, format!("/v1/customers/{id}")),
        };
        let answer = self.send(method, &path, None, Some(&body)).await;
        if self.is_fine(&format!("an update of {id}"), &answer) {
            self.live.insert(id.to_owned(), own);
            let body = answer.json();
            self.check("an update", id, if is_dialect { &body["customer"] } else { &body }, &answer);
        }
    }

    async fn delete(&mut self, id: &str) {
        let path = if self.uses_dialect() { DIALECT } else { "/v1/customers" };
        let answer = self.send(Method::DELETE, &format!("{path}/{id}"), None, None).await;
        if self.is_fine(&format!("a deletion of {id}"), &answer) {
            self.ids.retain(|own| own != id);
            let own = self.live.remove(id).expect("its own");
            self.deleted.push((id.to_owned(), own.email.clone()));
            self.read_deleted(id, &own.email).await;
        }
    }

    /// Walks the whole list. Each of its customers must be there once, as it was last acknowledged.
    async fn list(&mut self) {
        for id in self.walk().await {
            self.watch.violated(format!("{}: a walk does not show {id}", self.name));
        }
    }

    /// Walks the whole list. Returns which of its customers are missing.
    async fn walk(&self) -> Vec<String> {
        let (mut cursor, mut seen) = (String::new(), HashMap::<String, usize>::new());
        loop {
            let answer = self.send(Method::GET, &format!("/v1/customers?limit=100{cursor}"), None, None).await;
            if !self.is_fine("a list", &answer) {
                return Vec::new();
            }
            let page = answer.json();
            for customer in page["data"].as_array().expect("a page") {
                let id = customer["id"].as_str().expect("an id");
                *seen.entry(id.to_owned()).or_default() += 1;
                if self.live.contains_key(id) {
                    self.check("a list", id, customer, &answer);
                }
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        for (id, times) in seen.iter().filter(|(id, times)| **times > 1 && self.live.contains_key(*id)) {
            self.watch.violated(format!("{}: a walk shows {id} {times} times", self.name));
        }
        for (id, _) in self.deleted.iter().filter(|(id, _)| seen.contains_key(id)) {
            self.watch.violated(format!("{}: a walk shows {id}, who was deleted", self.name));
        }
        self.ids.iter().filter(|id| !seen.contains_key(*id)).cloned().collect()
    }

    async fn list_by_email(&mut self, id: &str) {
        let path = format!("/v1/customers?email={}", self.live[id].email);
        let answer = self.send(Method::GET, &path, None, None).await;
        if self.is_fine("a list of one address", &answer) {
            match answer.json()["data"].as_array().map(Vec::as_slice) {
                Some([customer]) => self.check("a list of one address", id, customer, &answer),
                _ => self.violated(&format!("a list of the address of {id}"), &answer),
            }
        }
    }

    /// A numbered page shows customers of the active connection alone, so a customer can be missing, but never be twice.
    async fn list_in_dialect(&mut self) {
        let answer = self.send(Method::GET, &format!("{DIALECT}?page=1&limit=100"), None, None).await;
        if self.is_fine("a list of the dialect", &answer) {
            let page = answer.json();
            let mut ids: Vec<_> = page["items"].as_array().expect("a page").iter().map(|one| &one["id"]).collect();
            let all = ids.len();
            ids.sort_by_key(ToString::to_string);
            ids.dedup();
            if ids.len() != all || all == 0 {
                self.violated("a list of the dialect shows a customer twice, or none", &answer);
            }
        }
    }

    async fn look_up(&mut self, id: &str) {
        let path = format!("/v1/customers/lookup?email={}", self.live[id].email);
        let answer = self.send(Method::GET, &path, None, None).await;
        if self.is_fine(&format!("a look-up of {id}"), &answer) {
            self.check("a look-up", id, &answer.json(), &answer);
        }
    }

    async fn create_distinct(&mut self, id: &str) {
        let body = json!({ "name": "Somebody Else", "email": self.live[id].email });
        let answer = self.send(Method::POST, "/v1/customers?distinct=true", None, Some(&body)).await;
        if self.is_fine(&format!("a distinct create that matches {id}"), &answer) {
            self.check("a distinct create", id, &answer.json(), &answer);
        }
    }
}
