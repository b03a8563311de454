//! E-mail addresses. Their form is checked, comparisons ignore case, and the text is never changed.

use email_address::{EmailAddress, Options};

/// Whether a text has the form of an e-mail address with a dotted domain.
pub fn is_address(text: &str) -> bool {
    let form = Options::default().with_required_tld().without_display_text().without_domain_literal();
    text.len() <= 320 && EmailAddress::parse_with_options(text, form).is_ok()
}

/// Whether two texts name the same mailbox: equal apart from the case of ASCII letters.
pub fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// An address in the form in which two addresses of the same mailbox are equal texts.
pub fn comparable(text: &str) -> String {
    text.to_ascii_lowercase()
}
