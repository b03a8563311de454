//! `passerelle twin`: a sandbox vendor alone, for pointing a vendor's own client at, or a gateway.

use axum_server::Handle;
use clap::Args;
use passerelle_providers::{Settings, imitate::base_path, sign::Credentials, text::country::Region, vendor};

use super::{
    Failed,
    providers::unknown,
    serve::{bind, runtime, start_logging},
    terminal,
};
use crate::{
    app::{Limits, serve},
    twin::Twin,
};

#[derive(Debug, Args)]
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
    let twin = Twin::new(vendor, settings, Credentials::new(named));
    runtime()?.block_on(async move {
        let listener = bind(&arguments.listen).map_err(Failed::Failed)?;
        let address = listener.local_addr().map_err(|error| Failed::Failed(error.to_string()))?;
        terminal::tell(&format!(
            "A twin of {} ({}) is served on http://{address}{}. It forgets everything when it stops.",
            manifest.title,
            manifest.generation,
            base_path(manifest),
        ));
        let handle = Handle::new();
        let stop = handle.clone();
        tokio::spawn(async move {
            super::serve::wait_for_stop().await;
            stop.shutdown();
        });
        let served = serve(listener, twin.router(), handle, Limits { max_connections: 4096 }).await;
        served.map_err(|error| Failed::Failed(format!("serving failed: {error}")))
    })
}
