//! Faults on demand: which fault answers which request. Pure: the choice depends on the plan's seed and on the
//! request's number alone, so that a run can be played again.

mod plan;
#[cfg(test)]
mod tests;

use std::{fmt, sync::LazyLock};

use passerelle_providers::model::Operation;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use plan::FaultPlan;

/// What a twin does instead of answering properly. *Before* and *after* are seen from the effect: the change
/// that the request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The vendor's own 500; nothing was done.
    ErrorBefore,
    /// The vendor's own 500, although it was done.
    ErrorAfter,
    /// Never answers, and holds the connection; nothing was done.
    HangBefore,
    /// Never answers, and holds the connection, although it was done.
    HangAfter,
    /// Resets the connection (TCP RST); nothing was done.
    ResetBefore,
    /// Resets the connection (TCP RST), although it was done.
    ResetAfter,
    /// Does it, announces the whole answer, sends half of it and closes.
    Truncated,
    /// Does it, and sends the answer a byte at a time.
    Drip,
    /// The vendor's own refusal of too many requests, with `Retry-After`; nothing was done.
    RateLimited,
    /// Sends the client to another address; nothing was done.
    Redirect,
    /// Does it, and answers 200 with a page that is not JSON.
    Garbage,
    /// Does it, and answers 200 with a little gzip that unpacks to a lot.
    GzipBomb,
}

impl Fault {
    /// Every fault, in the order in which a number is looked up.
    pub const ALL: [Self; 12] = [
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::HangBefore,
        Self::HangAfter,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Truncated,
        Self::Drip,
        Self::RateLimited,
        Self::Redirect,
        Self::Garbage,
        Self::GzipBomb,
    ];

    /// The key of its probability.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error_before",
            Self::ErrorAfter => "error_after",
            Self::HangBefore => "hang_before",
            Self::HangAfter => "hang_after",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::Truncated => "truncated",
            Self::Drip => "drip",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::Garbage => "garbage",
            Self::GzipBomb => "gzip_bomb",
        }
    }

    /// Whether the request is carried out all the same.
    pub const fn has_effect(self) -> bool {
        match self {
            Self::ErrorBefore | Self::HangBefore | Self::ResetBefore | Self::RateLimited | Self::Redirect => false,
            Self::ErrorAfter
            | Self::HangAfter
            | Self::ResetAfter
            | Self::Truncated
            | Self::Drip
            | Self::Garbage
            | Self::GzipBomb => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An operation by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named(pub Operation);

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<[&str; Operation::ALL.len()]> = LazyLock::new(|| Operation::ALL.map(Operation::name));
        let name = String::deserialize(deserializer)?;
        Operation::parse(&name).map(Self).ok_or_else(|| D::Error::unknown_variant(&name, &*NAMES))
    }
}
