//! The id of a write. It has only one spelling, so that the database can compare ids as texts.

use std::{fmt, str::FromStr, time::Duration};

use uuid::Uuid;

/// The id of a write: `op_` and 32 hexadecimal digits. Later ids are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(Uuid);

impl OperationId {
    /// A new id.
    pub fn now() -> Self {
        Self(crate::chance::later_id())
    }

    /// A bound that is smaller than every id made since a time before this one. It is not the id of a write.
    pub(super) fn earliest_within(self, before: Duration) -> Self {
        // The first 48 of the 128 bits are milliseconds. The rest is zero here, and never in an id.
        let milliseconds = self.0.as_u128() >> 80;
        Self(Uuid::from_u128(milliseconds.saturating_sub(before.as_millis()) << 80))
    }

    /// The 128 bits.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "op_{}", self.0.simple())
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text is not the id of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoOperationId;

impl fmt::Display for NoOperationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an id of an operation is `op_` and 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for NoOperationId {}

impl FromStr for OperationId {
    type Err = NoOperationId;

    fn from_str(text: &str) -> Result<Self, NoOperationId> {
        let digits = text.strip_prefix("op_").ok_or(NoOperationId)?;
        let uuid = Uuid::try_parse(digits).map_err(|_| NoOperationId)?;
        // One spelling only, so that the database can compare ids as texts.
        match uuid.simple().encode_lower(&mut Uuid::encode_buffer()) == digits {
            true => Ok(Self(uuid)),
            false => Err(NoOperationId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_in_its_one_spelling() {
        let id = OperationId::now();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for wrong in [&text[3..], &text.to_uppercase(), &text[..34], "op_", &id.uuid().to_string()] {
            assert_eq!(wrong.parse::<OperationId>(), Err(NoOperationId), "{wrong}");
        }
    }

    #[test]
    fn ids_of_a_time_are_greater_than_its_beginning() {
        let id = OperationId::now();
        let earliest = |before| id.earliest_within(before).to_string();
        assert!(id.to_string() > earliest(Duration::ZERO));
        assert!(earliest(Duration::ZERO) > earliest(Duration::from_millis(1)));
        assert_eq!(earliest(Duration::MAX), format!("op_{}", "0".repeat(32)));
    }
}
