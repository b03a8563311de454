//! The decisions that an operator makes about single customers (`switch decide`).

use std::fmt;

use crate::text::Text;

/// What an operator decided about a customer. Any decision but [`Leave`](Self::Leave) also accepts the losses and the
/// conflicts of this customer that need a decision: what stands at the other side stays there.
#[derive(Clone, PartialEq, Eq)]
pub enum Decision {
    /// Make a record of its own, whatever matches.
    Create,
    /// Link with the record of this id at the other side.
    Link(Text),
    /// Do not copy the customer.
    Leave,
}

impl Decision {
    /// The word in the file of decisions, without the id of a link.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Link(_) => "link",
            Self::Leave => "leave",
        }
    }

    /// Reads a decision as it is written in the file of decisions: `create`, `link ID` or `leave`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match (text, text.split_once(char::is_whitespace)) {
            ("create", _) => Some(Self::Create),
            ("leave", _) => Some(Self::Leave),
            (_, Some(("link", id))) if !id.trim().is_empty() => Some(Self::Link(Text::from(id.trim()))),
            _ => None,
        }
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
