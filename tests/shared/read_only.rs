//! A folder on a filesystem that becomes read-only while a store in it is open.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Over a folder lies the same folder, which cannot be written: as a system mounts a disk after an error. It ends when this is
/// dropped.
pub(crate) struct ReadOnly(PathBuf);

impl ReadOnly {
    /// `None` without the right to mount, which only root has.
    pub(crate) fn over(folder: &Path) -> Option<Self> {
        let mount = |options: &str, places: &[&Path]| {
            let status = Command::new("mount").args(["-o", options]).args(places).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        if !mount("bind", &[folder, folder]) {
            return None;
        }
        let read_only = Self(folder.to_owned());
        mount("remount,bind,ro", &[folder]).then_some(read_only)
    }

    /// Whether this process may mount.
    pub(crate) fn is_allowed() -> bool {
        tempfile::tempdir().is_ok_and(|folder| Self::over(folder.path()).is_some())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
