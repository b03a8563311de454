//! How a claim recognizes the same write: by its key, or, without a key, by its content.
//!
//! The content has a fingerprint, a keyed hash of the merchant and the request as the client sent it. The connection is not
//! a part of it: a repeated request means the same write, whichever connection is active by then. Earlier versions hashed
//! other contents ([`EarlierContents`]), the oldest ones with the name of the connection. Their rows are compared by the
//! fingerprints that they would have for this request.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    copies::Copy,
    ends::MarkDelivered,
    record::{EarlierContents, NewOperation, State},
    rows::{Stored, before, columns},
};
use crate::store::{
    audit::Hash,
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    hashes::Hashes,
    operation_id::OperationId,
    terms::Terms,
};

/// The condition of a write that is `sending` or `unknown`.
macro_rules! is_open {
    () => {
        "state IN ('sending', 'unknown')"
    };
}

/// The condition of a finished write whose answer is undelivered. `rows` explains the column.
macro_rules! is_undelivered {
    () => {
        "unheard = 1 AND answer IS NOT NULL"
    };
}

/// Selects the oldest write of `Terms::joining` with a content, of those with a condition.
macro_rules! oldest {
    ($condition:ident) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND ",
            $condition!(),
            " AND created_at > ?3 ORDER BY created_at LIMIT 1"
        )
    };
}

/// What a claim found.
#[derive(Debug)]
pub(in crate::store) enum Found {
    Nothing,
    InFlight(Stored),
    Unknown(Stored),
    Finished(Stored),
    Reused(OperationId),
    Expired(Stored),
    Erased(Stored),
    /// Nothing, but the write has to be planned anew. Only a claim finds that.
    Moved,
}

/// The write that a claim is about, as other requests for the same write are recognized.
#[derive(Clone)]
pub(in crate::store) struct Identity {
    pub(in crate::store) terms: Arc<Terms>,
    pub(in crate::store) hashes: Arc<Hashes>,
    pub(in crate::store) merchant: String,
    pub(in crate::store) key_hash: Option<Hash>,
    /// Whether, without a key, it may join another write with the same content.
    pub(in crate::store) joins: bool,
    pub(in crate::store) fingerprint: Hash,
    /// The copy that it is.
    pub(in crate::store) copy: Option<Copy>,
    pub(in crate::store) earlier: EarlierContents,
    /// The fingerprints that earlier versions gave the same request at the same connection. Only a write that may join
    /// another one by its content needs them, and only shortly after the start of a process that found such writes.
    pub(in crate::store) joined_earlier: Vec<Hash>,
}

impl Identity {
    pub(in crate::store) fn of(
        new: &NewOperation,
        terms: &Arc<Terms>,
        hashes: &Arc<Hashes>,
        joins_earlier: bool,
    ) -> Self {
        let is_joining_earlier = joins_earlier && new.key.is_none() && new.joins;
        let contents = if is_joining_earlier { (new.earlier.0)() } else { Vec::new() };
        let fingerprints = |content: &Vec<u8>| hashes.earlier_fingerprints(&new.merchant, &new.connection, content);
        Self {
            terms: Arc::clone(terms),
            hashes: Arc::clone(hashes),
            merchant: new.merchant.clone(),
            key_hash: match &new.copy {
                Some(copy) => Some(copy.key(hashes, &new.merchant, &new.connection)),
                None => new.key.as_deref().map(|key| hashes.key(&new.merchant, key)),
            },
            copy: new.copy.clone().map(|of| Copy { of, is_create: new.operation == "create" }),
            joins: new.joins,
            fingerprint: hashes.fingerprint(&new.merchant, &new.request),
            earlier: new.earlier.clone(),
            joined_earlier: contents.iter().flat_map(fingerprints).collect(),
        }
    }

    /// The write that this one is, or nothing if it is new.
    pub(super) async fn find(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        match &self.key_hash {
            Some(key_hash) => Ok(match self.with_key(key_hash, session).await? {
                Some(existing) => self.judge(existing, group.now),
                None => Found::Nothing,
            }),
            None => self.find_by_content(session, group).await,
        }
    }

    /// The row that has the key.
    pub(super) async fn with_key(
        &self,
        key_hash: &Hash,
        session: &mut dyn Session,
    ) -> Result<Option<Stored>, StoreError> {
        let select = concat!("SELECT ", columns!(), " FROM operations WHERE merchant = ?1 AND key_hash = ?2");
        let values = [Value::Text(&self.merchant), Value::Bytes(key_hash)];
        session.rows(select, &values).await?.pop().map(Stored::read).transpose()
    }

    /// What the row with the key means for this request.
    pub(super) fn judge(&self, existing: Stored, now: i64) -> Found {
        // A row whose lifetime is over does not count, even if no replica has deleted it yet.
        if existing.is_older(self.terms.tombstones, now) {
            return Found::Nothing;
        }
        if let Some(copy) = &self.copy {
            return copy.judge(existing);
        }
        if !self.has_content_of(&existing) {
            return Found::Reused(existing.id);
        }
        match existing.state {
            State::Sending => Found::InFlight(existing),
            State::Unknown => Found::Unknown(existing),
            State::Done | State::Failed if existing.erased => Found::Erased(existing),
            State::Done | State::Failed => {
                match existing.answer.is_none() || existing.is_older(self.terms.answers, now) {
                    true => Found::Expired(Stored { answer: None, ..existing }),
                    false => Found::Finished(existing),
                }
            }
        }
    }

    fn has_content_of(&self, existing: &Stored) -> bool {
        let is_earlier = |content: &Vec<u8>| {
            let fingerprints = self.hashes.earlier_fingerprints(&self.merchant, &existing.connection, content);
            fingerprints.iter().any(|fingerprint| existing.fingerprint == *fingerprint)
        };
        existing.fingerprint == self.fingerprint || (self.earlier.0)().iter().any(is_earlier)
    }

    /// A write without a key: the write with the same content that it joins.
    pub(super) async fn find_by_content(
        &self,
        session: &mut dyn Session,
        group: &mut Group,
    ) -> Result<Found, StoreError> {
        if !self.joins || self.joined_earlier.is_empty() && !self.has_duplicate(session, group).await? {
            return Ok(Found::Nothing);
        }
        Ok(match self.open_duplicate(session, group).await? {
            Some(open) if open.state == State::Unknown => Found::Unknown(open),
            Some(open) => Found::InFlight(open),
            None => match self.undelivered_duplicate(session, group).await? {
                Some(undelivered) => Found::Finished(undelivered),
                None => Found::Nothing,
            },
        })
    }

    /// Whether one of the two searches by content would find a write. Most writes are new, and for those this one
    /// statement is enough. It sorts nothing, for which SQLite would make a temporary table.
    async fn has_duplicate(&self, session: &mut dyn Session, group: &Group) -> Result<bool, StoreError> {
        let select = concat!(
            "SELECT CAST(1 AS BIGINT) WHERE EXISTS (SELECT 1 FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND ",
            is_open!(),
            " AND created_at > ?3) OR EXISTS (SELECT 1 FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND ",
            is_undelivered!(),
            " AND created_at > ?3)"
        );
        Ok(!session.rows(select, &self.content(&self.fingerprint, group)).await?.is_empty())
    }

    /// The parameters of a search by content in the last `Terms::joining`.
    fn content<'v>(&'v self, fingerprint: &'v Hash, group: &Group) -> [Value<'v>; 3] {
        [Value::Text(&self.merchant), Value::Bytes(fingerprint), Value::Integer(before(group.now, self.terms.joining))]
    }

    /// The oldest write that a search by content finds.
    async fn oldest(
        &self,
        select: &'static str,
        session: &mut dyn Session,
        group: &Group,
    ) -> Result<Option<Stored>, StoreError> {
        for fingerprint in std::iter::once(&self.fingerprint).chain(&self.joined_earlier) {
            if let Some(found) = session.rows(select, &self.content(fingerprint, group)).await?.pop() {
                return Stored::read(found).map(Some);
            }
        }
        Ok(None)
    }

    /// The oldest write of the last `Terms::joining` that has the same content and is `sending` or `unknown`.
    async fn open_duplicate(&self, session: &mut dyn Session, group: &Group) -> Result<Option<Stored>, StoreError> {
        self.oldest(oldest!(is_open), session, group).await
    }

    /// A finished write with the same content, whose answer is undelivered. Its client disconnected before the answer,
    /// and now sends its request again. This marks the answer as delivered. So a further request
    /// with the same content is a new write.
    async fn undelivered_duplicate(
        &self,
        session: &mut dyn Session,
        group: &mut Group,
    ) -> Result<Option<Stored>, StoreError> {
        let select = oldest!(is_undelivered);
        let Some(undelivered) = self.oldest(select, session, group).await? else { return Ok(None) };
        MarkDelivered { id: undelivered.id, is_delivered: true }.perform(session, group).await?;
        Ok(Some(undelivered))
    }
}

/// Finds the write that a request repeats, and claims nothing.
pub(super) struct FindDuplicate(pub(super) Identity);

#[async_trait]
impl Work for FindDuplicate {
    type Done = Found;

    /// It decides nothing about other rows. One `UPDATE` may mark an answer as delivered.
    const RUNS_ALONE: bool = false;

    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        self.0.find(session, group).await
    }
}
