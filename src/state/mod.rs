//! The state that all requests share: the resolved configuration, the store, the writes, and the signatures that were
//! used. `app` makes it once; the handlers of `http` and `drop_in` get it from axum.

mod bodies;
mod replays;

use std::sync::{Arc, atomic::AtomicBool};

use arc_swap::ArcSwap;
use http::HeaderValue;

pub use bodies::{BodyBudget, BodyOwner, OverBudget, Reservation, SMALL_BODY};
pub use replays::{Admitted, Once, Repeated, Replays, Seen};

use crate::{
    merchant::Gateway,
    metrics::Metrics,
    store::Store,
    upstream::Shared,
    writes::{FindSurface, Writes},
};

/// The state that all requests share.
#[derive(Debug)]
pub struct App {
    /// The resolved configuration. A reload replaces it as a whole.
    pub gateway: Arc<ArcSwap<Gateway>>,
    /// What the connections of all configurations share.
    pub shared: Shared,
    /// The store, which survives a restart.
    pub store: Store,
    /// Executes everything that changes something at a provider.
    pub writes: Arc<Writes>,
    /// Whether the process is about to stop. Readiness probes then fail, so that the balancer sends no more requests.
    pub draining: AtomicBool,
    /// The signatures of drop-in clients that were used.
    pub replays: Replays,
    /// The memory of all request bodies.
    pub bodies: BodyBudget,
}

impl App {
    /// The state for a resolved configuration and a store. `find_surface` makes the surface of a stored write again.
    pub fn new(gateway: Gateway, store: Store, shared: Shared, find_surface: FindSurface) -> Arc<Self> {
        let bodies = BodyBudget::new(gateway.max_bodies);
        let gateway = Arc::new(ArcSwap::from_pointee(gateway));
        Arc::new(Self {
            writes: Writes::new(&store, Arc::clone(&gateway), find_surface, shared.metrics().clone()),
            shared,
            store,
            gateway,
            draining: AtomicBool::new(false),
            replays: Replays::default(),
            bodies,
        })
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        self.shared.metrics()
    }
}

/// The id that the edge in `app` has chosen for a request that may change something.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);
