//! Converts times to RFC 3339 in UTC with three fraction digits, or with more digits if the provider wrote more.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, time},
    tz::TimeZone,
};

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

/// The first and the last moment that a provider's time can mean. A time without an offset is UTC, and a date means any
/// moment of its day. `None` if the text is not a time.
pub fn moments(text: &str) -> Option<(Timestamp, Timestamp)> {
    const DATE: usize = "0000-00-00".len();
    if let Ok(moment) = text.parse() {
        return Some((moment, moment));
    }
    let in_utc = |written: DateTime| written.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    if text.len() == DATE {
        let date: Date = text.parse().ok()?;
        return Some((in_utc(date.at(0, 0, 0, 0))?, in_utc(date.to_datetime(time(23, 59, 59, 999_999_999)))?));
    }
    let moment = in_utc(text.parse().ok()?)?;
    Some((moment, moment))
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

    #[test]
    fn a_time_without_an_offset_is_utc_and_a_date_is_any_moment_of_its_day() {
        for (text, first, last) in [
            ("2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T23:59:59.999999999Z"),
            ("2020-01-01 10:20:30", "2020-01-01T10:20:30Z", "2020-01-01T10:20:30Z"),
            ("2020-01-01T10:20:30.5", "2020-01-01T10:20:30.5Z", "2020-01-01T10:20:30.5Z"),
            ("2020-01-01T10:20:30+01:00", "2020-01-01T09:20:30Z", "2020-01-01T09:20:30Z"),
        ] {
            let expected = [first, last].map(|text| text.parse().expect("a time"));
            assert_eq!(moments(text), Some(expected.into()), "{text}");
        }
        for text in ["", "yesterday", "2020-13-01", "1577836800"] {
            assert_eq!(moments(text), None, "{text}");
        }
    }
}
