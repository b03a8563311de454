//! The statements that change the routing row of a merchant.

use async_trait::async_trait;

use super::{OpenSwitch, Routing};
use crate::store::{
    database::{
        Group, Session, Work,
        values::{Row, Value, unsigned},
    },
    error::StoreError,
};

/// The routing of a merchant. A writer that changes other rows by it must run alone.
pub(in crate::store) async fn routing(
    session: &mut dyn Session,
    merchant: &str,
) -> Result<Option<Routing>, StoreError> {
    let select = "SELECT connection, epoch, switch_id, other FROM routing WHERE merchant = ?1";
    match session.rows(select, &[Value::Text(merchant)]).await?.pop() {
        Some(mut row) => {
            let connection = row.text()?;
            read(connection, &mut row).map(Some)
        }
        None => Ok(None),
    }
}

/// The columns behind the connection.
pub(super) fn read(connection: String, row: &mut Row) -> Result<Routing, StoreError> {
    let epoch = unsigned(row.integer()?);
    let open = row.maybe_text()?.zip(row.maybe_text()?).map(|(id, other)| OpenSwitch { id, other });
    Ok(Routing { connection, epoch, open })
}

fn lost() -> StoreError {
    StoreError::Damaged("a routing row that was just written is not there".to_owned())
}

fn number(epoch: u64) -> Value<'static> {
    Value::Integer(i64::try_from(epoch).unwrap_or(i64::MAX))
}

/// Opens a switch.
pub(in crate::store) struct Begin {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) switch_id: String,
    pub(in crate::store) other: String,
}

#[async_trait]
impl Work for Begin {
    type Done = Routing;

    /// Claims compare with the row that it writes.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Routing, StoreError> {
        let values = [&self.merchant, &self.connection, &self.switch_id, &self.other].map(|text| Value::Text(text));
        let insert = "INSERT INTO routing (merchant, connection, epoch, switch_id, other) VALUES (?1, ?2, 0, ?3, ?4) \
                      ON CONFLICT (merchant) DO NOTHING";
        if session.execute(insert, &values).await? == 0 {
            let update = "UPDATE routing SET switch_id = ?3, other = ?4 \
                          WHERE merchant = ?1 AND connection = ?2 AND switch_id IS NULL";
            session.execute(update, &values).await?;
        }
        routing(session, &self.merchant).await?.ok_or_else(lost)
    }
}

/// Closes the open switch.
pub(in crate::store) struct EndSwitch {
    pub(in crate::store) merchant: String,
    pub(in crate::store) switch_id: String,
    pub(in crate::store) epoch: u64,
}

#[async_trait]
impl Work for EndSwitch {
    type Done = bool;

    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let update = "UPDATE routing SET switch_id = NULL, other = NULL \
                      WHERE merchant = ?1 AND switch_id = ?2 AND epoch = ?3";
        let values = [Value::Text(&self.merchant), Value::Text(&self.switch_id), number(self.epoch)];
        Ok(session.execute(update, &values).await? == 1)
    }
}

/// Makes the other side active.
pub(in crate::store) struct Flip {
    pub(in crate::store) merchant: String,
    pub(in crate::store) switch_id: String,
    pub(in crate::store) from: Routing,
    pub(in crate::store) to: String,
}

#[async_trait]
impl Work for Flip {
    type Done = bool;

    /// Claims compare with the row that it writes: none is between their comparison and their insertion.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let update = "UPDATE routing SET connection = ?5, other = connection, epoch = epoch + 1 \
                      WHERE merchant = ?1 AND switch_id = ?2 AND epoch = ?3 AND connection = ?4 AND other = ?5";
        let values = [
            Value::Text(&self.merchant),
            Value::Text(&self.switch_id),
            number(self.from.epoch),
            Value::Text(&self.from.connection),
            Value::Text(&self.to),
        ];
        Ok(session.execute(update, &values).await? == 1)
    }
}

/// Makes a connection active under a higher epoch.
pub(in crate::store) struct Activate {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) above: u64,
}

#[async_trait]
impl Work for Activate {
    type Done = Option<Routing>;

    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<Routing>, StoreError> {
        let update = "UPDATE routing SET connection = ?2, other = CASE WHEN other = ?2 THEN connection ELSE other END, \
                      epoch = CASE WHEN epoch > ?3 THEN epoch ELSE ?3 END + 1 WHERE merchant = ?1";
        let values = [Value::Text(&self.merchant), Value::Text(&self.connection), number(self.above)];
        session.execute(update, &values).await?;
        routing(session, &self.merchant).await
    }
}
