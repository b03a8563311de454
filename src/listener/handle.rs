//! Stops a listener: at once, or after its requests have been answered.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// What a listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// It accepts no connection any more, and its connections end after the requests that they have received.
    Draining {
        /// When they are closed all the same.
        until: Option<Instant>,
    },
    Stopped,
}

/// Stops a listener. All clones are one.
#[derive(Debug, Clone)]
pub struct Handle {
    stage: watch::Sender<Stage>,
    /// Every open connection is a receiver.
    connections: watch::Sender<()>,
}

impl Default for Handle {
    fn default() -> Self {
        Self { stage: watch::Sender::new(Stage::Serving), connections: watch::Sender::new(()) }
    }
}

impl Handle {
    /// A handle for a listener that has yet to be served.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.connections.receiver_count()
    }

    /// Closes the listener and all connections at once.
    pub fn shutdown(&self) {
        self.stage.send_replace(Stage::Stopped);
    }

    /// Closes the listener. Connections are closed when their requests have been answered, and after `limit` all the same.
    pub fn graceful_shutdown(&self, limit: Option<Duration>) {
        let until = limit.map(|limit| Instant::now() + limit);
        self.stage.send_if_modified(|stage| {
            let is_serving = *stage == Stage::Serving;
            if is_serving {
                *stage = Stage::Draining { until };
            }
            is_serving
        });
    }

    /// The part of an open connection.
    pub(super) fn of_connection(&self) -> OfConnection {
        OfConnection { stages: self.stages(), _counted: self.connections.subscribe() }
    }

    /// What the listener does, from now on.
    pub(super) fn stages(&self) -> Stages {
        Stages(self.stage.subscribe())
    }

    /// Waits until all connections have ended, or have to.
    pub(super) async fn ended(&self) {
        let mut stages = self.stages();
        tokio::select! {
            () = self.connections.closed() => {}
            () = stages.stopped() => {}
        }
        self.shutdown();
    }
}

/// Tells when a listener stops.
#[derive(Debug)]
pub(super) struct Stages(watch::Receiver<Stage>);

impl Stages {
    /// Waits until the listener stops to serve, at once or not.
    pub(super) async fn draining(&mut self) {
        // It fails only where no handle is left, and then nothing stops the listener.
        if self.0.wait_for(|stage| *stage != Stage::Serving).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the connections of the listener are closed.
    pub(super) async fn stopped(&mut self) {
        self.draining().await;
        let stage = *self.0.borrow();
        if let Stage::Draining { until } = stage {
            let stopped = self.0.wait_for(|stage| *stage == Stage::Stopped);
            match until {
                Some(until) => tokio::select! {
                    _ = stopped => {}
                    () = sleep_until(until) => {}
                },
                None => drop(stopped.await),
            }
        }
    }
}

/// A connection's part of a handle. The connection counts as open until this is dropped.
#[derive(Debug)]
pub(super) struct OfConnection {
    pub(super) stages: Stages,
    _counted: watch::Receiver<()>,
}
