//! The end of the audit chain, in the one row of the table `chain`. A transaction reads it first, and moves it last.

use super::values::{Row, Value, unsigned};
use crate::store::error::StoreError;

/// The hash of a record, over its content and the hash of the one before.
pub type Hash = [u8; 32];

/// The hash before the first record.
pub(in crate::store) const BEGINNING: Hash = [0; 32];

/// The place in the chain up to which it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many records there are.
    pub sequence: u64,
    /// The hash of the last one.
    pub hash: Hash,
}

impl Head {
    /// Before the first record.
    pub const BEGINNING: Self = Self { sequence: 0, hash: BEGINNING };
}

/// The end of the chain.
pub(in crate::store) const READ: &str = "SELECT sequence, hash FROM chain WHERE one = 1";

/// Reads the end of the chain from the row of [`READ`].
pub(in crate::store) fn read(row: &mut Row) -> Result<Head, StoreError> {
    Ok(Head { sequence: unsigned(row.integer()?), hash: hash_of(&row.bytes()?) })
}

/// The database lacks the row of [`READ`].
pub(in crate::store) fn missing() -> StoreError {
    StoreError::Damaged("the end of the audit chain is missing from the database: restore the newest backup".to_owned())
}

/// Refuses a database whose chain ends before the place that this process has seen: a restored backup, or a standby that was
/// promoted without the last writes. It does not know the writes in between.
pub(super) fn refuse_older(seen: Head, found: Head) -> Result<(), StoreError> {
    if found.sequence > seen.sequence || found == seen {
        return Ok(());
    }
    Err(StoreError::Damaged(format!(
        "the database is older than it was: this gateway has seen audit record {}, and the database ends with {} now. It does \
         not know the writes since, and a client that repeats one of them would cause a second effect. Stop every gateway \
         before you decide: a restarted one cannot know what the database lacks (docs/operating.md, \"Backup and restore\")",
        seen.sequence,
        match found.sequence == seen.sequence {
            true => "another record of that number".to_owned(),
            false => format!("record {}", found.sequence),
        }
    )))
}

/// A hash as the database holds it.
pub(in crate::store) fn hash_of(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap_or(BEGINNING)
}

/// The last statement of a transaction that added audit records.
pub(super) const MOVE: &str = "UPDATE chain SET sequence = ?1, hash = ?2 WHERE one = 1";

/// The parameters of [`MOVE`].
pub(super) fn values(head: &Head) -> [Value<'_>; 2] {
    [Value::Integer(head.sequence.cast_signed()), Value::Bytes(&head.hash)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_ends_earlier_or_with_another_record_is_refused() {
        let head = |sequence, hash| Head { sequence, hash: [hash; 32] };
        let seen = head(7, 1);
        for found in [seen, head(8, 2)] {
            assert_eq!(refuse_older(seen, found), Ok(()));
        }
        for (found, words) in [(head(6, 3), "ends with record 6"), (head(7, 2), "another record of that number")] {
            let message = refuse_older(seen, found).expect_err("it is older").to_string();
            assert!(message.contains("audit record 7") && message.contains(words), "{message}");
        }
    }
}
