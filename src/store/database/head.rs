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
