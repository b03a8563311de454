//! The error of the JSON reader.

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
