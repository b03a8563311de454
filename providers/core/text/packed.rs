//! Short ids in the form of UUIDs, for clients that take nothing else. The conversion is reversible and holds
//! nothing but the id itself: a UUID of version 8 whose 122 free bits are a mark and the packed id.

use uuid::{Builder, Uuid, Variant, Version, fmt::Hyphenated};

use super::Text;

/// What an id that can be packed begins with; the place is a bit of the packed number.
const PREFIXES: [&str; 2] = ["cus_", "cus."];
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How many letters fit behind the prefix.
const MOST_LETTERS: usize = 18;

/// The bits of the packed number; those above it hold the mark, so that the UUIDs of others are left alone.
const NUMBER_BITS: u32 = 109;
const MARK: u128 = 0x1a55;

const LOW: u128 = (1 << 62) - 1;
const MIDDLE: u128 = (1 << 12) - 1;

/// The UUID in which an id is packed; `None` for an id that is another, or longer.
pub fn to_uuid(id: &str) -> Option<Text> {
    let (place, letters) =
        PREFIXES.iter().enumerate().find_map(|(place, prefix)| Some((place, id.strip_prefix(prefix)?)))?;
    if !(1..=MOST_LETTERS).contains(&letters.len()) {
        return None;
    }
    // Digits count from one, so that leading zeros are not lost.
    let number = letters.bytes().try_fold(0_u128, |number, letter| {
        let digit = LETTERS.iter().position(|known| *known == letter)?;
        Some(number * 62 + digit as u128 + 1)
    })?;
    let bits = MARK << NUMBER_BITS | number << 1 | place as u128;
    let (high, middle, low) = (bits >> 74, bits >> 62 & MIDDLE, bits & LOW);
    // The version and the variant have the bits between.
    let free = high << 80 | middle << 64 | low;
    Some(Text::from(Builder::from_custom_bytes(free.to_be_bytes()).into_uuid().to_string()))
}

/// The id that is packed in a UUID; `None` for a UUID that holds none, and for other text.
pub fn from_uuid(text: &str) -> Option<Text> {
    let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == Hyphenated::LENGTH)?;
    if (uuid.get_version(), uuid.get_variant()) != (Some(Version::Custom), Variant::RFC4122) {
        return None;
    }
    let uuid = uuid.as_u128();
    let bits = uuid >> 80 << 74 | (uuid >> 64 & MIDDLE) << 62 | uuid & LOW;
    if bits >> NUMBER_BITS != MARK {
        return None;
    }
    let prefix = PREFIXES[usize::from(bits & 1 == 1)];
    let mut number = (bits & ((1 << NUMBER_BITS) - 1)) >> 1;
    let mut letters = Vec::new();
    while number > 0 {
        number -= 1;
        letters.push(LETTERS[usize::try_from(number % 62).ok()?]);
        number /= 62;
    }
    letters.reverse();
    let letters = String::from_utf8(letters).ok()?;
    (1..=MOST_LETTERS).contains(&letters.len()).then(|| Text::from(format!("{prefix}{letters}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::IdPattern;

    #[test]
    fn what_cannot_be_packed_stays_as_it_is() {
        for id in ["cus_", "cus.abc-def", "cus_0123456789abcdefghi", "z1abc", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"] {
            assert_eq!(to_uuid(id), None, "{id}");
        }
        for text in ["", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "b78de3c9-7f76-8f43-9c5d-19d9f5c7c985", "cus_abc"] {
            assert_eq!(from_uuid(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_comes_back_as_itself(id in "cus[_.][0-9A-Za-z]{1,18}") {
            let uuid = to_uuid(&id).expect("it can be packed");
            prop_assert!(IdPattern::UUID.matches(&uuid), "{}", uuid);
            prop_assert_eq!(from_uuid(&uuid), Some(Text::from(&*id)));
            prop_assert_eq!(from_uuid(&uuid.to_uppercase()), Some(Text::from(id)));
        }

        #[test]
        fn a_uuid_that_holds_an_id_is_the_one_it_is_packed_in(bits in any::<u128>()) {
            let marked = bits & (u128::MAX >> 13) | MARK << 115;
            let uuid = Builder::from_custom_bytes(marked.to_be_bytes()).into_uuid().to_string();
            if let Some(id) = from_uuid(&uuid) {
                prop_assert_eq!(to_uuid(&id), Some(Text::from(uuid)));
            }
        }
    }
}
