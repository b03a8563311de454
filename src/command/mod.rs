//! The command line of the `passerelle` binary. Every command writes its result to stdout and everything else to
//! stderr, and returns the exit code 0 (success), 1 (failure) or 2 (wrong usage).

mod audit;
mod check;
mod explain;
mod file_watch;
mod inherited;
mod keys;
mod listeners;
mod operations;
mod providers;
mod reload;
mod serve;
mod service_manager;
mod shell;
mod signals;
mod store;
mod switch;
mod table;
mod terminal;
mod twin;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

pub use serve::{Running, start, start_with};

/// One customers API in front of many payment providers.
#[derive(Debug, Parser)]
#[command(
    name = "passerelle",
    version,
    about,
    long_about = "One customers API in front of many payment providers.\n\nWithout a command and without a configuration \
                  file, passerelle serves a sandbox: five merchants, one per provider, and one who switches. A twin in this \
                  process imitates each provider. Nothing leaves this machine.",
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage.\n\nExamples:\n  passerelle                                     \
                  serves the sandbox and prints curl commands to try\n  passerelle serve --config passerelle.toml\n  passerelle check --config \
                  passerelle.toml --probe\n  passerelle providers lomi\n  passerelle explain --provider bitnob create \
                  '{\"name\":\"Awa Diop\",\"email\":\"awa@example.com\"}'"
)]
pub struct CommandLine {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Names the configuration file.
#[derive(Debug, Clone, Args)]
pub struct Configuration {
    /// The configuration file; without it, `passerelle.toml` in the working directory, or else the built-in sandbox.
    #[arg(long, short, value_name = "FILE", env = "PASSERELLE_CONFIG", global = true)]
    config: Option<PathBuf>,
}

/// The name of a configuration file that is used without being named.
const USUAL_FILE: &str = "passerelle.toml";

impl Configuration {
    /// The configuration file. `None`: the sandbox.
    fn file(&self) -> Option<PathBuf> {
        // A file that cannot be looked at is an error, and not the sandbox.
        let is_there = || Path::new(USUAL_FILE).try_exists().unwrap_or(true);
        self.config.clone().or_else(|| is_there().then(|| PathBuf::from(USUAL_FILE)))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API (the default without a command).
    Serve(serve::Arguments),
    /// Validate the configuration and resolve its secrets; report mistakes with their line where it is known.
    Check(check::Arguments),
    /// Show what each provider supports, as a table.
    Providers(providers::Arguments),
    /// Show the exact requests a provider would receive, and what happens to each field. Sends nothing.
    Explain(explain::Arguments),
    /// List writes and their outcomes; `--outcome unknown` lists those whose outcome is not known.
    Operations(operations::Arguments),
    /// Print the audit records of all writes as lines of JSON; `verify` checks that none is missing or changed.
    Audit(audit::Arguments),
    /// Back up the store while the gateway serves, or accept a restored one.
    Store(store::Arguments),
    /// Make API keys for merchants.
    Keys(keys::Arguments),
    /// Switch a merchant from one provider to another: plan, run, verify, cutover, roll back.
    Switch(switch::Arguments),
    /// Print the OpenAPI document of the API.
    Openapi {
        /// The document of the operator's API.
        #[arg(long)]
        operator: bool,
    },
    /// Serve a twin of one provider: a sandbox with the provider's own API.
    #[command(long_about = twin::LONG_ABOUT)]
    Twin(twin::Arguments),
    /// Print the completions of a shell, such as `passerelle completions bash >/etc/bash_completion.d/passerelle`.
    Completions(shell::Completions),
    /// Print the manual page, for packages.
    #[command(hide = true)]
    Man(shell::Manual),
}

/// Why a command failed, for the last line on stderr.
#[derive(Debug)]
pub enum CommandError {
    /// The arguments are wrong: exit code 2.
    Usage(String),
    /// The command failed: exit code 1.
    Failed(String),
    /// The configuration has these mistakes: exit code 1.
    Mistakes(Vec<String>),
    /// The command has ended, and something needs a person or is not done: exit code 1. The text may be empty.
    Open(String),
}

impl CommandLine {
    /// Runs the command and returns the exit code.
    pub fn run(self) -> ExitCode {
        let configuration = self.configuration;
        let result = match self.command {
            None => serve::run(&configuration, serve::Arguments::default()),
            Some(Command::Serve(arguments)) => serve::run(&configuration, arguments),
            Some(Command::Check(arguments)) => check::run(&configuration, &arguments),
            Some(Command::Providers(arguments)) => providers::run(&arguments),
            Some(Command::Explain(arguments)) => explain::run(&arguments),
            Some(Command::Operations(arguments)) => operations::run(&configuration, &arguments),
            Some(Command::Audit(arguments)) => audit::run(&configuration, &arguments),
            Some(Command::Store(arguments)) => store::run(&configuration, &arguments),
            Some(Command::Keys(arguments)) => keys::run(&arguments),
            Some(Command::Switch(arguments)) => switch::run(&configuration, arguments),
            Some(Command::Openapi { operator: false }) => terminal::print(&crate::http::openapi::json()),
            Some(Command::Openapi { operator: true }) => terminal::print(&crate::operator::openapi::json()),
            Some(Command::Twin(arguments)) => twin::run(arguments),
            Some(Command::Completions(arguments)) => shell::completions(&arguments),
            Some(Command::Man(arguments)) => shell::manual(&arguments),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(CommandError::Usage(message)) => {
                terminal::print_error(&message);
                // As clap ends its own errors of usage.
                terminal::print_notice("\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Err(CommandError::Open(message)) => {
                if !message.is_empty() {
                    terminal::print_notice(&message);
                }
                ExitCode::FAILURE
            }
            Err(CommandError::Failed(message)) => {
                terminal::print_error(&message);
                ExitCode::FAILURE
            }
            Err(CommandError::Mistakes(mistakes)) => {
                for mistake in &mistakes {
                    terminal::print_error(mistake);
                }
                ExitCode::FAILURE
            }
        }
    }
}

impl From<crate::config::ConfigError> for CommandError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Mistakes(error.mistakes)
    }
}
