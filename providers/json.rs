//! Reads JSON where it stands: what is found is borrowed from the message, and only a string with escapes is
//! copied.
//!
//! Documents of `wire!` are read with it instead of with serde, because a page of a provider's customers is most of
//! what a gateway does, and this takes a third of the time (`docs/architecture.md` has the figures): a document tells
//! which member it expects next, and nothing is passed through a generic visitor. What is rare is left to
//! `serde_json`: escapes, and telling what is wrong with a text that is no JSON. Property tests hold the two against
//! each other.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use wide::u8x16;

use crate::text::Str;

/// Why a document could not be read. It never holds what the document held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(Box<Reason>);

// In a box, so that a result is as wide as what it holds: a result with a small error is moved byte by byte, and every
// string would wait for that.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Malformed,
    /// The path of a member of another type than expected, its innermost name first; empty for the document itself.
    WrongType(Vec<&'static str>),
}

impl Mistake {
    #[cold]
    fn malformed() -> Self {
        Self(Box::new(Reason::Malformed))
    }

    /// A value of another type than expected.
    #[cold]
    pub fn wrong_type() -> Self {
        Self(Box::new(Reason::WrongType(Vec::new())))
    }

    #[cold]
    fn inside(mut self, member: &'static str) -> Self {
        if let Reason::WrongType(path) = &mut *self.0 {
            path.push(member);
        }
        self
    }

    /// The path of the member that is of another type than expected, such as `data.email`; `None` where the text is
    /// no JSON, or is another document.
    pub fn wrong_member(&self) -> Option<String> {
        match &*self.0 {
            Reason::WrongType(path) if !path.is_empty() => {
                Some(path.iter().rev().copied().collect::<Vec<_>>().join("."))
            }
            _ => None,
        }
    }
}

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
    at: usize,
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
    fn takes(&mut self, text: &str) -> bool {
        let comes = self.bytes().get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()));
        if comes {
            self.at += text.len();
        }
        comes
    }

    fn literal(&mut self, word: &str) -> Result<(), Mistake> {
        if self.takes(word) { Ok(()) } else { Err(Mistake::malformed()) }
    }

    /// Whether a `null` comes next, which is then behind the reader.
    #[inline]
    fn takes_null(&mut self) -> Result<bool, Mistake> {
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
        self.part(Self::skip).map(Raw)
    }

    /// Whether an object comes next.
    pub fn is_at_object(&mut self) -> Result<bool, Mistake> {
        Ok(self.peek()? == b'{')
    }
}

/// The members of an object, values raw.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Str<'a>, Raw<'a>)>);

impl<'a> FromJson<'a> for Members<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        let mut members = Vec::with_capacity(16);
        let mut more = reader.open_object()?;
        while more {
            members.push((reader.key()?, Raw::read(reader)?));
            more = reader.next_member()?;
        }
        Ok(Self(members))
    }
}

/// The members in the inside of an object.
pub fn members(inside: &str) -> Result<Vec<(Str<'_>, Raw<'_>)>, Mistake> {
    let mut reader = Reader::new(inside);
    let mut members = Vec::new();
    while reader.at < inside.len() {
        if !members.is_empty() && !reader.takes(",") {
            return Err(Mistake::malformed());
        }
        members.push((reader.key()?, Raw::read(&mut reader)?));
    }
    Ok(members)
}

/// Any value, kept as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// `true`.
    pub const TRUE: Self = Self("true");

    /// A text that is known to be one JSON value.
    pub(crate) const fn of_json(text: &'a str) -> Self {
        Self(text)
    }

    /// The value as JSON text.
    pub const fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for Raw<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'a> From<&'a Box<RawValue>> for Raw<'a> {
    fn from(raw: &'a Box<RawValue>) -> Self {
        Self(raw.get())
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(self.0).unwrap_or(RawValue::NULL).serialize(serializer)
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Raw<'a> {
    #[inline]
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        reader.raw()
    }
}

impl<'json: 'a, 'a> FromJson<'json> for Str<'a> {
    #[inline]
    fn read(reader: &mut Reader<'json>) -> Result<Self, Mistake> {
        if reader.peek()? == b'"' { reader.string() } else { Err(Mistake::wrong_type()) }
    }
}

impl<'a> FromJson<'a> for bool {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        match reader.peek()? {
            b't' => reader.literal("true").map(|()| true),
            b'f' => reader.literal("false").map(|()| false),
            _ => Err(Mistake::wrong_type()),
        }
    }
}

impl<'a> FromJson<'a> for u64 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        Raw::read(reader)?.get().parse().map_err(|_| Mistake::wrong_type())
    }
}

impl<'a> FromJson<'a> for u16 {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        Raw::read(reader)?.get().parse().map_err(|_| Mistake::wrong_type())
    }
}

/// `null` is `None`.
impl<'a, T: FromJson<'a>> FromJson<'a> for Option<T> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        if reader.takes_null()? { Ok(None) } else { T::read(reader).map(Some) }
    }
}

impl<'a, T: FromJson<'a>> FromJson<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
        let mut items = Self::new();
        let mut more = reader.open_array()?;
        while more {
            if items.len() == items.capacity() {
                // Lists are pages; to grow in small steps would move every item several times.
                items.reserve(if items.is_empty() { 8 } else { 120 });
            }
            items.push(T::read(reader)?);
            more = reader.next_item()?;
        }
        Ok(items)
    }
}

/// Whether a text stands in JSON as it is, without escapes.
pub(crate) fn is_plain(text: &str) -> bool {
    let (parts, rest) = text.as_bytes().as_chunks();
    parts.iter().all(|part| specials(*part) == 0) && !rest.iter().any(|byte| is_special(*byte))
}

/// Whether a byte does not stand for itself in a string.
const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// How many bytes are looked at together.
const PART: usize = 16;

/// A bit for each byte that is special, the lowest for the first.
#[inline]
fn specials(part: [u8; PART]) -> u32 {
    let part = u8x16::new(part);
    let controls = part.min(u8x16::splat(b' ' - 1)).simd_eq(part);
    (controls | part.simd_eq(u8x16::splat(b'"')) | part.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Text that is JSON, or nearly so.
    pub(crate) fn nearly_json() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            "-?[0-9.eE+-]{0,5}",
            r#""([ -~é€😀]|\\["\\/bfnrtx]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00|\x01){0,12}"?"#,
        ];
        let value = scalar.prop_recursive(4, 24, 4, |inner| {
            let name = r#""([a-zé]|\\n|\\u00e9){0,10}"#;
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec((name, inner), 0..4).prop_map(|members| {
                    let members: Vec<String> =
                        members.iter().map(|(name, value)| format!("{name}\" :\t{value}")).collect();
                    format!("{{ {} }}", members.join(","))
                }),
            ]
        });
        (value, "[ \n]{0,2}", prop_oneof![9 => Just(""), 1 => Just("]"), 1 => Just("1")])
            .prop_map(|(value, space, end)| format!("{space}{value}{space}{end}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_json_is_what_serde_takes_for_json(text in nearly_json()) {
            let ours = from_str::<Raw<'_>>(&text).map(Raw::get).ok();
            let theirs = serde_json::from_str::<&RawValue>(&text).map(RawValue::get).ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn values_are_read_as_serde_reads_them(text in nearly_json()) {
            let is_json = serde_json::from_str::<Value>(&text).is_ok();
            macro_rules! same {
                ($($type:ty as $serdes:ty),*) => {$(
                    let ours = from_str::<$type>(&text).ok();
                    let theirs = serde_json::from_str::<$serdes>(&text).ok();
                    prop_assert_eq!(format!("{:?}", ours), format!("{:?}", theirs), "{} {}", is_json, text);
                )*};
            }
            same!(bool as bool, u64 as u64, u16 as u16, Option<bool> as Option<bool>);
            same!(Vec<Vec<u64>> as Vec<Vec<u64>>);
            let ours = from_str::<Vec<Option<Str<'_>>>>(&text).ok();
            let theirs = serde_json::from_str::<Vec<Option<String>>>(&text).ok();
            let ours = ours.map(|items| items.iter().map(|item| item.as_deref().map(str::to_owned)).collect());
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>(), json in nearly_json(), cut in any::<prop::sample::Index>()) {
            let _ = from_str::<Raw<'_>>(&text);
            let cut = cut.index(json.len() + 1);
            if let Some(cut) = json.get(..cut) {
                prop_assert_eq!(from_str::<Raw<'_>>(cut).is_ok(), serde_json::from_str::<&RawValue>(cut).is_ok());
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_a_wrong_value_of_its_member() {
        struct Named<'a>(#[expect(dead_code, reason = "it is not read")] Str<'a>);
        impl<'a> FromJson<'a> for Named<'a> {
            fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
                reader.open_object()?;
                reader.key()?;
                reader.member("name").map(Named)
            }
        }
        let mistake = from_str::<Named<'_>>(r#"{"name":"\ud800"}"#).map(|_| ()).expect_err("no text");
        assert_eq!(mistake.wrong_member().as_deref(), Some("name"));
        assert!(from_str::<Raw<'_>>(r#""\ud800""#).is_ok(), "it passes where it is only passed on");
    }

    #[test]
    fn no_depth_is_too_deep_to_be_kept() {
        for (open, inner, close) in [("[", "", "]"), (r#"{"a":"#, "1", "}")] {
            let text = format!("{}{inner}{}", open.repeat(100_000), close.repeat(100_000));
            assert_eq!(from_str::<Raw<'_>>(&text).map(Raw::get), Ok(&*text));
        }
    }

    #[test]
    fn what_has_to_be_escaped_is_found_wherever_it_stands() {
        for special in ["\0", "\u{1f}", "\"", "\\"] {
            for length in 0..40 {
                assert!(is_plain(&"é".repeat(length)), "{length}");
                for place in 0..=length {
                    let text = format!("{}{special}{}", "~".repeat(place), "\u{80}".repeat(length - place));
                    assert!(!is_plain(&text), "{text:?}");
                    let quoted = serde_json::to_string(&text).expect("text is JSON");
                    assert_eq!(from_str::<Str<'_>>(&quoted).as_deref(), Ok(&*text));
                }
            }
        }
    }
}
