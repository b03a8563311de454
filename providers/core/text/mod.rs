//! Text types, and conversions of the values that providers write in different forms: names, phone numbers, countries,
//! times and decimals.
//!
//! [`Text`] is a reference-counted slice of the message that it was read from, so a translation does not copy text.
//! [`Str`] borrows from the message.

mod borrowed;
pub mod card;
pub mod country;
pub mod decimal;
pub mod email;
pub mod name;
pub mod packed;
pub mod phone;
pub mod plain;
pub mod time;

pub use borrowed::{JsonText, ModelText, Str};
use bytes::Bytes;
pub use bytestring::ByteString as Text;

/// The buffer of a message. Text that borrows from the message becomes a slice of this buffer; only text that had to be
/// unescaped is copied.
#[derive(Debug, Clone)]
pub struct Source(Text);

impl Source {
    /// A source from a message; `None` if the message is not UTF-8.
    pub fn new(message: &Bytes) -> Option<Self> {
        Text::try_from(message.clone()).ok().map(Self)
    }

    /// The whole message.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The owned text of a string that was read from this message: a slice of the message, or a copy if the string had
    /// to be unescaped.
    pub fn text(&self, part: &str) -> Text {
        let (whole, inner) = (self.0.as_bytes().as_ptr_range(), part.as_bytes().as_ptr_range());
        if !part.is_empty() && inner.start >= whole.start && inner.end <= whole.end {
            self.0.slice_ref(part)
        } else {
            Text::from(part)
        }
    }
}
