//! JSON that every reader reads alike. Duplicate keys, U+0000 and integers beyond 64 bits are read
//! differently by different programs, so a gateway that passed them on would lose something silently;
//! they are refused. Card numbers are found on the way.

use std::fmt::Write;

use smallvec::SmallVec;

use crate::{
    json::{Mistake, Raw, Reader},
    model::{Error, FieldError, Kind},
    text::{JsonText, Str, card},
};

/// Checks a whole document, and answers where it holds card numbers. Phones, whose own grammar rules,
/// are not searched.
pub(crate) fn check(json: &str) -> Result<Vec<FieldError>, Error> {
    let mut walk = Walk::default();
    let mut reader = Reader::new(json);
    let walked = walk.value(&mut reader, 0).and_then(|()| reader.end());
    if let Some(pointer) = walk.duplicate {
        return Err(malformed(format!("the key at {pointer} stands twice")));
    }
    if walked.is_err() {
        return Err(malformed(what_is_wrong(json)));
    }
    if walk.holds_nul {
        return Err(malformed("a string holds U+0000, which not every store can keep".to_owned()));
    }
    if walk.holds_long_integer {
        return Err(malformed("an integer does not fit into 64 bits; write it as a string".to_owned()));
    }
    Ok(walk.cards)
}

/// What is wrong with a document that could not be walked through.
fn what_is_wrong(json: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(json) {
        Err(error) => {
            let what = if error.is_eof() { "ends too early" } else { "is not JSON" };
            format!("the body {what}, at line {} column {}", error.line(), error.column())
        }
        Ok(_) => format!("an object in the body has more than {MOST_KEYS} keys, or it lies too deep"),
    }
}

fn malformed(detail: String) -> Error {
    Error::new(Kind::Malformed, detail)
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
    holds_long_integer: bool,
}

impl Walk {
    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Mistake> {
        match reader.peek()? {
            b'"' => {
                let text = reader.string()?;
                self.text(&text);
                Ok(())
            }
            b'{' | b'[' if depth == DEEPEST => Err(Mistake::wrong_type()),
            b'{' => self.object(reader, depth + 1),
            b'[' => self.array(reader, depth + 1),
            b't' | b'f' | b'n' => reader.raw().map(|_| ()),
            _ => {
                let number = reader.raw()?;
                self.number(number)
            }
        }
    }

    fn text(&mut self, text: &Str<'_>) {
        // Only an escape can spell U+0000.
        self.holds_nul |= !text.is_plain() && text.contains('\0');
        let is_none = NO_CARDS.contains(&self.path.strip_prefix("/data").unwrap_or(&self.path));
        if !is_none && card::holds_card_number(text) {
            self.cards.push(FieldError::new(self.path.clone(), "holds a card number"));
        }
    }

    /// A number that every reader can hold: an integer in 64 bits, or one that is not infinite.
    fn number(&mut self, number: Raw<'_>) -> Result<(), Mistake> {
        let digits = number.get();
        if digits.contains(['.', 'e', 'E']) {
            let is_finite = digits.parse().is_ok_and(f64::is_finite);
            return if is_finite { Ok(()) } else { Err(Mistake::wrong_type()) };
        }
        self.holds_long_integer |= digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err();
        Ok(())
    }

    fn array(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Mistake> {
        let length = self.path.len();
        let mut more = reader.open_array()?;
        for place in 0_usize.. {
            if !more {
                break;
            }
            // Writing to memory does not fail.
            let _ = write!(self.path, "/{place}");
            self.value(reader, depth)?;
            self.path.truncate(length);
            more = reader.next_item()?;
        }
        Ok(())
    }

    fn object(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Mistake> {
        let length = self.path.len();
        let mut keys: SmallVec<[Str<'_>; 16]> = SmallVec::new();
        let mut more = reader.open_object()?;
        while more {
            let key = reader.key()?;
            self.path.push('/');
            if key.contains(['~', '/']) {
                self.path.push_str(&key.replace('~', "~0").replace('/', "~1"));
            } else {
                self.path.push_str(&key);
            }
            self.holds_nul |= !key.is_plain() && key.contains('\0');
            if card::holds_card_number(&key) {
                self.cards.push(FieldError::new("", "a key holds a card number"));
            }
            if keys.len() == MOST_KEYS {
                return Err(Mistake::wrong_type());
            }
            if keys.contains(&key) {
                self.duplicate.get_or_insert_with(|| self.path.clone());
            }
            keys.push(key);
            self.value(reader, depth)?;
            self.path.truncate(length);
            more = reader.next_member()?;
        }
        Ok(())
    }
}

/// How deep objects and arrays may lie in each other; what `serde_json` takes, as most readers do.
const DEEPEST: usize = 127;

/// More keys in one object than this are refused, so that finding duplicates stays cheap.
const MOST_KEYS: usize = 1000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::tests::nearly_json;

    proptest! {
        #[test]
        fn what_a_usual_reader_refuses_is_refused(text in nearly_json()) {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
                let told = check(&text).map_err(|error| error.to_string());
                let place = format!("at line {} column {}", error.line(), error.column());
                prop_assert!(told.as_ref().is_err_and(|told| told.ends_with(&place) || told.ends_with("twice")), "{told:?}");
            }
        }
    }

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
            r#"{"metadata":{"n":-}}"#,
            r#"{"metadata":{"n":truE}}"#,
            &format!("{}{}", "[".repeat(128), "]".repeat(128)),
            &format!("{{{}}}", (0..=1000).map(|key| format!("\"{key}\":1")).collect::<Vec<_>>().join(",")),
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
            " [ ] ",
            &format!("{}{}", "[".repeat(127), "]".repeat(127)),
        ] {
            assert_eq!(check(json), Ok(Vec::new()), "{json}");
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_told() {
        let told = |json: &str| check(json).map_err(|error| error.to_string());
        assert_eq!(told("{\n \"name\": x}"), Err("the body is not JSON, at line 2 column 10".to_owned()));
        assert_eq!(told("{\"name\":"), Err("the body ends too early, at line 1 column 8".to_owned()));
    }

    #[test]
    fn card_numbers_are_told_by_pointer() {
        let cards = check(r#"{"metadata":{"notes":["ok","pan 4242 4242 4242 4242"]}}"#).expect("JSON");
        assert_eq!(cards.len(), 1);
        assert_eq!(cards[0].pointer, "/metadata/notes/1");
    }
}
