//! Converts times to RFC 3339 in UTC with three fraction digits, or with more digits if the provider wrote more.

use jiff::Timestamp;

/// The rule for a time that was converted.
pub const TO_UTC: &str = "time written in UTC with milliseconds";

/// Converts a provider's time. `None` if the text stays as it is, because it is already canonical or is not an RFC 3339
/// time.
#[inline]
pub fn canonical(text: &str) -> Option<String> {
    if is_canonical(text) { None } else { convert(text) }
}

fn convert(text: &str) -> Option<String> {
    text.parse().ok().map(write).filter(|converted| converted != text)
}

/// Writes a time with milliseconds, or with as many digits as it needs beyond them.
pub fn write(time: Timestamp) -> String {
    let digits = match time.subsec_nanosecond().unsigned_abs() {
        nanoseconds if nanoseconds % 1_000_000 == 0 => 3,
        nanoseconds if nanoseconds % 1_000 == 0 => 6,
        _ => 9,
    };
    format!("{time:.digits$}")
}

/// Whether a text already has the canonical form, with milliseconds.
#[inline]
pub fn is_canonical(text: &str) -> bool {
    const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
    let Ok(text) = <&[u8; 24]>::try_from(text.as_bytes()) else { return false };
    // Checking every byte is faster than stopping at the first wrong one.
    let is_in_shape = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    };
    text.iter().zip(SHAPE).map(is_in_shape).fold(true, |all, each| all & each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_instants_in_different_forms_are_converted_to_one_form() {
        for (text, expected) in [
            ("2023-01-01T12:00:00Z", "2023-01-01T12:00:00.000Z"),
            ("2025-04-04T14:21:49.955123+00:00", "2025-04-04T14:21:49.955123Z"),
            ("2025-04-04T16:21:49.9+02:00", "2025-04-04T14:21:49.900Z"),
            ("2026-03-21T19:03:58.39826262Z", "2026-03-21T19:03:58.398262620Z"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
            assert_eq!(canonical(expected), None, "{expected}");
        }
        assert_eq!(canonical("2025-04-04T14:21:49.955Z"), None);
        assert_eq!(canonical("yesterday"), None);
        assert_eq!(canonical(""), None);
    }
}
