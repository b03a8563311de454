//! What differs between two configurations, for the log of a reload. A [`Snapshot`] has every key as it was typed, and of
//! secrets only digests: it shows that a secret was changed, also inside its file, and never the secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
};

use aws_lc_rs::digest::{Context, SHA256};
use figment::value::{Dict, Value};
use secrecy::ExposeSecret;
use toml_edit::Key;

use super::{Folder, Secret, folder::Files};

/// The keys that have secrets. `*` is any name.
const SECRETS: [&str; 9] = [
    "merchants.*.api_keys",
    "merchants.*.connections.*.credentials.*",
    "merchants.*.ingress.*.*",
    "operator.keys",
    "outbound.proxy",
    "store.key",
    "store.previous_keys",
    "store.url",
    "telemetry.traces.headers.*",
];

/// The keys that name files whose contents count.
const FILES: [&str; 2] = ["server.tls.certificate", "server.tls.key"];

/// The keys and tables that are used at the start only.
const NEED_RESTART: [&str; 17] = [
    "operator.listen",
    "server.connection_window",
    "server.head_timeout",
    "server.idle_timeout",
    "server.listen",
    "server.max_bodies",
    "server.max_connections",
    "server.max_connections_per_address",
    "server.max_headers",
    "server.max_headers_size",
    "server.max_streams",
    "server.max_uri",
    "server.overload_wait",
    "server.stream_window",
    "server.trusted_proxies",
    "server.write_timeout",
    "store",
];

/// The table whose keys a reload applies, but which it neither adds nor removes.
const OPERATOR: &str = "operator";

/// A configuration as it was typed, to be compared with another one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    root: Node,
    /// The files that secrets and certificates are read from.
    pub files: BTreeSet<PathBuf>,
}

/// A difference between two configurations. It is shown as one line without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The dotted key.
    pub key: String,
    /// What became of it: `added`, `removed`, `changed`, or the values before and after.
    pub what: String,
    /// Whether it is used at the start only.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.what)
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Node {
    Table(BTreeMap<String, Node>),
    Value(String),
    Secret([u8; 32]),
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(entries) => formatter.debug_map().entries(entries).finish(),
            Self::Value(value) => formatter.write_str(value),
            Self::Secret(_) => formatter.write_str("[redacted]"),
        }
    }
}

impl Snapshot {
    /// The snapshot of all layers together. It reads the secrets.
    pub(super) fn of(typed: &Dict, folder: &Folder) -> Self {
        let mut files = Files::beside(folder);
        let root = table(typed, &mut Vec::new(), &mut files);
        Self { root, files: files.all }
    }

    /// What is different in a newer configuration, in the order of the keys.
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(Some(&self.root), Some(&newer.root), &mut Vec::new(), &mut changes);
        changes
    }

    /// Puts back what needs a restart, as `running` has it. Compared with the result, the next configuration shows again
    /// what still needs a restart.
    #[must_use]
    pub fn with_start_of(mut self, running: &Self) -> Self {
        for key in NEED_RESTART {
            let path: Vec<&str> = key.split('.').collect();
            // A whole table is put back below.
            if path.len() == 1 || [&self, running].iter().all(|snapshot| snapshot.root.get(&path[..1]).is_some()) {
                self.root.set(&path, running.root.get(&path).cloned());
            }
        }
        let [own, running] = [&self.root, &running.root].map(|root| root.get(&[OPERATOR]));
        if own.is_some() != running.is_some() {
            let running = running.cloned();
            self.root.set(&[OPERATOR], running);
        }
        self
    }
}

impl Node {
    fn digested(digest: Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.finish().as_ref());
        Self::Secret(bytes)
    }

    fn get(&self, path: &[&str]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match self {
            Self::Table(entries) => entries.get(*first)?.get(rest),
            Self::Value(_) | Self::Secret(_) => None,
        }
    }

    fn set(&mut self, path: &[&str], node: Option<Self>) {
        let (Self::Table(entries), Some((first, rest))) = (self, path.split_first()) else { return };
        match (rest, node) {
            ([], Some(node)) => {
                entries.insert((*first).to_owned(), node);
            }
            ([], None) => {
                entries.remove(*first);
            }
            (rest, node) => {
                if let Some(entry) = entries.get_mut(*first) {
                    entry.set(rest, node);
                }
            }
        }
    }
}

fn table<'d>(entries: &'d Dict, path: &mut Vec<&'d str>, files: &mut Files<'_>) -> Node {
    let nodes = entries.iter().map(|(name, value)| {
        path.push(name);
        let node = match value {
            value if SECRETS.iter().any(|pattern| is_matched(pattern, path)) => {
                let mut digest = Context::new(&SHA256);
                digest_secrets(value, &mut digest, files);
                Node::digested(digest)
            }
            value if FILES.iter().any(|pattern| is_matched(pattern, path)) => {
                let (mut digest, file) = (Context::new(&SHA256), shown(value));
                digest.update(file.as_bytes());
                // What is not readable is a mistake, which the reload names.
                digest.update(&fs::read(files.add(&file)).unwrap_or_default());
                Node::digested(digest)
            }
            Value::Dict(_, entries) => table(entries, path, files),
            value => Node::Value(shown(value)),
        };
        path.pop();
        (name.clone(), node)
    });
    Node::Table(nodes.collect())
}

fn is_matched(pattern: &str, path: &[&str]) -> bool {
    let mut parts = path.iter();
    pattern.split('.').all(|expected| parts.next().is_some_and(|part| expected == "*" || expected == *part))
        && parts.next().is_none()
}

/// Adds a secret or a list of secrets to a digest: as they are typed, and what a reference refers to.
fn digest_secrets(value: &Value, digest: &mut Context, files: &mut Files<'_>) {
    let mut add = |text: &str| {
        digest.update(&(text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    };
    match value {
        Value::Array(_, values) => values.iter().for_each(|value| digest_secrets(value, digest, files)),
        Value::Dict(_, reference) => {
            for (kind, name) in reference {
                let name = shown(name);
                add(kind);
                add(&name);
                let secret = match kind.as_str() {
                    "env" => Some(Secret::Env(name)),
                    "file" => {
                        files.add(&name);
                        Some(Secret::File(name))
                    }
                    _ => None,
                };
                if let Some(secret) = secret.and_then(|secret| secret.resolve(files.folder).ok()) {
                    add(secret.expose_secret());
                }
            }
        }
        other => add(&shown(other)),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Char(_, char) => char.to_string(),
        Value::Bool(_, bool) => bool.to_string(),
        Value::Num(_, number) => {
            let whole = number.to_u128().map(|number| number.to_string());
            let whole = whole.or_else(|| number.to_i128().map(|number| number.to_string()));
            whole.or_else(|| number.to_f64().map(|number| number.to_string())).unwrap_or_default()
        }
        Value::Array(_, values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Dict(..) | Value::Empty(..) => String::new(),
    }
}

fn compare<'n>(before: Option<&'n Node>, after: Option<&'n Node>, path: &mut Vec<&'n str>, changes: &mut Vec<Change>) {
    let what = match (before, after) {
        (Some(Node::Table(before)), Some(Node::Table(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                path.push(name);
                compare(before.get(name), after.get(name), path, changes);
                path.pop();
            }
            return;
        }
        (before, after) if before == after => return,
        (None, Some(Node::Value(after))) => format!("unset → {after}"),
        (Some(Node::Value(before)), None) => format!("{before} → unset"),
        (Some(Node::Value(before)), Some(Node::Value(after))) => format!("{before} → {after}"),
        (None, _) => "added".to_owned(),
        (_, None) => "removed".to_owned(),
        (Some(_), Some(_)) => "changed".to_owned(),
    };
    let is_below = |key: &str| {
        let mut parts = path.iter();
        key.split('.').all(|expected| parts.next() == Some(&expected))
    };
    let needs_restart = path.as_slice() == [OPERATOR] || NEED_RESTART.into_iter().any(is_below);
    let key: Vec<String> = path.iter().map(|part| Key::new(*part).to_string()).collect();
    changes.push(Change { key: key.join("."), what, needs_restart });
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::config::{json_schema, load_text};

    const ACME: &str = "[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\ncredentials = { api_key = \"lomi_secret\" }\n";

    fn snapshot(text: &str) -> Snapshot {
        load_text(text, "test.toml").expect("a configuration").snapshot()
    }

    /// The changes as lines. Those that need a restart begin with `!`.
    fn lines(before: &Snapshot, after: &Snapshot) -> Vec<String> {
        let line = |change: &Change| format!("{}{change}", if change.needs_restart { "!" } else { "" });
        before.changes(after).iter().map(line).collect()
    }

    #[test]
    fn each_change_is_one_line_and_no_line_has_a_secret() {
        let after = ACME.replace("\"main\"", "\"new\"").replace("lomi_secret", "lomi_other").replace(
            "[merchants.acme.connections.main]",
            "region = \"SN\"\n[merchants.acme.connections.new]\nprovider = \"bitnob\"\n[merchants.acme.connections.main]",
        ) + "timeout = \"5s\"\n[merchants.\"b.eta\"]\napi_keys = [\"sk_beta\"]\nactive = \"m\"\nconnections = {}\n\
             [outbound]\nno_proxy = [\"a.example\", \"b.example\"]\n[server]\nmax_body = 1000\n";
        let (before, after) = (snapshot(ACME), snapshot(&after));
        assert_eq!(
            lines(&before, &after),
            [
                "merchants.acme.active: main → new",
                "merchants.acme.connections.main.credentials.api_key: changed",
                "merchants.acme.connections.main.timeout: unset → 5s",
                "merchants.acme.connections.new: added",
                "merchants.acme.region: unset → SN",
                "merchants.\"b.eta\": added",
                "outbound.no_proxy: [] → [a.example, b.example]",
                "server.max_body: 1048576 → 1000",
            ]
        );
        assert!(lines(&after, &before).contains(&"merchants.\"b.eta\": removed".to_owned()));
        assert!(before.changes(&before).is_empty());
        let debug = format!("{after:?}");
        for secret in ["sk_acme", "sk_beta", "lomi_secret", "lomi_other"] {
            assert!(!debug.contains(secret), "{debug}");
        }
    }

    #[test]
    fn a_secret_that_changes_in_its_file_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let typed = ACME.replace("\"lomi_secret\"", &format!("{{ file = {file:?} }}"));
        fs::write(&file, "lomi_secret\n").expect("it is written");
        let before = snapshot(&typed);
        fs::write(&file, "lomi_other\n").expect("it is written");
        let after = snapshot(&typed);
        assert_eq!(lines(&before, &after), ["merchants.acme.connections.main.credentials.api_key: changed"]);
        assert_eq!(after.files, BTreeSet::from([file]));
    }

    #[test]
    fn what_needs_a_restart_is_a_change_until_the_file_has_it_again_as_at_the_start() {
        let start = format!("{ACME}[server]\nlisten = \"127.0.0.1:1\"\n[store]\nurl = \"sqlite:a.db\"\n");
        let file = start.replace("127.0.0.1:1", "127.0.0.1:2").replace("[store]", "deadline = \"9s\"\n[store]")
            + "lease = \"20s\"\n[operator]\nlisten = \"127.0.0.1:3\"\n";
        let (start, file) = (snapshot(&start), snapshot(&file));
        let pending = ["!operator: added", "!server.listen: 127.0.0.1:1 → 127.0.0.1:2", "!store.lease: unset → 20s"];
        let mut first: Vec<&str> = pending.to_vec();
        first.insert(1, "server.deadline: 30s → 9s");
        assert_eq!(lines(&start, &file), first);
        let served = file.clone().with_start_of(&start);
        assert_eq!(lines(&served, &file), pending);
        assert_eq!(lines(&served, &start), ["server.deadline: 9s → 30s"]);

        let served = start.clone().with_start_of(&file);
        assert_eq!(
            lines(&served, &start),
            ["!operator: removed", "!server.listen: 127.0.0.1:2 → 127.0.0.1:1", "!store.lease: 20s → unset"]
        );
        let keys = format!("{ACME}[operator]\nlisten = \"127.0.0.1:4\"\nkeys = [\"op_new\"]\n");
        let with_operator = format!("{ACME}[operator]\nlisten = \"127.0.0.1:3\"\n");
        assert_eq!(
            lines(&snapshot(&with_operator), &snapshot(&keys)),
            ["operator.keys: added", "!operator.listen: 127.0.0.1:3 → 127.0.0.1:4"]
        );
    }

    /// The dotted keys below a schema that are secrets or lists of secrets.
    fn secrets(root: &Json, schema: &Json, at: &str, found: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            match name {
                "Secret" | "ApiKey" | "ClientKey" => {
                    found.insert(at.trim_start_matches('.').to_owned());
                }
                name => secrets(root, &root["$defs"][name], at, found),
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            secrets(root, schema, &format!("{at}.{name}"), found);
        }
        if schema["additionalProperties"].is_object() {
            secrets(root, &schema["additionalProperties"], &format!("{at}.*"), found);
        }
        secrets_of_parts(root, schema, at, found);
    }

    fn secrets_of_parts(root: &Json, schema: &Json, at: &str, found: &mut BTreeSet<String>) {
        let alternatives = schema["anyOf"].as_array().into_iter().flatten();
        for part in alternatives.chain(schema["items"].is_object().then(|| &schema["items"])) {
            secrets(root, part, at, found);
        }
    }

    #[test]
    fn every_key_with_a_secret_is_known() {
        let schema: Json = serde_json::from_str(&json_schema()).expect("JSON");
        let mut found = BTreeSet::new();
        secrets(&schema, &schema, "", &mut found);
        assert_eq!(found, BTreeSet::from(SECRETS.map(str::to_owned)));
    }
}
