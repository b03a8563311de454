//! Full names and split names. Providers disagree on which they hold, and there is no right way to
//! split a name, so the rules are few, stated, and reported whenever they were used.

use super::{Text, part_of};

/// The rule named in fidelity reports when a split name was joined.
pub const JOINED: &str = "first and last name joined with one space";
/// The rule named in fidelity reports when a full name was split.
pub const SPLIT: &str = "name split at its last space";

/// Splits a full name at its last space. A single word is a first name; a last name is never invented.
pub fn split(name: &Text) -> (Option<Text>, Option<Text>) {
    let trimmed = name.trim();
    if trimmed.is_empty() {
        return (None, None);
    }
    match trimmed.rsplit_once(char::is_whitespace) {
        Some((first, last)) => (Some(part_of(name, first.trim_end())), Some(part_of(name, last))),
        None => (Some(part_of(name, trimmed)), None),
    }
}

/// Joins the parts of a name with one space.
pub fn join(first: Option<&Text>, last: Option<&Text>) -> Option<Text> {
    match (first.filter(|part| !part.is_empty()), last.filter(|part| !part.is_empty())) {
        (Some(first), Some(last)) => Some(Text::from([&**first, " ", &**last].concat())),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_splits_at_its_last_space() {
        let parts = |name: &'static str| {
            let (first, last) = split(&Text::from_static(name));
            (first.map(String::from), last.map(String::from))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("Amadou Ba"), (some("Amadou"), some("Ba")));
        assert_eq!(parts("El Hadji Malick Sy"), (some("El Hadji Malick"), some("Sy")));
        assert_eq!(parts("Fatou"), (some("Fatou"), None));
        assert_eq!(parts("  Awa   Diop "), (some("Awa"), some("Diop")));
        assert_eq!(parts("   "), (None, None));
    }

    #[test]
    fn joining_never_invents_a_part() {
        let (first, last) = (Text::from_static("Fatou"), Text::new());
        assert_eq!(join(Some(&first), Some(&last)).as_deref(), Some("Fatou"));
        assert_eq!(join(None, None), None);
    }
}
