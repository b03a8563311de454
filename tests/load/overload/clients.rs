//! Clients that together send more than a gateway can answer, and single ones beside them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Barrier, Semaphore},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, interval_at},
};

use crate::{
    bed::{Client, Gateway},
    machine::SlowMoments,
    priority,
};

/// How many clients send, each over its own connection, so at most so many requests are in flight: more than twice the peak needs.
const CLIENTS: u32 = 256;

/// How many of them send at once to find the peak: how many requests the gateway answers in a second to clients that wait for its
/// answers.
const AT_ONCE: usize = 16;

/// An answer: when its request began, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    begun: Instant,
    pub(super) time: Duration,
}

/// What clients saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) served: Vec<Answered>,
    pub(super) refused: Vec<Answered>,
    pub(super) others: Vec<u16>,
    /// How many were served while the machine was not slow, and how long that was.
    at_speed: (usize, Duration),
}

impl Seen {
    fn note(&mut self, status: u16, begun: Instant) {
        let answered = Answered { begun, time: begun.elapsed() };
        match status {
            200 => self.served.push(answered),
            503 => self.refused.push(answered),
            other => self.others.push(other),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.served.extend(other.served);
        self.refused.extend(other.refused);
        self.others.extend(other.others);
        self.at_speed = (self.at_speed.0 + other.at_speed.0, self.at_speed.1 + other.at_speed.1);
    }

    /// Leaves out what happened while the machine was slow, of all requests that began in this time or later.
    pub(super) fn judge(&mut self, from: Instant, to: Instant) {
        let slow = SlowMoments::since(from);
        let is_at_speed = |answered: &&Answered| {
            let end = answered.begun + answered.time;
            end <= to && !slow.touch(end, end)
        };
        self.at_speed = (self.served.iter().filter(is_at_speed).count(), slow.rest_of(from, to));
        for answers in [&mut self.served, &mut self.refused] {
            answers.retain(|answered| !slow.touch(answered.begun, answered.begun + answered.time));
        }
    }

    /// How many requests were served in a second.
    pub(super) fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.at_speed.0).unwrap_or(u32::MAX)) / self.at_speed.1.as_secs_f64()
    }

    /// How long the machine was not slow.
    pub(super) fn judged(&self) -> Duration {
        self.at_speed.1
    }
}

pub(super) fn p99(answers: &[Answered]) -> Duration {
    let mut times: Vec<_> = answers.iter().map(|answered| answered.time).collect();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// When a client sends its next request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// One of `AT_ONCE` after the answer to another.
    Answers,
    /// At a rate of all clients together. A request that waits for the answer before it begins when it is due.
    Rate(f64),
    /// The same, without the requests that a client could not send because it waited. So many would never all be sent.
    AtMost(f64),
}

/// Sends requests for a time.
pub(super) async fn send(gateway: &Arc<Gateway>, pace: Pace, duration: Duration) -> Seen {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let connected = Arc::new(Barrier::new(usize::try_from(CLIENTS).unwrap_or_default()));
    let tasks = (0..CLIENTS).map(|number| {
        let (gateway, connected, turns) = (Arc::clone(gateway), Arc::clone(&connected), Arc::clone(&turns));
        priority::busy(async move {
            let (mut client, mut seen) = (Client::new(&gateway, "acme"), Seen::default());
            // Connections that are made all at once wait for their turn in the system. They are not measured.
            assert_eq!(client.get("/livez").await, 200);
            connected.wait().await;
            let began = Instant::now();
            let mut ticks = match pace {
                Pace::Answers => None,
                Pace::Rate(rate) | Pace::AtMost(rate) => {
                    let period = Duration::from_secs_f64(f64::from(CLIENTS) / rate);
                    // Each has its turn: clients do not agree to send at the same time.
                    Some(interval_at((began + period * number / CLIENTS).into(), period))
                }
            };
            if let (Some(ticks), Pace::AtMost(_)) = (&mut ticks, pace) {
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            let mut answered = began;
            loop {
                let (due, _turn) = match &mut ticks {
                    Some(ticks) => (ticks.tick().await.into_std(), None),
                    None => (answered, turns.acquire().await.ok()),
                };
                if Instant::now() >= began + duration {
                    break;
                }
                let begun = if due < answered && matches!(pace, Pace::Rate(_)) { due } else { Instant::now() };
                let status = client.get("/v1/customers?limit=100").await;
                answered = Instant::now();
                seen.note(status, begun);
            }
            (began, seen)
        })
    });
    let (mut all, mut first) = (Seen::default(), Instant::now());
    for task in tasks.collect::<Vec<_>>() {
        let (began, seen) = task.await.expect("a client");
        all.add(seen);
        first = first.min(began);
    }
    all.judge(first, first + duration);
    all
}

/// What one client saw that sends a request every 10 ms while the others load the gateway.
pub(super) async fn beside(gateway: Arc<Gateway>, merchant: &str, path: &str, load: Arc<JoinHandle<Seen>>) -> Seen {
    let mut client = Client::new(&gateway, merchant);
    let mut ticks = interval(Duration::from_millis(10));
    let mut seen = Seen::default();
    while !load.is_finished() {
        ticks.tick().await;
        let begun = Instant::now();
        let status = client.get(path).await;
        seen.note(status, begun);
    }
    seen
}
