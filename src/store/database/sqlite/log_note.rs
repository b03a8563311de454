//! A note outside the log that says how far the log was committed. SQLite reads a log up to the first page whose
//! checksum is wrong, and takes that for the end. It cannot see that committed pages after it are lost.
//!
//! So the writer notes after each commit, before the commit is acknowledged, where the log ends. The note is in the
//! lock file. It is not synced: the log is, so after a loss of power the note is at most too old. A log that has the
//! same salts as the note must have the noted page with the noted checksum, which covers all pages before it. SQLite
//! gives a log other salts when it begins it anew, and then the note says nothing about it. The same write notes the newest
//! audit record (`newest`).
//!
//! The format of the log is in <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{
    newest::Newest,
    places::{part, read_at, read_twice, write_at},
};

/// The length of the log's header.
const HEADER: usize = 32;
/// The length of the header before each page.
const PAGE_HEADER: usize = 24;
/// A log begins with this number, or with the next one if its checksums are over big-endian numbers.
const MAGIC: u32 = 0x377F_0682;

/// Where a log ended at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEnd {
    salts: [u8; 8],
    pages: u32,
    checksum: [u8; 8],
}

impl LogEnd {
    pub(super) const LENGTH: usize = 20;

    fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.salts);
        bytes[8..12].copy_from_slice(&self.pages.to_be_bytes());
        bytes[12..].copy_from_slice(&self.checksum);
        bytes
    }

    /// Reads the note. A torn one counts as none.
    fn read(lock: &File) -> io::Result<Option<Self>> {
        let Some(note) = read_twice::<{ Self::LENGTH }>(lock, 0)? else { return Ok(None) };
        let end = Self { salts: part(&note, 0), pages: u32::from_be_bytes(part(&note, 8)), checksum: part(&note, 12) };
        Ok(Some(end).filter(|end| end.pages > 0))
    }
}

/// Keeps the note about the log of an open store.
pub(super) struct Note {
    log: File,
    lock: File,
    page_size: u64,
    newest: Mutex<Option<Newest>>,
}

impl Note {
    /// The note about an open log and the newest audit record, in the lock file.
    pub(super) fn of(log: &Path, lock: &File, page_size: u32, newest: Option<Newest>) -> io::Result<Self> {
        let newest = Mutex::new(newest);
        Ok(Self { log: File::open(log)?, lock: lock.try_clone()?, page_size: page_size.into(), newest })
    }

    /// Sets the audit record that the next commit notes. Returns the one before, to be set again if the commit fails.
    pub(super) fn set_newest(&self, newest: Option<Newest>) -> Option<Newest> {
        std::mem::replace(&mut self.newest.lock().unwrap_or_else(PoisonError::into_inner), newest)
    }

    /// Notes that a commit is durable, and that the log has this many pages after it.
    pub(super) fn commit(&self, pages: u32) -> io::Result<()> {
        let Some(before) = pages.checked_sub(1) else { return Ok(()) };
        let mut header = [0; PAGE_HEADER];
        let place = HEADER as u64 + u64::from(before) * (PAGE_HEADER as u64 + self.page_size);
        read_at(&self.log, &mut header, place)?;
        let note = LogEnd { salts: part(&header, 8), pages, checksum: part(&header, 16) }.to_bytes();
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest.map_or([0; Newest::LENGTH], Newest::to_bytes);
        let bytes = [[note; 2].as_flattened(), [newest; 2].as_flattened()].concat();
        write_at(&self.lock, &bytes, 0)
    }
}

/// What can be read of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// Everything that was committed, as far as is known.
    All,
    /// Only the first pages of those that were committed.
    Part { committed: u32, readable: u32 },
    /// SQLite would ignore the log: it has no valid header.
    Nothing,
}

/// Compares a log with the note in the lock file. Only before SQLite opens the log.
pub(super) fn compare(log: &Path, lock: &File) -> io::Result<Readable> {
    let mut log = BufReader::new(File::open(log)?);
    let mut header = [0; HEADER];
    let Some(mut checksums) = read_whole(&mut log, &mut header)?.then(|| Checksums::begin(&header)).flatten() else {
        return Ok(Readable::Nothing);
    };
    let salts: [u8; 8] = part(&header, 16);
    let Some(end) = LogEnd::read(lock)?.filter(|end| end.salts == salts) else { return Ok(Readable::All) };
    let page_size = u32::from_be_bytes(part(&header, 8)) as usize;
    let mut page = vec![0; PAGE_HEADER + page_size];
    for readable in 0..end.pages {
        let is_valid = read_whole(&mut log, &mut page)? && part(&page, 8) == salts && checksums.accept(&page);
        let is_noted = readable + 1 < end.pages || checksums.sum() == end.checksum;
        if !is_valid || !is_noted {
            return Ok(Readable::Part { committed: end.pages, readable });
        }
    }
    Ok(Readable::All)
}

/// Fills a buffer. `false`: the file ends before.
fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The checksum of a log up to a page: each page continues that of the page before.
struct Checksums {
    is_big_endian: bool,
    first: u32,
    second: u32,
}

impl Checksums {
    /// The checksum of the header. `None`: the header is not valid.
    fn begin(header: &[u8; HEADER]) -> Option<Self> {
        let magic = u32::from_be_bytes(part(header, 0));
        let page_size = u32::from_be_bytes(part(header, 8));
        if magic & !1 != MAGIC || !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return None;
        }
        let mut checksums = Self { is_big_endian: magic & 1 == 1, first: 0, second: 0 };
        checksums.add(&header[..24]);
        (checksums.sum() == part(header, 24)).then_some(checksums)
    }

    /// Continues with a page and its header. `false`: the header has another checksum.
    fn accept(&mut self, page: &[u8]) -> bool {
        self.add(&page[..8]);
        self.add(&page[PAGE_HEADER..]);
        self.sum() == part(page, 16)
    }

    fn add(&mut self, bytes: &[u8]) {
        let number = |bytes: [u8; 4]| match self.is_big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        };
        let (mut first, mut second) = (self.first, self.second);
        for pair in bytes.as_chunks::<8>().0 {
            first = first.wrapping_add(number(part(pair, 0))).wrapping_add(second);
            second = second.wrapping_add(number(part(pair, 4))).wrapping_add(first);
        }
        (self.first, self.second) = (first, second);
    }

    fn sum(&self) -> [u8; 8] {
        let mut sum = [0; 8];
        sum[..4].copy_from_slice(&self.first.to_be_bytes());
        sum[4..].copy_from_slice(&self.second.to_be_bytes());
        sum
    }
}
