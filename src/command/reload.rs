//! Reloads the configuration of a gateway that serves: on SIGHUP, and when its files are changed if the operator wants that.
//! The log says what was changed. If the configuration has a mistake, the gateway keeps the one that it serves.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Instant};

use tokio::task::JoinError;

use super::{file_watch::FileWatch, serve::Running, service_manager::ReloadNotice, signals::ReloadSignals};
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
    /// Whether the last reload was accepted.
    is_accepted: bool,
    /// Whether the configuration asks for a reload when its files are changed.
    wants_watch: bool,
    watch: Option<FileWatch>,
    /// The files of secrets and certificates that are watched.
    secrets: BTreeSet<PathBuf>,
    signals: ReloadSignals,
}

impl Reloader {
    /// `loaded` is the configuration that the gateway was started with.
    pub(super) fn new(running: &Running, loaded: Loaded, file: Option<PathBuf>, signals: ReloadSignals) -> Self {
        let (app, twins) = (Arc::clone(&running.app), Arc::new(running.twins.clone()));
        let (served, wants_watch) = (loaded.snapshot(), loaded.config.server.reload_on_change);
        let (start, secrets) = (Arc::new(loaded.config), served.files.clone());
        Self { app, twins, file, start, served, is_accepted: true, wants_watch, watch: None, secrets, signals }
    }

    /// Reloads at every signal, and when the files are changed.
    pub(super) async fn run(&mut self) {
        loop {
            // A new watch has not noticed what was changed before it began.
            let is_signal = !self.begin_watch()
                && tokio::select! {
                    () = self.signals.next() => true,
                    () = changed(self.watch.as_ref()) => false,
                };
            // What is changed after this is noticed, also while it is reloaded.
            let is_changed = self.look().await;
            if is_signal || is_changed {
                let _notice = ReloadNotice::begin();
                self.reload().await;
            }
        }
    }

    /// Begins or ends the watch of the files. Whether it has begun now.
    fn begin_watch(&mut self) -> bool {
        if self.watch.is_some() == (self.wants_watch && self.file.is_some()) {
            return false;
        }
        self.watch = match self.watch {
            Some(_) => None,
            None => FileWatch::new().map_err(|error| warn_not_watched(&error)).ok(),
        };
        self.watch_files();
        self.watch.is_some()
    }

    fn watch_files(&mut self) {
        let files = self.secrets.iter().chain(&self.file).map(PathBuf::as_path);
        if let Some(Err(error)) = self.watch.as_mut().map(|watch| watch.set(files)) {
            warn_not_watched(&error);
        }
    }

    /// Whether a watched file differs from what is served. Watches the files that the configuration names now.
    async fn look(&mut self) -> bool {
        let (Some(_), Some(path)) = (&self.watch, self.file.clone()) else { return false };
        let loading = tokio::task::spawn_blocking(move || Ok(config::load(Some(&path))?.snapshot()));
        let seen: Result<Snapshot, ConfigError> = loading.await.unwrap_or_else(|error| Err(failed(&error)));
        if let Ok(seen) = &seen {
            self.secrets.clone_from(&seen.files);
        }
        self.watch_files();
        // After a mistake, the log also says that the files are again as they are served.
        !self.is_accepted || seen.map_or(true, |seen| !self.served.changes(&seen).is_empty())
    }

    async fn reload(&mut self) {
        let Some(file) = self.file.clone() else {
            tracing::info!("the sandbox has no configuration file, so there is nothing to reload");
            return;
        };
        let began = Instant::now();
        let reloaded = self.load(file).await;
        self.is_accepted = reloaded.is_ok();
        self.app.record_reload(began, self.is_accepted);
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
            let (snapshot, wants_watch) = (loaded.snapshot(), loaded.config.server.reload_on_change);
            let resolved = Gateway::resolve(&loaded.with_start_of(&start), Some(&twins), &shared)?;
            Ok((resolved, snapshot, wants_watch))
        });
        let resolved = resolving.await.unwrap_or_else(|error| Err(failed(&error)));
        let (Resolved { gateway, mut warnings }, snapshot, wants_watch) = resolved.map_err(|error| {
            format!(
                "the configuration has a mistake and was not reloaded; the gateway keeps the one it serves: {error}"
            )
        })?;
        warnings.extend(self.app.reload(gateway).await.map_err(|refused| {
            format!("the configuration was not reloaded; the gateway keeps the one it serves: {refused}")
        })?);
        let changes = self.served.changes(&snapshot);
        self.served = snapshot.with_start_of(&self.served);
        self.wants_watch = wants_watch;
        Ok((changes, warnings))
    }
}

/// Waits for changes of the files. For ever, if they are not watched.
async fn changed(watch: Option<&FileWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn warn_not_watched(why: &str) {
    tracing::warn!(
        "changes of the configuration are not noticed by themselves: {why}; reload with SIGHUP, or correct this (Linux \
         limits watches with fs.inotify.max_user_instances and max_user_watches) and reload"
    );
}

/// Loading has failed in another way than by a mistake in the file.
fn failed(error: &JoinError) -> ConfigError {
    ConfigError::one(format!("the configuration could not be loaded: {error}"))
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
         [merchants.acme]\napi_keys = [\"sk_acme_0123456789abcdefgh\"]\nactive = \"main\"\nregion = \"SN\"\n\
         connections.main = { provider = \"lomi\", sandbox = true }\n";

    /// The status line of an answer.
    fn status(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).expect("it accepts");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        let head = "GET /v1/merchant HTTP/1.1\r\nHost: localhost\r\nConnection: close";
        write!(client, "{head}\r\nAuthorization: Bearer sk_acme_0123456789abcdefgh\r\n\r\n").expect("it is sent");
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
        let mut reloader = Reloader::new(&running, loaded, Some(file.clone()), ReloadSignals::new());
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
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["merchants.acme.region: SN → CI"]);
        assert_eq!(warnings, Vec::<String>::new());
    }
}
