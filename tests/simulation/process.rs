//! A process of the gateway: a runtime with a time of its own, and in it the application with its workers, without sockets.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use jiff::Timestamp;
use passerelle::{
    app::{self, Edge},
    clock,
    config::Loaded,
    merchant::Gateway,
    store::{Settings, SimulatedDatabase, Store},
    upstream,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, advance, sleep_until},
};
use tower::ServiceExt;

use crate::{
    links::Links,
    provider::Provider,
    world::{Shared, World},
};

/// How long a lease lasts, so that a run sees many end.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// After how many seconds the client may send the request again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
    }
}

/// A request in flight. `None` in place of its answer: the process died.
pub(crate) struct Call {
    pub(crate) answer: oneshot::Receiver<Answer>,
    /// Ends the request as a client does that disconnects.
    pub(crate) task: AbortHandle,
}

/// How a process ended a step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Lives,
    Died,
}

/// A process that runs.
pub(crate) struct Process {
    runtime: Runtime,
    links: Links,
    /// When it started, in milliseconds since the beginning.
    born: u64,
    /// The time of day and Tokio's time then.
    origin: (Timestamp, Instant),
    starting: oneshot::Receiver<Option<[Edge; 2]>>,
    edges: Option<[Edge; 2]>,
}

/// What a process listens for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listener {
    Clients,
    Operator,
}

impl Process {
    /// Starts a process.
    pub(crate) fn start(number: usize, world: &Shared, database: &SimulatedDatabase, loaded: &Arc<Loaded>) -> Self {
        let runtime = runtime();
        let born = world.lock().now;
        let origin = (World::time(born), runtime.block_on(async { Instant::now() }));
        let links = Links::new(number, world.clone());
        let (started, starting) = oneshot::channel();
        let (database, loaded, of_process) = (database.clone(), Arc::clone(loaded), links.clone());
        runtime.spawn(async move {
            let _ = started.send(serve(&database, &loaded, of_process).await);
        });
        Self { runtime, links, born, origin, starting, edges: None }
    }

    /// Tokio's time in the process.
    fn instant(&self, milliseconds: u64) -> Instant {
        self.origin.1 + Duration::from_millis(milliseconds - self.born)
    }

    /// Drives the process until a time. Where it was stopped before, its clock has gone on meanwhile, from `from` on.
    pub(crate) fn drive(&mut self, from: u64, until: u64) -> Step {
        clock::simulated::follow(Some(self.origin));
        let (from, until) = (self.instant(from), self.instant(until));
        let death = Arc::clone(&self.links.death);
        let step = self.runtime.block_on(async move {
            let missed = from.saturating_duration_since(Instant::now());
            if !missed.is_zero() {
                advance(missed).await;
            }
            tokio::select! {
                biased;
                () = death.notified() => Step::Died,
                () = sleep_until(until) => Step::Lives,
            }
        });
        match self.starting.try_recv() {
            Ok(Some(edges)) => self.edges = Some(edges),
            Ok(None) => return Step::Died,
            Err(_) => {}
        }
        step
    }

    /// Sends it a request. `None`: it does not serve yet.
    pub(crate) fn call(&self, listener: Listener, request: http::Request<Body>) -> Option<Call> {
        let [clients, operator] = self.edges.as_ref()?;
        let edge = match listener {
            Listener::Clients => clients.clone(),
            Listener::Operator => operator.clone(),
        };
        let (send, answer) = oneshot::channel();
        let task = self.runtime.spawn(async move {
            let Ok(response) = edge.oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let _ = send.send(Answer { status: parts.status.as_u16(), headers: parts.headers, body });
        });
        Some(Call { answer, task: task.abort_handle() })
    }
}

/// A runtime in which time passes only as it is driven.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// What `passerelle serve` does, without sockets. `None`: the store cannot be opened, and the process ends.
async fn serve(database: &SimulatedDatabase, loaded: &Loaded, links: Links) -> Option<[Edge; 2]> {
    let mut settings = Settings::simulated(database, Arc::new(links.clone())).expect("settings");
    settings.lease = LEASE;
    let store = Store::open(&settings).await.ok()?;
    let shared = upstream::Shared::over(Arc::new(links));
    let twin = |(side, name): (usize, &str)| (("acme".to_owned(), name.to_owned()), Provider::address(side));
    let twins = ["main", "new"].into_iter().enumerate().map(twin).collect();
    let resolved = Gateway::resolve(loaded, Some(&twins), &shared).expect("a configuration");
    let app = app::new(resolved.gateway, store, shared);
    app.run_in_background();
    let switches = Arc::new(app.switches.clone());
    Some([app::router(Arc::clone(&app)), app::operator_router(app, switches)])
}
