//! `passerelle serve`: starts the gateway from its configuration, reloads it on SIGHUP, and stops it on SIGTERM or
//! SIGINT after the requests in flight have been answered.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum_server::Handle;
use clap::Args;
use passerelle_providers::{Settings, model::auth::Credentials, text, vendor};
use secrecy::ExposeSecret;
use tokio::{
    sync::Mutex,
    task::{JoinError, JoinHandle},
};

use super::{
    CommandError, Configuration,
    inherited::Inherited,
    listeners::{Bound, Listener, bind},
    reload::Reloader,
    service_manager::{self, State},
    signals::{ReloadSignals, StopSignals},
    terminal,
};
use crate::{
    app,
    config::{self, ApiKey, Loaded, MerchantConfig, Secret},
    listener,
    merchant::{Gateway, SANDBOX_OPERATOR_KEY, Twins},
    state::App,
    store::{self, Store},
    switch::service::SwitchService,
    twin::{self, Twin},
    upstream::Shared,
    workers::keep_running,
};

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// The address and port to listen on, instead of `server.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

/// The public key of the sandbox merchant who switches providers.
const SWITCH_KEY: &str = "sk_sandbox_switch";

pub(super) fn run(configuration: &Configuration, arguments: Arguments) -> Result<(), CommandError> {
    start_logging();
    // Before the runtime starts threads.
    let inherited = Inherited::take().map_err(CommandError::Failed)?;
    let mut loaded = config::load(configuration.file().as_deref())?;
    if let Some(listen) = arguments.listen {
        loaded.config.server.listen = listen;
    }
    runtime()?.block_on(serve(loaded, inherited, configuration.file()))
}

/// A runtime with one thread on a machine with one core: more threads would only add cost.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .enable_all()
        .build()
        .map_err(|error| CommandError::Failed(format!("cannot start the async runtime: {error}")))
}

pub(super) fn start_logging() {
    use std::io::IsTerminal;
    use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};
    // The migrations of the store log every step at `info`, PostgreSQL notices that a table exists already, and the watch of files
    // logs each folder that was removed.
    let usual = || EnvFilter::new("info,refinery_core=warn,tokio_postgres=warn,notify=error");
    let filter = EnvFilter::try_from_env("PASSERELLE_LOG").unwrap_or_else(|_| usual());
    // A line that cannot be written is dropped. It would be reported with a panic otherwise, in the task that wrote the line.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // It logs phone numbers, so no filter of the operator shows it.
    let without_numbers = filter_fn(|metadata| !metadata.target().starts_with("rlibphonenumber"));
    // One JSON object per line for machines, plain lines on a terminal.
    let _ = match std::io::stderr().is_terminal() {
        true => builder.with_target(false).finish().with(without_numbers).try_init(),
        false => builder.json().flatten_event(true).finish().with(without_numbers).try_init(),
    };
}

/// A gateway that is being served.
#[derive(Debug)]
pub struct Running {
    /// The address of the API.
    pub address: SocketAddr,
    /// The address of the operator's listener, if there is one.
    pub operator_address: Option<SocketAddr>,
    /// The state that the handlers use.
    pub app: Arc<App>,
    /// Stops the server.
    pub handle: listener::Handle,
    /// The addresses of the twins of its sandbox connections.
    pub twins: Twins,
    /// Warnings for the operator.
    pub warnings: Vec<String>,
    task: JoinHandle<std::io::Result<()>>,
    operator: Option<Listener>,
    watch: JoinHandle<()>,
    /// Whether balancers must learn that the gateway stops. False if the service manager owns the socket: new clients then wait in it
    /// until the next process starts.
    waits_for_balancers: bool,
}

/// How long writes whose clients have disconnected may still take when the gateway stops.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// How long the last spans may take to the collector when the gateway stops.
const LAST_SPANS: Duration = Duration::from_secs(1);

impl Running {
    /// Waits until the server has stopped, then for the last writes and their spans. If the operator's listener ends, the gateway
    /// stops as well: without that listener it can neither be monitored nor operated.
    pub async fn stopped(mut self) -> Result<(), String> {
        let operator = async {
            match &mut self.operator {
                Some(operator) => how_it_ended("serving the operator", (&mut operator.task).await),
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            served = &mut self.task => how_it_ended("serving", served),
            ended = operator => {
                let why = ended.err().unwrap_or_else(|| "the operator's listener has ended".to_owned());
                tracing::error!("{why}, so the gateway stops");
                service_manager::notify(State::Stopping);
                tokio::select! {
                    served = &mut self.task => how_it_ended("serving", served),
                    () = begin_to_stop(&self.app, &self.handle, self.waits_for_balancers) => {
                        how_it_ended("serving", (&mut self.task).await)
                    }
                }
                .and(Err(why))
            }
        };
        self.app.writes.drained(LAST_WRITES).await;
        self.app.spans_sent(LAST_SPANS).await;
        self.watch.abort();
        if let Some(operator) = self.operator {
            operator.handle.shutdown();
        }
        result
    }
}

fn how_it_ended(what: &str, ended: Result<std::io::Result<()>, JoinError>) -> Result<(), String> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{what} failed: {error}")),
        Err(error) => Err(format!("{what} failed: {error}")),
    }
}

/// Starts the twins and the API of a configuration.
pub async fn start(loaded: &Loaded) -> Result<Running, String> {
    start_with(loaded, |app| Arc::new(app.switches.clone())).await
}

/// Like [`start`], with the switches that the operator's API serves.
pub async fn start_with(
    loaded: &Loaded,
    switches: impl FnOnce(&Arc<App>) -> Arc<dyn SwitchService>,
) -> Result<Running, String> {
    start_beside(loaded, start_twins(loaded)?, Inherited::default(), switches).await
}

/// Like [`start_with`], beside twins that are served already, and with sockets of the service manager.
pub(super) async fn start_beside(
    loaded: &Loaded,
    twins: Twins,
    inherited: Inherited,
    switches: impl FnOnce(&Arc<App>) -> Arc<dyn SwitchService>,
) -> Result<Running, String> {
    let shared = Shared::default();
    let resolved = Gateway::resolve(loaded, Some(&twins), &shared).map_err(|error| error.to_string())?;
    let waits_for_balancers = inherited.api.is_none();
    let settings = store::Settings::of(loaded);
    let store = Store::open(&settings.map_err(|error| error.to_string())?).await.map_err(|error| error.to_string())?;
    let mut warnings = resolved.warnings;
    let bound = Bound::new(&loaded.config, inherited, &mut warnings)?;
    let app = app::new(resolved.gateway, store, shared);
    let checked = app.switches.check(&app.gateway.load_full()).await.map_err(|refused| refused.to_string())?;
    warnings.extend(checked);
    let watch = app.run_in_background();
    let (Listener { address, handle, task }, operator) = bound.serve(&app, switches(&app))?;
    let operator_address = operator.as_ref().map(|operator| operator.address);
    Ok(Running { address, operator_address, app, handle, twins, warnings, task, operator, watch, waits_for_balancers })
}

async fn start_inheriting(loaded: &Loaded, inherited: Inherited) -> Result<Running, String> {
    start_beside(loaded, start_twins(loaded)?, inherited, |app| Arc::new(app.switches.clone())).await
}

/// Whether a merchant is the one of the sandbox who switches providers. Its key is public, so no other merchant has it.
fn is_sandbox_switch(merchant: &MerchantConfig) -> bool {
    merchant.api_keys.iter().any(|key| match &key.key {
        ApiKey::Key(Secret::Literal(key)) => key.expose_secret() == SWITCH_KEY,
        ApiKey::Key(_) | ApiKey::Sha256(_) => false,
    })
}

fn start_twins(loaded: &Loaded) -> Result<Twins, String> {
    let mut twins = Twins::new();
    for (merchant_name, merchant) in &loaded.config.merchants {
        for (name, connection) in merchant.connections.iter().filter(|(_, connection)| connection.sandbox) {
            // `Gateway::resolve` reports an unknown provider or generation.
            let Some(vendor) = vendor(&connection.provider) else { continue };
            let Some(manifest) = vendor.manifest(connection.generation.as_deref()) else { continue };
            let settings = Settings {
                generation: manifest.generation,
                region: merchant.region.as_deref().and_then(text::country::Region::parse),
                livemode: connection.livemode.unwrap_or(true),
            };
            let mut twin = Twin::new(vendor, settings, Credentials::default());
            if is_sandbox_switch(merchant) {
                twin = twin.with_customers(twin::of_sandbox(name));
            }
            let listener = bind("127.0.0.1:0", "another port")?;
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            tokio::spawn(twin.serve(listener, Handle::new()));
            twins.insert((merchant_name.clone(), name.clone()), address);
        }
    }
    Ok(twins)
}

async fn serve(loaded: Loaded, inherited: Inherited, file: Option<PathBuf>) -> Result<(), CommandError> {
    let is_sandbox = file.is_none();
    let socket = inherited.api.as_ref().and_then(|socket| socket.local_addr().ok());
    if is_sandbox {
        let listen = socket.map_or(loaded.config.server.listen.clone(), |address| address.to_string());
        refuse_public_sandbox(&listen)?;
    }
    // A signal must find its receiver as soon as the log says that the gateway serves.
    let (mut stops, reloads) = (StopSignals::new(), ReloadSignals::new());
    let running = tokio::select! {
        running = start_inheriting(&loaded, inherited) => running.map_err(CommandError::Failed)?,
        () = stops.next() => return Ok(()),
    };
    for warning in &running.warnings {
        terminal::print_warning(warning);
    }
    if is_sandbox {
        terminal::print_notice(&greeting(running.address, running.operator_address));
    }
    let scheme = if running.app.gateway.load().tls.is_some() { "https" } else { "http" };
    tracing::info!(server.address = %running.address, "serving on {scheme}://{}", running.address);
    if let Some(address) = running.operator_address {
        tracing::info!(server.address = %address, "serving the operator on http://{address}");
    }
    tokio::spawn(stop_on_signal(stops, Arc::clone(&running.app), running.handle.clone(), running.waits_for_balancers));
    let reloader = Arc::new(Mutex::new(Reloader::new(&running, loaded, file, reloads)));
    tokio::spawn(keep_running("reloads", move || run_reloads(Arc::clone(&reloader))));
    service_manager::notify(State::Ready);
    tokio::spawn(keep_running("watchdog", service_manager::keep_alive));
    let stopped = running.stopped().await.map_err(CommandError::Failed);
    tracing::info!("stopped");
    stopped
}

/// Runs the reloads. They can begin again after a panic, because its end releases the lock. Nothing else takes it.
async fn run_reloads(reloader: Arc<Mutex<Reloader>>) {
    reloader.lock().await.run().await;
}

/// Refuses to serve the sandbox beyond loopback: its API keys are public.
fn refuse_public_sandbox(listen: &str) -> Result<(), CommandError> {
    let addresses = listen
        .to_socket_addrs()
        .map_err(|error| CommandError::Usage(format!("`{listen}` is not an address to listen on: {error}")))?;
    for address in addresses {
        if !address.ip().is_loopback() {
            let reason = "the sandbox has public API keys, so it is only served on loopback";
            return Err(CommandError::Usage(format!(
                "{reason}: use 127.0.0.1 instead of {}, or --config FILE",
                address.ip()
            )));
        }
    }
    Ok(())
}

/// What to try first in the sandbox.
fn greeting(address: SocketAddr, operator: Option<SocketAddr>) -> String {
    let console = operator
        .map(|operator| format!("\nThe console: http://{operator}/console, with the key {SANDBOX_OPERATOR_KEY}"));
    format!(
        "Passerelle's sandbox is served on http://{address}. Nothing leaves this machine, and nothing is stored on disk.\n\
         It has five merchants, one per provider. Their API keys: sk_sandbox_modempay, _lomi, _paymentkit, _bitnob, _notchpay.\n\
         A sixth, `shop` (sk_sandbox_switch), can switch from lomi to Bitnob: passerelle switch plan shop --to new\n\n  \
         curl http://{address}/v1/customers -H 'Authorization: Bearer sk_sandbox_lomi'\n\n  \
         curl http://{address}/v1/customers -H 'Authorization: Bearer sk_sandbox_bitnob' \\\n    \
         -H 'Content-Type: application/json' \\\n    \
         -d '{{\"name\":\"Awa Diop\",\"email\":\"awa@example.com\",\"phone\":\"+2348123456789\"}}'\n\n\
         The API reference: http://{address}/docs{}",
        console.unwrap_or_default()
    )
}

/// Drains on the first SIGTERM or SIGINT, and stops at once on the second.
async fn stop_on_signal(mut signals: StopSignals, app: Arc<App>, handle: listener::Handle, waits_for_balancers: bool) {
    signals.next().await;
    service_manager::notify(State::Stopping);
    tokio::select! {
        () = begin_to_stop(&app, &handle, waits_for_balancers) => signals.next().await,
        () = signals.next() => {}
    }
    handle.shutdown();
}

/// Lets balancers notice that the gateway stops, and then accepts no connection any more.
async fn begin_to_stop(app: &App, handle: &listener::Handle, waits_for_balancers: bool) {
    let was_draining = app.draining.swap(true, Ordering::Relaxed);
    let (notice, timeout) = {
        let gateway = app.gateway.load();
        (if waits_for_balancers && !was_draining { gateway.stop_notice } else { Duration::ZERO }, gateway.stop_timeout)
    };
    if handle.connection_count() > 0 && !notice.is_zero() {
        tracing::info!("stopping: /readyz answers 503, new connections are accepted for {} s", notice.as_secs_f32());
        tokio::time::sleep(notice).await;
    }
    tracing::info!("stopping: no new connections, requests in flight have {} s", timeout.as_secs_f32());
    handle.graceful_shutdown(Some(timeout));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the gateway would go on without its metrics and its operator's API.
    #[tokio::test]
    async fn the_gateway_stops_if_the_operators_listener_ends() {
        let text = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n[operator]\nlisten = \"127.0.0.1:0\"\n\
                    [merchants.acme]\napi_keys = [\"sk_test_0123456789abcdef\"]\nactive = \"main\"\n\
                    [merchants.acme.connections.main]\nprovider = \"lomi\"\nsandbox = true\n";
        let running = start(&config::load_text(text, "test.toml").expect("a configuration")).await.expect("a gateway");
        running.operator.as_ref().expect("the operator's listener").task.abort();
        let (app, stopped) = (Arc::clone(&running.app), running.stopped().await);
        assert!(stopped.as_ref().is_err_and(|error| error.starts_with("serving the operator failed")), "{stopped:?}");
        assert!(app.draining.load(Ordering::Relaxed), "it was drained");
    }
}
