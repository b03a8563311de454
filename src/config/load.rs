//! Reads the configuration in layers: the built-in defaults, the file, the environment.

use std::{fmt, fs, path::Path};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::de::DeserializeOwned;

use super::{Config, diagnose};

/// Every key with its default, as it is built in.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");
/// The sandbox that is served without a file.
pub const SANDBOX: &str = include_str!("../../config/sandbox.toml");

/// What is wrong with a configuration, one line each: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The mistakes.
    pub mistakes: Vec<String>,
}

impl ConfigError {
    /// One mistake.
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

/// A configuration and the text it was read from, so that later mistakes can be told with their line.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was read.
    pub config: Config,
    text: String,
    name: String,
}

impl Loaded {
    /// A mistake at a dotted key, told with the file and the line.
    pub fn mistake(&self, key: &str, what: impl fmt::Display) -> String {
        self.at(key, format_args!("`{key}` {what}"))
    }

    /// The same where what is told names the key itself.
    pub fn at(&self, key: &str, told: impl fmt::Display) -> String {
        match diagnose::line_of_key(&self.text, key) {
            Some(line) => format!("{}:{line}: {told}", self.name),
            None => format!("{}: {told}", self.name),
        }
    }

    /// What the file is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Reads a file, or the built-in sandbox where there is none.
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

/// Reads the text of a file. `name` is what mistakes call it.
pub fn load_text(text: &str, name: &str) -> Result<Loaded, ConfigError> {
    // Values of variables are parsed as TOML; anything that is no TOML is a string.
    let environment = Env::prefixed("PASSERELLE_").ignore(&["config", "log"]).split("__");
    let layers = Figment::new().merge(Toml::string(DEFAULTS)).merge(Toml::string(text)).merge(environment);
    let config = extract(&layers, text, name)?;
    Ok(Loaded { config, text: text.to_owned(), name: name.to_owned() })
}

/// Reads a TOML text that has neither defaults nor an environment; mistakes are told as the configuration's are.
pub(crate) fn read_text<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, ConfigError> {
    extract(&Figment::from(Toml::string(text)), text, name)
}

fn extract<T: DeserializeOwned>(layers: &Figment, text: &str, name: &str) -> Result<T, ConfigError> {
    if let Err(error) = text.parse::<toml_edit::DocumentMut>() {
        let line = error.span().map_or(1, |span| diagnose::line_of(text, span.start));
        return Err(ConfigError::one(format!("{name}:{line}: {}", error.message())));
    }
    layers.extract().map_err(|errors| ConfigError {
        mistakes: errors.into_iter().map(|error| diagnose::describe(&error, text, name)).collect(),
    })
}
