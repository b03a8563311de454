//! Upkeep: what has outlived its time, and what is sealed anew.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    OperationId, Reaped, StoreError,
    database::{Group, Session, Value, Work},
    ledger::{Stored, Terms, before, columns, limited},
};

/// How many rows one transaction takes away, so that the writes between them need not wait long.
const HANDFUL: i64 = 500;

/// Takes away a handful of what has outlived its time. Unfinished operations never do.
pub(super) struct Reap {
    pub(super) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Reap {
    type Done = Reaped;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Reaped, StoreError> {
        let delete = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                      WHERE finished_at IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.tombstones)), Value::Integer(HANDFUL)];
        let tombstones = session.execute(delete, &values).await?;
        let update = "UPDATE operations SET answer = NULL WHERE id IN (SELECT id FROM operations \
                      WHERE answer IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.answers)), Value::Integer(HANDFUL)];
        let answers = session.execute(update, &values).await?;
        Ok(Reaped { answers, tombstones })
    }
}

/// The store's own secret, as it is sealed; the one given if there is none yet.
pub(super) struct Secret {
    pub(super) fresh: Vec<u8>,
}

#[async_trait]
impl Work for Secret {
    type Done = Vec<u8>;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<u8>, StoreError> {
        let select = "SELECT value FROM meta WHERE name = 'secret'";
        if let Some(mut row) = session.rows(select, &[]).await?.pop() {
            return row.bytes();
        }
        session.execute("INSERT INTO meta (name, value) VALUES ('secret', ?1)", &[Value::Bytes(&self.fresh)]).await?;
        Ok(self.fresh.clone())
    }
}

/// Replaces the sealed secret, if nobody else did.
pub(super) struct ReplaceSecret {
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

#[async_trait]
impl Work for ReplaceSecret {
    type Done = ();

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE meta SET value = ?2 WHERE name = 'secret' AND value = ?1";
        session.execute(update, &[Value::Bytes(&self.old), Value::Bytes(&self.new)]).await?;
        Ok(())
    }
}

/// Rows with sealed contents, in the order of their ids.
pub(super) struct ReadSealed {
    pub(super) after: String,
    pub(super) limit: usize,
}

#[async_trait]
impl Work for ReadSealed {
    type Done = Vec<Stored>;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE id > ?1 AND (command IS NOT NULL OR answer IS NOT NULL) ORDER BY id LIMIT ?2"
        );
        let values = [Value::Text(&self.after), Value::Integer(limited(self.limit))];
        session.rows(select, &values).await?.into_iter().map(Stored::read).collect()
    }
}

/// Replaces what is sealed in a row, if it is still what was read.
pub(super) struct ReplaceSealed {
    pub(super) id: OperationId,
    pub(super) command: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) answer: Option<(Vec<u8>, Vec<u8>)>,
}

#[async_trait]
impl Work for ReplaceSealed {
    type Done = ();

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let id = self.id.to_string();
        if let Some((old, new)) = &self.command {
            let update = "UPDATE operations SET command = ?3 WHERE id = ?1 AND command = ?2";
            session.execute(update, &[Value::Text(&id), Value::Bytes(old), Value::Bytes(new)]).await?;
        }
        if let Some((old, new)) = &self.answer {
            let update = "UPDATE operations SET answer = ?3 WHERE id = ?1 AND answer = ?2";
            session.execute(update, &[Value::Text(&id), Value::Bytes(old), Value::Bytes(new)]).await?;
        }
        Ok(())
    }
}
