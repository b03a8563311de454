//! Masks secrets in texts of providers, which may repeat what the gateway has sent them.

const MASK: &str = "***";

/// The least that is masked of a secret whose rest was cut off.
const SHORTEST_PART: usize = 4;

/// A text without a secret: neither as it is, nor as some JSON writers escape it, nor its beginning at the end of a text
/// that was cut.
pub(super) fn masked(mut text: String, secret: &str) -> String {
    if text.contains(secret) {
        text = text.replace(secret, MASK);
    }
    if secret.contains('/') {
        text = text.replace(&secret.replace('/', "\\/"), MASK);
    }
    let mut parts = (SHORTEST_PART..secret.len()).rev().filter_map(|length| secret.get(..length));
    let kept = parts.find_map(|part| Some(text.strip_suffix(part)?.len()));
    if let Some(kept) = kept {
        text.truncate(kept);
        text.push_str(MASK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_form_in_which_a_provider_repeats_it() {
        for (text, expected) in [
            ("the key live/7411 is wrong", "the key *** is wrong"),
            ("live/7411live/7411", "******"),
            (r"the key live\/7411 is wrong", "the key *** is wrong"),
            ("the key live/74", "the key ***"),
            ("the key live", "the key ***"),
            ("the key liv", "the key liv"),
            ("lively", "lively"),
        ] {
            assert_eq!(masked(text.to_owned(), "live/7411"), expected);
        }
    }
}
