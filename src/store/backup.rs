//! Backups of a store for the command line: a copy of an SQLite file, made while a gateway may be writing it. The file
//! appears under its name only when it is complete, checked and durable. It needs no key, because nothing sealed is opened.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use secrecy::ExposeSecret as _;
use url::Url;

use super::{
    database::sqlite::{self, Copied},
    error::StoreError,
    settings::{Location, Settings},
};

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its length, in bytes.
    pub bytes: u64,
    /// What it contains.
    pub copied: Copied,
}

fn in_memory() -> StoreError {
    let message =
        "the store is in the gateway's memory (sqlite::memory:), and is lost with it: there is nothing to back up";
    StoreError::Settings(message.to_owned())
}

impl Backup {
    /// Makes a backup of the store in a file that does not exist yet. It calls `progress` with the
    /// number of copied pages and of all pages. If `progress` returns `false`, it makes nothing and returns `None`.
    pub fn make(
        settings: &Settings,
        out: &Path,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<Option<Self>, StoreError> {
        let from = match &settings.place {
            Location::File(path) => path,
            Location::Memory => return Err(in_memory()),
            #[cfg(feature = "simulation")]
            Location::Simulated(..) => return Err(in_memory()),
            Location::Server(url) => return Err(StoreError::Settings(of_server(url.expose_secret(), out))),
        };
        let taken = || StoreError::Settings(format!("{} exists already: choose another name", out.display()));
        if fs::symlink_metadata(out).is_ok() {
            return Err(taken());
        }
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let message = format!("the folder {} does not exist: make it, or choose another one", folder.display());
            return Err(StoreError::Settings(message));
        }
        let wrong = |error: &io::Error| {
            StoreError::Unavailable(format!("{} cannot be written: {error}; nothing was made", out.display()))
        };
        // Readable by its owner only, and removed if anything fails.
        let part = tempfile::Builder::new().prefix(".passerelle-").suffix(".part").tempfile_in(folder);
        let part = part.map_err(|error| wrong(&error))?.into_temp_path();
        let Some(copied) = sqlite::copy(from, &part, &mut progress)? else { return Ok(None) };
        let file = File::options().write(true).open(&part).map_err(|error| wrong(&error))?;
        file.sync_all().map_err(|error| wrong(&error))?;
        let bytes = file.metadata().map_err(|error| wrong(&error))?.len();
        part.persist_noclobber(out).map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => taken(),
            _ => wrong(&failed.error),
        })?;
        // The name must be durable as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| wrong(&error))?;
        Ok(Some(Self { bytes, copied }))
    }
}

/// What to do where the store is on a server. A password in its URL is not shown.
fn of_server(url: &str, out: &Path) -> String {
    let shown = without_password(url).unwrap_or_else(|| "postgres://USER@HOST:5432/DATABASE".to_owned());
    format!(
        "the store is a PostgreSQL database, which makes a consistent backup itself, also while gateways serve. Run\n\n  \
         pg_dump --format=custom --file='{}' '{shown}'\n\npg_dump asks for the password, or takes it from PGPASSWORD or \
         ~/.pgpass. Keep `store.key` in another place (docs/operating.md, \"Backup and restore\")",
        out.display().to_string().replace('\'', "'\\''")
    )
}

fn without_password(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    url.set_password(None).ok()?;
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "password")
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    Some(url.as_str().replace('\'', "%27"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_backed_up_by_its_own_program_and_no_password_is_shown() {
        let message =
            of_server("postgres://gateway:hunter2@db.internal:5433/store?sslmode=require", Path::new("it's.dump"));
        let command = "pg_dump --format=custom --file='it'\\''s.dump' \
                       'postgres://gateway@db.internal:5433/store?sslmode=require'";
        assert!(message.contains(command), "{message}");
        for url in [
            "postgres://gateway:hunter2@/store",
            "postgres://gateway@h/store?password=hunter2",
            "postgres://gateway:hunter2@one,two/store",
            "postgres://gateway:hunter2@%2Fvar%2Frun/store",
        ] {
            let message = of_server(url, Path::new("a.dump"));
            assert!(message.contains("'postgres://") && !message.contains("hunter2"), "{message}");
        }
    }
}
