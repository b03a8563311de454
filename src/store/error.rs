//! What can go wrong with the store, in words for somebody who has never seen it. No text holds a secret
//! or anything of a customer.

use std::fmt;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The database does not answer, or cannot make anything durable, now. Nothing can be assumed of what was asked.
    Unavailable(String),
    /// The store was sealed with another key, or the key cannot be had.
    WrongKey(String),
    /// Another process has the database open.
    Locked(String),
    /// The settings lead to no database.
    Settings(String),
    /// The database is not as this version left it.
    Damaged(String),
}

impl StoreError {
    /// What went wrong.
    pub fn told(&self) -> &str {
        match self {
            Self::Unavailable(told)
            | Self::WrongKey(told)
            | Self::Locked(told)
            | Self::Settings(told)
            | Self::Damaged(told) => told,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.told())
    }
}

impl std::error::Error for StoreError {}
