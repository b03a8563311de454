//! A JSON reader that borrows values from the message. It copies only strings with escapes.
//!
//! The documents of `wire!` use it instead of serde, because reading pages of customers is most of the gateway's work,
//! and this reader needs a third of the time (`docs/architecture.md` has the figures): a document says which member it
//! expects next, and no generic visitor is in between. `serde_json` handles the rare cases: escapes, and the
//! description of a text that is not JSON. Property tests compare both parsers.

use smallvec::SmallVec;

use super::{ParseError, Raw};
use crate::text::{
    Str,
    plain::{PART, is_special, specials},
};

/// A type that can be read from JSON text with the lifetime `'a`.
pub trait FromJson<'a>: Sized {
    /// Reads the value at the reader's position.
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError>;

    /// Checks an entry of a list. The reading of a list stops at the first entry that fails.
    #[inline]
    fn check_entry(&self) -> Result<(), ParseError> {
        Ok(())
    }
}

/// Reads a whole text as one document.
pub fn from_str<'a, T: FromJson<'a>>(text: &'a str) -> Result<T, ParseError> {
    let mut reader = Reader::new(text);
    let document = T::read(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// Reads a JSON text from the beginning to the end.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    /// The index of the next byte to read.
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    /// A reader that starts at the beginning of a text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Checks that only white space follows.
    pub fn end(&mut self) -> Result<(), ParseError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(ParseError::malformed()) }
    }

    const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The first byte of the next value or punctuation, without reading it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, ParseError> {
        match self.bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => {
                self.skip_space();
                self.bytes().get(self.at).copied().ok_or_else(ParseError::malformed)
            }
        }
    }

    #[cold]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// Reads a text, if it comes next. Returns whether it does.
    #[inline]
    pub(super) fn read_if_next(&mut self, text: &str) -> bool {
        let is_next = self.bytes().get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()));
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    pub(super) fn literal(&mut self, word: &str) -> Result<(), ParseError> {
        if self.read_if_next(word) { Ok(()) } else { Err(ParseError::malformed()) }
    }

    /// Reads a `null`, if it comes next. Returns whether it does.
    #[inline]
    pub(super) fn read_null(&mut self) -> Result<bool, ParseError> {
        if self.peek()? == b'n' { self.literal("null").map(|()| true) } else { Ok(false) }
    }

    /// Reads a string. The reader must be at its opening quote.
    #[expect(clippy::inline_always, reason = "measured in benches/translation.rs")]
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Str<'a>, ParseError> {
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
    fn escaped_string(&mut self) -> Result<Str<'a>, ParseError> {
        let quoted = self.part(Self::skip_string)?;
        // Half of a surrogate pair is valid JSON, but not valid text.
        serde_json::from_str::<String>(quoted).map(Str::from).map_err(|_| ParseError::wrong_type())
    }

    /// The index of the next special byte of a string: a quote, a backslash or a control character.
    #[inline]
    fn end_of_plain(&self, from: usize) -> Result<usize, ParseError> {
        let mut at = from;
        while let Some(part) = self.bytes().get(at..).and_then(<[u8]>::first_chunk) {
            let found = specials(*part);
            if found != 0 {
                return Ok(at + found.trailing_zeros() as usize);
            }
            at += PART;
        }
        let rest = self.bytes().get(at..).unwrap_or_default();
        rest.iter().position(|byte| is_special(*byte)).map(|found| at + found).ok_or_else(ParseError::malformed)
    }

    fn skip_string(&mut self) -> Result<(), ParseError> {
        let mut at = self.at + 1;
        loop {
            at = self.end_of_plain(at)?;
            at += match (self.bytes().get(at), self.bytes().get(at + 1)) {
                (Some(b'"'), _) => break,
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
                (Some(b'\\'), Some(b'u')) if self.has_digits(at + 2, at + 6) => 6,
                _ => return Err(ParseError::malformed()),
            };
        }
        self.at = at + 1;
        Ok(())
    }

    fn has_digits(&self, begin: usize, end: usize) -> bool {
        self.bytes().get(begin..end).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    }

    fn skip_number(&mut self) -> Result<(), ParseError> {
        self.read_if_next("-");
        let begin = self.at;
        let whole = self.skip_digits()?;
        if whole > 1 && self.bytes().get(begin) == Some(&b'0') {
            return Err(ParseError::malformed());
        }
        if self.read_if_next(".") {
            self.skip_digits()?;
        }
        if self.read_if_next("e") || self.read_if_next("E") {
            let _ = self.read_if_next("+") || self.read_if_next("-");
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_digits(&mut self) -> Result<usize, ParseError> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(digits) } else { Err(ParseError::malformed()) }
    }

    /// Skips a value of any depth. It uses no recursion, so that no message can exhaust the stack.
    fn skip(&mut self) -> Result<(), ParseError> {
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

    fn skip_key(&mut self) -> Result<(), ParseError> {
        self.expect_key()?;
        self.skip_string()?;
        self.colon()
    }

    /// The text that `step` reads.
    fn part(&mut self, step: impl FnOnce(&mut Self) -> Result<(), ParseError>) -> Result<&'a str, ParseError> {
        let begin = self.at;
        step(self)?;
        self.text.get(begin..self.at).ok_or_else(ParseError::malformed)
    }

    /// Reads the beginning of an object. Returns whether a member follows; if not, the whole object has been read.
    #[inline]
    pub fn open_object(&mut self) -> Result<bool, ParseError> {
        self.open(b'{', b'}')
    }

    /// Reads the comma or brace after a member. Returns whether another member follows; if not, the whole object has
    /// been read.
    #[inline]
    pub fn next_member(&mut self) -> Result<bool, ParseError> {
        self.next(b'}')
    }

    #[inline]
    pub(crate) fn open_array(&mut self) -> Result<bool, ParseError> {
        self.open(b'[', b']')
    }

    #[inline]
    pub(crate) fn next_item(&mut self) -> Result<bool, ParseError> {
        self.next(b']')
    }

    #[inline]
    fn open(&mut self, begin: u8, end: u8) -> Result<bool, ParseError> {
        if self.peek()? != begin {
            return Err(ParseError::wrong_type());
        }
        self.at += 1;
        if self.peek()? == end {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    #[inline]
    fn next(&mut self, end: u8) -> Result<bool, ParseError> {
        let sign = self.peek()?;
        self.at += 1;
        if sign == b',' {
            // Skips white space, because `expects` compares bytes at the reader's position.
            self.peek().map(|_| true)
        } else if sign == end {
            Ok(false)
        } else {
            Err(ParseError::malformed())
        }
    }

    /// Reads the name of an expected member, if it comes next. Returns whether it does. `key` is the name with its
    /// quotes and its colon, without spaces. This is faster than [`Self::key`], which reads a name in any form.
    #[inline]
    pub fn expects(&mut self, key: &str) -> bool {
        self.read_if_next(key)
    }

    /// Reads the name of the next member, and its colon.
    #[inline]
    pub fn key(&mut self) -> Result<Str<'a>, ParseError> {
        self.expect_key()?;
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    #[inline]
    fn expect_key(&mut self) -> Result<(), ParseError> {
        if self.peek()? == b'"' { Ok(()) } else { Err(ParseError::malformed()) }
    }

    #[inline]
    fn colon(&mut self) -> Result<(), ParseError> {
        let is_colon = self.peek()? == b':';
        self.at += 1;
        if is_colon { Ok(()) } else { Err(ParseError::malformed()) }
    }

    /// Reads the value of a member. An error names the member.
    #[inline]
    pub fn member<T: FromJson<'a>>(&mut self, name: &'static str) -> Result<T, ParseError> {
        T::read(self).map_err(|error| error.inside(name))
    }

    /// The text that this reader reads.
    pub const fn message(&self) -> &'a str {
        self.text
    }

    /// The current position, for [`Self::since`].
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The text that was read since a position.
    pub fn since(&self, position: usize) -> &'a str {
        self.text.get(position..self.at).unwrap_or_default()
    }

    /// Reads any value.
    #[inline]
    pub fn raw(&mut self) -> Result<Raw<'a>, ParseError> {
        self.peek()?;
        self.part(Self::skip).map(Raw::of_json)
    }

    /// Whether an object comes next.
    pub fn is_at_object(&mut self) -> Result<bool, ParseError> {
        Ok(self.peek()? == b'{')
    }
}
