//! Decimal numbers, stored as the digits that were written, because a float would change amounts of money.

use std::str::FromStr;

use bigdecimal::BigDecimal;

/// The rule for a JSON number that was converted to a decimal string.
pub const FROM_NUMBER: &str = "JSON number written as a decimal string";

/// The most digits of an amount, written out or by its exponent. A longer number is not an amount.
const MAX_DIGITS: usize = 78;

/// Whether a text is a plain decimal: an optional sign, digits, an optional fraction.
pub fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= MAX_DIGITS && is_digits(whole) && is_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

/// Whether two texts are the same number.
pub fn same(one: &str, other: &str) -> bool {
    // A number with a huge exponent stays as it is, and is not compared: it would need as many digits.
    let number = |text: &str| match is_plain(text) {
        true => BigDecimal::from_str(text).ok(),
        false => from_json_number(text).and_then(|plain| BigDecimal::from_str(&plain).ok()),
    };
    number(one).is_some_and(|one| number(other).is_some_and(|other| one == other))
}

/// Converts a JSON number with an exponent to a plain decimal. `None` if the text stays as it is, because it is already
/// plain or is not a number.
pub fn from_json_number(number: &str) -> Option<String> {
    if is_plain(number) {
        return None;
    }
    let exponent: i32 = match number.split_once(['e', 'E']) {
        Some((_, exponent)) => exponent.parse().ok()?,
        None => 0,
    };
    if number.len() > MAX_DIGITS || exponent.unsigned_abs() as usize > MAX_DIGITS {
        return None;
    }
    BigDecimal::from_str(number).ok().map(|number| number.to_plain_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        for (number, expected) in
            [("1e3", "1000"), ("1.5E-2", "0.015"), ("12345678901234567890e10", "123456789012345678900000000000")]
        {
            assert_eq!(from_json_number(number).as_deref(), Some(expected), "{number}");
        }
        for number in ["0", "12.50", "-3", "123456789012345678901234567890", "1e999999999", "NaN"] {
            assert_eq!(from_json_number(number), None, "{number} stays as it is");
        }
    }

    #[test]
    fn a_plain_decimal_is_also_a_json_number() {
        for text in ["0", "0.5", "-12", "100.00"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["", "-", ".5", "5.", "01", "+1", "1e3", "1 000", "١"] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
