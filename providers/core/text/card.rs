//! Finds card numbers, so that the gateway can refuse them: it must never accept or store one.

/// Whether a text contains 13 to 19 digits in a row that pass the Luhn check. Spaces and dashes between digits are
/// ignored.
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
                if (13..=19).contains(&count) && luhn(&digits[..count]) {
                    return true;
                }
                count = 0;
            }
        }
    }
    false
}

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
    fn other_numbers_are_not_card_numbers() {
        for text in ["4242424242424241", "123456789012", "00000000000000000000", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"]
        {
            assert!(!holds_card_number(text), "{text}");
        }
    }
}
