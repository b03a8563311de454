//! `passerelle keys`: makes an API key for a merchant. The key is shown once and stored nowhere.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;

use super::{CommandError, terminal};
use crate::merchant::digest_of;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Make a key: the merchant's code gets the key, the configuration gets its digest.
    New {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let Keys::New { json } = &arguments.command;
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| CommandError::Failed("the system does not provide random numbers".to_owned()))?;
    let key = format!("sk_{}", URL_SAFE_NO_PAD.encode(random));
    let digest = HEXLOWER.encode(&digest_of(&key));
    if *json {
        return terminal::print_json(&serde_json::json!({ "key": key, "sha256": digest }));
    }
    terminal::print(&format!(
        "{key}\n\nThe key is shown only this once: give it to the merchant's code. In the configuration, write its digest:\n\n  \
         api_keys = [{{ sha256 = \"{digest}\" }}]"
    ))
}
