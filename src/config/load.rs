//! Reads the configuration in layers, later ones win: the built-in defaults, the file, the environment variables.

use std::{borrow::Cow, fmt, fs, path::Path};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
    value::Dict,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Config, Snapshot,
    diagnose::{self, Source},
    folder::Folder,
    left_out::{LeftOut, Readable},
};

/// Every key with its default value. The file is built into the binary.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");
/// How many mistakes are looked for.
const MOST_MISTAKES: usize = 100;
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

/// A mistake in parts, for a program that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake<'a> {
    /// The line of the file, counted from one. `None`: it is not in the file, or concerns all of it.
    pub line: Option<usize>,
    /// What is wrong, with its key.
    pub message: &'a str,
}

impl<'a> Mistake<'a> {
    /// Takes a mistake apart that names this file.
    pub fn of(text: &'a str, file: &str) -> Self {
        let rest = text.strip_prefix(file).and_then(|rest| rest.strip_prefix(':')).unwrap_or(text);
        let in_line = rest.split_once(": ").and_then(|(line, message)| Some((line.parse().ok()?, message)));
        match in_line {
            Some((line, message)) => Self { line: Some(line), message },
            None => Self { line: None, message: rest.trim_start() },
        }
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
    folder: Folder,
    is_built_in: bool,
}

/// Without the text, which may hold secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, warnings, typed: _, source: _, name, folder: _, is_built_in: _ } = self;
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
        Snapshot::of(&self.typed, &self.folder)
    }

    /// The name of the file in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the sandbox that is built in, whose keys are public.
    pub const fn is_built_in(&self) -> bool {
        self.is_built_in
    }

    /// Where relative paths begin.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }
}

/// Reads a file, or the built-in sandbox if `file` is `None`.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    read(file)?.without_mistakes()
}

/// Reads the text of a file. `name` is the name of the file in messages.
pub fn load_text(text: &str, name: &str) -> Result<Loaded, ConfigError> {
    Readable::of(text, name)?.without_mistakes()
}

/// Like [`load`], for a file whose other mistakes are wanted as well. It fails if the file cannot be read, or is no TOML.
pub fn read(file: Option<&Path>) -> Result<Readable, ConfigError> {
    let mut read = match file {
        None => Readable::of(SANDBOX, "the built-in sandbox")?,
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| ConfigError::one(format!("{} cannot be read: {error}", path.display())))?;
            Readable::of(&text, &path.display().to_string())?
        }
    };
    if let Some(rest) = &mut read.rest {
        rest.folder = file.map(Folder::of).unwrap_or_default();
        rest.is_built_in = file.is_none();
    }
    Ok(read)
}

/// The layers of a configuration. A key or variable that is left out counts as not set.
fn layers(text: &str, left_out: &LeftOut) -> Figment {
    // The value of a variable is parsed as TOML. A value that is not TOML is a string.
    let variables = left_out.variables.clone();
    let is_key = move |key: &str| key.contains("__") && !variables.iter().any(|left| left.eq_ignore_ascii_case(key));
    let environment = Env::prefixed(PREFIX).filter(move |key| is_key(key.as_str())).split("__");
    Figment::new().merge(Toml::string(DEFAULTS)).merge(Toml::string(text)).merge(environment)
}

impl Readable {
    /// Reads a text. What cannot be read is left out, and the rest is read again, until all mistakes are found.
    fn of(text: &str, name: &str) -> Result<Self, ConfigError> {
        let source = Source::new(text, name)?;
        let (mut text, mut left_out, mut mistakes) = (Cow::Borrowed(text), LeftOut::default(), Vec::new());
        while mistakes.len() < MOST_MISTAKES {
            let layers = layers(&text, &left_out);
            let errors = match (layers.extract(), layers.extract()) {
                (Ok(config), Ok(typed)) => {
                    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
                    let warnings = other_variables(names, &text).into_iter().collect();
                    let name = name.to_owned();
                    let folder = Folder::default();
                    let rest =
                        Loaded { config, warnings, typed, source, name: name.clone(), folder, is_built_in: false };
                    return Ok(Self { mistakes, left_out, name, rest: Some(rest) });
                }
                (Err(errors), _) | (_, Err(errors)) => errors,
            };
            let errors: Vec<_> = errors.into_iter().collect();
            let new = errors.iter().filter(|error| !left_out.explains(error));
            mistakes.extend(new.map(|error| diagnose::describe(error, &source, name)));
            match left_out.leave_out(&errors, &text) {
                Some(rest) => text = Cow::Owned(rest),
                None => break,
            }
        }
        Ok(Self { mistakes, left_out, name: name.to_owned(), rest: None })
    }
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
