//! Text as payment providers write it, and as the canonical model holds it.
//!
//! [`Text`] is a reference-counted slice of the buffer it was read from, so a translation moves
//! text between two languages without copying it. The submodules convert what providers spell
//! differently: names, phone numbers, countries, times and decimals.

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

pub use borrowed::{HeldText, JsonText, Str};
use bytes::Bytes;
pub use bytestring::ByteString as Text;

/// The buffer a message was read from. Text that the JSON reader borrowed becomes a slice of it;
/// only text that had to be unescaped is copied.
#[derive(Debug, Clone)]
pub struct Source(Text);

impl Source {
    /// Checks once that the whole message is UTF-8. `None` when it is not.
    pub fn new(message: &Bytes) -> Option<Self> {
        Text::try_from(message.clone()).ok().map(Self)
    }

    /// The whole message.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The canonical text of a string found in this message: a slice of it, or a copy where the string
    /// had to be unescaped and lies elsewhere.
    pub fn text(&self, part: &str) -> Text {
        let (whole, inner) = (self.0.as_bytes().as_ptr_range(), part.as_bytes().as_ptr_range());
        if !part.is_empty() && inner.start >= whole.start && inner.end <= whole.end {
            self.0.slice_ref(part)
        } else {
            Text::from(part)
        }
    }
}
