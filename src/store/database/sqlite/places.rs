//! Bytes at a place in a file, and numbers at a place in bytes.

use std::{fs::File, io};

/// The part of some bytes that begins at a place. The caller knows that there are enough.
pub(super) fn part<const LENGTH: usize>(bytes: &[u8], from: usize) -> [u8; LENGTH] {
    bytes.get(from..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; LENGTH])
}

/// Fills a buffer from a place in a file.
#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, place)
}

#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, buffer: &mut [u8], place: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(place))?;
    io::Read::read_exact(&mut file, buffer)
}

/// Writes bytes at a place in a file.
#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

#[cfg(not(unix))]
pub(super) fn write_at(mut file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(place))?;
    io::Write::write_all(&mut file, bytes)
}

/// Reads a note that a file has twice, one behind the other. A torn one counts as none.
pub(super) fn read_twice<const LENGTH: usize>(file: &File, place: u64) -> io::Result<Option<[u8; LENGTH]>> {
    let mut copies = [[0; LENGTH]; 2];
    match read_at(file, copies.as_flattened_mut(), place) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let [first, second] = copies;
    Ok((first == second).then_some(first))
}
