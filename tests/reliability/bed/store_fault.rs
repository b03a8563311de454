//! Ways in which the file of a gateway's store fails while the gateway runs, and is repaired later.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    thread::sleep,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use super::Gateway;

/// How the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// No file can become larger.
    FullDisk,
    /// The file is somewhere else.
    RemovedFile,
    /// Another program has overwritten the file. The gateway does not trust a file that was damaged, so the operator puts a whole
    /// one back and starts the gateway again.
    DamagedFile,
}

/// A store that fails until it is repaired.
pub(crate) struct Failing<'g> {
    gateway: &'g Gateway,
    repair: Repair,
}

/// What repairs the store.
enum Repair {
    EmptyDisk,
    MoveBack(PathBuf),
    PutBack(Vec<u8>),
}

impl StoreFault {
    pub(crate) const ALL: [Self; 3] = [Self::FullDisk, Self::RemovedFile, Self::DamagedFile];

    /// Its name in the names of tests.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full_disk",
            Self::RemovedFile => "removed_file",
            Self::DamagedFile => "damaged_file",
        }
    }
}

impl Gateway {
    /// Lets the store fail, also while the gateway writes to it.
    pub(crate) fn fail_store(&self, fault: StoreFault) -> Failing<'_> {
        let file = self.store_file();
        let repair = match fault {
            StoreFault::FullDisk => {
                self.fill_disk(true);
                Repair::EmptyDisk
            }
            StoreFault::RemovedFile => {
                let away = file.with_extension("away");
                fs::rename(&file, &away).expect("it is moved");
                Repair::MoveBack(away)
            }
            StoreFault::DamagedFile => {
                // The copy is that of one moment. During a checkpoint, the gateway would write into the damaged file, and take it
                // for its own work.
                self.signal(Signal::STOP);
                while self.is_in_a_checkpoint() {
                    self.signal(Signal::CONT);
                    sleep(Duration::from_millis(1));
                    self.signal(Signal::STOP);
                }
                let whole = fs::read(&file).expect("the file");
                let damaged = fs::OpenOptions::new().write(true).open(&file).expect("the file");
                damaged.write_all_at(&vec![0x5A; whole.len()], 0).expect("it is overwritten");
                // Not in the same tick of the filesystem's clock as the last write of the store.
                damaged.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
                self.signal(Signal::CONT);
                Repair::PutBack(whole)
            }
        };
        Failing { gateway: self, repair }
    }

    /// Whether the newest header says that the file needs its log, as from the beginning of a checkpoint to its end.
    fn is_in_a_checkpoint(&self) -> bool {
        let file = Connection::open_with_flags(self.store_file(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the file");
        file.busy_timeout(Duration::ZERO).expect("no waiting");
        // It cannot be read if the gateway was stopped in the middle of a commit.
        let version: Result<u32, _> = file.pragma_query_value(None, "user_version", |row| row.get(0));
        !version.is_ok_and(|version| version == 0)
    }
}

impl Failing<'_> {
    /// Repairs the store. The gateway serves writes again.
    pub(crate) fn repair(self) {
        match self.repair {
            Repair::EmptyDisk => self.gateway.fill_disk(false),
            Repair::MoveBack(away) => fs::rename(away, self.gateway.store_file()).expect("it is moved back"),
            Repair::PutBack(whole) => {
                self.gateway.kill();
                fs::write(self.gateway.store_file(), whole).expect("it is written");
                self.gateway.start();
            }
        }
    }
}
