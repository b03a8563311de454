//! The file of an SQLite store before it is opened: whether it can be used, and the lock that keeps other processes
//! out.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    connect_read_only,
    guard::log_of,
    log::{begins_as_a_database, is_needed_by},
    log_note::{self, Readable},
    newest::{Newest, Older},
    session::failure,
};
use crate::store::error::StoreError;

/// A file that this process alone may use, before it is opened.
pub(in crate::store) struct Reserved {
    pub(super) path: PathBuf,
    pub(super) lock: File,
    /// Whether there is no data yet.
    pub(in crate::store) is_new: bool,
    /// The newest audit record that was written here, as far as the note in the lock file says.
    pub(super) noted: Option<Newest>,
    /// Whether a database without that record is opened.
    pub(super) accepts_older: bool,
}

impl Reserved {
    /// The file of the database.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the key, unless the key is configured.
    pub(in crate::store) fn key_path(&self) -> PathBuf {
        beside(&self.path, "key")
    }

    /// Begins with an empty store, whatever was written here before.
    pub(in crate::store) fn begin_anew(&mut self) {
        self.noted = None;
    }

    /// Opens the database also if it lacks what was written here.
    pub(in crate::store) fn accept_older(&mut self) {
        self.accepts_older = true;
    }

    /// The newest audit record, as the note is to say it from now on. A database that lacks the noted one is refused; where
    /// that is accepted, the note stays until the next record is written.
    pub(super) fn newest(&self, connection: &Connection) -> Result<Option<Newest>, StoreError> {
        let found = Newest::of(connection).map_err(|error| failure(&error))?;
        let Some(noted) = self.noted else {
            if let Some(found) = found.filter(|_| !self.is_new) {
                tracing::warn!(
                    "nothing beside the store {} says whether it is the newest one: it ends with audit record {} of {}. \
                     If it is a restored backup, it does not know the writes since then",
                    self.path.display(),
                    found.head.sequence,
                    found.time()
                );
            }
            return Ok(found);
        };
        match Older::of(connection, noted).map_err(|error| failure(&error))? {
            None => Ok(found),
            Some(_) if self.accepts_older => Ok(Some(noted)),
            Some(older) => Err(older.refusal(&self.path, self.is_new)),
        }
    }

    /// Whether the database lacks what was written here. A database that is missing is refused: there is nothing to accept.
    pub(in crate::store) fn older(&self) -> Result<Option<Older>, StoreError> {
        let Some(noted) = self.noted else { return Ok(None) };
        if self.is_new {
            let refusal = Older { noted, found: None }.refusal(&self.path, true);
            return Err(refusal.of_file(&self.path));
        }
        let older = Older::of(&connect_read_only(&self.path)?, noted);
        older.map_err(|error| failure(&error).of_file(&self.path))
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    with_ending(path, &format!(".{ending}"))
}

/// The path of a file that SQLite makes (`-wal`, `-journal`), or of one of ours.
pub(in crate::store) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Checks that a file can be used, and keeps other processes from it.
pub(in crate::store) fn reserve(path: &Path) -> Result<Reserved, StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let shown = path.display();
    if !folder.is_dir() {
        let message = format!("the folder of the store {shown} does not exist: make it, or set `store.url`");
        return Err(StoreError::Settings(message));
    }
    if path.is_dir() {
        return Err(StoreError::Settings(format!("the store {shown} is a folder: `store.url` must name a file")));
    }
    refuse_network(folder, path)?;
    let open = |file: &Path| {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // SQLite gives its other files the mode of this one.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(file).map_err(|error| unusable(file, &error))
    };
    // A lock of its own: closing any handle of the database would release SQLite's locks on it.
    let lock = open(&beside(path, "lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let message = format!(
                "the store {shown} is in use by another process, and only one gateway can use a file; for several replicas set \
                 `store.url` to postgres://…"
            );
            return Err(StoreError::Locked(message));
        }
        Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
    }
    let file = open(path)?;
    let length = file.metadata().map_err(|error| unusable(path, &error))?.len();
    let log = log_of(path);
    let has_log = fs::metadata(&log).is_ok_and(|log| log.is_file() && log.len() > 0);
    if has_log && length == 0 {
        // SQLite would delete the log, and begin with an empty database.
        return Err(StoreError::Damaged(format!(
            "the store {shown} is missing or empty, but its log {} is here: restore both from your backup, or remove the \
             log to begin with an empty store",
            log.display()
        )));
    }
    let begins_as_a_database = begins_as_a_database(&file).map_err(|error| unusable(path, &error))?;
    // While a journal of the first start is here, SQLite undoes what that start has written.
    if length > 0 && !begins_as_a_database && !with_ending(path, "-journal").exists() {
        return Err(StoreError::Damaged(format!(
            "the store {shown} is not an SQLite database: it was overwritten, or `store.url` names another file. Restore \
             the newest backup beside its key (remove {} first), or correct `store.url`",
            log.display()
        )));
    }
    let needs_log = is_needed_by(&file).map_err(|error| unusable(path, &error))?;
    if !has_log && needs_log {
        return Err(StoreError::Damaged(format!(
            "the store {shown} lacks its last writes: the last process did not close it, and its log {} is missing; put \
             the log back, or restore the newest backup (docs/store.md says when nothing is lost)",
            log.display()
        )));
    }
    if has_log {
        check_log(path, &log, &lock, needs_log)?;
    }
    let noted = Newest::noted(&lock).map_err(|error| unusable(&beside(path, "lock"), &error))?;
    Ok(Reserved { path: path.to_owned(), lock, is_new: length == 0, noted, accepts_older: false })
}

/// Checks that a log still has everything that was committed to it.
fn check_log(path: &Path, log: &Path, lock: &File, is_needed: bool) -> Result<(), StoreError> {
    let what = match log_note::compare(log, lock).map_err(|error| unusable(log, &error))? {
        Readable::All => return Ok(()),
        Readable::Nothing if !is_needed => return Ok(()),
        Readable::Nothing => "damaged: nothing in it can be read".to_owned(),
        Readable::Part { committed, readable } => {
            format!("cut or damaged: {committed} pages were committed to it, and only the first {readable} can be read")
        }
    };
    Err(StoreError::Damaged(format!(
        "the store {} lacks its last writes: its log {} is {what}. Put the whole log back, or remove it and restore the \
         newest backup (docs/store.md says how to accept the loss without a backup)",
        path.display(),
        log.display()
    )))
}

/// A file of the store cannot be used.
pub(super) fn unusable(file: &Path, error: &std::io::Error) -> StoreError {
    let why = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "the user of the gateway may not read and write it".to_owned(),
        std::io::ErrorKind::ReadOnlyFilesystem => "its filesystem is read-only".to_owned(),
        _ => error.to_string(),
    };
    StoreError::Settings(format!(
        "the store file {} cannot be opened: {why}; correct that, or set `store.url`",
        file.display()
    ))
}

/// SQLite's log needs shared memory and reliable locks, which network filesystems do not have.
#[cfg(target_os = "linux")]
fn refuse_network(folder: &Path, path: &Path) -> Result<(), StoreError> {
    // The numbers of statfs(2), whose type differs between architectures.
    const NETWORKS: [(u64, &str); 8] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFE53_4D42, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0x00C3_6400, "Ceph"),
        (0x0102_1997, "9p"),
        (0x5346_414F, "AFS"),
        (0x0BD0_0BD0, "Lustre"),
    ];
    let Ok(found) = rustix::fs::statfs(folder) else { return Ok(()) };
    #[expect(clippy::cast_sign_loss, reason = "the number is compared bit by bit")]
    let number = found.f_type as u64 & 0xFFFF_FFFF;
    match NETWORKS.iter().find(|(known, _)| *known == number) {
        None => Ok(()),
        Some((_, name)) => Err(StoreError::Settings(format!(
            "the store {} is on a network filesystem ({name}), where SQLite is not safe: use a local disk, or \
             set `store.url` to postgres://…",
            path.display()
        ))),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_network(_: &Path, _: &Path) -> Result<(), StoreError> {
    Ok(())
}
