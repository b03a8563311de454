//! What becomes of fields that a provider cannot hold.

use serde::{Deserialize, Serialize};

/// What becomes of fields that the provider cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossPolicy {
    /// The request is refused before anything is sent.
    #[default]
    Reject,
    /// The gateway keeps them. Not available yet: the configuration and the API refuse it.
    Carry,
    /// The rest is sent, and the answer reports the loss.
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
