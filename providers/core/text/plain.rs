//! Which text stands in JSON as it is, without escapes. Sixteen bytes are looked at together.

use wide::u8x16;

/// Whether a text stands in JSON as it is, without escapes.
pub(crate) fn is_plain(text: &str) -> bool {
    let (parts, rest) = text.as_bytes().as_chunks();
    parts.iter().all(|part| specials(*part) == 0) && !rest.iter().any(|byte| is_special(*byte))
}

/// Whether a byte does not stand for itself in a string.
pub(crate) const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// How many bytes are looked at together.
pub(crate) const PART: usize = 16;

/// A bit for each byte that is special, the lowest for the first.
#[inline]
pub(crate) fn specials(part: [u8; PART]) -> u32 {
    let part = u8x16::new(part);
    let controls = part.min(u8x16::splat(b' ' - 1)).simd_eq(part);
    (controls | part.simd_eq(u8x16::splat(b'"')) | part.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}
