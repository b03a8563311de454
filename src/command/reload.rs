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
    twins: Arc<Twins>,
    /// The sandbox has none.
    file: Option<PathBuf>,
    /// The configuration of the start.
    start: Arc<Config>,
    /// What is served: the configuration of the last reload, with that of the start where it needs a restart.
    served: Snapshot,
}

impl Reloader {
    /// `loaded` is the configuration that the gateway was started with.
    pub(super) fn new(running: &Running, loaded: Loaded, file: Option<PathBuf>) -> Self {
        let (app, twins) = (Arc::clone(&running.app), Arc::new(running.twins.clone()));
        Self { app, twins, file, served: loaded.snapshot(), start: Arc::new(loaded.config) }
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
        let (start, twins, shared) = (Arc::clone(&self.start), Arc::clone(&self.twins), self.app.shared.clone());
        // A file of many merchants takes long, and so may the files of secrets. The workers of the runtime serve requests
        // meanwhile.
        let resolving = tokio::task::spawn_blocking(move || {
            let loaded = config::load(Some(&file))?;
            let snapshot = loaded.snapshot();
            let resolved = Gateway::resolve(&loaded.with_start_of(&start), Some(&twins), &shared)?;
            Ok::<_, ConfigError>((resolved, snapshot))
        });
        let resolved = resolving.await.unwrap_or_else(|error| Err(ConfigError::one(error.to_string())));
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        fs,
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpStream},
        thread,
        time::Duration,
    };

    use rustix::fs::{CWD, Mode, mkfifoat};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{command::serve::start, config::load_text};

    const CONFIGURATION: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\n\
         connections.main = { provider = \"lomi\", sandbox = true }\n";

    /// The status line of an answer.
    fn status(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).expect("it accepts");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        let head = "GET /v1/merchant HTTP/1.1\r\nHost: localhost\r\nConnection: close";
        write!(client, "{head}\r\nAuthorization: Bearer sk_acme\r\n\r\n").expect("it is sent");
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    }

    /// The runtime of this test has one thread, and the file is a pipe: its reader waits until the test writes. If the
    /// runtime were its reader, the request would have no answer.
    #[tokio::test]
    async fn requests_are_answered_while_a_reload_loads() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("passerelle.toml");
        mkfifoat(CWD, &file, Mode::from_raw_mode(0o600)).expect("a pipe");
        let loaded = load_text(CONFIGURATION, "test.toml").expect("a configuration");
        let running = start(&loaded).await.expect("it starts");
        let address = running.address;
        let mut reloader = Reloader::new(&running, loaded, Some(file.clone()));
        let (answered, answer) = oneshot::channel();
        thread::spawn(move || {
            // The pipe has a reader as soon as it can be opened, and the reader waits for its end.
            let mut pipe = fs::File::options().write(true).open(&file).expect("a reader");
            let status = status(address);
            let changed = CONFIGURATION.replace("\"SN\"", "\"CI\"");
            pipe.write_all(changed.as_bytes()).expect("it is read");
            drop(pipe);
            let _ = answered.send(status);
        });
        let (changes, warnings) = reloader.load(reloader.file.clone().expect("a file")).await.expect("it is loaded");
        assert_eq!(answer.await.expect("an end"), "HTTP/1.1 200 OK");
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["merchants.acme.region: SN -> CI"]);
        assert_eq!(warnings, Vec::<String>::new());
    }
}
