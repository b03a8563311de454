//! Ways in which the file of a gateway's store fails while the gateway runs, and is repaired later.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    thread::sleep,
    time::{Duration, SystemTime},
};

use libtest_mimic::Trial;
use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use super::{Gateway, Page, Random, disk::Disk, page::DamagedPage};

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
    /// Another program has overwritten one page of the file, any that the gateway must read in the file. It is repaired in the
    /// same way.
    DamagedPage,
    /// The disk returns other bytes for such a page, and no program has written the file. The gateway does not notice it before it
    /// reads the page. If it never does, it serves as before.
    LostPage,
    /// Linux has made the disk read-only after an error. What was not synced is lost. The operator stops the gateway, checks the
    /// disk, mounts it for writing and starts the gateway again.
    ReadOnlyDisk,
}

/// A time of the file that is not in the same tick of the filesystem's clock as the last write of the store.
const OTHER_TIME: SystemTime = SystemTime::UNIX_EPOCH;

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
    PutBackPage(DamagedPage),
    CheckDisk,
}

impl StoreFault {
    pub(crate) const ALL: [Self; 6] =
        [Self::FullDisk, Self::RemovedFile, Self::DamagedFile, Self::DamagedPage, Self::LostPage, Self::ReadOnlyDisk];

    /// Its name in the names of tests.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full_disk",
            Self::RemovedFile => "removed_file",
            Self::DamagedFile => "damaged_file",
            Self::DamagedPage => "damaged_page",
            Self::LostPage => "lost_page",
            Self::ReadOnlyDisk => "read_only_disk",
        }
    }

    /// Whether the gateway notices it at once, without reading a page, and then refuses every write until the store is repaired.
    pub(crate) fn is_noticed(self) -> bool {
        self != Self::LostPage
    }

    /// Whether the store needs a disk of its own, which can then fail.
    pub(crate) fn needs_own_disk(self) -> bool {
        self == Self::ReadOnlyDisk
    }

    /// Whether this machine allows it.
    pub(crate) fn is_possible(self) -> bool {
        !self.needs_own_disk() || Disk::is_possible()
    }

    /// The trial, listed as ignored where it cannot be run.
    pub(crate) fn or_ignored(self, trial: Trial) -> Trial {
        if self.is_possible() {
            return trial;
        }
        Trial::test(format!("{} (no disk can be mounted)", trial.name()), || Ok(())).with_ignored_flag(true)
    }
}

impl Gateway {
    /// Lets the store fail, also while the gateway writes to it.
    pub(crate) fn fail_store(&self, fault: StoreFault, random: &mut Random) -> Failing<'_> {
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
                self.stop_between_checkpoints();
                let whole = fs::read(&file).expect("the file");
                let damaged = fs::OpenOptions::new().write(true).open(&file).expect("the file");
                damaged.write_all_at(&vec![0x5A; whole.len()], 0).expect("it is overwritten");
                damaged.set_modified(OTHER_TIME).expect("a time");
                self.signal(Signal::CONT);
                Repair::PutBack(whole)
            }
            StoreFault::DamagedPage => {
                self.stop_between_checkpoints();
                let damaged = Page::any(&file, random, |_| true).overwrite(&file, 0x5A, Some(OTHER_TIME));
                self.signal(Signal::CONT);
                Repair::PutBackPage(damaged)
            }
            StoreFault::LostPage => return self.lose_page(random, |_| true),
            StoreFault::ReadOnlyDisk => {
                self.disk().fail();
                Repair::CheckDisk
            }
        };
        Failing { gateway: self, repair }
    }

    /// Simulates a disk that returns wrong bytes: overwrites a page, any of those that are eligible, and restores the time of the file's
    /// last write, so that the gateway cannot see a write.
    pub(crate) fn lose_page(&self, random: &mut Random, is_eligible: impl Fn(&Page) -> bool) -> Failing<'_> {
        let file = self.store_file();
        self.stop_between_checkpoints();
        let page = Page::any(&file, random, |page| page.has_header() && is_eligible(page));
        let lost = page.overwrite(&file, *random.one_of(&[0, 0x5A, 0xFF]), None);
        self.signal(Signal::CONT);
        Failing { gateway: self, repair: Repair::PutBackPage(lost) }
    }

    /// Stops the process where the file is that of one moment. During a checkpoint, the gateway would write into a damaged file, and
    /// take it for its own work.
    fn stop_between_checkpoints(&self) {
        self.signal(Signal::STOP);
        while self.is_in_a_checkpoint() {
            self.signal(Signal::CONT);
            sleep(Duration::from_millis(1));
            self.signal(Signal::STOP);
        }
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
    /// The page that is damaged, if it is one.
    pub(crate) fn page(&self) -> Option<&Page> {
        match &self.repair {
            Repair::PutBackPage(damaged) => Some(&damaged.page),
            _ => None,
        }
    }

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
            Repair::PutBackPage(damaged) => {
                self.gateway.kill();
                damaged.put_back();
                self.gateway.start();
            }
            Repair::CheckDisk => {
                self.gateway.kill();
                self.gateway.disk().repair();
                self.gateway.start();
            }
        }
    }
}
