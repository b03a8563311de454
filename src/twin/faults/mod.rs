//! Faults on demand: which fault a twin plays for which request. The choice depends only on the plan's seed and on the
//! number of the request, so that a run can be repeated.

mod plan;
#[cfg(test)]
mod tests;

use std::{fmt, sync::LazyLock};

use passerelle_providers::model::Operation;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use plan::FaultPlan;

/// How a twin fails to answer. *Before* and *after* refer to the effect: the change that the request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Answers with the vendor's own 500 and does not execute the request.
    ErrorBefore,
    /// Executes the request and answers with the vendor's own 500.
    ErrorAfter,
    /// Does not execute the request, never answers, and keeps the connection open.
    HangBefore,
    /// Executes the request, never answers, and keeps the connection open.
    HangAfter,
    /// Resets the connection (TCP RST) and does not execute the request.
    ResetBefore,
    /// Executes the request and resets the connection (TCP RST).
    ResetAfter,
    /// Executes the request, announces the length of the whole answer, sends half of it, and closes the connection.
    Truncated,
    /// Executes the request and sends the answer one byte at a time.
    Drip,
    /// Answers with the vendor's own refusal of too many requests, with `Retry-After`, and does not execute the request.
    RateLimited,
    /// Redirects the client to another address and does not execute the request.
    Redirect,
    /// Executes the request and answers 200 with a page that is not JSON.
    Garbage,
    /// Executes the request and answers 200 with a small gzip that unpacks to a large body.
    GzipBomb,
}

impl Fault {
    /// Every fault, in the order in which a drawn number is compared with the probabilities. The order decides which
    /// fault a seed gives, so it must not change.
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

    /// The key of its probability in a plan.
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

    /// Whether the twin executes the request.
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

/// An operation that is serialized as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationName(pub Operation);

impl Serialize for OperationName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for OperationName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<[&str; Operation::ALL.len()]> = LazyLock::new(|| Operation::ALL.map(Operation::name));
        let name = String::deserialize(deserializer)?;
        Operation::parse(&name).map(Self).ok_or_else(|| D::Error::unknown_variant(&name, &*NAMES))
    }
}
