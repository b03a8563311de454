//! One page of the file of a store, which is overwritten and put back later.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::{Connection, OpenFlags};

use super::Random;

/// The lengths of the headers of SQLite's log, and of each page in it.
const HEADERS: (usize, usize) = (32, 24);

/// A page of a table or of an index.
#[derive(Debug)]
pub(crate) struct Page {
    number: u32,
    length: u32,
    /// The table or the index.
    of: String,
    /// `leaf`, `internal` or `overflow`, as SQLite calls it.
    kind: String,
    /// Whether the tree of the table or the index begins here.
    is_root: bool,
}

/// A page that was overwritten.
pub(super) struct DamagedPage {
    pub(super) page: Page,
    file: PathBuf,
    whole: Vec<u8>,
    damaged: Vec<u8>,
}

impl Page {
    /// A page of the file that the gateway must read in the file, because its log has no newer version of the page. The gateway
    /// must be stopped.
    pub(super) fn any(file: &Path, random: &mut Random, is_eligible: impl Fn(&Self) -> bool) -> Self {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the file");
        let select = "SELECT pageno, pgsize, name, pagetype, path = '/' FROM dbstat ORDER BY pageno";
        let mut statement = connection.prepare(select).expect("the pages");
        let pages = statement.query_map([], |row| {
            Ok(Self {
                number: row.get(0)?,
                length: row.get(1)?,
                of: row.get(2)?,
                kind: row.get(3)?,
                is_root: row.get(4)?,
            })
        });
        let pages = pages.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the pages");
        let logged = logged(file, pages[0].length());
        let eligible = |page: &Self| !logged.contains(&page.number) && is_eligible(page);
        let mut pages: Vec<_> = pages.into_iter().filter(eligible).collect();
        assert!(!pages.is_empty(), "the gateway reads a page in the file");
        pages.swap_remove(usize::try_from(random.below(pages.len() as u64)).expect("an index"))
    }

    /// Where it begins in the file.
    fn place(&self) -> u64 {
        u64::from(self.number - 1) * u64::from(self.length)
    }

    fn length(&self) -> usize {
        usize::try_from(self.length).expect("a length")
    }

    /// Whether SQLite can notice that the page was overwritten: the pages of a tree have a header, and an overflow page has only data.
    pub(super) fn has_header(&self) -> bool {
        self.kind != "overflow"
    }

    /// Whether it is a leaf with rows of this table. The gateway reads no leaf when it starts.
    pub(crate) fn has_rows_of(&self, table: &str) -> bool {
        self.of == table && self.kind == "leaf" && !self.is_root
    }

    /// Overwrites the page with this byte. Then it sets the time of the file's last write, or restores the one that it had.
    pub(super) fn overwrite(self, path: &Path, byte: u8, modified: Option<SystemTime>) -> DamagedPage {
        let file = OpenOptions::new().read(true).write(true).open(path).expect("the file");
        let modified = modified.unwrap_or_else(|| file.metadata().and_then(|found| found.modified()).expect("a time"));
        let mut whole = vec![0; self.length()];
        file.read_exact_at(&mut whole, self.place()).expect("the page");
        let damaged = vec![byte; self.length()];
        file.write_all_at(&damaged, self.place()).expect("it is overwritten");
        file.set_modified(modified).expect("a time");
        DamagedPage { page: self, file: path.to_owned(), whole, damaged }
    }
}

impl DamagedPage {
    /// Puts the page back, unless the gateway itself has written it since.
    pub(super) fn put_back(&self) {
        let file: File = OpenOptions::new().read(true).write(true).open(&self.file).expect("the file");
        let mut found = vec![0; self.whole.len()];
        file.read_exact_at(&mut found, self.page.place()).expect("the page");
        if found == self.damaged {
            file.write_all_at(&self.whole, self.page.place()).expect("it is written");
        }
    }
}

/// The numbers of the pages in the log, also of those that were not committed.
fn logged(file: &Path, page_size: usize) -> HashSet<u32> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = fs::read(log).unwrap_or_default();
    let (header, page_header) = HEADERS;
    let Some((header, pages)) = log.split_at_checked(header) else { return HashSet::new() };
    // Pages from before the log was begun anew have other salts.
    let is_of_log = |page: &&[u8]| page[8..16] == header[16..24];
    let number = |page: &[u8]| page.first_chunk().map(|number| u32::from_be_bytes(*number));
    pages.chunks_exact(page_header + page_size).take_while(is_of_log).filter_map(number).collect()
}
