//! Ways in which the file of a gateway's store fails while the gateway runs, and is repaired later.

use std::{fs, os::unix::fs::FileExt as _, path::PathBuf, time::SystemTime};

use libtest_mimic::Trial;
use rustix::process::Signal;

use super::Gateway;
use crate::read_only::ReadOnly;

/// How the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// No file can become larger.
    FullDisk,
    /// The file is somewhere else.
    RemovedFile,
    /// The filesystem cannot be written.
    ReadOnlyDisk,
    /// Another program has overwritten pages of the file. The gateway does not trust a file that was damaged, so the operator
    /// puts a whole one back and starts the gateway again.
    DamagedFile,
}

/// A store that fails until it is repaired.
pub(crate) struct Failing<'g> {
    gateway: &'g Gateway,
    fault: Fault,
}

/// What repairs the store.
enum Fault {
    FullDisk,
    RemovedFile(PathBuf),
    ReadOnlyDisk(ReadOnly),
    DamagedFile(Vec<u8>),
}

impl StoreFault {
    pub(crate) const ALL: [Self; 4] = [Self::FullDisk, Self::RemovedFile, Self::ReadOnlyDisk, Self::DamagedFile];

    /// Its name in the names of tests.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full_disk",
            Self::RemovedFile => "removed_file",
            Self::ReadOnlyDisk => "read_only_disk",
            Self::DamagedFile => "damaged_file",
        }
    }

    /// The trial, listed as ignored where it cannot be run.
    pub(crate) fn or_ignored(self, trial: Trial) -> Trial {
        trial.with_ignored_flag(self == Self::ReadOnlyDisk && !ReadOnly::is_allowed())
    }
}

impl Gateway {
    /// Lets the store fail, also while the gateway writes to it.
    pub(crate) fn fail_store(&self, fault: StoreFault) -> Failing<'_> {
        let file = self.store_file();
        let fault = match fault {
            StoreFault::FullDisk => {
                self.fill_disk(true);
                Fault::FullDisk
            }
            StoreFault::RemovedFile => {
                let away = file.with_extension("away");
                fs::rename(&file, &away).expect("it is moved");
                Fault::RemovedFile(away)
            }
            StoreFault::ReadOnlyDisk => {
                Fault::ReadOnlyDisk(ReadOnly::over(file.parent().expect("a folder")).expect("a mount"))
            }
            StoreFault::DamagedFile => {
                // The copy is that of one moment.
                self.signal(Signal::STOP);
                let whole = fs::read(&file).expect("the file");
                let damaged = fs::OpenOptions::new().write(true).open(&file).expect("the file");
                damaged.write_all_at(&vec![0x5A; whole.len()], 0).expect("it is overwritten");
                // Not in the same tick of the filesystem's clock as the last write of the store.
                damaged.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
                self.signal(Signal::CONT);
                Fault::DamagedFile(whole)
            }
        };
        Failing { gateway: self, fault }
    }
}

impl Failing<'_> {
    /// Repairs the store. The gateway serves writes again.
    pub(crate) fn repair(self) {
        match self.fault {
            Fault::FullDisk => self.gateway.fill_disk(false),
            Fault::RemovedFile(away) => fs::rename(away, self.gateway.store_file()).expect("it is moved back"),
            Fault::ReadOnlyDisk(read_only) => drop(read_only),
            Fault::DamagedFile(whole) => {
                self.gateway.kill();
                fs::write(self.gateway.store_file(), whole).expect("it is written");
                self.gateway.start();
            }
        }
    }
}
