//! What can go wrong with the store. Messages are for operators who have not seen the store before. No message holds a
//! secret or data of a customer.

use std::fmt;

/// Why the store did not do what its caller asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The database does not answer now, or cannot make anything durable. The work may have been executed or not.
    Unavailable(String),
    /// The store was sealed with another key, or the key cannot be read.
    WrongKey(String),
    /// Another process has the database open.
    Locked(String),
    /// The settings do not lead to a database that can be used.
    Settings(String),
    /// The database has contents that this version did not write.
    Damaged(String),
}

impl StoreError {
    /// The same, with the file of the store in front.
    pub(in crate::store) fn of_file(self, path: &std::path::Path) -> Self {
        let named = |message: String| format!("the store {} cannot be opened: {message}", path.display());
        match self {
            Self::Unavailable(message) => Self::Unavailable(named(message)),
            Self::WrongKey(message) => Self::WrongKey(named(message)),
            Self::Locked(message) => Self::Locked(named(message)),
            Self::Settings(message) => Self::Settings(named(message)),
            Self::Damaged(message) => Self::Damaged(named(message)),
        }
    }

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
