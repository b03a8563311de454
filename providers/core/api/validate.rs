//! Validates the JSON bodies of clients: refuses what different JSON parsers read differently, and finds card numbers.
//!
//! Duplicate keys, U+0000 and integers beyond 64 bits are read differently by different programs. If the gateway passed
//! them on, values could be lost silently.

use std::fmt::{self, Write};

use smallvec::SmallVec;

use crate::{
    json::{ParseError, Raw, Reader},
    model::{Error, FieldError, Kind, printable},
    text::{JsonText, Str, card, phone},
};

/// How large the structure of a client's JSON may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// How many levels of objects and arrays there may be. The parser allows 127.
    pub depth: usize,
    /// How many keys one object may have. Each is compared with all others, so the time grows with the square.
    pub keys: usize,
    /// How many items one array may have.
    pub items: usize,
}

impl JsonLimits {
    /// The defaults of the configuration, for what is read without one.
    pub const DEFAULT: Self = Self { depth: 64, keys: 1000, items: 1000 };
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Checks a whole document, and returns the places of card numbers in it. Ids are not searched.
pub(crate) fn check(json: &str, limits: JsonLimits) -> Result<Vec<FieldError>, Error> {
    let mut validator = Validator { limits, ..Validator::default() };
    let mut reader = Reader::new(json);
    let result = validator.value(&mut reader, 0).and_then(|()| reader.end());
    if let Some(pointer) = validator.duplicate {
        // The detail is logged.
        return Err(malformed(match card::holds_card_number(&pointer) {
            true => "a key that contains a card number occurs twice".to_owned(),
            false => format!("the key at {} occurs twice", printable(&pointer)),
        }));
    }
    if result.is_err() {
        return Err(malformed(validator.exceeded.unwrap_or_else(|| describe(json))));
    }
    if validator.has_nul {
        return Err(malformed("a string contains U+0000, which not every database can store; remove it".to_owned()));
    }
    if validator.has_long_integer {
        return Err(malformed("an integer does not fit into 64 bits; write it as a string".to_owned()));
    }
    Ok(validator.cards)
}

/// Describes what is wrong with a document that is not JSON.
fn describe(json: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(json) {
        Err(error) => {
            let what = if error.is_eof() { "ends too early" } else { "is not JSON" };
            format!("the body {what}, at line {} column {}", error.line(), error.column())
        }
        Ok(_) => "the body is not JSON".to_owned(),
    }
}

fn malformed(detail: String) -> Error {
    Error::new(Kind::Malformed, detail)
}

/// The pointers of phone numbers in the documents of merchants and of imitated providers' clients. They contain digits by
/// nature, so they are searched for card numbers only where they have more digits than a phone number.
const PHONES: [&str; 4] = ["/phone", "/phone_number", "/whatsapp", "/whatsapp_number"];

/// The pointer of ids, which are not searched: one UUID in eight hundred passes the card check.
const ID: &str = "/id";

#[derive(Default)]
struct Validator {
    limits: JsonLimits,
    path: String,
    cards: Vec<FieldError>,
    duplicate: Option<String>,
    has_nul: bool,
    has_long_integer: bool,
    /// Which limit of the document's structure is exceeded, and where.
    exceeded: Option<String>,
}

impl Validator {
    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), ParseError> {
        match reader.peek()? {
            b'"' => {
                let text = reader.string()?;
                self.text(&text);
                Ok(())
            }
            b'{' | b'[' if depth == self.limits.depth => {
                let most = counted(depth, "level");
                Err(self.exceeds(self.path.len(), format_args!("more than {most} of objects and arrays")))
            }
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
        // U+0000 can occur only as an escape, so a plain text has none.
        self.has_nul |= !text.is_plain() && text.contains('\0');
        if card::holds_card_number(text) {
            self.found_card(text);
        }
    }

    /// Reports a card number in a text at the current place, unless the place is an id, or the text can be a phone number.
    fn found_card(&mut self, text: &str) {
        let place = self.path.strip_prefix("/data").unwrap_or(&self.path);
        if place != ID && (!PHONES.contains(&place) || phone::has_too_many_digits(text)) {
            // Errors are logged, and a key may be a card number itself.
            let pointer = if card::holds_card_number(&self.path) { String::new() } else { self.path.clone() };
            self.cards.push(FieldError::new(pointer, "contains a card number"));
        }
    }

    /// Checks that every parser can represent a number: an integer fits into 64 bits, and a fraction is finite.
    fn number(&mut self, number: Raw<'_>) -> Result<(), ParseError> {
        let digits = number.get();
        if card::is_card_number_in_json(digits) {
            self.found_card(digits);
        }
        if digits.contains(['.', 'e', 'E']) {
            let is_finite = digits.parse().is_ok_and(f64::is_finite);
            return if is_finite { Ok(()) } else { Err(ParseError::wrong_type()) };
        }
        self.has_long_integer |= digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err();
        Ok(())
    }

    /// Notes which limit is exceeded, and where: at the first so many bytes of the current path.
    fn exceeds(&mut self, length: usize, what: fmt::Arguments<'_>) -> ParseError {
        // The detail is logged.
        let place = match &self.path[..length] {
            "" => "at the top".to_owned(),
            path if card::holds_card_number(path) => "below a key that contains a card number".to_owned(),
            path => format!("at {}", printable(path)),
        };
        self.exceeded = Some(format!("the body has {what}, {place}"));
        ParseError::wrong_type()
    }

    fn array(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), ParseError> {
        let length = self.path.len();
        let mut more = reader.open_array()?;
        for index in 0_usize.. {
            if !more {
                break;
            }
            if index == self.limits.items {
                let most = counted(index, "item");
                return Err(self.exceeds(length, format_args!("an array with more than {most}")));
            }
            // Writing to memory does not fail.
            let _ = write!(self.path, "/{index}");
            self.value(reader, depth)?;
            self.path.truncate(length);
            more = reader.next_item()?;
        }
        Ok(())
    }

    fn object(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), ParseError> {
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
            self.has_nul |= !key.is_plain() && key.contains('\0');
            if card::holds_card_number(&key) {
                self.cards.push(FieldError::new("", "a key contains a card number"));
            }
            if keys.len() == self.limits.keys {
                let most = counted(keys.len(), "key");
                return Err(self.exceeds(length, format_args!("an object with more than {most}")));
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

fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::tests::nearly_json;

    /// As deep as the parser allows.
    const LIMITS: JsonLimits = JsonLimits { depth: 127, ..JsonLimits::DEFAULT };

    fn check(json: &str) -> Result<Vec<FieldError>, Error> {
        super::check(json, LIMITS)
    }

    proptest! {
        #[test]
        fn what_serde_json_refuses_is_refused(text in nearly_json()) {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
                let result = check(&text).map_err(|error| error.to_string());
                let position = format!("at line {} column {}", error.line(), error.column());
                prop_assert!(result.as_ref().is_err_and(|error| error.ends_with(&position) || error.ends_with("twice")), "{result:?}");
            }
        }
    }

    #[test]
    fn what_json_parsers_read_differently_is_refused() {
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
            &format!(r#"{{"metadata":{{"a":[{}0]}}}}"#, "0,".repeat(1000)),
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
            r#"{"phone":"378282246310005"}"#,
            r#"{"id":"60b6740d-9580-4904-8014-4fcfbf6d4355"}"#,
            r#"{"name":"the text \\u0000, spelled out"}"#,
            "null",
            " [ ] ",
            &format!("{}{}", "[".repeat(127), "]".repeat(127)),
            &format!("[{}0]", "0,".repeat(999)),
        ] {
            assert_eq!(check(json), Ok(Vec::new()), "{json}");
        }
    }

    #[test]
    fn an_error_names_its_line_and_column() {
        let error = |json: &str| check(json).map_err(|error| error.to_string());
        assert_eq!(error("{\n \"name\": x}"), Err("the body is not JSON, at line 2 column 10".to_owned()));
        assert_eq!(error("{\"name\":"), Err("the body ends too early, at line 1 column 8".to_owned()));
    }

    #[test]
    fn an_error_names_the_limit_that_is_exceeded_and_where() {
        let error = |json: &str| check(json).map_err(|error| error.to_string());
        let items = format!("[{}0]", "0,".repeat(1000));
        let keys = format!("{{{}}}", (0..=1000).map(|key| format!("\"{key}\":1")).collect::<Vec<_>>().join(","));
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        for (json, expected) in [
            (
                format!(r#"{{"metadata":{{"a":{items}}}}}"#),
                "the body has an array with more than 1000 items, at /metadata/a",
            ),
            (format!(r#"{{"metadata":{keys}}}"#), "the body has an object with more than 1000 keys, at /metadata"),
            (keys, "the body has an object with more than 1000 keys, at the top"),
            (
                format!(r#"{{"4242424242424242":{items}}}"#),
                "the body has an array with more than 1000 items, below a key that contains a card number",
            ),
        ] {
            assert_eq!(error(&json), Err(expected.to_owned()));
        }
        let message = error(&deep).expect_err("it is too deep");
        assert!(message.starts_with("the body has more than 127 levels of objects and arrays, at /0/0/"), "{message}");
    }

    #[test]
    fn each_limit_is_the_one_that_is_given() {
        let limits = JsonLimits { depth: 3, keys: 2, items: 1 };
        let error = |json: &str| super::check(json, limits).err().map(|error| error.to_string());
        for (json, expected) in [
            (r#"{"a":{"b":{}}}"#, None),
            (r#"{"a":{"b":[{}]}}"#, Some("the body has more than 3 levels of objects and arrays, at /a/b/0")),
            (r#"{"a":{"b":1,"c":2}}"#, None),
            (r#"{"a":{"b":1,"c":2,"d":3}}"#, Some("the body has an object with more than 2 keys, at /a")),
            (r#"{"a":[1]}"#, None),
            (r#"{"a":[1,2]}"#, Some("the body has an array with more than 1 item, at /a")),
        ] {
            assert_eq!(error(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn a_card_number_is_reported_by_its_pointer_as_text_and_as_number() {
        let json = r#"{"metadata":{"notes":["ok","pan 4242 4242 4242 4242"],"pan":4242424242424242},
            "phone":"4242-4242-4242-4242","whatsapp_number":4242424242424242}"#;
        let cards = check(json).expect("JSON");
        let pointers: Vec<&str> = cards.iter().map(|card| &*card.pointer).collect();
        assert_eq!(pointers, ["/metadata/notes/1", "/metadata/pan", "/phone", "/whatsapp_number"]);
    }

    /// Errors are logged.
    #[test]
    fn an_error_shows_neither_a_card_number_nor_a_control_character_of_a_key() {
        let twice =
            |key: &str| check(&format!(r#"{{"{key}":1,"{key}":2}}"#)).expect_err("a key occurs twice").to_string();
        assert_eq!(twice("4242424242424242"), "a key that contains a card number occurs twice");
        assert_eq!(twice("a\u{7f}b"), r"the key at /a\u{7f}b occurs twice");
        let cards = check(r#"{"metadata":{"4242424242424242":"4242424242424242"}}"#).expect("JSON");
        assert!(cards.len() == 2 && cards.iter().all(|card| card.pointer.is_empty()), "{cards:?}");
    }

    #[test]
    fn a_device_number_in_metadata_is_not_a_card_number() {
        let json = r#"{"metadata":{"imei":"490154203237518","imei_number":356938035643809}}"#;
        assert_eq!(check(json), Ok(Vec::new()));
    }
}
