//! What every request can see: the configuration's meaning, the writes, and which signatures were seen.

mod replays;

use std::sync::{Arc, atomic::AtomicBool};

use arc_swap::ArcSwap;
use http::HeaderValue;

pub use replays::{Admitted, Once, Repeated, Replays, Seen};

use crate::{
    merchant::Gateway,
    store::Store,
    writes::{FindSurface, Writes},
};

/// What every request can see.
#[derive(Debug)]
pub struct App {
    /// The configuration's meaning, replaced whole by a reload.
    pub gateway: Arc<ArcSwap<Gateway>>,
    /// What survives a restart.
    pub store: Store,
    /// What changes something.
    pub writes: Arc<Writes>,
    /// Whether the process is about to stop and wants no more requests.
    pub draining: AtomicBool,
    /// The signatures of drop-in clients that were seen.
    pub replays: Replays,
}

impl App {
    /// An application that serves a snapshot, and keeps its writes in a store. Surfaces are found again by what was
    /// kept of them.
    pub fn new(gateway: Gateway, store: Store, surfaces: FindSurface) -> Arc<Self> {
        let gateway = Arc::new(ArcSwap::from_pointee(gateway));
        Arc::new(Self {
            writes: Writes::new(store.operations().clone(), Arc::clone(&gateway), surfaces),
            store,
            gateway,
            draining: AtomicBool::new(false),
            replays: Replays::default(),
        })
    }
}

/// The id of a request that may change something, as the edge has chosen it.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);
