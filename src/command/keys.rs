//! `passerelle keys`: keys for merchants, shown once.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;

use super::{Failed, terminal};
use crate::merchant::digest_of;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Make a key: give it to the merchant's code, and its digest to the configuration.
    New {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let Keys::New { json } = &arguments.command;
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Failed::Failed("the system gives no random numbers".to_owned()))?;
    let key = format!("sk_{}", URL_SAFE_NO_PAD.encode(random));
    let digest = HEXLOWER.encode(&digest_of(&key));
    if *json {
        return terminal::print_json(&serde_json::json!({ "key": key, "sha256": digest }));
    }
    terminal::print(&format!(
        "{key}\n\nThis is shown once: give it to the merchant's code. In the configuration, write its digest:\n\n  \
         api_keys = [{{ sha256 = \"{digest}\" }}]"
    ))
}
