//! Ways in which the file of a gateway's store fails while the gateway runs, and is repaired later.

use std::{
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    thread::sleep,
    time::{Duration, SystemTime},
};

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

    /// Whether the gateway holds SQLite's lock of checkpoints (`WAL_CKPT_LOCK`): the byte 121 of the file beside the store.
    fn is_in_a_checkpoint(&self) -> bool {
        let shared = self.store_file().with_extension("db-shm");
        let inode = format!(":{}", fs::metadata(shared).expect("the file").ino());
        let locks = fs::read_to_string("/proc/locks").expect("the locks");
        locks.lines().any(|line| {
            // `1: POSIX ADVISORY WRITE 4711 fe:00:4242 121 121`: the first and the last byte are at the end.
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, "POSIX", _, "WRITE", _, file, first, last] = fields[..] else { return false };
            let first_and_last = first.parse().ok().zip(last.parse().ok());
            file.ends_with(&inode)
                && first_and_last.is_some_and(|(first, last): (u64, u64)| (first..=last).contains(&121))
        })
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
