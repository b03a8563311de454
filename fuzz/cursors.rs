//! Cursors: only the gateway can make one, and a cursor that it made opens for its own list alone.
//!
//! The first byte of an input says what is changed, the rest is the text of the cursor's position or a cursor of a client.

use std::sync::LazyLock;

use passerelle::merchant::{Cursor, CursorKey};
use passerelle_providers::{
    model::{Position, auth::Credentials},
    text::Text,
};

use crate::bound::assert_in_proportion;

const LIST: &str = "customers?email=a%40b.c";

fn key(merchant: &str) -> CursorKey {
    let secrets = Credentials::new([("api_key".to_owned(), "secret".to_owned())]);
    CursorKey::derive(merchant, "main", &secrets, &[[3; 32]])
}

static KEY: LazyLock<CursorKey> = LazyLock::new(|| key("acme"));
static OTHER: LazyLock<CursorKey> = LazyLock::new(|| key("other"));

/// Runs one input.
pub(crate) fn run(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    assert!(KEY.open(text, LIST).is_err(), "a cursor that the gateway did not make opens");

    let number = rest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let page = match choice & 1 {
        0 => Position::Token(Text::from(text)),
        _ => Position::Offset(number),
    };
    let cursor = Cursor {
        position: page.within(if choice & 2 == 0 { 0 } else { 1 + u16::try_from(number % 1000).unwrap_or_default() }),
        limit: 1 + u16::from(*choice),
        began_at: (choice & 4 != 0).then(|| text.to_owned()),
        since: (choice & 8 != 0).then_some(number.cast_signed()),
    };
    let sealed = KEY.seal(&cursor, LIST).expect("the position of a list is sealed");
    assert_in_proportion("a cursor", sealed.len(), input.len());
    assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "not fit for a URL");
    let opened = KEY.open(&sealed, LIST).expect("its own cursor");
    assert_eq!(opened, cursor, "a cursor opens as another one");
    assert!(OTHER.open(&sealed, LIST).is_err(), "it opens for another merchant");
    assert!(KEY.open(&sealed, &format!("{LIST}&x")).is_err(), "it opens for another list");
    let place = usize::from(*choice) * 7 % sealed.len();
    let mut changed = sealed.into_bytes();
    changed[place] ^= 1 << (choice % 7);
    if let Ok(changed) = String::from_utf8(changed) {
        assert!(KEY.open(&changed, LIST).is_err(), "it opens although it was changed");
    }
}
