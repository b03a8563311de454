//! JSON that every reader reads alike. Duplicate keys, U+0000 and integers beyond 64 bits are read
//! differently by different programs, so a gateway that passed them on would lose something silently;
//! they are refused. Card numbers are found on the way.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    error::{Error, FieldError, Kind},
    text::Str,
    text::card,
};

/// Checks a whole document, and answers where it holds card numbers. Phones, whose own grammar rules,
/// are not searched.
pub(crate) fn check(json: &str) -> Result<Vec<FieldError>, Error> {
    let mut walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_str(json);
    let walked = Value(&mut walk).deserialize(&mut reader).and_then(|()| reader.end());
    if let Some(pointer) = walk.duplicate {
        return Err(malformed(format!("the key at {pointer} stands twice")));
    }
    if let Err(error) = walked {
        let what = if error.is_eof() { "ends too early" } else { "is not JSON" };
        return Err(malformed(format!("the body {what}, at line {} column {}", error.line(), error.column())));
    }
    if walk.holds_nul {
        return Err(malformed("a string holds U+0000, which not every store can keep".to_owned()));
    }
    // A reader of values no longer knows how a number was spelled.
    if walk.holds_float && holds_long_integer(json) {
        return Err(malformed("an integer does not fit into 64 bits; write it as a string".to_owned()));
    }
    Ok(walk.cards)
}

/// The members of an object, values raw; `None` when the text is no object.
pub(crate) fn members(json: &str) -> Option<Vec<(Str<'_>, &RawValue)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Str<'de>, &'de RawValue)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::with_capacity(16);
            while let Some((key, value)) = map.next_entry::<Str<'de>, &RawValue>()? {
                members.push((key, value));
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Members).ok()
}

fn malformed(detail: String) -> Error {
    Error::new(Kind::Malformed, detail)
}

/// Whether a number without point and exponent is beyond 64 bits.
fn holds_long_integer(json: &str) -> bool {
    let bytes = json.as_bytes();
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'"' => {
                place += 1;
                while let Some(byte) = bytes.get(place).filter(|byte| **byte != b'"') {
                    place += if *byte == b'\\' { 2 } else { 1 };
                }
                place += 1;
            }
            b'-' | b'0'..=b'9' => {
                let end = bytes[place..]
                    .iter()
                    .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                    .map_or(bytes.len(), |length| place + length);
                let number = &json[place..end];
                let is_integer = !number.contains(['.', 'e', 'E']);
                if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return true;
                }
                place = end;
            }
            _ => place += 1,
        }
    }
    false
}

/// Where phones and ids stand in our own documents, and in those of the providers' clients. Their own grammar rules:
/// one UUID in eight hundred has digits that could be a card's.
const NO_CARDS: [&str; 5] = ["/id", "/phone", "/phone_number", "/whatsapp", "/whatsapp_number"];

#[derive(Default)]
struct Walk {
    path: String,
    cards: Vec<FieldError>,
    duplicate: Option<String>,
    holds_nul: bool,
    holds_float: bool,
}

impl Walk {
    fn text(&mut self, text: &str) {
        let is_none = NO_CARDS.contains(&self.path.strip_prefix("/data").unwrap_or(&self.path));
        if !is_none && card::holds_card_number(text) {
            self.cards.push(FieldError::new(self.path.clone(), "holds a card number"));
        }
    }
}

struct Value<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.0.holds_float = true;
        Ok(())
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        // Only an escape can spell U+0000, and only text with an escape is not borrowed.
        self.0.holds_nul |= text.contains('\0');
        self.0.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let length = self.0.path.len();
        for place in 0_usize.. {
            self.0.path.push_str(&format!("/{place}"));
            let more = entries.next_element_seed(Value(&mut *self.0))?;
            self.0.path.truncate(length);
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let length = self.0.path.len();
        let mut keys: SmallVec<[Str<'de>; 16]> = SmallVec::new();
        while let Some(key) = map.next_key::<Str<'de>>()? {
            self.0.path.push('/');
            if key.contains(['~', '/']) {
                self.0.path.push_str(&key.replace('~', "~0").replace('/', "~1"));
            } else {
                self.0.path.push_str(&key);
            }
            self.0.holds_nul |= key.contains('\0');
            if card::holds_card_number(&key) {
                self.0.cards.push(FieldError::new("", "a key holds a card number"));
            }
            if keys.len() == MOST_KEYS {
                return Err(de::Error::custom("too many keys"));
            }
            if keys.contains(&key) {
                self.0.duplicate.get_or_insert_with(|| self.0.path.clone());
            }
            keys.push(key);
            map.next_value_seed(Value(&mut *self.0))?;
            self.0.path.truncate(length);
        }
        Ok(())
    }
}

/// More keys in one object than this are refused, so that finding duplicates stays cheap.
const MOST_KEYS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for json in [
            r#"{"name":"a","name":"b"}"#,
            r#"{"metadata":{"k":1,"k":2}}"#,
            r#"{"name":"a\u0000b"}"#,
            r#"{"metadata":{"a\u0000b":1}}"#,
            r#"{"metadata":["1.5",2.5,-9223372036854775809]}"#,
            r#"{"metadata":{"n":12345678901234567890123}}"#,
            r#"{"metadata":{"n":1e400}}"#,
            r#"{"name":"\ud800"}"#,
            r#"{"name":"a"} x"#,
            "\u{feff}{}",
            "{",
            "",
        ] {
            assert_eq!(check(json).map_err(|error| error.kind), Err(Kind::Malformed), "{json}");
        }
    }

    #[test]
    fn ordinary_documents_pass() {
        for json in [
            r#"{"name":"A \"quoted\" \\ name","metadata":{"n":-5,"m":18446744073709551615,"f":1.5e3,"a":[1,{"k":"v"}]}}"#,
            r#"{"phone":"4242424242424242"}"#,
            r#"{"id":"60b6740d-9580-4904-8014-4fcfbf6d4355"}"#,
            r#"{"name":"the text \\u0000, spelled out"}"#,
            "null",
            "[]",
        ] {
            assert_eq!(check(json), Ok(Vec::new()), "{json}");
        }
    }

    #[test]
    fn card_numbers_are_told_by_pointer() {
        let cards = check(r#"{"metadata":{"notes":["ok","pan 4242 4242 4242 4242"]}}"#).expect("JSON");
        assert_eq!(cards.len(), 1);
        assert_eq!(cards[0].pointer, "/metadata/notes/1");
    }
}
