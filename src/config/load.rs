//! Reads the configuration in layers, later ones win: the built-in defaults, the file, the environment variables.

use std::{fmt, fs, path::Path};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
    value::Dict,
};
use serde::de::DeserializeOwned;

use super::{
    Config, Snapshot,
    diagnose::{self, Source},
};

/// Every key with its default value. The file is built into the binary.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");
/// The configuration of the sandbox, which the gateway serves when the operator names no file.
pub const SANDBOX: &str = include_str!("../../config/sandbox.toml");

/// The mistakes in a configuration. Each names the file, the line if it is known, the key, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The mistakes.
    pub mistakes: Vec<String>,
}

impl ConfigError {
    /// An error with one mistake.
    pub fn one(mistake: impl Into<String>) -> Self {
        Self { mistakes: vec![mistake.into()] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.mistakes.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// A configuration and the text it was read from, so that mistakes that are found later can name their line.
#[derive(Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What the operator should know although the configuration can be used.
    pub warnings: Vec<String>,
    /// All layers together, as they were typed.
    typed: Dict,
    source: Source,
    name: String,
}

/// Without the text, which may hold secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, warnings, typed: _, source: _, name } = self;
        formatter
            .debug_struct("Loaded")
            .field("config", config)
            .field("warnings", warnings)
            .field("name", name)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// Describes a mistake at a dotted key: the file, the line if the key is in the file, the key, and `what`.
    pub fn mistake(&self, key: &str, what: impl fmt::Display) -> String {
        self.at(key, format_args!("`{key}` {what}"))
    }

    /// Like [`Self::mistake`], for a message that already names the key.
    pub fn at(&self, key: &str, message: impl fmt::Display) -> String {
        diagnose::in_one_line(match self.source.line_of_key(key) {
            Some(line) => format!("{}:{line}: {message}", self.name),
            None => format!("{}: {message}", self.name),
        })
    }

    /// Replaces what is used at the start only by what a running gateway has, where a reload would otherwise apply a part
    /// of it.
    #[must_use]
    pub fn with_start_of(mut self, running: &Config) -> Self {
        self.config.server.trusted_proxies.clone_from(&running.server.trusted_proxies);
        match (&mut self.config.operator, &running.operator) {
            (Some(operator), Some(running)) => operator.listen.clone_from(&running.listen),
            (operator @ None, Some(running)) => *operator = Some(running.clone()),
            (_, None) => {}
        }
        self
    }

    /// What the configuration is compared with at the next reload. Reads the secrets.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.typed)
    }

    /// The name of the file in messages.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Reads a file, or the built-in sandbox if `file` is `None`.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    match file {
        None => load_text(SANDBOX, "the built-in sandbox"),
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| ConfigError::one(format!("{} cannot be read: {error}", path.display())))?;
            load_text(&text, &path.display().to_string())
        }
    }
}

/// Reads the text of a file. `name` is the name of the file in messages.
pub fn load_text(text: &str, name: &str) -> Result<Loaded, ConfigError> {
    let source = Source::new(text, name)?;
    // The value of a variable is parsed as TOML. A value that is not TOML is a string.
    let environment = Env::prefixed(PREFIX).filter(|key| key.as_str().contains("__")).split("__");
    let layers = Figment::new().merge(Toml::string(DEFAULTS)).merge(Toml::string(text)).merge(environment);
    let config = extract(&layers, &source, name)?;
    let typed = extract(&layers, &source, name)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let warnings = other_variables(names, text).into_iter().collect();
    Ok(Loaded { config, warnings, typed, source, name: name.to_owned() })
}

/// The beginning of the environment variables that are configuration.
const PREFIX: &str = "PASSERELLE_";

/// The variables that the command line reads itself. They have no key in the file.
const WITHOUT_KEY: [&str; 4] =
    ["PASSERELLE_CONFIG", "PASSERELLE_LOG", "PASSERELLE_OPERATOR", "PASSERELLE_OPERATOR_KEY"];

/// A warning about variables that look like configuration and set no key. Kubernetes sets such variables for a service
/// that is named `passerelle`, so they do not keep the gateway from starting. A variable that the configuration names as
/// a secret is none of them.
fn other_variables(names: impl Iterator<Item = String>, text: &str) -> Option<String> {
    let has_prefix = |name: &String| name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let is_used = |name: &String| {
        name[PREFIX.len()..].contains("__") || WITHOUT_KEY.contains(&name.as_str()) || text.contains(name.as_str())
    };
    let mut others: Vec<String> = names.filter(|name| has_prefix(name) && !is_used(name)).collect();
    others.sort();
    (!others.is_empty()).then(|| {
        format!(
            "these environment variables set nothing: {}; a variable that sets a key has two underscores between its \
             parts, such as PASSERELLE_SERVER__LISTEN",
            others.join(", ")
        )
    })
}

/// Reads another TOML text, without defaults and environment. Its errors have the form of those of a configuration.
pub(crate) fn read_text<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, ConfigError> {
    extract(&Figment::from(Toml::string(text)), &Source::new(text, name)?, name)
}

fn extract<T: DeserializeOwned>(layers: &Figment, source: &Source, name: &str) -> Result<T, ConfigError> {
    layers.extract().map_err(|errors| ConfigError {
        mistakes: errors.into_iter().map(|error| diagnose::describe(&error, source, name)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(names: &[&str], text: &str) -> Option<String> {
        other_variables(names.iter().map(|name| (*name).to_owned()), text)
    }

    #[test]
    fn variables_of_kubernetes_are_only_a_warning() {
        let kubernetes = ["PASSERELLE_SERVICE_HOST", "PASSERELLE_PORT_8080_TCP_ADDR", "PASSERELLE_PORT"];
        let warning = warning(&kubernetes, "").expect("a warning");
        assert!(
            warning.contains("nothing: PASSERELLE_PORT, PASSERELLE_PORT_8080_TCP_ADDR, PASSERELLE_SERVICE_HOST;"),
            "{warning}"
        );
    }

    #[test]
    fn variables_with_a_purpose_give_no_warning() {
        let used = ["PASSERELLE_SERVER__LISTEN", "passerelle_server__listen", "PASSERELLE_CONFIG", "PASSERELLE_LOG"];
        assert_eq!(warning(&used, ""), None);
        assert_eq!(warning(&["PATH", "MY_PASSERELLE_PORT", "PASSERELL\u{c9}"], ""), None);
        assert_eq!(warning(&["PASSERELLE_KEY"], "[store]\nkey = { env = \"PASSERELLE_KEY\" }\n"), None);
    }
}
