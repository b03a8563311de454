//! Why a JSON document could not be read.

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
    pub(super) fn malformed() -> Self {
        Self(Box::new(Reason::Malformed))
    }

    /// A value of another type than expected.
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
