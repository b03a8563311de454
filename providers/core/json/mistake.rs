//! The error of the JSON reader.

use super::value::{MAX_ENTRIES, MAX_ENTRY};

/// Why a document could not be read. It never contains a value of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(Box<Reason>);

// The reason is boxed, so that the error is one pointer wide and a `Result` is as small as its value. The compiler
// moves a `Result` with a small unboxed error byte by byte, which slows down the reading of every string.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Malformed,
    /// A member has another type than expected. The path of the member has the innermost name first; it is empty for
    /// the document itself.
    WrongType(Vec<&'static str>),
    /// An entry of a list lacks the member that names it.
    NotARecord(&'static str),
    TooManyEntries,
    EntryTooLarge,
}

impl ParseError {
    #[cold]
    pub(super) fn malformed() -> Self {
        Self(Box::new(Reason::Malformed))
    }

    /// The error for a value of another type than expected.
    #[cold]
    pub fn wrong_type() -> Self {
        Self(Box::new(Reason::WrongType(Vec::new())))
    }

    /// The error for an entry of a list without the member that names it.
    #[cold]
    pub fn not_a_record(member: &'static str) -> Self {
        Self(Box::new(Reason::NotARecord(member)))
    }

    #[cold]
    pub(super) fn too_many_entries() -> Self {
        Self(Box::new(Reason::TooManyEntries))
    }

    #[cold]
    pub(super) fn entry_too_large() -> Self {
        Self(Box::new(Reason::EntryTooLarge))
    }

    /// What is wrong with a list whose text may be JSON. `None` if something else is wrong.
    pub fn wrong_list(&self) -> Option<String> {
        match &*self.0 {
            Reason::NotARecord(member) => Some(format!("a record without `{member}`")),
            Reason::TooManyEntries => Some(format!("a list of more than {MAX_ENTRIES} entries")),
            Reason::EntryTooLarge => Some(format!("a list with a record of more than {MAX_ENTRY} bytes")),
            Reason::Malformed | Reason::WrongType(_) => None,
        }
    }

    #[cold]
    pub(super) fn inside(mut self, member: &'static str) -> Self {
        if let Reason::WrongType(path) = &mut *self.0 {
            path.push(member);
        }
        self
    }

    /// The path of the member that has another type than expected, such as `data.email`. `None` if the text is not
    /// JSON, or if the document itself has the wrong type.
    pub fn wrong_member(&self) -> Option<String> {
        match &*self.0 {
            Reason::WrongType(path) if !path.is_empty() => {
                Some(path.iter().rev().copied().collect::<Vec<_>>().join("."))
            }
            _ => None,
        }
    }
}
