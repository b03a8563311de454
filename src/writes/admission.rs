//! Asks for a place at the provider before a write is claimed. A write that gets none is refused, and the store keeps
//! nothing of it.
//!
//! A repetition of an earlier request needs no place: it gets the stored answer, also where the connection is at its
//! limit. So the store is asked whether the request is one before it is refused, and before a rate limit counts it.

use passerelle_providers::model::{Error, Operation};

use super::{Claim, NewOperation, StoreError, Writes};
use crate::{merchant::Connection, upstream::Permit};

/// Whether a write may be claimed.
pub(super) enum Admission<'c> {
    /// It may, and it has its place.
    Permit(Permit<'c>),
    /// It is an earlier write.
    Repetition(Box<Claim>),
    /// The connection is at a limit.
    Refused(Error),
}

impl Writes {
    pub(super) async fn admit<'c>(
        &self,
        connection: &'c Connection,
        operation: Operation,
        new: &NewOperation,
    ) -> Result<Admission<'c>, StoreError> {
        let upstream = &connection.upstream;
        if upstream.has_rate_limit()
            && let Some(claim) = self.store.find_duplicate(new).await?
        {
            return Ok(Admission::Repetition(Box::new(claim)));
        }
        let is_copy = new.home.as_ref().is_some_and(|home| home.is_copy);
        // A copy has had its turn before the time of its lease began.
        let error = match if is_copy { upstream.admit_own(operation) } else { upstream.admit(operation) } {
            Ok(permit) => return Ok(Admission::Permit(permit)),
            Err(error) => error,
        };
        let repetition = match upstream.has_rate_limit() {
            true => None,
            false => self.store.find_duplicate(new).await?,
        };
        Ok(repetition.map_or(Admission::Refused(error), |claim| Admission::Repetition(Box::new(claim))))
    }
}
