//! The service manager that has started the process, such as systemd. `serve` notifies it of the state of the gateway
//! through the socket of `NOTIFY_SOCKET`. Without that variable, and on other systems than Linux, nothing is sent.

use std::time::Duration;

/// What the service manager waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// The listeners serve, also after a reload.
    Ready,
    /// The configuration is being reloaded. `Ready` must follow.
    Reloading,
    /// The gateway accepts no more work and ends.
    Stopping,
    /// The runtime still runs tasks.
    Alive,
}

/// Notifies the service manager. A failure is logged: the gateway serves without its service manager, too.
pub(super) fn notify(state: State) {
    if let Err(error) = send(state) {
        tracing::warn!(
            "the service manager was not notified that the gateway is {state:?}: {error}; check NOTIFY_SOCKET"
        );
    }
}

/// A reload that has begun. The service manager is notified of its end when this is dropped, also by a panic.
#[derive(Debug)]
pub(super) struct ReloadNotice;

impl ReloadNotice {
    pub(super) fn begin() -> Self {
        notify(State::Reloading);
        Self
    }
}

impl Drop for ReloadNotice {
    fn drop(&mut self) {
        notify(State::Ready);
    }
}

/// Notifies the watchdog of the service manager at half of its time limit, if it has one. This is a task of the runtime
/// and not a thread, so that the service manager restarts a gateway whose runtime is stuck.
pub(super) async fn keep_alive() {
    let Some(limit) = watchdog_limit() else { return };
    loop {
        notify(State::Alive);
        tokio::time::sleep(limit / 2).await;
    }
}

#[cfg(target_os = "linux")]
fn send(state: State) -> std::io::Result<()> {
    use sd_notify::NotifyState;
    match state {
        State::Ready => sd_notify::notify(&[NotifyState::Ready]),
        State::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        State::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        State::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
    }
}

#[cfg(target_os = "linux")]
fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

#[cfg(not(target_os = "linux"))]
fn send(_: State) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn watchdog_limit() -> Option<Duration> {
    None
}
