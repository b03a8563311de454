//! Finds card numbers, so that the gateway can refuse them: it must never accept or store one.

use std::ops::RangeInclusive;

/// Whether a text contains a card number: 13 to 19 digits in a row that an issuer can have given out and that pass the
/// Luhn check. Spaces and dashes between digits are ignored.
pub fn holds_card_number(text: &str) -> bool {
    let mut digits: [u8; 20] = [0; 20];
    let mut count = 0;
    for byte in text.bytes().chain([b';']) {
        match byte {
            b'0'..=b'9' => {
                if count < digits.len() {
                    digits[count] = byte - b'0';
                }
                count += 1;
            }
            b' ' | b'-' => {}
            _ => {
                if (13..=19).contains(&count) && is_card_number(&digits[..count]) {
                    return true;
                }
                count = 0;
            }
        }
    }
    false
}

/// Whether a number in JSON is a card number. The digits of a fraction are none, but `4.2e15` and `42.0` are integers.
pub fn is_card_number_in_json(number: &str) -> bool {
    if !number.contains(['.', 'e', 'E']) {
        return holds_card_number(number.trim_start_matches('-'));
    }
    match number.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < 1e19 => holds_card_number(&format!("{:.0}", value.abs())),
        _ => false,
    }
}

fn is_card_number(digits: &[u8]) -> bool {
    let prefix = digits[..6].iter().fold(0, |number, digit| number * 10 + u32::from(*digit));
    ISSUERS.iter().any(|(prefixes, lengths)| prefixes.contains(&prefix) && lengths.contains(&digits.len()))
        && luhn(digits)
}

/// The first six digits that the card networks give out, and how many digits the numbers have (ISO/IEC 7812). Device
/// numbers (IMEI) have 15 digits and pass the Luhn check as well, so 15 digits count only where a network uses them.
const ISSUERS: &[(RangeInclusive<u32>, &[usize])] = &[
    // Visa. Numbers of 13 digits are old, numbers of 19 digits are new.
    (400_000..=499_999, &[13, 16, 18, 19]),
    // Mastercard.
    (510_000..=559_999, &[16]),
    (222_100..=272_099, &[16]),
    // American Express.
    (340_000..=349_999, &[15]),
    (370_000..=379_999, &[15]),
    // Diners Club.
    (300_000..=305_999, &[14, 16, 17, 18, 19]),
    (309_500..=309_599, &[14, 16, 17, 18, 19]),
    (360_000..=369_999, &[14, 16, 17, 18, 19]),
    (380_000..=399_999, &[14, 16, 17, 18, 19]),
    // JCB.
    (352_800..=358_999, &[16, 17, 18, 19]),
    (213_100..=213_199, &[15]),
    (180_000..=180_099, &[15]),
    // Maestro, Verve (Nigeria), Elo and RuPay.
    (500_000..=509_999, &[13, 16, 17, 18, 19]),
    (560_000..=589_999, &[13, 16, 17, 18, 19]),
    // Discover, UnionPay, Maestro, Verve, Troy and others.
    (600_000..=699_999, &[13, 16, 17, 18, 19]),
    // UnionPay and RuPay.
    (810_000..=829_999, &[16, 17, 18, 19]),
    // Mir.
    (220_000..=220_499, &[16, 17, 18, 19]),
    // Uzcard, Humo and Troy.
    (860_000..=860_099, &[16]),
    (986_000..=986_099, &[16]),
    (979_200..=979_299, &[16]),
];

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(*digit);
            match index % 2 {
                0 => digit,
                _ => digit * 2 / 10 + digit * 2 % 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_found_in_any_grouping() {
        for text in ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "card: 378282246310005."] {
            assert!(holds_card_number(text), "{text}");
        }
    }

    #[test]
    fn the_test_cards_of_all_networks_are_found() {
        // The public test numbers of card processors.
        for text in [
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "371449635398431",
            "30569309025904",
            "38520000023237",
            "36227206271667",
            "6011111111111117",
            "6200000000000005",
            "3566002020360505",
            "6759649826438453",
            "5060990580000217499",
            "2200000000000004",
        ] {
            assert!(holds_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_not_card_numbers() {
        for text in ["4242424242424241", "123456789012", "00000000000000000000", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"]
        {
            assert!(!holds_card_number(text), "{text}");
        }
    }

    #[test]
    fn a_device_number_and_a_number_of_no_issuer_are_not_card_numbers() {
        // Luhn-valid all: three IMEIs, and references that begin with the digits of no network.
        for text in ["490154203237518", "356938035643809", "867530012345672", "1234567812345670", "9876543210987658"] {
            assert!(luhn(&text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>()), "{text}");
            assert!(!holds_card_number(text), "{text}");
        }
    }

    #[test]
    fn a_number_in_json_is_a_card_number_by_its_integer() {
        for number in ["4242424242424242", "-4242424242424242", "4242424242424242.0", "4.242424242424242e15"] {
            assert!(is_card_number_in_json(number), "{number}");
        }
        for number in ["490154203237518", "0.4242424242424242", "1.5", "12", "1e300", "18446744073709551615"] {
            assert!(!is_card_number_in_json(number), "{number}");
        }
    }
}
