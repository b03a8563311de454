//! One run: processes, clients and faults, driven in small steps of time until every write has ended.

use std::{fmt, sync::Arc};

use axum::body::Body;
use passerelle::{
    chance, clock,
    config::{self, Loaded},
    store::SimulatedDatabase,
};
use serde_json::Value;
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    checks,
    client::Client,
    links::Calm,
    mistakes::Mistake,
    operator::Operator,
    process::{Answer, Call, Listener, Process, Step, runtime},
    provider::{PAIRS, PROVIDERS, Provider},
    random::Random,
    world::{Shared, World},
};

/// Within how many milliseconds after the last fault every write, and the switch, must have ended.
const PATIENCE: u64 = 600_000;
/// The steps of time, in milliseconds: while a client, the operator or a request waits for an answer, and while none does.
const SHORT: u64 = 5;
const LONG: u64 = 100;
/// How often a request is sent again after the faults have ended.
const MOST_REPETITIONS: usize = 10;

/// What happened in a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) runs: u64,
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) held: u64,
    pub(crate) crashes: u64,
    pub(crate) stops: u64,
}

impl Figures {
    pub(crate) const fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.done += other.done;
        self.refused += other.refused;
        self.held += other.held;
        self.crashes += other.crashes;
        self.stops += other.stops;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, refused, held, crashes, stops, .. } = self;
        write!(
            formatter,
            "{done} writes done, {refused} refused, {held} held; {crashes} crashes, {stops} stopped processes"
        )
    }
}

/// The report of a run.
pub(crate) struct Report {
    /// The promises that were broken.
    pub(crate) wrong: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) figures: Figures,
}

/// Where a process runs, also after it died.
struct Replica {
    process: Option<Process>,
    starts_at: u64,
    stopped_until: u64,
}

/// The processes of one store.
pub(crate) struct Fleet {
    pub(crate) world: Shared,
    pub(crate) database: SimulatedDatabase,
    loaded: Arc<Loaded>,
    replicas: Vec<Replica>,
    calm_since: Option<u64>,
    pub(crate) figures: Figures,
}

impl Fleet {
    fn new(world: Shared, replicas: usize, resends: bool) -> Self {
        let database = SimulatedDatabase::new(replicas == 1).expect("a database");
        let text = configuration(&world.lock().providers, resends);
        let loaded = Arc::new(config::load_text(&text, "simulation.toml").expect("a configuration"));
        let replicas = (0..replicas).map(|_| Replica { process: None, starts_at: 0, stopped_until: 0 }).collect();
        Self { world, database, loaded, replicas, calm_since: None, figures: Figures { runs: 1, ..Figures::default() } }
    }

    pub(crate) fn now_and_calm(&self) -> (u64, bool) {
        let world = self.world.lock();
        (world.now, world.is_calm)
    }

    /// How long the faults have ended.
    pub(crate) fn calm_for(&self) -> u64 {
        self.calm_since.map_or(0, |since| self.world.lock().now - since)
    }

    pub(crate) fn note(&self, line: &str) {
        self.world.lock().note(line);
    }

    /// Sends a client's request to some process. `None`: it does not serve.
    pub(crate) fn call(&self, request: http::Request<Body>) -> Option<Call> {
        self.call_at(Listener::Clients, request)
    }

    /// The same for a listener.
    pub(crate) fn call_at(&self, listener: Listener, request: http::Request<Body>) -> Option<Call> {
        let index = self.world.lock().random.index(self.replicas.len());
        self.replicas[index].process.as_ref()?.call(listener, request)
    }

    /// Lets time pass.
    fn pass(&mut self, step: u64) {
        let (now, is_calm, order) = {
            let mut world = self.world.lock();
            world.now += step;
            world.deliver();
            (world.now, world.is_calm, world.random.order(self.replicas.len()))
        };
        for number in order {
            let replica = &mut self.replicas[number];
            let Some(process) = &mut replica.process else {
                if is_calm || now >= replica.starts_at {
                    self.world.lock().note(format!("gateway {number} starts"));
                    replica.process = Some(Process::start(number, &self.world, &self.database, &self.loaded));
                }
                continue;
            };
            if now < replica.stopped_until && !is_calm {
                continue;
            }
            let (dies, stops) = {
                let mut world = self.world.lock();
                let faults = world.faults;
                (world.fails(faults.crash_in_step), world.fails(faults.stop))
            };
            if dies {
                self.world.lock().note(format!("gateway {number} dies"));
            } else if stops {
                let mut world = self.world.lock();
                let time = world.random.between(200, 5_000);
                world.note(format!("gateway {number} is stopped for {time} ms"));
                replica.stopped_until = now + time;
                self.figures.stops += 1;
                continue;
            }
            if dies || process.drive(now - step, now) == Step::Died {
                replica.process = None;
                replica.starts_at = now + self.world.lock().random.between(10, 1_500);
                self.figures.crashes += 1;
            }
        }
    }

    fn calm(&mut self) {
        let mut world = self.world.lock();
        world.is_calm = true;
        world.note("the faults end");
        self.calm_since = Some(world.now);
    }

    /// Lets so many milliseconds pass after the faults have ended.
    pub(crate) fn rest(&mut self, time: u64) {
        let until = self.now_and_calm().0 + time;
        while self.now_and_calm().0 < until {
            self.pass(SHORT);
        }
    }

    /// Sends a request after the faults have ended, and waits for its answer. A circuit breaker that the faults have opened says
    /// when to send it again.
    pub(crate) fn ask(&mut self, request: impl Fn() -> http::Request<Body>) -> Result<Answer, String> {
        let mut answer = self.ask_once(&request)?;
        for _ in 0..MOST_REPETITIONS {
            let Some(seconds) = answer.retry_after().filter(|_| answer.status == 503) else { break };
            self.rest(seconds * 1_000);
            answer = self.ask_once(&request)?;
        }
        Ok(answer)
    }

    fn ask_once(&mut self, request: impl Fn() -> http::Request<Body>) -> Result<Answer, String> {
        for _ in 0..1_000 {
            let Some(mut call) = self.call(request()) else {
                self.pass(SHORT);
                continue;
            };
            for _ in 0..10_000 {
                match call.answer.try_recv() {
                    Ok(answer) => return Ok(answer),
                    Err(TryRecvError::Closed) => return Err("a process died without a fault".to_owned()),
                    Err(TryRecvError::Empty) => self.pass(SHORT),
                }
            }
        }
        Err("a request is not answered".to_owned())
    }
}

/// The configuration of every process.
fn configuration(providers: &[Provider], resends: bool) -> String {
    // A time-out is not longer than a third of the lease, as docs/reliability.md demands.
    let mut text = String::from(
        "[store]\nurl = \"sqlite::memory:\"\n[server]\ndeadline = \"6s\"\noverload_wait = \"5m\"\n\
         [operator]\nlisten = \"127.0.0.1:9464\"\nkeys = [\"op_simulation\"]\nhosts = [\"gateway\"]\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\non_loss = \"drop\"\n",
    );
    for (name, provider) in ["main", "new"].into_iter().zip(providers) {
        let generation = provider.generation.map(|generation| format!("generation = \"{generation}\"\n"));
        // What lomi does not list may exist, so nothing is sent again there.
        let policy = if resends && provider.name != "lomi" { "on_ambiguous = \"resend_after_lag\"\n" } else { "" };
        text += &format!(
            "[merchants.acme.connections.{name}]\nprovider = \"{}\"\nsandbox = true\ntimeout = \"600ms\"\n\
             visibility_lag = \"1s\"\n{}{policy}",
            provider.name,
            generation.unwrap_or_default(),
        );
    }
    text
}

/// What happens in a run besides the writes of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Nothing: one provider has all customers.
    Writes,
    /// The merchant switches to another provider, and perhaps back, and perhaps there once more.
    Switch,
}

/// Runs a seed, with a planted mistake or without.
pub(crate) fn run(scenario: Scenario, seed: u64, mistake: Option<Mistake>) -> Report {
    chance::simulated::follow(Some(seed));
    let mut random = Random::new(seed);
    let (kinds, writes, faults_until) = match scenario {
        Scenario::Writes => (vec![random.one_of(&PROVIDERS)], (1, 2_000), 12_000),
        Scenario::Switch => (random.one_of(&PAIRS).to_vec(), (4, 15_000), 25_000),
    };
    let replicas = random.one_of(&[1, 2, 2, 3]);
    let resends = scenario == Scenario::Switch || random.happens(3_000);
    let has_deletions = !kinds.contains(&("bitnob", "v1"));
    let mut clients: Vec<Client> =
        (0..random.index(4) + 2).map(|number| Client::new(number, has_deletions, writes, &mut random)).collect();
    let mut operator = (scenario == Scenario::Switch).then(|| Operator::new(&mut random));
    // Less than the `visibility_lag` of the connections.
    let list_lags: Vec<&str> = kinds.iter().map(|_| random.one_of(&["", "300ms", "900ms"])).collect();
    let providers = kinds.iter().zip(list_lags).map(|(kind, list_lag)| Provider::new(*kind, list_lag)).collect();
    let world = Shared::new(random, providers, mistake);
    let begin = format!("{kinds:?}, {replicas} gateways, {} clients, {:?}", clients.len(), world.lock().faults);
    world.lock().note(begin);
    let mut fleet = Fleet::new(world, replicas, resends);
    let mut wrong = drive(&mut fleet, &mut clients, operator.as_mut(), faults_until);
    if wrong.is_empty() {
        wrong = checks::all(&mut fleet, &clients);
    }
    for outcome in clients.iter().flat_map(|client| &client.writes).filter_map(|write| write.outcome.as_ref()) {
        fleet.figures.count(outcome);
    }
    clock::simulated::follow(None);
    chance::simulated::follow(None);
    let trace = std::mem::take(&mut fleet.world.lock().trace);
    Report { wrong, trace, figures: fleet.figures }
}

impl Figures {
    const fn count(&mut self, outcome: &crate::client::Outcome) {
        use crate::client::Outcome;
        match outcome {
            Outcome::Done(..) => self.done += 1,
            Outcome::Refused(..) => self.refused += 1,
            Outcome::Held => self.held += 1,
        }
    }
}

/// Drives everything until the clients know all outcomes, the switch is where the operator wants it, and the store has no
/// write that a worker has still to do with. The faults end after `faults_until` milliseconds at the latest.
fn drive(
    fleet: &mut Fleet,
    clients: &mut [Client],
    mut operator: Option<&mut Operator>,
    faults_until: u64,
) -> Vec<String> {
    let (observer, mut over_since) = (runtime(), None);
    loop {
        let waits = clients.iter().any(Client::waits) || operator.as_ref().is_some_and(|operator| operator.waits());
        let is_busy = fleet.world.lock().is_busy() || waits;
        fleet.pass(if is_busy { SHORT } else { LONG });
        for client in &mut *clients {
            if let Err(wrong) = client.act(fleet) {
                return vec![wrong];
            }
        }
        if let Some(operator) = &mut operator {
            operator.act(fleet);
            if let Some(ran_at) = operator.take_run() {
                let wrong = checks::rows(&observer, fleet, clients, ran_at);
                if !wrong.is_empty() {
                    return wrong;
                }
            }
        }
        let (now, is_calm) = fleet.now_and_calm();
        if clients.iter().all(Client::is_over) {
            over_since.get_or_insert(now);
        }
        let is_switched =
            operator.as_ref().is_none_or(|operator| over_since.is_some_and(|since| operator.is_over(since + 1_000)));
        let is_over = over_since.is_some() && is_switched;
        if !is_calm && (is_over || now > faults_until) {
            fleet.calm();
        }
        let open = match is_calm && is_over && !fleet.world.lock().is_busy() {
            true => checks::open(&observer, fleet),
            false => Vec::new(),
        };
        if is_calm && is_over && open.is_empty() && fleet.calm_for() > 2_000 {
            return Vec::new();
        }
        if fleet.calm_for() > PATIENCE {
            let waiting = clients.iter().filter(|client| !client.is_over()).map(|client| client.number);
            return vec![format!(
                "after {PATIENCE} ms without faults, clients {:?} know no outcome, these are open: {open:?}, and the switch \
                 is {}",
                waiting.collect::<Vec<_>>(),
                operator.map_or(&Value::Null, |operator| operator.view())
            )];
        }
    }
}

/// The store as it is, without faults.
pub(crate) async fn store(database: &SimulatedDatabase) -> passerelle::store::Store {
    let settings = passerelle::store::Settings::simulated(database, Arc::new(Calm)).expect("settings");
    passerelle::store::Store::open(&settings).await.expect("a store")
}

impl World {
    /// The time of day now.
    pub(crate) fn time_now(&self) -> jiff::Timestamp {
        Self::time(self.now)
    }
}
