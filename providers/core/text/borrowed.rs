//! Text while the message that told it is at hand: borrowed, and never counted or copied unless it had to be changed.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Serialize, Serializer};

use super::{Source, Text, plain::is_plain};

/// A string, borrowed unless it had to be unescaped or made. One that the JSON reader borrowed is known to need no
/// escapes, so that it is written as it was read, without another look.
#[derive(Clone)]
pub struct Str<'a>(Held<'a>);

// One enum, so that it takes no more room than a `Cow`.
#[derive(Clone)]
enum Held<'a> {
    Static(&'static str),
    Plain(&'a str),
    Borrowed(&'a str),
    Owned(String),
}

impl<'a> Str<'a> {
    /// Any text.
    pub const fn new(text: &'a str) -> Self {
        Self(Held::Borrowed(text))
    }

    /// A text of our own, such as a code.
    pub const fn of_static(text: &'static str) -> Self {
        Self(Held::Static(text))
    }

    /// A text that stands in JSON as it is. Whoever says so must know: it is written unseen.
    pub(crate) fn plain(text: &'a str) -> Self {
        debug_assert!(is_plain(text), "a text with escapes was called plain");
        Self(Held::Plain(text))
    }

    /// The parts of this text that a division finds, held as it is held.
    pub(crate) fn divided(&self, divide: impl FnOnce(&str) -> (Option<&str>, Option<&str>)) -> [Option<Self>; 2] {
        let (first, last) = divide(self);
        [first, last].map(|part| part.map(|part| self.part(part)))
    }

    /// The text as one that can be kept: a slice of the message, if it was borrowed from it.
    pub fn into_owned(&self, message: &Source) -> Text {
        match self.0 {
            Held::Static(text) => Text::from_static(text),
            _ => message.text(self),
        }
    }

    /// This text and another one that follows it in the same message behind a comma, with the comma, if it does. The
    /// message must be what both were borrowed from.
    pub(crate) fn followed_by(&self, message: &'a str, next: &'a str) -> Option<Self> {
        let Held::Borrowed(text) = self.0 else { return None };
        let offset = |part: &str| part.as_ptr().addr().checked_sub(message.as_ptr().addr());
        let (begin, next_begin) = (offset(text)?, offset(next)?);
        let is_next = message.get(begin + text.len()..next_begin)? == ",";
        is_next.then(|| message.get(begin..next_begin + next.len()).map(Self::new))?
    }

    fn part(&self, part: &str) -> Self {
        match self.0 {
            Held::Plain(whole) => within(whole, part).map(Self::plain),
            Held::Borrowed(whole) => within(whole, part).map(Self::new),
            Held::Static(_) | Held::Owned(_) => None,
        }
        .unwrap_or_else(|| part.to_owned().into())
    }
}

/// A part of a text for as long as the text lives, if it is one.
fn within<'a>(whole: &'a str, part: &str) -> Option<&'a str> {
    let begin = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    whole.get(begin..begin.checked_add(part.len())?)
}

impl Deref for Str<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            Held::Static(text) | Held::Plain(text) | Held::Borrowed(text) => text,
            Held::Owned(text) => text,
        }
    }
}

impl From<String> for Str<'_> {
    fn from(made: String) -> Self {
        Self(Held::Owned(made))
    }
}

impl<'a> From<Cow<'a, str>> for Str<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::new(text),
            Cow::Owned(made) => made.into(),
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
        Self(Held::Static(""))
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

/// Text of a model, whichever way it is held.
pub trait HeldText: Deref<Target = str> + Default + From<String> {
    /// Changes the text. Text that others hold as well is copied first.
    fn change(&mut self, change: impl FnOnce(&mut String)) {
        let mut text = self.to_string();
        change(&mut text);
        *self = text.into();
    }
}

/// By how many bytes a text usually grows when it is changed.
const USUAL_CHANGE: usize = 256;

impl HeldText for Text {}

impl HeldText for Str<'_> {
    fn change(&mut self, change: impl FnOnce(&mut String)) {
        let mut text = match std::mem::take(self).0 {
            Held::Owned(text) => text,
            Held::Static(text) | Held::Plain(text) | Held::Borrowed(text) => {
                // Room for what comes, so that it asks for memory once.
                let mut room = String::with_capacity(text.len() + USUAL_CHANGE);
                room.push_str(text);
                room
            }
        };
        change(&mut text);
        *self = text.into();
    }
}

/// Text that can be written as a JSON string.
pub trait JsonText: Deref<Target = str> {
    /// Whether it stands in JSON as it is, without escapes.
    fn is_plain(&self) -> bool {
        is_plain(self)
    }
}

impl JsonText for Text {}

impl JsonText for Str<'_> {
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.0, Held::Plain(_)) || is_plain(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::name;

    #[test]
    fn parts_are_held_as_the_whole_is() {
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
            assert!(parts.iter().flatten().all(|part| matches!(part.0, Held::Plain(_)) == plain));
        }
        let elsewhere = Str::plain("Amadou").divided(|_| (Some("\"else\""), None));
        assert!(elsewhere.iter().flatten().all(|part| matches!(part.0, Held::Owned(_))));
    }

    #[test]
    fn no_text_is_shown_by_accident() {
        assert_eq!(format!("{:?}", Str::new("Amadou Ba")), "Str(..)");
    }
}
