//! Converts phone numbers to E.164 if the text, its dial code or the merchant's region allows it. Other numbers stay as
//! they are written. The numbering plans come from Google's metadata. The first conversion loads them, which takes about
//! 15 ms. A gateway that has converted no number does not need the 4 MiB that they take.
//!
//! A number with a dial code is converted if its length is possible, because new ranges open before the metadata knows
//! them. A national number is completed only into a valid number of the merchant's region: a number of another country,
//! written without its dial code, often has a possible length there.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, enums::Region as PlanRegion};

use super::{Text, country::Region};

/// The rule for a national number that was completed with the merchant's region.
pub const FROM_REGION: &str = "national number completed with the merchant's region";
/// The rule for a national number that is not valid in the merchant's region.
pub const NOT_OF_REGION: &str = "not a valid number of the merchant's region, so it stays as written";
/// The rule for a national number of a merchant without a region.
pub const NO_REGION: &str = "the merchant has no region to complete a national number with, so it stays as written";
/// The rule for a dial code and a national number that were joined.
pub const FROM_DIAL_CODE: &str = "dial code and national number joined to E.164";
/// The rule for a national number that a client sent without the dial code, which the customer's record has.
pub const BESIDE_RECORD: &str = "national number completed with the dial code of the customer's number, if it has one";
/// The rule for such a number that is not valid with that dial code.
pub const NOT_BESIDE_RECORD: &str =
    "not a valid number with the dial code of the customer's number, so it stays as written";
/// The rule for an international number in another form.
pub const REWRITTEN: &str = "international number rewritten as E.164";
/// The rule for a number that is sent as national digits.
pub const TO_NATIONAL: &str = "E.164 number sent as national digits";
/// The rule for a number that is sent as a dial code and national digits.
pub const TO_DIAL_CODE: &str = "E.164 number sent as dial code and national digits";

/// Whether a text already is E.164: a plus and 7 to 15 digits that do not begin with a zero.
pub fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The most digits of a phone number (E.164).
const MAX_DIGITS: usize = 15;

/// Whether a text can be a phone number: digits and the usual separators between them.
pub fn looks_like_phone(text: &str) -> bool {
    is_written_like_phone(text) && !has_too_many_digits(text)
}

/// The same, however many digits the text has. It may begin with a prefix for calls abroad, which is not a part of the
/// number.
pub fn is_written_like_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits >= 3
        && text.len() <= 40
        && text.chars().all(|sign| sign.is_ascii_digit() || matches!(sign, '+' | ' ' | '-' | '.' | '(' | ')' | '/'))
}

/// Whether a text has more digits than a phone number. `00` before them is not a part of the number.
pub fn has_too_many_digits(text: &str) -> bool {
    let text = text.trim_start();
    text.strip_prefix("00").unwrap_or(text).bytes().filter(u8::is_ascii_digit).count() > MAX_DIGITS
}

/// A phone number that was converted to E.164.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respelled {
    /// The number.
    pub number: String,
    /// The rule that was applied.
    pub rule: &'static str,
}

/// The canonical form of a number that replaces another one of the same customer. A national number gets the dial code
/// of that one if it is a valid number then, and stays as it is written otherwise.
pub fn beside(text: &Text, replaced: Option<&Text>, region: Option<Region>) -> Text {
    let code = replaced.and_then(|replaced| split(replaced)).filter(|_| !has_international_prefix(text));
    let Some((code, _)) = code else { return canonical_text(text, region) };
    let joined = join(code, text).filter(|joined| parse(&joined.number, None).is_some_and(|number| is_valid(&number)));
    joined.map_or_else(|| text.clone(), |joined| Text::from(joined.number))
}

/// The canonical form of a number as text: E.164, or the text itself if it cannot be converted.
pub fn canonical_text(text: &Text, region: Option<Region>) -> Text {
    canonical(text, region).map_or_else(|| text.clone(), |read| Text::from(read.number))
}

/// Converts a number from its international form, or with the merchant's region. `None` if the text stays as it is,
/// because it is already canonical or matches no numbering plan.
#[inline]
pub fn canonical(text: &str, region: Option<Region>) -> Option<Respelled> {
    if is_e164(text) { None } else { convert(text, region) }
}

fn convert(text: &str, region: Option<Region>) -> Option<Respelled> {
    let number = parse(text, region)?;
    let (rule, is_accepted) = if is_international(text, &number, region) {
        (REWRITTEN, is_possible(&number))
    } else {
        (FROM_REGION, is_valid_in(&number, region))
    };
    let number = is_accepted.then(|| e164(&number)).filter(|number| !has_too_many_digits(number))?;
    Some(Respelled { number, rule })
}

/// Why a number that was not converted stays as it is written, if it is a national number. `None` for other texts.
pub fn why_as_written(text: &str, region: Option<Region>) -> Option<&'static str> {
    is_national(text).then_some(if region.is_some() { NOT_OF_REGION } else { NO_REGION })
}

/// Whether a text looks like a phone number without a dial code.
pub fn is_national(text: &str) -> bool {
    !has_international_prefix(text) && looks_like_phone(text)
}

fn parse(text: &str, region: Option<Region>) -> Option<PhoneNumber> {
    let parsed = match text.trim().strip_prefix("00") {
        Some(digits) => PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None),
        None => PHONE_NUMBER_UTIL.parse(text, region.and_then(plan_region)),
    };
    parsed.ok()
}

fn has_international_prefix(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('+') || text.starts_with("00")
}

/// Whether the text has a dial code: after `+`, after `00`, or after the prefix with which the region calls abroad.
fn is_international(text: &str, number: &PhoneNumber, region: Option<Region>) -> bool {
    let home = || PHONE_NUMBER_UTIL.get_country_code_for_region(plan_region(region?)?);
    has_international_prefix(text) || home() != Some(number.country_code)
}

/// Converts a number from a provider that may omit the plus. Digits that are valid in the merchant's region are a
/// national number. Other digits are read as if a plus stood before them, if a numbering plan allows it.
pub fn canonical_without_plus(text: &str, region: Option<Region>) -> Option<Respelled> {
    let digits = text.trim();
    if !(8..=15).contains(&digits.len()) || digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return canonical(text, region);
    }
    let national = region.and_then(plan_region).and_then(|home| PHONE_NUMBER_UTIL.parse(digits, Some(home)).ok());
    let international = || PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok();
    // Few digits can be a national number of an unknown region, so a possible length is not enough for them.
    let is_plausible = |number: &PhoneNumber| is_valid(number) || (digits.len() > 10 && is_possible(number));
    match national.filter(|number| is_valid_in(number, region)).or_else(|| international().filter(is_plausible)) {
        Some(number) => {
            let converted = e164(&number);
            let rule = if converted.ends_with(digits) && converted.len() == digits.len() + 1 {
                REWRITTEN
            } else {
                FROM_REGION
            };
            Some(Respelled { number: converted, rule })
        }
        None => canonical(text, region),
    }
}

/// Joins a dial code such as `+234` and a national number, with or without its trunk zero. Digits that the numbering
/// plan of the dial code does not have follow the dial code as they are written, so that it is not lost.
pub fn join(dial_code: &str, national: &str) -> Option<Respelled> {
    if is_e164(national) {
        return None;
    }
    let code = dial_code.trim().trim_start_matches('+');
    let number = code.parse().ok().and_then(|code| parse_national(code, national)).filter(is_possible);
    let number = number.filter(|number| joins_again(number, national)).map(|number| e164(&number));
    let number = number.filter(|number| !has_too_many_digits(number)).or_else(|| join_as_written(code, national))?;
    Some(Respelled { number, rule: FROM_DIAL_CODE })
}

/// Reads a national number of a dial code.
fn parse_national(code: i32, national: &str) -> Option<PhoneNumber> {
    let plan = PHONE_NUMBER_UTIL.get_region_for_country_code(code)?;
    PHONE_NUMBER_UTIL.parse(national, Some(plan)).ok()
}

/// Whether the number is the same after it was split and joined. Otherwise each zero in front of it would be taken for a
/// trunk zero, one in each round.
fn joins_again(number: &PhoneNumber, national: &str) -> bool {
    let (text, code) = (e164(number), number.country_code);
    let digits = text.get(1 + code.to_string().len()..).unwrap_or_default();
    same_digits(digits, national) || parse_national(code, digits).is_some_and(|again| e164(&again) == text)
}

/// The dial code and the digits in a row, if the result splits into both again.
fn join_as_written(code: &str, national: &str) -> Option<String> {
    let is_separator = |sign: char| matches!(sign, ' ' | '-' | '.' | '(' | ')' | '/');
    let digits: String = national.chars().filter(|sign| !is_separator(*sign)).collect();
    let number = format!("+{code}{digits}");
    let (before, after) = split(&number)?;
    (before.strip_prefix('+') == Some(code) && after == digits).then_some(number)
}

/// Whether two texts have the same digits, so that they differ only in separators.
pub fn same_digits(one: &str, other: &str) -> bool {
    let digits = |text: &'_ str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    let (one, other) = (digits(one), digits(other));
    !one.is_empty() && one == other
}

/// Splits an E.164 number into its dial code with the plus, and its national digits.
/// `None` if the text is not E.164 or its dial code is unknown.
pub fn split(text: &str) -> Option<(&str, &str)> {
    if !is_e164(text) {
        return None;
    }
    let number = PHONE_NUMBER_UTIL.parse(text, None).ok()?;
    let code_length = 1 + number.country_code.to_string().len();
    text.split_at_checked(code_length)
}

/// The national digits of an E.164 number of the merchant's region. `None` for other texts, and for the rare number
/// that the region would not complete to the same number again.
pub fn national(text: &str, region: Option<Region>) -> Option<&str> {
    let (code, national) = split(text)?;
    let home = PHONE_NUMBER_UTIL.get_country_code_for_region(plan_region(region?)?)?;
    let belongs = code.strip_prefix('+')?.parse::<i32>().ok()? == home;
    let reads_back = || canonical(national, region).is_some_and(|read| read.number == text);
    (belongs && reads_back()).then_some(national)
}

fn plan_region(region: Region) -> Option<PlanRegion> {
    region.alpha2().parse().ok()
}

fn is_possible(number: &PhoneNumber) -> bool {
    PHONE_NUMBER_UTIL.is_possible_number(number)
}

fn is_valid(number: &PhoneNumber) -> bool {
    PHONE_NUMBER_UTIL.is_valid_number(number)
}

fn is_valid_in(number: &PhoneNumber, region: Option<Region>) -> bool {
    region.and_then(plan_region).is_some_and(|home| PHONE_NUMBER_UTIL.is_valid_number_for_region(number, home))
}

fn e164(number: &PhoneNumber) -> String {
    PHONE_NUMBER_UTIL.format(number, PhoneNumberFormat::E164).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(code: &str) -> Option<Region> {
        Region::parse(code)
    }

    fn number_and_rule(text: &str, converted: Option<Respelled>) -> (String, Option<&'static str>) {
        converted.map_or_else(|| (text.to_owned(), None), |converted| (converted.number, Some(converted.rule)))
    }

    fn convert_at_home(text: &'static str, home: &str) -> (String, Option<&'static str>) {
        number_and_rule(text, canonical(text, region(home)))
    }

    #[test]
    fn the_merchants_region_completes_national_digits() {
        assert_eq!(convert_at_home("7000001", "GM"), ("+2207000001".into(), Some(FROM_REGION)));
        assert_eq!(convert_at_home("77 123 45 67", "SN"), ("+221771234567".into(), Some(FROM_REGION)));
        assert_eq!(convert_at_home("+221 77 123 45 67", "SN"), ("+221771234567".into(), Some(REWRITTEN)));
        assert_eq!(convert_at_home("00221771234567", "CM"), ("+221771234567".into(), Some(REWRITTEN)));
        assert_eq!(convert_at_home("+221771234567", "SN"), ("+221771234567".into(), None));
    }

    #[test]
    fn text_that_matches_no_numbering_plan_is_not_converted() {
        assert_eq!(convert_at_home("7000001", ""), ("7000001".into(), None));
        assert_eq!(convert_at_home("ask Awa", "SN"), ("ask Awa".into(), None));
        assert_eq!(convert_at_home("", "SN"), (String::new(), None));
    }

    #[test]
    fn a_national_number_that_is_not_valid_in_the_region_stays_as_written() {
        for (text, home) in [
            ("77 123 45 67", "CM"),
            ("771234567", "CM"),
            ("600000000", "CM"),
            ("123", "SN"),
            // A number of Canada, which shares its dial code with the United States.
            ("(604) 555-0123", "US"),
        ] {
            assert_eq!(convert_at_home(text, home), (text.into(), None), "{text} in {home}");
            assert_eq!(why_as_written(text, region(home)), Some(NOT_OF_REGION), "{text} in {home}");
        }
        for (text, home) in [("+237771234567", "CM"), ("0077", "CM"), ("ask Awa", "CM"), ("+221771234567", "")] {
            assert_eq!(why_as_written(text, region(home)), None, "{text} in {home}");
        }
        assert_eq!(why_as_written("77 123 45 67", None), Some(NO_REGION));
    }

    #[test]
    fn a_phone_number_has_at_most_fifteen_digits() {
        for text in ["+123456789012345", "123 456 789 012 345", "00 123 456 789 012 345", "123"] {
            assert!(looks_like_phone(text), "{text}");
        }
        for text in ["4242424242424242", "+49 1761 2345 6789 01", "00 1234 5678 9012 3456", "12", "ask Awa 123"] {
            assert!(!looks_like_phone(text), "{text}");
        }
        // The numbering plan allows this length, E.164 does not.
        assert_eq!(convert_at_home("+49 17612 34567 8901 2", "DE"), ("+49 17612 34567 8901 2".into(), None));
        assert_eq!(join("+49", "176123456789012"), None);
    }

    #[test]
    fn a_number_with_a_dial_code_is_converted_if_its_length_is_possible() {
        assert_eq!(convert_at_home("+237 771 234 567", "CM"), ("+237771234567".into(), Some(REWRITTEN)));
        assert_eq!(convert_at_home("011 221 77 123 45 67", "US"), ("+221771234567".into(), Some(REWRITTEN)));
    }

    #[test]
    fn a_missing_plus_is_added_unless_the_digits_are_a_national_number() {
        for (text, home, expected, rule) in [
            ("237600000000", "", "+237600000000", Some(REWRITTEN)),
            ("237600000000", "NG", "+237600000000", Some(REWRITTEN)),
            ("237677123456", "CM", "+237677123456", Some(REWRITTEN)),
            ("221771234567", "CM", "+221771234567", Some(REWRITTEN)),
            ("677123456", "CM", "+237677123456", Some(FROM_REGION)),
            // With a plus, this would be a number of New Caledonia.
            ("687751234", "CM", "+237687751234", Some(FROM_REGION)),
            ("8123456789", "NG", "+2348123456789", Some(FROM_REGION)),
            ("600000000", "CM", "600000000", None),
            ("771234567", "CM", "771234567", None),
            ("677123456", "", "677123456", None),
            ("8123456789", "", "8123456789", None),
            ("+237600000000", "CM", "+237600000000", None),
            ("00237600000000", "CM", "+237600000000", Some(REWRITTEN)),
            ("999999999999999", "", "999999999999999", None),
        ] {
            let converted = number_and_rule(text, canonical_without_plus(text, region(home)));
            assert_eq!(converted, (expected.to_owned(), rule), "{text} in {home:?}");
        }
    }

    #[test]
    fn dial_codes_join_and_split_both_ways() {
        for (national, joined) in [("8123456789", "+2348123456789"), ("08123456789", "+2348123456789")] {
            assert_eq!(join("+234", national).map(|read| read.number).as_deref(), Some(joined));
        }
        assert_eq!(split("+2348123456789"), Some(("+234", "8123456789")));
        // No numbering plan has these digits, and both parts come back.
        for (code, national) in
            [("+233", "08123456789"), ("+233", "12345"), ("+221", "7000001"), ("+595", "00000858820")]
        {
            let joined = join(code, national).expect("joined").number;
            assert_eq!(split(&joined), Some((code, national)));
        }
        assert_eq!(join("+233", "0812-345 6789").map(|read| read.number).as_deref(), Some("+23308123456789"));
        for (code, national) in [("+999", "1234567"), ("+234", "ask Bob"), ("+234", ""), ("x", "8123456789")] {
            assert_eq!(join(code, national), None, "{code} {national}");
        }
        assert_eq!(split("8123456789"), None);
        assert_eq!(split("+9991234567"), None);
    }

    proptest::proptest! {
        #[test]
        fn a_joined_number_is_the_same_after_it_was_split_and_joined(
            code in "[+](1|7|55|52|54|595|221|220|237|234)",
            national in "(0{0,6}|8|1|00221)[0-9]{4,10}",
        ) {
            if let Some(joined) = join(&code, &national).map(|read| read.number)
                && let Some((code, national)) = split(&joined)
            {
                let again = join(code, national).map(|read| read.number);
                proptest::prop_assert_eq!(again, Some(joined));
            }
        }
    }

    #[test]
    fn only_numbers_of_the_merchants_region_have_national_digits() {
        let number = "+2207000001";
        assert_eq!(national(number, region("GM")), Some("7000001"));
        assert_eq!(national(number, region("SN")), None);
        assert_eq!(national(number, None), None);
    }

    #[test]
    fn national_digits_that_would_convert_to_another_number_are_not_used() {
        for (number, home) in [("+5215512345678", "MX"), ("+23408012345678", "NG")] {
            assert_eq!(national(number, region(home)), None, "{number}");
        }
    }
}
