//! `passerelle keys`: makes an API key for a merchant. The key is shown once and stored nowhere.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::{CommandError, terminal};
use crate::{
    clock,
    merchant::{Scope, digest_of, is_name},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Make a key: the merchant's code gets the key, the configuration gets its digest.
    New(New),
}

#[derive(Debug, Args)]
struct New {
    /// What the key begins with. Some clients of providers check it: docs/drop-in.md says which.
    #[arg(long, default_value = "sk_", value_parser = prefix)]
    prefix: String,
    /// The name of the key in answers, metrics and the audit.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// What the key allows, such as `read,write`. Without it, everything.
    #[arg(long, value_delimiter = ',', value_parser = scope, requires = "name")]
    scopes: Vec<Scope>,
    /// From when on the key is not accepted any more, such as 2027-01-01T00:00:00Z.
    #[arg(long, value_parser = end, requires = "name")]
    expires: Option<Timestamp>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A key is sent in a header, so its prefix has only characters that need no quotes there.
fn prefix(text: &str) -> Result<String, String> {
    match text.is_empty() || (text.len() <= 32 && is_name(text)) {
        true => Ok(text.to_owned()),
        false => Err("use at most 32 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`".to_owned()),
    }
}

fn name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("use 1 to 64 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`".to_owned()),
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("use {}", Scope::ALL.map(Scope::as_str).join(", ")))
}

fn end(text: &str) -> Result<Timestamp, String> {
    match text.parse::<Timestamp>() {
        Ok(end) if end <= clock::now() => Err("is in the past".to_owned()),
        Ok(end) => Ok(end),
        Err(_) => Err("use a time of RFC 3339, such as 2027-01-01T00:00:00Z".to_owned()),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let Keys::New(new) = &arguments.command;
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| CommandError::Failed("the system does not provide random numbers".to_owned()))?;
    let key = format!("{}{}", new.prefix, URL_SAFE_NO_PAD.encode(random));
    let digest = HEXLOWER.encode(&digest_of(&key));
    let entry = new.entry(&digest);
    if new.json {
        let mut made = serde_json::json!({ "key": key, "sha256": digest, "toml": entry });
        if let Some(made) = made.as_object_mut() {
            made.extend(new.described());
        }
        return terminal::print_json(&made);
    }
    terminal::print(&format!(
        "{key}\n\nThe key is shown only this once: give it to the merchant's code. In the configuration, write its digest:\n\n  \
         api_keys = [{entry}]"
    ))
}

impl New {
    /// The entry of `api_keys`, as TOML.
    fn entry(&self, digest: &str) -> String {
        let mut parts: Vec<String> = self.name.iter().map(|name| format!("name = \"{name}\"")).collect();
        parts.push(format!("sha256 = \"{digest}\""));
        if !self.scopes.is_empty() {
            let scopes: Vec<String> = self.scopes.iter().map(|scope| format!("\"{scope}\"")).collect();
            parts.push(format!("scopes = [{}]", scopes.join(", ")));
        }
        parts.extend(self.expires.map(|end| format!("expires = \"{end}\"")));
        format!("{{ {} }}", parts.join(", "))
    }

    /// What the key is like, for JSON. What was not asked for is left out.
    fn described(&self) -> impl Iterator<Item = (String, serde_json::Value)> {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let members = [
            ("name", self.name.as_ref().map(|name| serde_json::json!(name))),
            ("scopes", (!scopes.is_empty()).then(|| serde_json::json!(scopes))),
            ("expires", self.expires.map(|end| serde_json::json!(end.to_string()))),
        ];
        members.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)))
    }
}
