//! Packs a short provider id into a UUID, for clients that accept only UUIDs as ids. The conversion is reversible and
//! needs no storage: the 122 free bits of a version 8 UUID contain a fixed tag and the id.

use uuid::{Builder, Uuid, Variant, Version, fmt::Hyphenated};

use super::Text;

/// The prefixes of ids that can be packed. The index of the prefix is the lowest bit of the packed number.
const PREFIXES: [&str; 2] = ["cus_", "cus."];
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The most letters after the prefix that fit into a UUID.
const MAX_LETTERS: usize = 18;

/// The number of bits of the packed number. The bits above contain the tag, which distinguishes packed ids from other
/// UUIDs.
const NUMBER_BITS: u32 = 109;
const TAG: u128 = 0x1a55;

const LOW: u128 = (1 << 62) - 1;
const MIDDLE: u128 = (1 << 12) - 1;

/// Packs an id into a UUID; `None` for an id that has another prefix, or that is too long.
pub fn to_uuid(id: &str) -> Option<Text> {
    let (prefix, letters) =
        PREFIXES.iter().enumerate().find_map(|(index, prefix)| Some((index, id.strip_prefix(prefix)?)))?;
    if !(1..=MAX_LETTERS).contains(&letters.len()) {
        return None;
    }
    // Digit values begin at one, so that leading `0` letters are not lost.
    let number = letters.bytes().try_fold(0_u128, |number, letter| {
        let digit = LETTERS.iter().position(|known| *known == letter)?;
        Some(number * 62 + digit as u128 + 1)
    })?;
    let bits = TAG << NUMBER_BITS | number << 1 | prefix as u128;
    let (high, middle, low) = (bits >> 74, bits >> 62 & MIDDLE, bits & LOW);
    // The bits between these groups contain the version and the variant of the UUID.
    let free = high << 80 | middle << 64 | low;
    Some(Text::from(Builder::from_custom_bytes(free.to_be_bytes()).into_uuid().to_string()))
}

/// Unpacks the id of a UUID; `None` for another UUID, and for text that is not a UUID.
pub fn from_uuid(text: &str) -> Option<Text> {
    let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == Hyphenated::LENGTH)?;
    if (uuid.get_version(), uuid.get_variant()) != (Some(Version::Custom), Variant::RFC4122) {
        return None;
    }
    let uuid = uuid.as_u128();
    let bits = uuid >> 80 << 74 | (uuid >> 64 & MIDDLE) << 62 | uuid & LOW;
    if bits >> NUMBER_BITS != TAG {
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
    (1..=MAX_LETTERS).contains(&letters.len()).then(|| Text::from(format!("{prefix}{letters}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::IdPattern;

    #[test]
    fn other_ids_are_not_packed_and_other_uuids_are_not_unpacked() {
        for id in ["cus_", "cus.abc-def", "cus_0123456789abcdefghi", "z1abc", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"] {
            assert_eq!(to_uuid(id), None, "{id}");
        }
        for text in ["", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "b78de3c9-7f76-8f43-9c5d-19d9f5c7c985", "cus_abc"] {
            assert_eq!(from_uuid(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_packed_id_is_unpacked_unchanged(id in "cus[_.][0-9A-Za-z]{1,18}") {
            let uuid = to_uuid(&id).expect("an id that can be packed");
            prop_assert!(IdPattern::UUID.matches(&uuid), "{}", uuid);
            prop_assert_eq!(from_uuid(&uuid), Some(Text::from(&*id)));
            prop_assert_eq!(from_uuid(&uuid.to_uppercase()), Some(Text::from(id)));
        }

        #[test]
        fn an_unpacked_id_packs_into_the_same_uuid(bits in any::<u128>()) {
            let tagged = bits & (u128::MAX >> 13) | TAG << 115;
            let uuid = Builder::from_custom_bytes(tagged.to_be_bytes()).into_uuid().to_string();
            if let Some(id) = from_uuid(&uuid) {
                prop_assert_eq!(to_uuid(&id), Some(Text::from(uuid)));
            }
        }
    }
}
