//! What a write does to the row of its customer. The statements belong to the transaction of a claim or of an end, in
//! `operations`. A merchant without a routing row needs none of them.

use passerelle_providers::model::Patch;

use super::{Deletion, Routing, adopting::ONLY_CLAIMED, folded, routes::routing};
use crate::store::{
    contacts::{ContactKind, RowContacts},
    database::{Session, values::Value},
    error::StoreError,
};

/// The value of `shown` while a write is open. A second claim and a second end find another value, so a value that is
/// known at rest is the answer to the last write, and no other write overlapped that one.
const OPEN: Value<'_> = Value::Bytes(&[0]);
/// The value of `shown` where it is not known what the home shows.
const UNKNOWN: Value<'_> = Value::Bytes(&[]);

/// Where a write was planned for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HomeOfWrite {
    /// The epoch of the routing.
    pub epoch: u64,
    /// The public id of its customer, if that has a row.
    pub public_id: Option<String>,
    /// Whether it is a write of the copier, to the other side.
    pub is_copy: bool,
}

/// A write that is about to be sent to a connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Planned<'a> {
    pub(in crate::store) merchant: &'a str,
    pub(in crate::store) connection: &'a str,
    pub(in crate::store) operation: &'a str,
    /// The id of its customer at the connection.
    pub(in crate::store) customer: Option<&'a str>,
    pub(in crate::store) is_copy: bool,
}

/// The customer of a write, as its row has it.
struct Row {
    public_id: String,
    home: String,
    deletion: Option<Deletion>,
    held_until: i64,
    /// Whether a write would reach another customer's record.
    is_merged: bool,
    /// Whether no write is open of which the state is about to be known, and that after the last one is not known.
    is_unknown: bool,
}

/// What a claim may do to the row of its customer. It says nothing any more once another statement has changed the row.
pub(in crate::store) struct Allowed {
    routing: Routing,
    row: Option<Row>,
}

impl Allowed {
    /// Whether the claim of a client waits, because the customer is being moved (R15). Where it is not known what the home shows
    /// after the last write, one write may pass: the state after that one is known.
    pub(in crate::store) fn is_held(&self, now: i64) -> bool {
        self.row.as_ref().is_some_and(|row| row.held_until > now && !row.is_unknown)
    }
}

impl Planned<'_> {
    fn deletes(&self) -> bool {
        self.operation == "delete"
    }

    /// Whether the write may be claimed, or sent again. `None`: it has to be planned anew.
    ///
    /// A write of a client goes to the home of its customer, a new customer to the active connection. A copy goes to a
    /// connection that is not the home. `planned` is what the write was planned for; a write that is sent again has none.
    pub(in crate::store) async fn allowed(
        &self,
        session: &mut dyn Session,
        planned: Option<&HomeOfWrite>,
    ) -> Result<Option<Allowed>, StoreError> {
        let Some(routing) = routing(session, self.merchant).await? else { return Ok(None) };
        if planned.is_some_and(|planned| planned.epoch != routing.epoch) {
            return Ok(None);
        }
        let is_active = routing.connection == self.connection;
        let public_id = planned.and_then(|planned| planned.public_id.as_deref());
        let row = match (self.customer, public_id) {
            (Some(customer), _) => self.at_connection(session, &routing, customer).await?,
            (None, Some(public_id)) => self.named(session, &routing, public_id).await?,
            (None, None) => None,
        };
        let may = match &row {
            // The row of the plan is gone, or belongs to another customer.
            None if public_id.is_some() => false,
            Some(row) if public_id.is_some_and(|planned| planned != row.public_id) => false,
            // Only a deletion may reach the record of a deleted customer, and nothing but the client's own one that of a home.
            Some(row) if self.is_copy => match row.deletion {
                Some(Deletion::Confirmed) => self.deletes(),
                Some(Deletion::Claimed) => false,
                None => row.home != self.connection,
            },
            Some(row) => row.home == self.connection && row.deletion != Some(Deletion::Confirmed) && !row.is_merged,
            None if self.is_copy => self.deletes(),
            None => is_active && !self.is_anothers_id(session).await?,
        };
        Ok(may.then_some(Allowed { routing, row }))
    }

    /// Whether the id belongs to a customer who is not the one of this write.
    async fn is_anothers_id(&self, session: &mut dyn Session) -> Result<bool, StoreError> {
        let Some(customer) = self.customer else { return Ok(false) };
        let select = "SELECT public_id FROM customers WHERE merchant = ?1 AND public_id = ?2";
        let rows = session.rows(select, &[Value::Text(self.merchant), Value::Text(customer)]).await?;
        Ok(!rows.is_empty())
    }

    async fn at_connection(
        &self,
        session: &mut dyn Session,
        routing: &Routing,
        customer: &str,
    ) -> Result<Option<Row>, StoreError> {
        let select = "SELECT customers.public_id, customers.pinned, customers.deletion, customers.held_until, \
                      CAST(length(customers.shown) AS BIGINT), \
                      customers.merged_at \
                      FROM customer_ids AS ids CROSS JOIN customers \
                      WHERE ids.merchant = ?1 AND ids.provider_id = ?2 AND ids.connection = ?3 \
                      AND customers.merchant = ?1 AND customers.public_id = ids.public_id";
        let values = [self.merchant, customer, self.connection].map(Value::Text);
        Self::read(session, routing, select, &values).await
    }

    async fn named(
        &self,
        session: &mut dyn Session,
        routing: &Routing,
        public_id: &str,
    ) -> Result<Option<Row>, StoreError> {
        let select = "SELECT public_id, pinned, deletion, held_until, CAST(length(shown) AS BIGINT), merged_at FROM customers \
                      WHERE merchant = ?1 AND public_id = ?2";
        Self::read(session, routing, select, &[self.merchant, public_id].map(Value::Text)).await
    }

    async fn read(
        session: &mut dyn Session,
        routing: &Routing,
        select: &str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, StoreError> {
        let Some(mut row) = session.rows(select, values).await?.pop() else { return Ok(None) };
        Ok(Some(Row {
            public_id: row.text()?,
            home: row.maybe_text()?.unwrap_or_else(|| routing.connection.clone()),
            deletion: row.maybe_text()?.as_deref().and_then(Deletion::parse),
            held_until: row.integer()?,
            is_unknown: row.integer()? == 0,
            is_merged: row.maybe_integer()?.is_some(),
        }))
    }

    /// A copy pins its customer to the home. Otherwise a flip while the copy is open would move the customer to the
    /// connection that is being written, and the copy could undo what a client writes there after the flip.
    async fn pin_to_home(&self, session: &mut dyn Session, by: &Allowed) -> Result<(), StoreError> {
        let (Some(row), false) = (&by.row, self.deletes()) else { return Ok(()) };
        let update = "UPDATE customers SET pinned = ?3 WHERE merchant = ?1 AND public_id = ?2 AND pinned IS NULL";
        let values = [self.merchant, &row.public_id, &row.home].map(Value::Text);
        session.execute(update, &values).await.map(|_| ())
    }

    /// Raises the version of the customer. While a switch is open, this pins the customer to its home, and writes a row that
    /// is missing. A deletion is kept with the customer from here on, so it writes a missing row always.
    pub(in crate::store) async fn claim(&self, session: &mut dyn Session, by: &Allowed) -> Result<(), StoreError> {
        if self.is_copy {
            return self.pin_to_home(session, by).await;
        }
        // PostgreSQL learns the type of the `CASE` below from its first branch, which no row takes.
        let pinned = by.routing.open.as_ref().map(|_| self.connection);
        let deletion = self.deletes().then_some(Deletion::Claimed.as_str());
        let (merchant, pinned, deletion) = (Value::Text(self.merchant), Value::text(pinned), Value::text(deletion));
        match (&by.row, self.customer) {
            (Some(row), _) => {
                let update = "UPDATE customers SET version = version + 1, pinned = coalesce(pinned, ?3), \
                              deletion = coalesce(deletion, ?4), \
                              shown = CASE WHEN version < 0 THEN shown WHEN shown = ?5 THEN ?6 ELSE ?5 END \
                              WHERE merchant = ?1 AND public_id = ?2";
                let values = [merchant, Value::Text(&row.public_id), pinned, deletion, OPEN, UNKNOWN];
                session.execute(update, &values).await?;
            }
            (None, Some(customer)) if by.routing.open.is_some() || self.deletes() => {
                let (customer, connection) = (Value::Text(customer), Value::Text(self.connection));
                let insert = "INSERT INTO customers (merchant, public_id, pinned, deletion, version, written_at, shown) \
                              VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)";
                let values = [merchant, customer, pinned, deletion, Value::Integer(ONLY_CLAIMED), OPEN];
                session.execute(insert, &values).await?;
                let insert = "INSERT INTO customer_ids (merchant, public_id, connection, provider_id) \
                              VALUES (?1, ?2, ?3, ?2)";
                session.execute(insert, &[merchant, customer, connection]).await?;
            }
            (None, _) => {}
        }
        Ok(())
    }
}

/// The row of a record that a copy has made: merchant, public id, connection and the id there. A row that is there stays.
pub(in crate::store) async fn keep_copied(
    session: &mut dyn Session,
    row: [Value<'_>; 4],
    now: i64,
) -> Result<(), StoreError> {
    let insert = "INSERT INTO customer_ids (merchant, public_id, connection, provider_id, origin, copied_at) \
                  VALUES (?1, ?2, ?3, ?4, 'created', ?5) ON CONFLICT DO NOTHING";
    session.execute(insert, &[&row[..], &[Value::Integer(now)]].concat()).await.map(|_| ())
}

/// The end of a write that happened: raises the version of the customer, and confirms a deletion. What a confirmed deletion
/// leaves behind are ids.
pub(in crate::store) async fn confirm(
    session: &mut dyn Session,
    of: Planned<'_>,
    contacts: RowContacts<'_>,
    now: i64,
) -> Result<(), StoreError> {
    let Some(customer) = of.customer.map(folded) else { return Ok(()) };
    let id = [of.merchant, &customer, of.connection].map(Value::Text);
    let (mut set, mut values) = (String::new(), [&id[..], &[Value::Integer(now)]].concat());
    let contacts = match of.deletes() {
        true => RowContacts { email: Patch::Clear, phone: Patch::Clear, shown: None },
        false => contacts,
    };
    for (kind, hash) in [(ContactKind::Email, contacts.email), (ContactKind::Phone, contacts.phone)] {
        if !hash.is_absent() {
            values.push(Value::bytes(hash.set().copied()));
            set += &format!(", {} = ?{}", kind.column(), values.len());
        }
    }
    if of.deletes() {
        set += ", deletion = 'confirmed'";
    }
    values.push(OPEN);
    let open = values.len();
    values.extend([contacts.shown.map_or(UNKNOWN, Value::Bytes), UNKNOWN]);
    // The end of a create is the first write of its customer.
    set += &format!(
        ", shown = CASE WHEN version < 0 THEN shown WHEN shown = ?{open} OR version = 0 THEN ?{} ELSE ?{} END",
        open + 1,
        open + 2
    );
    let update = format!(
        "UPDATE customers SET version = version + 1, written_at = ?4{set} WHERE merchant = ?1 AND public_id = \
         (SELECT public_id FROM customer_ids WHERE merchant = ?1 AND provider_id = ?2 AND connection = ?3) \
         AND (deletion IS NULL OR deletion <> 'confirmed')"
    );
    session.execute(&update, &values).await.map(|_| ())
}

/// The end of a write that did not happen: raises the version of the customer, and lifts a deletion. A row that only
/// claims made goes: nothing shows that there is such a customer. The operation itself has ended before.
pub(in crate::store) async fn lift(session: &mut dyn Session, of: Planned<'_>) -> Result<(), StoreError> {
    let Some(customer) = of.customer.map(folded) else { return Ok(()) };
    let id = [of.merchant, &customer, of.connection].map(Value::Text);
    let others = |which: &str| {
        format!(
            "SELECT 1 FROM operations WHERE merchant = ?1 AND customer = ?2 AND connection = ?3 {which} \
             AND state IN ('sending', 'unknown')"
        )
    };
    let public = "(SELECT public_id FROM customer_ids WHERE merchant = ?1 AND provider_id = ?2 AND connection = ?3)";
    let delete = format!(
        "DELETE FROM customers WHERE merchant = ?1 AND public_id = {public} AND written_at < 0 \
         AND NOT EXISTS ({})",
        others("")
    );
    if session.execute(&delete, &id).await? == 1 {
        let delete = "DELETE FROM customer_ids WHERE merchant = ?1 AND provider_id = ?2 AND connection = ?3";
        return session.execute(delete, &id).await.map(|_| ());
    }
    let update = format!(
        "UPDATE customers SET version = version + 1, deletion = CASE WHEN deletion = 'claimed' AND NOT EXISTS ({}) \
         THEN NULL ELSE deletion END, shown = ?4 WHERE merchant = ?1 AND public_id = {public}",
        others("AND operation = 'delete'")
    );
    session.execute(&update, &[&id[..], &[UNKNOWN]].concat()).await.map(|_| ())
}
