//! Notices that files are changed, for `server.reload_on_change`. It watches the directories and not the files: editors and
//! `mv` replace a file by another one, and Kubernetes replaces a symbolic link on the way to it.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Changes come in groups, such as each part of a file that is written. A group has ended after this time without a change.
const QUIET: Duration = Duration::from_millis(200);
/// A group that does not end is not waited for.
const LONGEST: Duration = Duration::from_secs(2);
/// How often the directories are looked up until all of them are watched.
const ATTEMPTS: usize = 3;
/// As many symbolic links as Linux follows.
const MOST_LINKS: usize = 40;

/// Watches files.
pub(super) struct FileWatch {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
    noticed: Arc<Noticed>,
}

/// What the thread of the watcher shares with it.
#[derive(Default)]
struct Noticed {
    entries: Mutex<BTreeSet<PathBuf>>,
    changed: Notify,
}

impl FileWatch {
    /// Watches nothing yet.
    pub(super) fn new() -> Result<Self, String> {
        let noticed = Arc::<Noticed>::default();
        let of_thread = Arc::clone(&noticed);
        let handler = move |event: notify::Result<Event>| {
            // An event that was lost may have been a change.
            if event.map_or(true, |event| of_thread.is_concerned(&event)) {
                of_thread.changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(handler).map_err(|error| error.to_string())?;
        Ok(Self { watcher, directories: BTreeSet::new(), noticed })
    }

    /// Watches these files in place of the earlier ones. The error says what is not watched.
    pub(super) fn set<'p>(&mut self, files: impl Iterator<Item = &'p Path> + Clone) -> Result<(), String> {
        let mut watched = self.try_set(files.clone());
        // A link that was replaced meanwhile led to a directory that was removed. Now it leads to another one.
        for _ in 1..ATTEMPTS {
            if watched.is_ok() {
                break;
            }
            watched = self.try_set(files.clone());
        }
        watched
    }

    fn try_set<'p>(&mut self, files: impl Iterator<Item = &'p Path>) -> Result<(), String> {
        let entries: BTreeSet<PathBuf> = files.flat_map(entries_of).collect();
        let directories = entries.iter().filter_map(|entry| entry.parent()).map(Path::to_owned).collect();
        *self.noticed.entries() = entries;
        for left in self.directories.difference(&directories) {
            // Where the directory was removed, its watch has ended already.
            let _ = self.watcher.unwatch(left);
        }
        let mut failures = Vec::new();
        for directory in &directories {
            // Also those from before: another directory may have the same name now.
            if let Err(error) = self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                failures.push(format!("{}: {error}", directory.display()));
            }
        }
        self.directories = directories;
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    /// Waits for the end of the next group of changes.
    pub(super) async fn changed(&self) {
        let changed = &self.noticed.changed;
        changed.notified().await;
        let latest = Instant::now() + LONGEST;
        while Instant::now() < latest {
            if timeout_at(latest.min(Instant::now() + QUIET), changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

impl Noticed {
    fn entries(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an event may be a change of a watched file. Other files in its directory are written all the time, such as
    /// the store, and reading a file is an event, too.
    fn is_concerned(&self, event: &Event) -> bool {
        let is_change = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            _ => true,
        };
        event.need_rescan() || is_change && event.paths.iter().any(|path| self.entries().contains(path))
    }
}

/// The entries of directories that decide what a path leads to: the file, and each symbolic link on the way to it.
fn entries_of(path: &Path) -> Vec<PathBuf> {
    let names = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<VecDeque<OsString>>();
    let mut rest = std::path::absolute(path).map(|path| names(&path)).unwrap_or_default();
    let (mut at, mut entries, mut links) = (PathBuf::new(), Vec::new(), 0);
    while let Some(name) = rest.pop_front() {
        match Path::new(&name).components().next() {
            Some(Component::ParentDir) => {
                at.pop();
            }
            Some(Component::Normal(name)) => {
                let entry = at.join(name);
                match fs::read_link(&entry) {
                    Ok(target) if links < MOST_LINKS => {
                        links += 1;
                        let mut parts = names(&target);
                        parts.append(&mut rest);
                        rest = parts;
                        entries.push(entry);
                    }
                    _ => {
                        if rest.is_empty() {
                            entries.push(entry.clone());
                        }
                        at = entry;
                    }
                }
            }
            // The root replaces what comes before it.
            _ => at.push(&name),
        }
    }
    entries
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_to_a_file_is_watched() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().canonicalize().expect("a path");
        fs::create_dir_all(at.join("volume/..1")).expect("a folder");
        fs::write(at.join("volume/..1/file"), "").expect("a file");
        symlink("..1", at.join("volume/..data")).expect("a link");
        symlink("..data/file", at.join("volume/file")).expect("a link");
        symlink(at.join("volume/../volume"), at.join("outer")).expect("a link");
        let expected = ["outer", "volume/file", "volume/..data", "volume/..1/file"].map(|name| at.join(name));
        assert_eq!(entries_of(&at.join("outer/file")), expected);
        assert_eq!(entries_of(&at.join("missing")), [at.join("missing")]);
        symlink("circle", at.join("circle")).expect("a link");
        assert_eq!(entries_of(&at.join("circle")).last(), Some(&at.join("circle")));
    }
}
