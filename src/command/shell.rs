//! `passerelle completions` and `passerelle man`: what a shell and a reader of manuals need to know of the command line, made
//! from its definition. Packages install both.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{CommandError, CommandLine, terminal};

/// The shells whose completions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Supported {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Supported,
}

#[derive(Debug, Args)]
pub(super) struct Manual {
    /// Write the pages of all commands into this folder, instead of printing the page of `passerelle`.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints the completions of a shell.
pub(super) fn completions(arguments: &Completions) -> Result<(), CommandError> {
    let shell = match arguments.shell {
        Supported::Bash => Shell::Bash,
        Supported::Zsh => Shell::Zsh,
        Supported::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "passerelle", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page, or writes one for each command.
pub(super) fn manual(arguments: &Manual) -> Result<(), CommandError> {
    let mut root = CommandLine::command();
    root.build();
    let Some(folder) = &arguments.out else {
        let page = page(&root).map_err(|error| CommandError::Failed(error.to_string()))?;
        return terminal::print(&String::from_utf8_lossy(&page));
    };
    write_pages(&root, folder)
        .map_err(|error| CommandError::Failed(format!("{} cannot be written: {error}", folder.display())))
}

/// Writes the page of a command, and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    fs::write(folder.join(format!("{name}.1")), page(command)?)?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below.into_iter().try_for_each(|below| write_pages(below, folder))
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
