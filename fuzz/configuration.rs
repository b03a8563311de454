//! The configuration: it can be used, or each mistake is one line that names the file and shows no secret.
//!
//! An input is a TOML file. Every secret in it is replaced by a text that must not be in a mistake or a warning. The file is
//! then read whole, and cut at some byte, as an editor may leave it.

use std::sync::LazyLock;

use passerelle::{
    config::{ConfigError, Loaded, load_text},
    merchant::Gateway,
    upstream::Shared,
};
use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::{CANARY, bound::bounded, contains_canary};

/// The keys below which every string is a secret. `*` is the name of a merchant, a connection or a provider.
const SECRETS: [&[&str]; 7] = [
    &["merchants", "*", "api_keys"],
    &["merchants", "*", "connections", "*", "credentials"],
    &["merchants", "*", "ingress", "*", "client_secret"],
    &["operator", "keys"],
    &["outbound", "proxy"],
    &["store", "key"],
    &["store", "previous_keys"],
];

/// The keys of a reference to a secret. They are shown.
const REFERENCES: [&str; 3] = ["env", "file", "sha256"];

static SHARED: LazyLock<Shared> = LazyLock::new(Shared::default);

/// Runs one input.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if contains_canary(input) {
        return;
    }
    match text.parse::<DocumentMut>() {
        Err(_) => read(text, false),
        Ok(mut document) => {
            let mut names_a_file = false;
            hide(document.as_item_mut(), &mut Vec::new(), &mut names_a_file);
            let text = document.to_string();
            // A file that the input names is not read.
            read(&text, !names_a_file && text.len() < 1 << 14);
            let cut = text.len() * usize::from(input.first().copied().unwrap_or_default()) / 255;
            if let Some(part) = text.get(..cut) {
                read(part, false);
            }
        }
    }
}

fn is_secret(path: &[String]) -> bool {
    let is_below = |secret: &&[&str]| {
        path.len() >= secret.len() && secret.iter().zip(path).all(|(key, found)| *key == "*" || key == found)
    };
    let is_reference = path.last().is_some_and(|last| REFERENCES.contains(&last.as_str()));
    SECRETS.iter().any(is_below) && !is_reference
}

/// Replaces the secrets in an item.
fn hide(item: &mut Item, path: &mut Vec<String>, names_a_file: &mut bool) {
    if let Some(table) = item.as_table_like_mut() {
        hide_table(table, path, names_a_file);
    } else if let Some(tables) = item.as_array_of_tables_mut() {
        tables.iter_mut().for_each(|table| hide_table(table, path, names_a_file));
    } else if let Item::Value(value) = item {
        hide_value(value, path, names_a_file);
    }
}

fn hide_table(table: &mut dyn TableLike, path: &mut Vec<String>, names_a_file: &mut bool) {
    for (key, item) in table.iter_mut() {
        *names_a_file |= key.get() == "file";
        path.push(key.get().to_owned());
        hide(item, path, names_a_file);
        path.pop();
    }
}

fn hide_value(value: &mut Value, path: &mut Vec<String>, names_a_file: &mut bool) {
    match value {
        Value::String(_) if is_secret(path) => *value = Value::from(CANARY),
        Value::Array(values) => values.iter_mut().for_each(|value| hide_value(value, path, names_a_file)),
        Value::InlineTable(table) => hide_table(table, path, names_a_file),
        _ => {}
    }
}

fn read(text: &str, resolves: bool) {
    let loaded = match bounded(text.len(), || load_text(text, NAME)) {
        Ok(loaded) => loaded,
        Err(error) => return check(&error, text),
    };
    assert!(!format!("{:?}", loaded.config).contains(CANARY), "`Debug` of the configuration shows a secret");
    check_lines(&loaded.warnings, text);
    if resolves {
        resolve(&loaded, text);
    }
}

fn resolve(loaded: &Loaded, text: &str) {
    match Gateway::resolve(loaded, None, &SHARED) {
        Ok(resolved) => check_lines(&resolved.warnings, text),
        Err(error) => check(&error, text),
    }
}

/// The name of the file.
const NAME: &str = "gateway.toml";

fn check(error: &ConfigError, text: &str) {
    assert!(!error.mistakes.is_empty(), "an error without a mistake");
    check_lines(&error.mistakes, text);
}

/// Each message is one line, shows no secret, and names a line that the file has.
fn check_lines(messages: &[String], text: &str) {
    for message in messages {
        assert!(!message.contains(CANARY), "a secret in a message: {message}");
        assert!(!message.contains(char::is_control), "a message that is not one line: {message:?}");
        let line = message.strip_prefix("gateway.toml:").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
        if let Some(line) = line {
            assert!((1..=text.split('\n').count()).contains(&line), "line {line} is not in the file: {message}");
        }
    }
}
