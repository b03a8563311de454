//! What can go wrong with the store. Messages are for operators who have not seen the store before. No message holds a
//! secret or data of a customer.

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
    pub fn message(&self) -> &str {
        match self {
            Self::Unavailable(message)
            | Self::WrongKey(message)
            | Self::Locked(message)
            | Self::Settings(message)
            | Self::Damaged(message) => message,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for StoreError {}
