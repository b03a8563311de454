//! The signals that an operator sends to a process. Each is received from the creation of its receiver on; before that, it
//! ends the process at once.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, or Ctrl-C where there are no such signals.
pub(super) struct StopSignals {
    #[cfg(unix)]
    terminated: Option<Signal>,
    #[cfg(unix)]
    interrupted: Option<Signal>,
}

impl StopSignals {
    pub(super) fn new() -> Self {
        #[cfg(unix)]
        return Self {
            terminated: signal(SignalKind::terminate()).ok(),
            interrupted: signal(SignalKind::interrupt()).ok(),
        };
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            () = received(&mut self.terminated) => {}
            () = received(&mut self.interrupted) => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// SIGHUP. It is never received where there are no such signals.
pub(super) struct ReloadSignals {
    #[cfg(unix)]
    hung_up: Option<Signal>,
}

impl ReloadSignals {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(unix)]
            hung_up: signal(SignalKind::hangup()).ok(),
        }
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        received(&mut self.hung_up).await;
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

/// Waits for a signal: for ever, if the system does not let the process receive it.
#[cfg(unix)]
async fn received(signal: &mut Option<Signal>) {
    let is_received = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !is_received {
        std::future::pending::<()>().await;
    }
}
