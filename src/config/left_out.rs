//! Reads a configuration in spite of its mistakes, so that the operator sees all of them at once: what is wrong is left out,
//! and the rest is read again. Nothing that was left out is served: this is for messages only.

use figment::error::Kind;
use toml_edit::{Array, DocumentMut, TableLike};

use super::{
    ConfigError, Loaded,
    diagnose::{below, nearest},
    load::Mistake,
};

/// What could be read of a configuration.
#[derive(Debug)]
pub struct Readable {
    /// The mistakes in what could not be read.
    pub mistakes: Vec<String>,
    /// The configuration without what could not be read. `None` if too little is left.
    pub rest: Option<Loaded>,
    /// The name of the file in messages.
    pub name: String,
    pub(super) left_out: LeftOut,
}

impl Readable {
    pub(super) fn without_mistakes(self) -> Result<Loaded, ConfigError> {
        match self.rest {
            Some(rest) if self.mistakes.is_empty() => Ok(rest),
            _ => Err(in_order(self.mistakes, &self.name)),
        }
    }

    /// The configuration and what was made of the rest, or all mistakes together. A mistake of the rest that follows from what was
    /// left out is none.
    pub fn and<T>(self, of_rest: Result<T, ConfigError>) -> Result<(Loaded, T), ConfigError> {
        let Self { mut mistakes, rest, name, left_out } = self;
        match (rest, of_rest) {
            (Some(rest), Ok(made)) if mistakes.is_empty() => Ok((rest, made)),
            (_, of_rest) => {
                let of_rest = of_rest.err().map_or(Vec::new(), |error| error.mistakes);
                mistakes.extend(of_rest.into_iter().filter(|mistake| !left_out.causes(mistake)));
                Err(in_order(mistakes, &name))
            }
        }
    }
}

/// The mistakes in the order of their lines. Those without a line come last.
fn in_order(mut mistakes: Vec<String>, name: &str) -> ConfigError {
    mistakes.sort_by_key(|mistake| Mistake::of(mistake, name).line.unwrap_or(usize::MAX));
    ConfigError { mistakes }
}

/// How the text begins that replaces a wrong element of an array. As a key of a client, it is none that is reported.
const REPLACEMENT: &str = "left-out-of-the-configuration";

/// The parts of a configuration that were not read.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Dotted keys of the file.
    keys: Vec<String>,
    /// Names of environment variables, without what all of them begin with.
    pub(super) variables: Vec<String>,
}

impl LeftOut {
    /// Whether an error is only that something is missing which was left out.
    pub(super) fn explains(&self, error: &figment::Error) -> bool {
        let Kind::MissingField(field) = &error.kind else {
            // A text is wrong as an element of that array as well.
            let is_element = error.path.last().is_some_and(|last| last.parse::<usize>().is_ok());
            return is_element && self.keys.contains(&error.path.join("."));
        };
        let key = below(&error.path, field);
        // A table is missing where all that it had was left out.
        self.keys.iter().any(|left| *left == key || left.starts_with(&format!("{key}.")))
    }

    /// The text of the file without what these errors are about. `None` if nothing more can be left out.
    pub(super) fn leave_out(&mut self, errors: &[figment::Error], text: &str) -> Option<String> {
        let mut document: DocumentMut = text.parse().ok()?;
        let mut is_less = false;
        for error in errors {
            let is_variable = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
            if is_variable {
                self.variables.push(error.path.join("__"));
                is_less = true;
                continue;
            }
            let path = match &error.kind {
                Kind::UnknownField(field, known) => {
                    let key = below(&error.path, field);
                    // What was meant is not missing, too. Without its value, other mistakes of its table would not be found.
                    if let (Some((table, _)), Some(meant)) = (key.rsplit_once('.'), nearest(field, known)) {
                        self.keys.push(format!("{table}.{meant}"));
                        if rename(document.as_table_mut(), table, field, meant) {
                            is_less = true;
                            continue;
                        }
                    }
                    key
                }
                // Without it, its table has no meaning.
                Kind::MissingField(field) => {
                    below(&error.path, field).rsplit_once('.').map(|(table, _)| table.to_owned())?
                }
                _ => error.path.join("."),
            };
            if let Some(key) = remove(document.as_table_mut(), &path, self.keys.len()) {
                self.keys.push(key);
                is_less = true;
            }
        }
        is_less.then(|| document.to_string())
    }

    /// Whether a mistake follows from what was left out: it is about that, or about a merchant or section that lost a part.
    fn causes(&self, mistake: &str) -> bool {
        let is_about = |key: &str| mistake.contains(&format!("`{key}`")) || mistake.contains(&format!("`{key}."));
        self.keys.iter().any(|key| {
            let parts = key.split('.').collect::<Vec<_>>();
            match parts.as_slice() {
                ["merchants", ..] if mistake.contains("no merchant is configured") => true,
                ["merchants", merchant, "connections"] | ["merchants", merchant, "connections", _] => {
                    is_about(&format!("merchants.{merchant}.active"))
                }
                _ => is_about(key),
            }
        })
    }
}

/// Gives a value of a table the name that was meant. Returns whether it did: not if the table has that name already.
fn rename(root: &mut dyn TableLike, table: &str, typed: &str, meant: &str) -> bool {
    let mut parts = table.split('.');
    let found = parts.try_fold(root, |table, part| table.get_mut(part)?.as_table_like_mut());
    let Some(table) = found.filter(|table| !table.contains_key(meant)) else { return false };
    table.remove(typed).is_some_and(|value| table.insert(meant, value).is_none())
}

/// Removes the deepest part of a dotted key that is there. Returns its key. `number` is another one at each call.
fn remove(table: &mut dyn TableLike, path: &str, number: usize) -> Option<String> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if let Some(rest) = rest {
        let item = table.get_mut(first)?;
        let removed = match item.as_table_like_mut() {
            Some(below) => remove(below, rest, number),
            None => item.as_array_mut().and_then(|array| replace(array, rest, number)),
        };
        if let Some(removed) = removed {
            return Some(format!("{first}.{removed}"));
        }
    }
    table.remove(first).map(|_| first.to_owned())
}

/// Replaces an element of an array by a text, so that the others keep their numbers. Returns its number. `None`: it was replaced
/// before, and a text is wrong there as well.
fn replace(array: &mut Array, path: &str, number: usize) -> Option<String> {
    let index = path.split('.').next()?.parse::<usize>().ok()?;
    let is_replaced = array.get(index)?.as_str().is_some_and(|text| text.starts_with(REPLACEMENT));
    if is_replaced {
        return None;
    }
    array.replace(index, format!("{REPLACEMENT}-{number}"));
    Some(index.to_string())
}
