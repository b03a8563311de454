//! Text that borrows from the message it was read from. It is copied only if it has to be changed.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Serialize, Serializer};

use super::{Source, Text, plain::is_plain};

/// A string that borrows its text, or owns it if the text was unescaped or built. Text that the JSON reader borrowed is
/// known to need no escapes, so it is written without another check.
#[derive(Clone)]
pub struct Str<'a>(Repr<'a>);

// One flat enum, so that it is no larger than a `Cow`.
#[derive(Clone)]
enum Repr<'a> {
    Static(&'static str),
    Plain(&'a str),
    Borrowed(&'a str),
    Owned(String),
}

impl<'a> Str<'a> {
    /// Any text.
    pub const fn new(text: &'a str) -> Self {
        Self(Repr::Borrowed(text))
    }

    /// A static text, such as a country code.
    pub const fn of_static(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }

    /// A text that needs no escapes in JSON. The caller must be certain, because the text is written without a check.
    pub(crate) fn plain(text: &'a str) -> Self {
        debug_assert!(is_plain(text), "a plain text must not need escapes");
        Self(Repr::Plain(text))
    }

    /// The parts of this text that `divide` returns. They borrow if this text borrows.
    pub(crate) fn divided(&self, divide: impl FnOnce(&str) -> (Option<&str>, Option<&str>)) -> [Option<Self>; 2] {
        let (first, last) = divide(self);
        [first, last].map(|part| part.map(|part| self.part(part)))
    }

    /// The owned text: a slice of the message, if this text borrows from the message.
    pub fn into_owned(&self, message: &Source) -> Text {
        match self.0 {
            Repr::Static(text) => Text::from_static(text),
            _ => message.text(self),
        }
    }

    /// This text, a comma and `next` as one slice of the message, if they follow each other there. `None` if they do
    /// not. Both texts must borrow from `message`.
    pub(crate) fn followed_by(&self, message: &'a str, next: &'a str) -> Option<Self> {
        let Repr::Borrowed(text) = self.0 else { return None };
        let offset = |part: &str| part.as_ptr().addr().checked_sub(message.as_ptr().addr());
        let (begin, next_begin) = (offset(text)?, offset(next)?);
        let is_next = message.get(begin + text.len()..next_begin)? == ",";
        is_next.then(|| message.get(begin..next_begin + next.len()).map(Self::new))?
    }

    fn part(&self, part: &str) -> Self {
        match self.0 {
            Repr::Plain(whole) => within(whole, part).map(Self::plain),
            Repr::Borrowed(whole) => within(whole, part).map(Self::new),
            Repr::Static(_) | Repr::Owned(_) => None,
        }
        .unwrap_or_else(|| part.to_owned().into())
    }
}

/// A part of a text with the lifetime of the whole text; `None` if it lies outside of the text.
fn within<'a>(whole: &'a str, part: &str) -> Option<&'a str> {
    let begin = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    whole.get(begin..begin.checked_add(part.len())?)
}

impl Deref for Str<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            Repr::Static(text) | Repr::Plain(text) | Repr::Borrowed(text) => text,
            Repr::Owned(text) => text,
        }
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Self(Repr::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Str<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::new(text),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text)
    }
}

impl Default for Str<'_> {
    fn default() -> Self {
        Self(Repr::Static(""))
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Str<'_> {}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Str(..)")
    }
}

impl Serialize for Str<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// A text type of the model: owned or borrowed.
pub trait ModelText: Deref<Target = str> + Default + From<String> {
    /// Changes the text. Shared or borrowed text is copied first.
    fn change(&mut self, change: impl FnOnce(&mut String)) {
        let mut text = self.to_string();
        change(&mut text);
        *self = text.into();
    }
}

/// The number of bytes by which a text usually grows when it is changed.
const USUAL_CHANGE: usize = 256;

impl ModelText for Text {}

impl ModelText for Str<'_> {
    fn change(&mut self, change: impl FnOnce(&mut String)) {
        let mut text = match std::mem::take(self).0 {
            Repr::Owned(text) => text,
            Repr::Static(text) | Repr::Plain(text) | Repr::Borrowed(text) => {
                // Reserves capacity for the change, so that one allocation is enough.
                let mut copy = String::with_capacity(text.len() + USUAL_CHANGE);
                copy.push_str(text);
                copy
            }
        };
        change(&mut text);
        *self = text.into();
    }
}

/// Text that can be written as a JSON string.
pub trait JsonText: Deref<Target = str> {
    /// Whether it needs no escapes in JSON.
    fn is_plain(&self) -> bool {
        is_plain(self)
    }
}

impl JsonText for Text {}

impl JsonText for Str<'_> {
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.0, Repr::Plain(_)) || is_plain(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::name;

    #[test]
    fn parts_of_a_borrowed_text_borrow_too() {
        for (whole, plain) in [
            (Str::plain("Amadou Ba"), true),
            (Str::new("Amadou Ba"), false),
            (Str::from("Amadou Ba".to_owned()), false),
        ] {
            let parts = whole.divided(name::split);
            assert_eq!(
                parts.clone().map(|part| part.as_deref().map(str::to_owned)),
                ["Amadou", "Ba"].map(|part| Some(part.to_owned()))
            );
            assert!(parts.iter().flatten().all(|part| matches!(part.0, Repr::Plain(_)) == plain));
        }
        let elsewhere = Str::plain("Amadou").divided(|_| (Some("\"else\""), None));
        assert!(elsewhere.iter().flatten().all(|part| matches!(part.0, Repr::Owned(_))));
    }

    #[test]
    fn texts_with_a_comma_between_them_are_one_slice() {
        let message = r#"{"a":1,"b":2, "c":3}"#;
        let [first, second, third] = [1..6, 7..12, 14..19].map(|range| &message[range]);
        let joined = |one, next| Str::new(one).followed_by(message, next).as_deref().map(str::to_owned);
        assert_eq!(joined(first, second).as_deref(), Some(r#""a":1,"b":2"#));
        assert_eq!(joined(second, third), None, "a space is between them");
        assert_eq!(joined(second, first), None, "the other order");
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Str::new("Amadou Ba")), "Str(..)");
    }
}
