//! Where the store is and how long it keeps what: the `[store]` table of the configuration, validated.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "simulation")]
use super::database::sqlite::simulated::{SimulatedDatabase, StoreFaults};
use super::{database::sqlite::with_ending, error::StoreError, keyring::Key};
use crate::config::{Loaded, Secret};

/// A clock. Tests set their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The file of the store, where the configuration names none.
const USUAL_FILE: &str = "passerelle.db";

const HOUR: Duration = Duration::from_hours(1);

/// The shortest lease. A renewal is due three times in it, and each may take as long as a transaction of the database.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);
/// The longest lease. No worker takes over the operations of a dead process before their leases have run out.
const LONGEST_LEASE: Duration = Duration::from_mins(10);

/// Everything that [`super::Store::open`] needs to know.
#[derive(Clone)]
pub struct Settings {
    pub(super) place: Location,
    pub(super) key: Option<Key>,
    pub(super) previous_keys: Vec<Key>,
    /// How long answers are kept for replay; 72 hours unless configured.
    pub keep_answers: Duration,
    /// How long finished operations are kept, so that their keys stay known; 30 days unless configured.
    pub keep_tombstones: Duration,
    /// How long a lease lasts without a renewal; 30 seconds unless configured.
    pub lease: Duration,
    /// How long later requests with the same content may join a write without a key; 120 seconds.
    pub joining: Duration,
    /// The time; the system's (SQLite) or the database's (PostgreSQL) unless given.
    pub clock: Option<Clock>,
}

/// Where the database is.
#[derive(Clone)]
pub(super) enum Location {
    /// In memory: it is lost with the process.
    Memory,
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL server.
    Server(SecretString),
    /// The database of a simulation, and what becomes of the transactions.
    #[cfg(feature = "simulation")]
    Simulated(SimulatedDatabase, Arc<dyn StoreFaults>),
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Settings").field("place", &self.location()).finish_non_exhaustive()
    }
}

impl Settings {
    fn at(place: Location) -> Self {
        Self {
            place,
            key: None,
            previous_keys: Vec::new(),
            keep_answers: 72 * HOUR,
            keep_tombstones: 30 * 24 * HOUR,
            lease: Duration::from_secs(30),
            joining: Duration::from_mins(2),
            clock: None,
        }
    }

    /// The settings of `[store]`. Without it, everything is kept in `passerelle.db` beside the configuration file.
    pub fn of(loaded: &Loaded) -> Result<Self, StoreError> {
        let typed = loaded.config.store.as_ref();
        let url = match typed.and_then(|typed| typed.url.as_ref()) {
            Some(url) => Some(
                url.resolve(loaded.folder()).map_err(|error| StoreError::Settings(format!("`store.url` {error}")))?,
            ),
            None => None,
        };
        let place = match url.map_or_else(|| Ok(Location::File(USUAL_FILE.into())), Location::parse)? {
            Location::File(file) => Location::File(placed(&file, loaded)?),
            other => other,
        };
        let mut settings = Self::at(place);
        let Some(typed) = typed else { return Ok(settings) };
        let key = |secret| Key::resolve(secret, loaded.folder());
        settings.key = typed.key.as_ref().map(key).transpose()?;
        settings.previous_keys = typed.previous_keys.iter().map(key).collect::<Result<_, _>>()?;
        settings.lease = typed.lease.unwrap_or(settings.lease);
        if !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&settings.lease) {
            return Err(StoreError::Settings("`store.lease` must be from \"2s\" to \"10m\"".to_owned()));
        }
        settings.keep_answers = typed.keep_answers.unwrap_or(settings.keep_answers);
        settings.keep_tombstones = typed.keep_tombstones.unwrap_or(settings.keep_tombstones);
        if settings.keep_tombstones < settings.keep_answers {
            let message = "`store.keep_tombstones` must not be shorter than `store.keep_answers`";
            return Err(StoreError::Settings(message.to_owned()));
        }
        if settings.key.is_none() && matches!(settings.place, Location::Server(_)) {
            let message = "`store.key` is missing: with PostgreSQL every replica needs the same key, as \
                        { env = \"NAME\" } or { file = \"PATH\" }; `openssl rand -hex 32` makes one";
            return Err(StoreError::WrongKey(message.to_owned()));
        }
        Ok(settings)
    }

    /// The settings of a process of a simulation. All replicas have the same key.
    #[cfg(feature = "simulation")]
    pub fn simulated(database: &SimulatedDatabase, faults: Arc<dyn StoreFaults>) -> Result<Self, StoreError> {
        let key = Some(Key::parse(&"5a".repeat(32))?);
        Ok(Self { key, ..Self::at(Location::Simulated(database.clone(), faults)) })
    }

    /// Where the store is, without a password, for logs.
    pub fn location(&self) -> String {
        match &self.place {
            Location::Memory => "sqlite::memory:".to_owned(),
            Location::File(path) => format!("sqlite:{}", path.display()),
            Location::Server(_) => "postgres://…".to_owned(),
            #[cfg(feature = "simulation")]
            Location::Simulated(..) => "a simulation".to_owned(),
        }
    }
}

impl Location {
    fn parse(url: SecretString) -> Result<Self, StoreError> {
        let text = url.expose_secret();
        match text.split_once(':') {
            Some(("sqlite", ":memory:")) => Ok(Self::Memory),
            Some(("sqlite", file)) => {
                // `sqlite:///PATH` is the usual way to write an absolute path.
                let file = file.strip_prefix("//").unwrap_or(file);
                match file.is_empty() || file.contains(['?', '#']) {
                    true => {
                        Err(StoreError::Settings("`store.url` names no file; write it as `sqlite:FILE`".to_owned()))
                    }
                    false => Ok(Self::File(file.into())),
                }
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Self::Server(url)),
            // The URL may hold a password, so the message does not repeat it.
            _ => Err(StoreError::Settings(
                "`store.url` must be `sqlite:FILE`, `sqlite::memory:` or `postgres://USER@HOST/DATABASE`".to_owned(),
            )),
        }
    }
}

/// The absolute path of the store. A relative one begins at the folder of the configuration file. Earlier versions began it
/// at the working directory: a store that is only there is refused, because the gateway would begin with an empty one.
fn placed(file: &Path, loaded: &Loaded) -> Result<PathBuf, StoreError> {
    let unknown = |error| StoreError::Settings(format!("the working directory cannot be read: {error}"));
    let place = loaded.folder().place(file).map_err(unknown)?;
    let earlier = std::path::absolute(file).map_err(unknown)?;
    // The lock file stays where a store is being restored.
    let is_used = place.exists() || with_ending(&place, ".lock").exists();
    match is_used || place == earlier || !earlier.is_file() {
        true => Ok(place),
        false => Err(StoreError::Settings(format!(
            "the store is at {old}, in the working directory, and not at {new}: a relative `store.url` begins at the folder of the \
             configuration file. Stop every gateway that uses it, and move it with all files that begin with its name ({old}, \
             {old}.key, {old}.lock, {old}-wal, {old}-shm) to {folder}, or set `store.url` to \"sqlite:{old}\"",
            old = earlier.display(),
            new = place.display(),
            folder = place.parent().unwrap_or(&place).display(),
        ))),
    }
}

/// Whether a secret is written in the configuration itself. A URL is one only if it has a password.
pub fn is_literal(secret: &Secret) -> bool {
    match secret {
        Secret::Literal(text) => {
            let text = text.expose_secret();
            !text.starts_with("sqlite:") && text.split_once('@').is_some_and(|(user, _)| user.matches(':').count() > 1)
        }
        Secret::Env(_) | Secret::File(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config;

    fn settings(store: &str) -> Result<Settings, StoreError> {
        let loaded = config::load_text(&format!("[store]\n{store}"), "passerelle.toml").expect("a configuration");
        Settings::of(&loaded)
    }

    /// Where the store of a configuration file is that has this `[store]`.
    fn location_beside(folder: &Path, store: &str) -> Result<String, StoreError> {
        let file = folder.join("passerelle.toml");
        fs::write(&file, store).expect("it is written");
        let loaded = config::load(Some(&file)).expect("a configuration");
        Settings::of(&loaded).map(|settings| settings.location())
    }

    #[test]
    fn a_relative_path_begins_at_the_folder_of_the_configuration_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |file: &str| Ok(format!("sqlite:{}", folder.path().join(file).display()));
        assert_eq!(location_beside(folder.path(), ""), at("passerelle.db"));
        let key = format!("[store]\nkey = \"{}\"\n", "0a".repeat(32));
        assert_eq!(location_beside(folder.path(), &key), at("passerelle.db"), "a table without a URL");
        assert_eq!(location_beside(folder.path(), "[store]\nurl = \"sqlite:data/a.db\"\n"), at("data/a.db"));
        let absolute = location_beside(folder.path(), "[store]\nurl = \"sqlite:/var/lib/a.db\"\n");
        assert_eq!(absolute, Ok("sqlite:/var/lib/a.db".to_owned()));
    }

    #[test]
    fn urls_are_parsed_and_mistakes_name_the_setting() {
        let location = |url: &str| settings(&format!("url = \"{url}\"")).map(|settings| settings.location());
        assert_eq!(location("sqlite::memory:"), Ok("sqlite::memory:".to_owned()));
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(location("sqlite:data/a.db"), Ok(format!("sqlite:{}", here.join("data/a.db").display())));
        assert_eq!(location("sqlite:///var/lib/a.db"), Ok("sqlite:/var/lib/a.db".to_owned()));
        for wrong in ["sqlite:", "mysql://u:hunter2@h/d", "hunter2", "postgres:hunter2"] {
            let message = location(wrong).expect_err("a mistake").to_string();
            assert!(message.contains("`store.url`") && !message.contains("hunter2"), "{message}");
        }
        let message = location("postgres://u:hunter2@h/d").expect_err("no key").to_string();
        assert!(message.contains("`store.key` is missing") && !message.contains("hunter2"), "{message}");
    }

    #[test]
    fn keys_and_lifetimes_are_read() {
        let key = "0a".repeat(32);
        let read = settings(&format!(
            "url = \"postgres://h/d\"\nkey = \"{key}\"\nprevious_keys = [\"{key}\"]\nkeep_answers = \"24h\"\n"
        ))
        .expect("settings");
        assert_eq!((read.keep_answers, read.previous_keys.len()), (24 * HOUR, 1));
        assert!(!format!("{read:?}").contains(&key));
        let message = settings("url = \"sqlite:a\"\nkey = \"short\"\n").expect_err("no key").to_string();
        assert!(message.contains("64 hexadecimal digits") && !message.contains("short"), "{message}");
        let message = settings("url = \"sqlite:a\"\nkeep_tombstones = \"1h\"\n").expect_err("too short").to_string();
        assert!(message.contains("keep_tombstones"), "{message}");
        let lease = |text: &str| settings(&format!("url = \"sqlite:a\"\n{text}")).map(|settings| settings.lease);
        assert_eq!(lease(""), Ok(Duration::from_secs(30)));
        assert_eq!(lease("lease = \"2s\""), Ok(Duration::from_secs(2)));
        for wrong in ["1999ms", "601s"] {
            let message = lease(&format!("lease = \"{wrong}\"")).expect_err("a mistake").to_string();
            assert!(message.contains("`store.lease` must be from \"2s\" to \"10m\""), "{message}");
        }
    }

    #[test]
    fn only_a_password_makes_a_url_a_secret() {
        let literal = |url: &str| is_literal(&Secret::Literal(SecretString::from(url)));
        assert!(literal("postgres://u:p@h/d"));
        assert!(!literal("postgres://u@h/d"));
        assert!(!literal("sqlite:a@b:c:d"));
    }
}
