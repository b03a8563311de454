//! `passerelle twin`: serves the twin of one provider, for the provider's own client or for a gateway.

use std::path::PathBuf;

use axum_server::Handle;
use clap::{Args, ValueEnum};
use passerelle_providers::{Settings, kit::server::base_path, model::auth::Credentials, vendor};

use super::{
    CommandError,
    listeners::bind,
    providers::{region, unknown, unknown_generation},
    serve::{runtime, start_logging},
    signals::StopSignals,
    terminal,
};
use crate::twin::{Twin, faults::FaultPlan, log::Log, many};

pub(super) const LONG_ABOUT: &str = "\
Serve a twin of one provider: the provider's own API over records in memory.

It has the provider's paths, envelopes, errors and signatures. It starts with three sample customers and loses all \
records when it stops. Use its address in the provider's own client, or as the `base_url` of a gateway's connection.

With --faults it fails as a plan says: errors, no answer, resets, answers that are cut off, before or after it executed \
the request. With the same seed, the n-th request always gets the same fault. With --log it writes every request and \
every change to a file, which shows what was really changed, whatever the client received.";

const AFTER_HELP: &str = "\
A plan of faults (TOML; every key is in config/faults.toml and docs/twins.md):
  seed = 7
  error_after = 0.05        # one of twenty requests is executed, but answered with 500
  hang_after = 0.05         # one of twenty is executed, but never answered
  only = [\"create\"]
  search_lag = \"2s\"         # lists and searches see new records late

Examples:
  passerelle twin --provider lomi
  passerelle twin --provider bitnob --generation v2 --listen 127.0.0.1:0
  passerelle twin --provider lomi --lists with-transactions
  passerelle twin --provider modempay --faults faults.toml --log twin.jsonl
  curl -i http://127.0.0.1:9100/v1/customers -H 'X-API-KEY: any'     # a twin of lomi";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The provider to imitate.
    #[arg(long, short)]
    provider: String,
    /// The generation of the provider's API, if it has several.
    #[arg(long)]
    generation: Option<String>,
    /// The address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9100")]
    listen: String,
    /// The region of national phone numbers, such as GM.
    #[arg(long)]
    region: Option<String>,
    /// Accept only these credentials; without this option, any key is accepted.
    #[arg(long, value_name = "NAME=VALUE")]
    credential: Vec<String>,
    /// Which customers lists and searches show. Customers that a client creates have no transactions.
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Lists::All)]
    lists: Lists,
    /// Begin with this many regular customers, besides the samples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    customers: u32,
    /// Fail as this plan says (TOML).
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Append every request and every change to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Which customers the lists and searches of a twin show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lists {
    /// All customers.
    All,
    /// Only customers with completed or refunded transactions.
    WithTransactions,
}

pub(super) fn run(arguments: Arguments) -> Result<(), CommandError> {
    start_logging();
    let vendor = vendor(&arguments.provider).ok_or_else(|| unknown(&arguments.provider))?;
    let generation = arguments.generation.as_deref();
    let manifest = vendor.manifest(generation).ok_or_else(|| unknown_generation(vendor, generation))?;
    let credentials: Option<Vec<(String, String)>> = arguments
        .credential
        .iter()
        .map(|text| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let credentials =
        credentials.ok_or_else(|| CommandError::Usage("--credential must have the form NAME=VALUE".to_owned()))?;
    let region = region(arguments.region.as_deref())?;
    let settings = Settings { generation: manifest.generation, region, livemode: true };
    let mut twin = Twin::new(vendor, settings, Credentials::new(credentials)).with_customers(many(arguments.customers));
    if let Some(file) = &arguments.faults {
        twin = twin.with_faults(FaultPlan::load(file)?);
    }
    if arguments.lists == Lists::WithTransactions {
        twin = twin.listing_only_with_transactions();
    }
    if let Some(file) = &arguments.log {
        let log = Log::open(file)
            .map_err(|error| CommandError::Failed(format!("{} cannot be written: {error}", file.display())))?;
        twin = twin.with_log(log);
    }
    runtime()?.block_on(async move {
        let listener = bind(&arguments.listen, "--listen").map_err(CommandError::Failed)?;
        let address = listener.local_addr().map_err(|error| CommandError::Failed(error.to_string()))?;
        terminal::print_notice(&format!(
            "A twin of {} ({}), which loses all records when it stops, is served on http://{address}{}",
            manifest.title,
            manifest.generation,
            base_path(manifest),
        ));
        if arguments.lists == Lists::WithTransactions {
            terminal::print_notice("Its lists show only customers with transactions: the sample customers.");
        }
        if let Some(file) = &arguments.faults {
            terminal::print_notice(&format!("It fails as {} says.", file.display()));
        }
        if let Some(file) = &arguments.log {
            terminal::print_notice(&format!("It writes every request and every change to {}.", file.display()));
        }
        let handle = Handle::new();
        let (stop, mut signals) = (handle.clone(), StopSignals::new());
        tokio::spawn(async move {
            signals.next().await;
            stop.shutdown();
        });
        let served = twin.serve(listener, handle).await;
        served.map_err(|error| CommandError::Failed(format!("serving failed: {error}")))
    })
}
