//! The loss policy: what the gateway does with fields that a provider cannot store.

use serde::{Deserialize, Serialize};

/// What the gateway does with fields that the provider cannot store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossPolicy {
    /// It refuses the request before it sends anything.
    #[default]
    Reject,
    /// It keeps the fields itself, and answers them as if the provider held them.
    Carry,
    /// It sends the other fields, and the answer reports the loss.
    Drop,
}

impl LossPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Reject, Self::Carry, Self::Drop];

    /// The word of the API and of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Carry => "carry",
            Self::Drop => "drop",
        }
    }

    /// The policy that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}
