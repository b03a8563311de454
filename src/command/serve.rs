//! `passerelle serve`: the gateway, from its configuration to its last answered request.

use std::{
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum_server::Handle;
use clap::Args;
use passerelle_providers::{Settings, model::auth::Credentials, text, vendor};
use tokio::task::JoinHandle;

use super::{Configuration, Failed, terminal};
use crate::{
    app,
    config::{self, Loaded},
    listener::{self, Limits},
    merchant::{Gateway, Twins},
    state::App,
    store::{self, Store},
    twin::Twin,
};

#[derive(Debug, Default, Args)]
pub(super) struct Arguments {
    /// The address and port to listen on, instead of `server.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

/// How long load balancers have to see that the gateway is not ready any more, while somebody is connected.
const NOTICE: Duration = Duration::from_secs(3);
/// How long requests may go on after that.
const DRAIN: Duration = Duration::from_secs(20);

pub(super) fn run(configuration: &Configuration, arguments: Arguments) -> Result<(), Failed> {
    start_logging();
    let mut loaded = config::load(configuration.config.as_deref())?;
    if let Some(listen) = arguments.listen {
        loaded.config.server.listen = listen;
    }
    runtime()?.block_on(serve(loaded, configuration.config.clone()))
}

/// One thread where there is one core: handing work between threads would only cost.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build().map_err(|error| Failed::Failed(format!("the runtime cannot be started: {error}")))
}

pub(super) fn start_logging() {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    // The migrations of the store speak of every step.
    let usual = || EnvFilter::new("info,refinery_core=warn");
    let filter = EnvFilter::try_from_env("PASSERELLE_LOG").unwrap_or_else(|_| usual());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // One JSON object a line for machines, plain lines for people.
    let _ = match std::io::stderr().is_terminal() {
        true => builder.with_target(false).try_init(),
        false => builder.json().flatten_event(true).try_init(),
    };
}

/// A gateway that is being served.
#[derive(Debug)]
pub struct Running {
    /// Where the API is.
    pub address: SocketAddr,
    /// What the handlers see.
    pub app: Arc<App>,
    /// Stops it.
    pub handle: Handle<SocketAddr>,
    /// Where the twins of its sandbox connections are.
    pub twins: Twins,
    /// What its operator should be told.
    pub warnings: Vec<String>,
    task: JoinHandle<std::io::Result<()>>,
    watch: JoinHandle<()>,
}

/// How long writes whose clients have gone may still take when the gateway stops.
const LAST_WRITES: Duration = Duration::from_secs(5);

impl Running {
    /// Waits until it was stopped.
    pub async fn stopped(self) -> Result<(), String> {
        let served = self.task.await;
        self.app.writes.drained(LAST_WRITES).await;
        self.watch.abort();
        match served {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("serving failed: {error}")),
            Err(error) => Err(format!("serving failed: {error}")),
        }
    }
}

/// Starts the twins and the API of a configuration.
pub async fn start(loaded: &Loaded) -> Result<Running, String> {
    text::phone::warm_up();
    let twins = start_twins(loaded)?;
    let resolved = Gateway::resolve(loaded, Some(&twins)).map_err(|error| error.to_string())?;
    let settings = store::Settings::from(loaded.config.store.as_ref());
    let store = Store::open(&settings.map_err(|error| error.to_string())?).await.map_err(|error| error.to_string())?;
    let listener = bind(&loaded.config.server.listen)?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let app = app::new(resolved.gateway, store);
    let watch = app.writes.run_in_background();
    let handle = Handle::new();
    let limits = Limits { max_connections: loaded.config.server.max_connections };
    let task = tokio::spawn(listener::serve(listener, app::router(Arc::clone(&app)), handle.clone(), limits));
    Ok(Running { address, app, handle, twins, warnings: resolved.warnings, task, watch })
}

fn start_twins(loaded: &Loaded) -> Result<Twins, String> {
    let mut twins = Twins::new();
    for (merchant_name, merchant) in &loaded.config.merchants {
        for (name, connection) in merchant.connections.iter().filter(|(_, connection)| connection.sandbox) {
            // An unknown provider or generation is told with the configuration's other mistakes.
            let Some(vendor) = vendor(&connection.provider) else { continue };
            let Some(manifest) = vendor.manifest(connection.generation.as_deref()) else { continue };
            let settings = Settings {
                generation: manifest.generation,
                region: merchant.region.as_deref().and_then(text::country::Region::parse),
                livemode: connection.livemode.unwrap_or(true),
            };
            let twin = Twin::new(vendor, settings, Credentials::default());
            let listener = bind("127.0.0.1:0")?;
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            tokio::spawn(twin.serve(listener, Handle::new()));
            twins.insert((merchant_name.clone(), name.clone()), address);
        }
    }
    Ok(twins)
}

/// Binds an address, telling what to do when it is taken.
pub(super) fn bind(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "{address} is taken; choose another with --listen or PASSERELLE_SERVER__LISTEN, such as 127.0.0.1:8081"
        ),
        _ => format!("{address} cannot be listened on: {error}"),
    })
}

async fn serve(loaded: Loaded, file: Option<PathBuf>) -> Result<(), Failed> {
    let is_sandbox = file.is_none();
    if is_sandbox {
        refuse_public_sandbox(&loaded.config.server.listen)?;
    }
    let running = start(&loaded).await.map_err(Failed::Failed)?;
    for warning in &running.warnings {
        terminal::warn(warning);
    }
    if is_sandbox {
        terminal::tell(&greeting(running.address));
    }
    tracing::info!(server.address = %running.address, "serving on http://{}", running.address);
    tokio::spawn(stop_on_signal(Arc::clone(&running.app), running.handle.clone()));
    tokio::spawn(reload_on_signal(Arc::clone(&running.app), running.twins.clone(), file));
    let stopped = running.stopped().await.map_err(Failed::Failed);
    tracing::info!("stopped");
    stopped
}

/// The sandbox has keys that everybody knows.
fn refuse_public_sandbox(listen: &str) -> Result<(), Failed> {
    let addresses = listen
        .to_socket_addrs()
        .map_err(|error| Failed::Usage(format!("`{listen}` is no address to listen on: {error}")))?;
    for address in addresses {
        if !address.ip().is_loopback() {
            let told = "the sandbox has keys that everybody knows, so it is only served on loopback";
            return Err(Failed::Usage(format!("{told}: use 127.0.0.1 instead of {}, or --config FILE", address.ip())));
        }
    }
    Ok(())
}

/// What a newcomer can do next.
fn greeting(address: SocketAddr) -> String {
    format!(
        "Passerelle's sandbox is served on http://{address}, on this machine only. Nothing leaves it, nothing is kept.\n\
         Five merchants, one a provider: sk_sandbox_modempay, _lomi, _paymentkit, _bitnob, _notchpay.\n\n  \
         curl http://{address}/v1/customers -H 'Authorization: Bearer sk_sandbox_lomi'\n\n  \
         curl http://{address}/v1/customers -H 'Authorization: Bearer sk_sandbox_bitnob' \\\n    \
         -H 'Content-Type: application/json' \\\n    \
         -d '{{\"name\":\"Awa Diop\",\"email\":\"awa@example.com\",\"phone\":\"+2348123456789\"}}'\n\n\
         The whole API: http://{address}/docs"
    )
}

/// Drains on SIGTERM or SIGINT, and leaves at once on the second.
async fn stop_on_signal(app: Arc<App>, handle: Handle<SocketAddr>) {
    wait_for_stop().await;
    app.draining.store(true, Ordering::Relaxed);
    if handle.connection_count() > 0 {
        tracing::info!("stopping: not ready any more, listening {} s longer", NOTICE.as_secs());
        tokio::select! {
            () = tokio::time::sleep(NOTICE) => {}
            () = wait_for_stop() => return handle.shutdown(),
        }
    }
    tracing::info!("stopping: no new connections, {} s for requests under way", DRAIN.as_secs());
    handle.graceful_shutdown(Some(DRAIN));
    wait_for_stop().await;
    handle.shutdown();
}

pub(super) async fn wait_for_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}

/// Reads the file again on SIGHUP. A mistake keeps what is served. Where the API listens, with how many
/// connections, and where its store is, is decided at the start.
#[cfg(unix)]
async fn reload_on_signal(app: Arc<App>, twins: Twins, file: Option<PathBuf>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        let Some(file) = &file else {
            tracing::info!("the sandbox has no file to read again");
            continue;
        };
        let resolved = config::load(Some(file)).and_then(|loaded| Gateway::resolve(&loaded, Some(&twins)));
        match resolved {
            Ok(resolved) => {
                for warning in &resolved.warnings {
                    tracing::warn!("{warning}");
                }
                app.gateway.store(Arc::new(resolved.gateway));
                tracing::info!("the configuration was read again");
            }
            Err(error) => tracing::error!("the configuration was not read again; what was served stays: {error}"),
        }
    }
}

#[cfg(not(unix))]
async fn reload_on_signal(_: Arc<App>, _: Twins, _: Option<PathBuf>) {}
