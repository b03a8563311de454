//! Writes JSON documents into one buffer.

use serde_json::value::RawValue;

/// A document that writes itself into a buffer. The most frequent answers of the API are written by hand, in half the
/// time that serde takes (measured), and parts that the gateway passes on are copied as a whole.
pub trait Json {
    /// Writes the document.
    fn write(&self, out: &mut Vec<u8>);
}

/// Writes a member that is text or `null`. `$name` is the literal text before the value; `concat!` joins it with the
/// quotes at compile time.
macro_rules! member {
    ($out:expr, $name:literal, $value:expr) => {
        match ($value, &mut *$out) {
            (None, out) => out.extend_from_slice(concat!($name, "null").as_bytes()),
            (Some(text), out) if text.is_plain() => {
                out.extend_from_slice(concat!($name, "\"").as_bytes());
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            (Some(text), out) => {
                out.extend_from_slice($name.as_bytes());
                $crate::json::write::escaped(out, text);
            }
        }
    };
}

/// A document as a raw value, for use inside another document.
pub fn to_raw(document: &impl Json) -> Box<RawValue> {
    let mut out = Vec::new();
    document.write(&mut out);
    let text = String::from_utf8(out).ok();
    text.and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// Writes a string that needs escapes.
#[cold]
pub(crate) fn escaped(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

pub(crate) fn flag(out: &mut Vec<u8>, key: &str, value: Option<bool>) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(match value {
        Some(true) => b"true",
        Some(false) => b"false",
        None => b"null",
    });
}

pub(crate) fn raw(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value.as_bytes());
}

pub(crate) use member;
