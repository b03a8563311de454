//! A note outside the log that says how far the log was committed. SQLite reads a log up to the first page whose
//! checksum is wrong, and takes that for the end. It cannot see that committed pages after it are lost.
//!
//! So the writer notes after each commit, before the commit is acknowledged, where the log ends. The note is in the
//! lock file. It is not synced: the log is, so after a loss of power the note is at most too old. A log that has the
//! same salts as the note must have the noted page with the noted checksum, which covers all pages before it. SQLite
//! gives a log other salts when it begins it anew, and then the note says nothing about it.
//!
//! The format of the log is in <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// The length of the log's header.
const HEADER: usize = 32;
/// The length of the header before each page.
const PAGE_HEADER: usize = 24;
/// A log begins with this number, or with the next one if its checksums are over big-endian numbers.
const MAGIC: u32 = 0x377F_0682;

/// Where a log ended at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogEnd {
    salts: [u8; 8],
    pages: u32,
    checksum: [u8; 8],
}

impl LogEnd {
    const LENGTH: usize = 20;

    fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.salts);
        bytes[8..12].copy_from_slice(&self.pages.to_be_bytes());
        bytes[12..].copy_from_slice(&self.checksum);
        bytes
    }

    /// Reads a note. It is there twice: a torn one counts as none.
    fn read(lock: &File) -> io::Result<Option<Self>> {
        let mut note = [0; 2 * Self::LENGTH];
        match read_at(lock, &mut note, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (first, second) = note.split_at(Self::LENGTH);
        if first != second {
            return Ok(None);
        }
        let end = Self { salts: part(first, 0), pages: u32::from_be_bytes(part(first, 8)), checksum: part(first, 12) };
        Ok(Some(end).filter(|end| end.pages > 0))
    }
}

/// The part of some bytes that begins at a place. The caller knows that there are enough.
fn part<const LENGTH: usize>(bytes: &[u8], from: usize) -> [u8; LENGTH] {
    bytes.get(from..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; LENGTH])
}

/// Fills a buffer from a place in a file.
#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, place)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, buffer: &mut [u8], place: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(place))?;
    file.read_exact(buffer)
}

/// Writes bytes at a place in a file.
#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(place))?;
    io::Write::write_all(&mut file, bytes)
}

/// Keeps the note about the log of an open store.
pub(super) struct Note {
    log: File,
    lock: File,
    page_size: u64,
}

impl Note {
    /// The note about an open log, in the lock file.
    pub(super) fn of(log: &Path, lock: &File, page_size: u32) -> io::Result<Self> {
        Ok(Self { log: File::open(log)?, lock: lock.try_clone()?, page_size: page_size.into() })
    }

    /// Notes that a commit is durable, and that the log has this many pages after it.
    pub(super) fn commit(&self, pages: u32) -> io::Result<()> {
        let Some(before) = pages.checked_sub(1) else { return Ok(()) };
        let mut header = [0; PAGE_HEADER];
        let place = HEADER as u64 + u64::from(before) * (PAGE_HEADER as u64 + self.page_size);
        read_at(&self.log, &mut header, place)?;
        let note = LogEnd { salts: part(&header, 8), pages, checksum: part(&header, 16) }.to_bytes();
        write_at(&self.lock, [note, note].as_flattened(), 0)
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
