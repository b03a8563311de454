//! `passerelle switch rehearse`: a whole switch between two twins in this process, while a client reads and writes. At the
//! end the records of both twins are counted apart from the switch, so that its own mistakes are found too.

mod client;
mod count;
mod story;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use axum_server::Handle;
use clap::Args;
use passerelle_providers::{Settings, Vendor, model::auth::Credentials, text::country::Region, vendor};
use serde::Serialize;

use crate::{
    command::{
        CommandError,
        inherited::Inherited,
        listeners::bind,
        providers::{unknown, unknown_generation},
        serve::{runtime, start_beside},
        terminal,
    },
    config::load_text,
    merchant::Twins,
    switch::service::SwitchService,
    twin::{Twin, faults::FaultPlan, many},
};
use client::{Client, Seen};
use count::Counted;
use story::{Line, Story};

const AFTER_HELP: &str = "\
Nothing leaves this machine, and nothing is stored. Exit codes: 0 nothing was lost; 1 something was lost, doubled or \
older than it was written, or the switch did not end; 2 wrong usage.

Examples:
  passerelle switch rehearse --from lomi --to bitnob
  passerelle switch rehearse --from modempay --to bitnob:v2 --customers 10000
  passerelle switch rehearse --from notchpay --to lomi --faults config/faults.toml";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Rehearse {
    /// The provider that is left, or PROVIDER:GENERATION.
    #[arg(long, value_name = "PROVIDER")]
    from: String,
    /// The provider that becomes active, or PROVIDER:GENERATION.
    #[arg(long, value_name = "PROVIDER")]
    to: String,
    /// How many customers the source has.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Both twins fail as this plan says (TOML, docs/twins.md).
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

/// The keys of the merchant, and of two observers who see one twin each and never switch.
const MERCHANT_KEY: &str = "sk_rehearsal";
const OBSERVER_KEYS: [&str; 2] = ["sk_rehearsal_main", "sk_rehearsal_new"];

/// A provider with its generation.
struct Side {
    vendor: &'static Vendor,
    generation: &'static str,
}

impl Side {
    fn parse(text: &str) -> Result<Self, CommandError> {
        let (name, generation) =
            text.split_once(':').map_or((text, None), |(name, generation)| (name, Some(generation)));
        let vendor = vendor(name).ok_or_else(|| unknown(name))?;
        let manifest = vendor.manifest(generation).ok_or_else(|| unknown_generation(vendor, generation))?;
        Ok(Self { vendor, generation: manifest.generation })
    }

    fn connection(&self, timeout: &str) -> String {
        format!(
            "{{ provider = \"{}\", generation = \"{}\", sandbox = true, visibility_lag = \"100ms\", timeout = \"{timeout}\" }}",
            self.vendor.name(),
            self.generation
        )
    }

    /// Serves a twin of it on a free port.
    fn serve(&self, customers: u32, faults: Option<FaultPlan>) -> Result<SocketAddr, String> {
        let settings = Settings { generation: self.generation, region: Region::parse("SN"), livemode: true };
        let mut twin = Twin::new(self.vendor, settings, Credentials::default()).with_customers(many(customers));
        if let Some(faults) = faults {
            twin = twin.with_faults(faults);
        }
        let listener = bind("127.0.0.1:0", "another port")?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        tokio::spawn(twin.serve(listener, Handle::new()));
        Ok(address)
    }
}

fn configuration(sides: &[Side; 2], has_faults: bool) -> String {
    // A twin that never answers holds a request as long as this.
    let timeout = if has_faults { "500ms" } else { "10s" };
    let [main, new] = sides.each_ref().map(|side| side.connection(timeout));
    let [main_key, new_key] = OBSERVER_KEYS;
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n\
         [merchants.shop]\napi_keys = [\"{MERCHANT_KEY}\"]\nactive = \"main\"\nregion = \"SN\"\non_loss = \"carry\"\n\
         connections.main = {main}\nconnections.new = {new}\n\
         [merchants.main]\napi_keys = [\"{main_key}\"]\nactive = \"main\"\nregion = \"SN\"\nconnections.main = {main}\n\
         [merchants.new]\napi_keys = [\"{new_key}\"]\nactive = \"new\"\nregion = \"SN\"\nconnections.new = {new}\n"
    )
}

/// What a rehearsal has shown.
#[derive(Debug, Serialize)]
struct Report {
    object: &'static str,
    from: String,
    to: String,
    customers: u32,
    story: Vec<Line>,
    client: Seen,
    counted: Counted,
    seconds: f64,
    nothing_lost: bool,
}

pub(super) fn run(arguments: Rehearse, json: bool) -> Result<(), CommandError> {
    let sides = [Side::parse(&arguments.from)?, Side::parse(&arguments.to)?];
    let faults = arguments.faults.as_deref().map(FaultPlan::load).transpose()?;
    runtime()?.block_on(async {
        tokio::select! {
            ended = rehearse(&arguments, sides, faults, json) => ended,
            _ = tokio::signal::ctrl_c() => {
                Err(CommandError::Open("interrupted: the rehearsal has not ended, and nothing of it stays".to_owned()))
            }
        }
    })
}

async fn rehearse(
    arguments: &Rehearse,
    sides: [Side; 2],
    faults: Option<FaultPlan>,
    json: bool,
) -> Result<(), CommandError> {
    let begun = Instant::now();
    let Rehearse { from, to, customers, .. } = arguments;
    let loaded = load_text(&configuration(&sides, faults.is_some()), "the rehearsal")?;
    let at = |name: &str, connection: &str| (name.to_owned(), connection.to_owned());
    let [source, target] = &sides;
    let main = source.serve(*customers, faults.clone()).map_err(CommandError::Failed)?;
    let new = target.serve(0, faults).map_err(CommandError::Failed)?;
    let twins = Twins::from([
        (at("shop", "main"), main),
        (at("shop", "new"), new),
        (at("main", "main"), main),
        (at("new", "new"), new),
    ]);
    let running = start_beside(&loaded, twins, Inherited::default(), |app| Arc::new(app.switches.clone()));
    let running = running.await.map_err(CommandError::Failed)?;
    if !json {
        terminal::print(&format!(
            "{from} -> {to}, {customers} customers on twins in this process, while a client reads and writes\n"
        ))?;
    }
    let switches: Arc<dyn SwitchService> = Arc::new(running.app.switches.clone());
    let client = Client::start(running.address, MERCHANT_KEY, *customers).await.map_err(CommandError::Failed)?;
    let mut story = Story::new(switches, !json);
    let result = story.play(&client).await;
    let (lines, left) = story.ended();
    let (seen, known) = client.stop().await;
    result?;
    let counted = count::count(running.address, OBSERVER_KEYS, &known, left).await.map_err(CommandError::Failed)?;
    running.handle.shutdown();
    let nothing_lost = seen.is_whole() && counted.is_whole();
    let seconds = begun.elapsed().as_secs_f64();
    let report = Report {
        object: "rehearsal",
        from: from.clone(),
        to: to.clone(),
        customers: *customers,
        story: lines,
        client: seen,
        counted,
        seconds,
        nothing_lost,
    };
    if json {
        terminal::print_json(&report)?;
    } else {
        terminal::print(&report.text())?;
    }
    match nothing_lost {
        true => Ok(()),
        false => Err(CommandError::Open("the rehearsal has lost something: do not switch these two yet".to_owned())),
    }
}

impl Report {
    fn text(&self) -> String {
        let Self { client, counted, seconds, .. } = self;
        let verdict = if self.nothing_lost { "Nothing was lost" } else { "SOMETHING WAS LOST" };
        format!(
            "\nclient   {} reads, {} updates, {} creates; {} failed; the slowest took {} ms\n\
             ids      {} handed out, {} do not answer, {} answer something older than was written\n\
             twins    {} customers at the source, {} at the target; {} lost, {} doubled, {} not copied\n\n\
             {verdict}, in {seconds:.1} s.",
            client.reads,
            client.updates,
            client.creates,
            client.failed,
            client.slowest_ms,
            client.ids,
            client.missing,
            client.stale,
            counted.source,
            counted.target,
            counted.lost,
            counted.doubled,
            counted.not_copied
        )
    }
}
