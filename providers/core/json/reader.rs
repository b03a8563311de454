//! Reads JSON where it stands: what is found is borrowed from the message, and only a string with escapes is
//! copied.
//!
//! Documents of `wire!` are read with it instead of with serde, because a page of a provider's customers is most of
//! what a gateway does, and this takes a third of the time (`docs/architecture.md` has the figures): a document tells
//! which member it expects next, and nothing is passed through a generic visitor. What is rare is left to
//! `serde_json`: escapes, and telling what is wrong with a text that is no JSON. Property tests hold the two against
//! each other.

use smallvec::SmallVec;

use super::{Mistake, Raw};
use crate::text::{
    Str,
    plain::{PART, is_special, specials},
};

/// What can be read from JSON text that lives for `'a`.
pub trait FromJson<'a>: Sized {
    /// Reads the value at which the reader stands.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake>;
}

/// Reads a whole text as one document.
pub fn from_str<'a, T: FromJson<'a>>(text: &'a str) -> Result<T, Mistake> {
    let mut reader = Reader::new(text);
    let document = T::read(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// Where the reading of a text stands.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of a text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Makes sure that nothing follows but white space.
    pub fn end(&mut self) -> Result<(), Mistake> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(Mistake::malformed()) }
    }

    const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The byte at which the next value or sign begins.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, Mistake> {
        match self.bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => {
                self.skip_space();
                self.bytes().get(self.at).copied().ok_or_else(Mistake::malformed)
            }
        }
    }

    #[cold]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// Goes on behind a text, if it comes next.
    #[inline]
    pub(super) fn takes(&mut self, text: &str) -> bool {
        let comes = self.bytes().get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()));
        if comes {
            self.at += text.len();
        }
        comes
    }

    pub(super) fn literal(&mut self, word: &str) -> Result<(), Mistake> {
        if self.takes(word) { Ok(()) } else { Err(Mistake::malformed()) }
    }

    /// Whether a `null` comes next, which is then behind the reader.
    #[inline]
    pub(super) fn takes_null(&mut self) -> Result<bool, Mistake> {
        if self.peek()? == b'n' { self.literal("null").map(|()| true) } else { Ok(false) }
    }

    /// Reads a string, on whose quote the reader stands.
    #[expect(clippy::inline_always, reason = "measured in benches/translation.rs")]
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Str<'a>, Mistake> {
        let begin = self.at + 1;
        let end = self.end_of_plain(begin)?;
        if self.bytes().get(end) == Some(&b'"')
            && let Some(text) = self.text.get(begin..end)
        {
            self.at = end + 1;
            return Ok(Str::plain(text));
        }
        self.escaped_string()
    }

    #[cold]
    fn escaped_string(&mut self) -> Result<Str<'a>, Mistake> {
        let quoted = self.part(Self::skip_string)?;
        // Half of a surrogate pair is JSON, but no text.
        serde_json::from_str::<String>(quoted).map(Str::from).map_err(|_| Mistake::wrong_type())
    }

    /// The place of the next byte that does not stand for itself in a string.
    #[inline]
    fn end_of_plain(&self, from: usize) -> Result<usize, Mistake> {
        let mut at = from;
        while let Some(part) = self.bytes().get(at..).and_then(<[u8]>::first_chunk) {
            let found = specials(*part);
            if found != 0 {
                return Ok(at + found.trailing_zeros() as usize);
            }
            at += PART;
        }
        let rest = self.bytes().get(at..).unwrap_or_default();
        rest.iter().position(|byte| is_special(*byte)).map(|found| at + found).ok_or_else(Mistake::malformed)
    }

    fn skip_string(&mut self) -> Result<(), Mistake> {
        let mut at = self.at + 1;
        loop {
            at = self.end_of_plain(at)?;
            at += match (self.bytes().get(at), self.bytes().get(at + 1)) {
                (Some(b'"'), _) => break,
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
                (Some(b'\\'), Some(b'u')) if self.has_digits(at + 2, at + 6) => 6,
                _ => return Err(Mistake::malformed()),
            };
        }
        self.at = at + 1;
        Ok(())
    }

    fn has_digits(&self, begin: usize, end: usize) -> bool {
        self.bytes().get(begin..end).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    }

    fn skip_number(&mut self) -> Result<(), Mistake> {
        self.takes("-");
        let begin = self.at;
        let whole = self.skip_digits()?;
        if whole > 1 && self.bytes().get(begin) == Some(&b'0') {
            return Err(Mistake::malformed());
        }
        if self.takes(".") {
            self.skip_digits()?;
        }
        if self.takes("e") || self.takes("E") {
            let _ = self.takes("+") || self.takes("-");
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_digits(&mut self) -> Result<usize, Mistake> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(digits) } else { Err(Mistake::malformed()) }
    }

    /// Goes over a value, however deep: without recursion, so that no message can exhaust the stack.
    fn skip(&mut self) -> Result<(), Mistake> {
        let mut open: SmallVec<[u8; 16]> = SmallVec::new();
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' if self.open(b'{', b'}')? => {
                    open.push(b'}');
                    self.skip_key()?;
                    continue;
                }
                b'[' if self.open(b'[', b']')? => {
                    open.push(b']');
                    continue;
                }
                b'{' | b'[' => {}
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.skip_number()?,
            }
            loop {
                let Some(end) = open.last().copied() else { return Ok(()) };
                if !self.next(end)? {
                    open.pop();
                } else if end == b'}' {
                    self.skip_key()?;
                    break;
                } else {
                    break;
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Mistake> {
        self.key_place()?;
        self.skip_string()?;
        self.colon()
    }

    /// The text that a step goes over.
    fn part(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Mistake>) -> Result<&'a str, Mistake> {
        let begin = self.at;
        step(self)?;
        self.text.get(begin..self.at).ok_or_else(Mistake::malformed)
    }

    /// Enters an object. Says whether a member comes.
    #[inline]
    pub fn open_object(&mut self) -> Result<bool, Mistake> {
        self.open(b'{', b'}')
    }

    /// Goes on behind a member. Says whether another one comes; if not, the object is behind the reader.
    #[inline]
    pub fn next_member(&mut self) -> Result<bool, Mistake> {
        self.next(b'}')
    }

    #[inline]
    pub(crate) fn open_array(&mut self) -> Result<bool, Mistake> {
        self.open(b'[', b']')
    }

    #[inline]
    pub(crate) fn next_item(&mut self) -> Result<bool, Mistake> {
        self.next(b']')
    }

    #[inline]
    fn open(&mut self, begin: u8, end: u8) -> Result<bool, Mistake> {
        if self.peek()? != begin {
            return Err(Mistake::wrong_type());
        }
        self.at += 1;
        if self.peek()? == end {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    #[inline]
    fn next(&mut self, end: u8) -> Result<bool, Mistake> {
        let sign = self.peek()?;
        self.at += 1;
        if sign == b',' {
            // Stands on the next value, for `expects`.
            self.peek().map(|_| true)
        } else if sign == end {
            Ok(false)
        } else {
            Err(Mistake::malformed())
        }
    }

    /// Whether a certain member comes next, whose name is then behind the reader: given is how it is usually written,
    /// with its quotes and its colon. Faster than [`Self::key`], which reads what this does not.
    #[inline]
    pub fn expects(&mut self, key: &str) -> bool {
        self.takes(key)
    }

    /// Reads the name of the member that comes next.
    #[inline]
    pub fn key(&mut self) -> Result<Str<'a>, Mistake> {
        self.key_place()?;
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    #[inline]
    fn key_place(&mut self) -> Result<(), Mistake> {
        if self.peek()? == b'"' { Ok(()) } else { Err(Mistake::malformed()) }
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Mistake> {
        let is_colon = self.peek()? == b':';
        self.at += 1;
        if is_colon { Ok(()) } else { Err(Mistake::malformed()) }
    }

    /// Reads the value of a member. A mistake names it.
    #[inline]
    pub fn member<T: FromJson<'a>>(&mut self, name: &'static str) -> Result<T, Mistake> {
        T::read(self).map_err(|mistake| mistake.inside(name))
    }

    /// The text that is read.
    pub const fn message(&self) -> &'a str {
        self.text
    }

    /// Where the reading stands, for [`Self::since`].
    pub const fn place(&self) -> usize {
        self.at
    }

    /// The text that was read since a place.
    pub fn since(&self, place: usize) -> &'a str {
        self.text.get(place..self.at).unwrap_or_default()
    }

    /// Reads any value.
    #[inline]
    pub fn raw(&mut self) -> Result<Raw<'a>, Mistake> {
        self.peek()?;
        self.part(Self::skip).map(Raw::of_json)
    }

    /// Whether an object comes next.
    pub fn is_at_object(&mut self) -> Result<bool, Mistake> {
        Ok(self.peek()? == b'{')
    }
}
