//! Reloads the configuration of a gateway that serves, on SIGHUP. The log says what was changed. If the configuration has
//! a mistake, the gateway keeps the one that it serves.

use std::{path::PathBuf, sync::Arc, time::Instant};

use super::{
    serve::Running,
    service_manager::{self, State},
    signals::ReloadSignals,
};
use crate::{
    config::{self, Change, Config, ConfigError, Loaded, Snapshot},
    merchant::{Gateway, Resolved, Twins},
    state::App,
};

/// How many changes of a reload are logged.
const MOST_LINES: usize = 200;

/// Reloads the configuration of a gateway. There is one for a process, so no two reloads overlap.
pub(super) struct Reloader {
    app: Arc<App>,
    twins: Twins,
    /// The sandbox has none.
    file: Option<PathBuf>,
    /// The configuration of the start.
    start: Config,
    /// What is served: the configuration of the last reload, with that of the start where it needs a restart.
    served: Snapshot,
}

impl Reloader {
    /// `loaded` is the configuration that the gateway was started with.
    pub(super) fn new(running: &Running, loaded: Loaded, file: Option<PathBuf>) -> Self {
        let (app, twins) = (Arc::clone(&running.app), running.twins.clone());
        Self { app, twins, file, served: loaded.snapshot(), start: loaded.config }
    }

    /// Reloads at every signal.
    pub(super) async fn run(mut self, mut signals: ReloadSignals) {
        loop {
            signals.next().await;
            service_manager::notify(State::Reloading);
            self.reload().await;
            service_manager::notify(State::Ready);
        }
    }

    async fn reload(&mut self) {
        let Some(file) = self.file.clone() else {
            tracing::info!("the sandbox has no configuration file, so there is nothing to reload");
            return;
        };
        let began = Instant::now();
        let reloaded = self.load(file).await;
        self.app.record_reload(began, reloaded.is_ok());
        match reloaded {
            Ok((changes, warnings)) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                log(&changes);
            }
            Err(why) => tracing::error!("{why}"),
        }
    }

    /// Loads the file and serves it. Returns what was changed, and warnings. The error says why the gateway keeps the
    /// configuration that it serves.
    async fn load(&mut self, file: PathBuf) -> Result<(Vec<Change>, Vec<String>), String> {
        let loaded = config::load(Some(&file));
        let resolved = loaded.and_then(|loaded| {
            let snapshot = loaded.snapshot();
            let resolved = Gateway::resolve(&loaded.with_start_of(&self.start), Some(&self.twins), &self.app.shared)?;
            Ok::<_, ConfigError>((resolved, snapshot))
        });
        let (Resolved { gateway, mut warnings }, snapshot) = resolved.map_err(|error| {
            format!(
                "the configuration has a mistake and was not reloaded; the gateway keeps the one it serves: {error}"
            )
        })?;
        warnings.extend(self.app.reload(gateway).await.map_err(|refused| {
            format!("the configuration was not reloaded; the gateway keeps the one it serves: {refused}")
        })?);
        let changes = self.served.changes(&snapshot);
        self.served = snapshot.with_start_of(&self.served);
        Ok((changes, warnings))
    }
}

/// Logs a line for each change, and one for the reload.
fn log(changes: &[Change]) {
    for change in changes.iter().take(MOST_LINES) {
        if change.needs_restart {
            tracing::warn!(
                config.key = change.key,
                "{change}; this needs a restart, and the gateway keeps what it was started with"
            );
        } else {
            tracing::info!(config.key = change.key, "{change}");
        }
    }
    if let Some(more @ 1..) = changes.len().checked_sub(MOST_LINES) {
        tracing::info!("{more} more changes are not listed");
    }
    let pending = changes.iter().filter(|change| change.needs_restart).count();
    match (changes.len() - pending, pending) {
        (0, 0) => tracing::info!("the configuration was reloaded; nothing was changed"),
        (applied, 0) => tracing::info!("the configuration was reloaded; changes: {applied}"),
        (applied, pending) => {
            tracing::info!(
                "the configuration was reloaded; changes: {applied}; changes that need a restart: {pending}"
            );
        }
    }
}
