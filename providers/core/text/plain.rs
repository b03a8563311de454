//! Checks whether a text needs escapes in JSON, sixteen bytes at a time.

use wide::u8x16;

/// Whether a text needs no escapes in JSON.
pub(crate) fn is_plain(text: &str) -> bool {
    let (parts, rest) = text.as_bytes().as_chunks();
    parts.iter().all(|part| specials(*part) == 0) && !rest.iter().any(|byte| is_special(*byte))
}

/// Whether a byte has to be escaped in a JSON string.
pub(crate) const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The number of bytes that are checked together.
pub(crate) const PART: usize = 16;

/// A bit mask of the special bytes. The lowest bit stands for the first byte.
#[inline]
pub(crate) fn specials(part: [u8; PART]) -> u32 {
    let part = u8x16::new(part);
    let controls = part.min(u8x16::splat(b' ' - 1)).simd_eq(part);
    (controls | part.simd_eq(u8x16::splat(b'"')) | part.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}
