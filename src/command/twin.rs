//! `passerelle twin`: a sandbox vendor alone, for pointing a vendor's own client at, or a gateway.

use std::path::PathBuf;

use axum_server::Handle;
use clap::Args;
use passerelle_providers::{Settings, kit::server::base_path, model::auth::Credentials, text::country::Region, vendor};

use super::{
    Failed,
    providers::unknown,
    serve::{bind, runtime, start_logging},
    terminal,
};
use crate::twin::{Twin, faults::FaultPlan, log::Log};

pub(super) const LONG_ABOUT: &str = "\
Serve a twin of a provider alone: the provider's own API over a store in memory.

It speaks the provider's paths, envelopes, errors and signatures, begins with three sample customers, and forgets \
everything when it stops. Point the provider's own client at it, or a gateway's `base_url`.

With --faults it misbehaves as a plan says: errors, silence, resets, answers that are cut off, before or after it did \
what it was asked. The n-th request is always answered the same way for one seed. With --log it writes every request \
and every change to a file, which tells what really happened, whatever the client was told.";

const AFTER_HELP: &str = "\
A plan of faults (TOML; every key is in config/faults.toml and docs/twins.md):
  seed = 7
  error_after = 0.05        # 500 in one of twenty requests, although it was done
  hang_after = 0.05         # no answer at all, although it was done
  only = [\"create\"]
  search_lag = \"2s\"         # lists and searches see new records late

Examples:
  passerelle twin --provider lomi
  passerelle twin --provider bitnob --generation v2 --listen 127.0.0.1:0
  passerelle twin --provider modempay --faults faults.toml --log twin.jsonl
  curl -i http://127.0.0.1:9100/v1/customers -H 'X-API-KEY: any'     # of a twin of lomi";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The provider to imitate.
    #[arg(long, short)]
    provider: String,
    /// The generation of its API, where it has several.
    #[arg(long)]
    generation: Option<String>,
    /// The address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9100")]
    listen: String,
    /// The region whose national phone numbers it writes, such as GM.
    #[arg(long)]
    region: Option<String>,
    /// Take only these credentials, as NAME=VALUE; without any, every key is taken.
    #[arg(long, value_name = "NAME=VALUE")]
    credential: Vec<String>,
    /// Misbehave as this plan says (TOML).
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Append every request and every change to this file, as one JSON object a line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failed> {
    start_logging();
    let vendor = vendor(&arguments.provider).ok_or_else(|| unknown(&arguments.provider))?;
    let manifest = vendor
        .manifest(arguments.generation.as_deref())
        .ok_or_else(|| Failed::Usage(format!("{} has no such generation", vendor.name())))?;
    let named: Option<Vec<(String, String)>> = arguments
        .credential
        .iter()
        .map(|text| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let named = named.ok_or_else(|| Failed::Usage("a credential is written NAME=VALUE".to_owned()))?;
    let region = arguments.region.as_deref().and_then(Region::parse);
    let settings = Settings { generation: manifest.generation, region, livemode: true };
    let mut twin = Twin::new(vendor, settings, Credentials::new(named));
    if let Some(file) = &arguments.faults {
        twin = twin.with_faults(FaultPlan::load(file)?);
    }
    if let Some(file) = &arguments.log {
        let log = Log::open(file)
            .map_err(|error| Failed::Failed(format!("{} cannot be written: {error}", file.display())))?;
        twin = twin.with_log(log);
    }
    runtime()?.block_on(async move {
        let listener = bind(&arguments.listen).map_err(Failed::Failed)?;
        let address = listener.local_addr().map_err(|error| Failed::Failed(error.to_string()))?;
        terminal::tell(&format!(
            "A twin of {} ({}), which forgets everything when it stops, is served on http://{address}{}",
            manifest.title,
            manifest.generation,
            base_path(manifest),
        ));
        if let Some(file) = &arguments.faults {
            terminal::tell(&format!("It misbehaves as {} says.", file.display()));
        }
        if let Some(file) = &arguments.log {
            terminal::tell(&format!("What it is asked and what it does is in {}.", file.display()));
        }
        let handle = Handle::new();
        let stop = handle.clone();
        tokio::spawn(async move {
            super::serve::wait_for_stop().await;
            stop.shutdown();
        });
        let served = twin.serve(listener, handle).await;
        served.map_err(|error| Failed::Failed(format!("serving failed: {error}")))
    })
}
