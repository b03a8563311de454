//! Where relative paths in a configuration begin: at the folder of the configuration file, wherever a command is run. Without
//! a file, they begin at the working directory.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// The folder of the configuration file.
#[derive(Debug, Clone, Default)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of this configuration file.
    pub fn of(file: &Path) -> Self {
        Self(file.parent().map(Path::to_owned).unwrap_or_default())
    }

    /// The absolute path of a file.
    pub fn place(&self, file: &Path) -> io::Result<PathBuf> {
        std::path::absolute(self.0.join(file))
    }

    /// The path of a file that the gateway reads, as a message shows it: an absolute one as it is typed.
    ///
    /// Earlier versions began a relative path at the working directory. A file that is only there is an error, which is a
    /// predicate that follows the configuration key.
    pub fn find(&self, file: &str) -> Result<PathBuf, String> {
        let typed = Path::new(file);
        let unknown = |error| format!("names the file {file}, and the working directory cannot be read: {error}");
        if typed.is_absolute() {
            return Ok(typed.to_owned());
        }
        let place = self.place(typed).map_err(unknown)?;
        let earlier = std::path::absolute(typed).map_err(unknown)?;
        match place.exists() || place == earlier || !earlier.exists() {
            true => Ok(place),
            false => Err(format!(
                "names the file {file}, which is at {old}, in the working directory, and not at {new}: a relative path begins at the \
                 folder of the configuration file. Move it there, or write \"{old}\"",
                old = earlier.display(),
                new = place.display(),
            )),
        }
    }
}

/// The files that a configuration names.
pub(super) struct Files<'f> {
    /// Where relative paths begin.
    pub(super) folder: &'f Folder,
    /// Their absolute paths.
    pub(super) all: BTreeSet<PathBuf>,
}

impl<'f> Files<'f> {
    /// No files yet, of a configuration in this folder.
    pub(super) const fn beside(folder: &'f Folder) -> Self {
        Self { folder, all: BTreeSet::new() }
    }

    /// Adds a file, and returns its path.
    pub(super) fn add(&mut self, typed: &str) -> PathBuf {
        let place = self.folder.place(Path::new(typed)).unwrap_or_else(|_| PathBuf::from(typed));
        self.all.insert(place.clone());
        place
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config;

    #[test]
    fn a_relative_path_begins_at_the_folder_and_an_absolute_one_is_kept() {
        let folder = Folder::of(Path::new("/etc/passerelle/passerelle.toml"));
        assert_eq!(folder.find("secrets/lomi"), Ok(PathBuf::from("/etc/passerelle/secrets/lomi")));
        assert_eq!(folder.find("/run/secrets/lomi"), Ok(PathBuf::from("/run/secrets/lomi")));
        // `Cargo.toml` is in the working directory of the tests.
        let here = std::env::current_dir().expect("a folder").join("Cargo.toml");
        assert_eq!(
            folder.find("Cargo.toml"),
            Err(format!(
                "names the file Cargo.toml, which is at {old}, in the working directory, and not at /etc/passerelle/Cargo.toml: \
                 a relative path begins at the folder of the configuration file. Move it there, or write \"{old}\"",
                old = here.display()
            ))
        );
        for without_folder in [Folder::default(), Folder::of(Path::new("passerelle.toml"))] {
            assert_eq!(without_folder.find("Cargo.toml"), Ok(here.clone()));
        }
    }

    #[test]
    fn a_file_beside_the_configuration_that_changes_is_a_change_and_is_watched() {
        let folder = tempfile::tempdir().expect("a folder");
        let [configuration, key] = ["passerelle.toml", "key"].map(|name| folder.path().join(name));
        let text = "[merchants.acme]\nactive = \"main\"\napi_keys = [{ file = \"key\" }]\n\
                    connections.main = { provider = \"lomi\", sandbox = true }\n\
                    [server.tls]\ncertificate = \"certificate.pem\"\nkey = \"key\"\n";
        fs::write(&configuration, text).expect("it is written");
        let snapshot = |content: &str| {
            fs::write(&key, content).expect("it is written");
            config::load(Some(&configuration)).expect("a configuration").snapshot()
        };
        let [before, after] = ["first", "second"].map(snapshot);
        let changed: Vec<String> = before.changes(&after).into_iter().map(|change| change.key).collect();
        assert_eq!(changed, ["merchants.acme.api_keys", "server.tls.key"]);
        assert_eq!(after.files, BTreeSet::from([folder.path().join("certificate.pem"), key]));
    }
}
