//! Describes a mistake in a configuration to the operator: the file, the line, the key, and the nearest known key.
//! The line is known when the key, or a table that contains it, is in the file. A mistake in an environment variable
//! names the variable instead.

use std::{ops::Range, sync::Arc};

use figment::error::Kind;
use toml_edit::{Document, Item, Table, TableLike, Value};

use super::{ConfigError, Typed};

/// The text of a configuration file, in which lines are found by their keys. It is parsed once: a file of many merchants
/// can have thousands of warnings.
#[derive(Clone)]
pub(super) struct Source {
    document: Arc<Document<String>>,
    /// Where each line ends.
    line_ends: Arc<[usize]>,
}

impl Source {
    /// The error says where the text is not TOML.
    pub(super) fn new(text: &str, name: &str) -> Result<Self, ConfigError> {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        match Document::parse(text.to_owned()) {
            Ok(document) => Ok(Self { document: Arc::new(document), line_ends }),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&line_ends, span.start));
                Err(ConfigError::one(in_one_line(format!("{name}:{line}: {}", error.message()))))
            }
        }
    }

    /// The line of a dotted key, or of the deepest table of its path that is in the file.
    pub(super) fn line_of_key(&self, key: &str) -> Option<usize> {
        let mut place = Place::Item(self.document.as_item());
        let mut found = None;
        for part in key.split('.') {
            let Some((span, below)) = place.below(part) else { break };
            found = span.or(found);
            place = below;
        }
        found.map(|span| line_of(&self.line_ends, span.start))
    }
}

/// A place in the document: an item, or an element of a list.
enum Place<'d> {
    Item(&'d Item),
    Value(&'d Value),
    Table(&'d Table),
}

impl<'d> Place<'d> {
    /// The entry with this name or, in a list, the element with this number, and where it is.
    fn below(&self, part: &str) -> Option<(Option<Range<usize>>, Self)> {
        let table: Option<&'d dyn TableLike> = match self {
            Place::Item(item) => item.as_table_like(),
            Place::Value(value) => value.as_inline_table().map(|table| table as &dyn TableLike),
            Place::Table(table) => Some(*table),
        };
        if let Some(table) = table {
            let (key, value) = table.get_key_value(part)?;
            return Some((key.span().or_else(|| value.span()), Place::Item(value)));
        }
        let Place::Item(item) = self else { return None };
        let index: usize = part.parse().ok()?;
        if let Some(tables) = item.as_array_of_tables() {
            return tables.get(index).map(|table| (table.span(), Place::Table(table)));
        }
        item.as_array()?.get(index).map(|value| (value.span(), Place::Value(value)))
    }
}

/// The line of a byte, counted from one.
fn line_of(line_ends: &[usize], byte: usize) -> usize {
    line_ends.partition_point(|end| *end < byte) + 1
}

/// Describes one mistake in one line of text.
pub(super) fn describe(error: &figment::Error, source: &Source, name: &str) -> String {
    in_one_line(described(error, source, name))
}

/// A message without control characters. Keys and values in quotes can contain them, and some would change what a terminal
/// shows.
pub(super) fn in_one_line(message: String) -> String {
    match message.contains(char::is_control) {
        false => message,
        true => message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect(),
    }
}

fn described(error: &figment::Error, source: &Source, name: &str) -> String {
    let from_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
    let path = error.path.join(".");
    let (key, what) = match &error.kind {
        Kind::UnknownField(field, known) => {
            let key = below(&error.path, field);
            let hint = nearest(field, known).map_or_else(
                || format!("the known keys are {}", known.join(", ")),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            (key, format!("is not a key; {hint}"))
        }
        Kind::MissingField(field) => (below(&error.path, field), "is missing".to_owned()),
        Kind::UnknownVariant(value, known) => {
            let hint = nearest(value, known).map_or_else(
                || format!("use one of {}", known.join(", ")),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            (path, format!("cannot be {}; {hint}", Typed(value)))
        }
        // The value may be a secret, so the message names only its type.
        Kind::InvalidType(found, expected) => {
            // A Rust type says nothing to an operator.
            let expected = match expected.as_str() {
                "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number",
                other => other,
            };
            (path, format!("must be {expected}, not {}", type_of(found)))
        }
        Kind::InvalidValue(_, expected) if numbers(expected).is_some() => {
            (path, format!("must be {}", numbers(expected).unwrap_or_default()))
        }
        other => (path, other.to_string()),
    };
    if from_environment {
        let variable = format!("PASSERELLE_{}", key.replace('.', "__").to_uppercase());
        return format!("environment variable {variable}: `{key}` {what}");
    }
    match source.line_of_key(&key) {
        Some(line) => format!("{name}:{line}: `{key}` {what}"),
        None => format!("{name}: `{key}` {what}"),
    }
}

/// The whole numbers of a Rust type.
fn numbers(expected: &str) -> Option<&'static str> {
    Some(match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        _ => return None,
    })
}

/// The dotted key of a field. The path of an error does not always end with the field.
pub(super) fn below(path: &[String], field: &str) -> String {
    let table = path.strip_suffix(&[field.to_owned()]).unwrap_or(path);
    table.iter().map(String::as_str).chain([field]).collect::<Vec<_>>().join(".")
}

/// The known word that is most similar to a mistyped one, if one is similar enough.
pub(crate) fn nearest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(typed, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

fn type_of(found: &figment::error::Actual) -> &'static str {
    use figment::error::Actual;
    match found {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a string",
        Actual::Map => "a table",
        Actual::Seq => "a list",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load_text;

    fn mistakes(text: &str) -> Vec<String> {
        load_text(text, "passerelle.toml").expect_err("a mistake").mistakes
    }

    #[test]
    fn a_mistyped_key_is_reported_with_its_line_and_the_nearest_key() {
        let reported = mistakes(
            "[server]\nlisten = \"127.0.0.1:1\"\n\n[merchants.acme]\napi_keys = []\nactiv = \"main\"\nconnections = {}\n",
        );
        assert_eq!(reported, ["passerelle.toml:6: `merchants.acme.activ` is not a key; did you mean `active`?"]);
    }

    #[test]
    fn a_wrong_value_is_reported_without_repeating_it() {
        let reported = mistakes("[merchants.acme]\napi_keys = 17\nactive = \"main\"\nconnections = {}\n");
        assert_eq!(reported.len(), 1);
        assert!(reported[0].starts_with("passerelle.toml:2: `merchants.acme.api_keys` must be"), "{reported:?}");
        assert!(!reported[0].contains("17"), "{reported:?}");
    }

    #[test]
    fn a_mistake_is_one_line_whatever_characters_a_key_has() {
        let reported = mistakes("[server]\n\"a\\nb\\u001b[31m\" = 1\n");
        assert!(reported[0].starts_with("passerelle.toml:2: `server.a b [31m` is not a key"), "{reported:?}");
        let reported = mistakes("[merchants.a]\napi_keys=[]\nactive=\"m\"\non_loss=\"a\\r\\nb\"\nconnections={}\n");
        assert!(reported[0].starts_with("passerelle.toml:4: `merchants.a.on_loss` cannot be `a  b`"), "{reported:?}");
    }

    #[test]
    fn a_missing_key_is_reported_at_its_table() {
        let reported = mistakes("[merchants.acme]\napi_keys = []\nconnections = {}\n");
        assert_eq!(reported, ["passerelle.toml:1: `merchants.acme.active` is missing"]);
    }

    #[test]
    fn text_that_is_not_toml_is_reported_with_its_line() {
        let reported = mistakes("[server]\nlisten = 127.0.0.1\n");
        assert!(reported[0].starts_with("passerelle.toml:2: "), "{reported:?}");
    }

    #[test]
    fn invalid_values_are_reported_with_an_example() {
        let reported = mistakes("[server]\ndeadline = \"soon\"\n");
        assert_eq!(
            reported,
            [
                "passerelle.toml:2: `server.deadline` must be a duration above zero, such as \"10s\" or \"500ms\", not `soon`"
            ]
        );
        let reported = mistakes("[server]\ndeadline = 5\n");
        assert_eq!(
            reported,
            [
                "passerelle.toml:2: `server.deadline` must be a duration above zero, such as \"10s\" or \"500ms\", not a number"
            ]
        );
        let reported = mistakes(
            "[merchants.a]\napi_keys=[]\nactive=\"m\"\n[merchants.a.connections.m]\nprovider=\"x\"\nrate_limit=60\n",
        );
        assert_eq!(
            reported,
            [
                "passerelle.toml:6: `merchants.a.connections.m.rate_limit` must be a rate, such as \"60/min\", \"5/s\" or \"1000/h\", not a number"
            ]
        );
        let reported = mistakes("[merchants.a]\napi_keys=[]\nactive=\"m\"\non_loss=\"rejet\"\nconnections={}\n");
        assert_eq!(reported, ["passerelle.toml:4: `merchants.a.on_loss` cannot be `rejet`; did you mean `reject`?"]);
    }
}
