//! Splits and joins names. Some providers store full names, others first and last names. No rule splits every name
//! correctly, so there are only two simple rules, and the fidelity report names each use of one.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// The rule for a full name that was joined from its parts.
pub const JOINED: &str = "first and last name joined with one space";
/// The rule for a full name that was split.
pub const SPLIT: &str = "name split at its last space";

/// Splits a full name at its last space. A single word is a first name, without a last name.
pub fn split(name: &str) -> (Option<&str>, Option<&str>) {
    let trimmed = name.trim();
    if trimmed.is_empty() {
        return (None, None);
    }
    match trimmed.rsplit_once(char::is_whitespace) {
        Some((first, last)) => (Some(first.trim_end()), Some(last)),
        None => (Some(trimmed), None),
    }
}

/// Joins the parts of a name with one space.
pub fn join<'a>(first: Option<&'a str>, last: Option<&'a str>) -> Option<Cow<'a, str>> {
    match (first.filter(|part| !part.is_empty()), last.filter(|part| !part.is_empty())) {
        (Some(first), Some(last)) => Some(Cow::Owned([first, " ", last].concat())),
        (Some(only), None) | (None, Some(only)) => Some(Cow::Borrowed(only)),
        (None, None) => None,
    }
}

/// Whether two texts have the same words, apart from spaces and the case of letters.
pub fn same_words(one: &str, other: &str) -> bool {
    let letters = |word: &'_ str| word.nfc().flat_map(char::to_lowercase).collect::<String>();
    let words = |text: &'_ str| text.split_whitespace().map(letters).collect::<Vec<_>>();
    words(one) == words(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_splits_at_its_last_space() {
        assert_eq!(split("Amadou Ba"), (Some("Amadou"), Some("Ba")));
        assert_eq!(split("El Hadji Malick Sy"), (Some("El Hadji Malick"), Some("Sy")));
        assert_eq!(split("Fatou"), (Some("Fatou"), None));
        assert_eq!(split("  Awa   Diop "), (Some("Awa"), Some("Diop")));
        assert_eq!(split("   "), (None, None));
    }

    #[test]
    fn joining_ignores_empty_and_missing_parts() {
        assert_eq!(join(Some("Fatou"), Some("")).as_deref(), Some("Fatou"));
        assert_eq!(join(None, None), None);
    }
}
