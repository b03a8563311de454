//! The command line: what can be asked of the binary. Results go to stdout, everything else to stderr.

mod audit;
mod check;
mod explain;
mod keys;
mod operations;
mod providers;
mod serve;
mod terminal;
mod twin;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

pub use serve::{Running, start};

/// One customers API in front of many payment providers.
#[derive(Debug, Parser)]
#[command(
    name = "passerelle",
    version,
    about,
    long_about = "One customers API in front of many payment providers.\n\nWithout a command and without a configuration, \
                  a sandbox is served: five merchants, one a provider, each on a twin of its provider in this process. \
                  Nothing leaves this machine.",
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.\n\nExamples:\n  passerelle                                     \
                  the sandbox, with curl lines to try\n  passerelle serve --config passerelle.toml\n  passerelle check --config \
                  passerelle.toml --probe\n  passerelle providers lomi\n  passerelle explain --provider bitnob create \
                  '{\"name\":\"Awa Diop\",\"email\":\"awa@example.com\"}'"
)]
pub struct CommandLine {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub struct Configuration {
    /// The configuration file; without one, the built-in sandbox is served.
    #[arg(long, short, value_name = "FILE", env = "PASSERELLE_CONFIG", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API (also what happens without a command).
    Serve(serve::Arguments),
    /// Validate the configuration and resolve its secrets; tell every mistake with its line.
    Check(check::Arguments),
    /// What the providers can do, as a table.
    Providers(providers::Arguments),
    /// The exact request a provider would be sent, and what becomes of each field. Sends nothing.
    Explain(explain::Arguments),
    /// What became of writes; `--outcome unknown` lists those that nobody knows yet.
    Operations(operations::Arguments),
    /// The record of every write, as lines of JSON; `verify` checks that none is missing or changed.
    Audit(audit::Arguments),
    /// Make keys for merchants.
    Keys(keys::Arguments),
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Serve a twin of a provider alone: a sandbox that remembers.
    #[command(long_about = twin::LONG_ABOUT)]
    Twin(twin::Arguments),
}

/// What went wrong, for the last line on stderr.
#[derive(Debug)]
pub enum Failed {
    /// The command was used in a way it cannot be.
    Usage(String),
    /// It was tried, and failed.
    Failed(String),
}

impl CommandLine {
    /// Runs the command and answers the exit code.
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
            Some(Command::Keys(arguments)) => keys::run(&arguments),
            Some(Command::Openapi) => terminal::print(&crate::http::openapi::json()),
            Some(Command::Twin(arguments)) => twin::run(arguments),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failed::Usage(told)) => {
                terminal::complain(&told);
                ExitCode::from(2)
            }
            Err(Failed::Failed(told)) => {
                terminal::complain(&told);
                ExitCode::FAILURE
            }
        }
    }
}

impl From<crate::config::ConfigError> for Failed {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Failed(error.to_string())
    }
}
