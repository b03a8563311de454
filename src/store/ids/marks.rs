//! What a switch keeps once a customer: versions, the copied version, pins. And the customers that it walks through.

use async_trait::async_trait;

use super::{
    IdCounts, IdOrigin, KnownCustomer,
    rows::{collect, customer},
};
use crate::store::{
    contacts::ContactKind,
    database::{
        Group, Session, Work,
        values::{Value, limited, unsigned},
    },
    error::StoreError,
};

/// The condition of a customer who is marked. A deleted one is not.
macro_rules! is_marked {
    () => {
        "version > copied_version AND (deletion IS NULL OR deletion <> 'confirmed')"
    };
}

fn number(version: u64) -> Value<'static> {
    Value::Integer(i64::try_from(version).unwrap_or(i64::MAX))
}

/// Pins customers who are pinned nowhere.
pub(in crate::store) struct Pin {
    pub(in crate::store) merchant: String,
    pub(in crate::store) after: String,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for Pin {
    type Done = Option<String>;

    /// It reads which customers are next and which connection is active.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<String>, StoreError> {
        let select = "SELECT max(public_id) FROM (SELECT public_id FROM customers \
                      WHERE merchant = ?1 AND public_id > ?2 ORDER BY public_id LIMIT ?3) AS next";
        let (merchant, after) = (Value::Text(&self.merchant), Value::Text(&self.after));
        let limit = Value::Integer(limited(self.limit));
        let last = match session.rows(select, &[merchant, after, limit]).await?.pop() {
            Some(mut row) => row.maybe_text()?,
            None => None,
        };
        let Some(last) = last else { return Ok(None) };
        let update = "UPDATE customers SET pinned = (SELECT connection FROM routing WHERE merchant = ?1) \
                      WHERE merchant = ?1 AND public_id > ?2 AND public_id <= ?3 AND pinned IS NULL";
        session.execute(update, &[merchant, after, Value::Text(&last)]).await?;
        Ok(Some(last))
    }
}

/// Lets a customer follow the active connection.
pub(in crate::store) struct Unpin {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) lag: i64,
    pub(in crate::store) version: u64,
    /// Whether the record of the open switch must say that the customer was copied.
    ///
    /// The versions do not say it: both are 0 before the first copy as well as after it. And the end of the copy's operation
    /// writes the id. So where a process died before the copy was complete, only the record shows that.
    pub(in crate::store) needs_outcome: bool,
}

/// A record of the open switch of `?1` which says that the customer `?2` was copied.
const COPIED: &str = "SELECT 1 FROM routing JOIN switch_records AS record ON record.switch_id = routing.switch_id \
                      WHERE routing.merchant = ?1 AND record.public_id = ?2 \
                      AND record.outcome IN ('created', 'linked', 'already_linked')";

/// A write to the customer `?1`, `?2` that is open or unknown, at any connection.
///
/// The order of the tables is fixed: otherwise SQLite reads all operations of the merchant.
const OPEN_WRITE: &str = "SELECT 1 FROM customer_ids AS ids CROSS JOIN operations \
                          WHERE ids.merchant = ?1 AND ids.public_id = ?2 AND operations.merchant = ?1 \
                          AND operations.customer = ids.provider_id AND operations.connection = ids.connection \
                          AND operations.state IN ('sending', 'unknown')";

#[async_trait]
impl Work for Unpin {
    type Done = bool;

    /// No claim is between its look at the open writes and its change.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let copied = if self.needs_outcome { format!("AND EXISTS ({COPIED}) ") } else { String::new() };
        let update = format!(
            "UPDATE customers SET pinned = NULL, held_until = 0 WHERE merchant = ?1 AND public_id = ?2 AND version = ?3 \
             AND copied_version = ?3 AND copied_at <= ?4 AND deletion IS NULL AND gone_at IS NULL AND merged_at IS NULL \
             AND EXISTS (SELECT 1 FROM routing WHERE merchant = ?1 AND switch_id IS NOT NULL) \
             AND NOT EXISTS (SELECT 1 FROM routing LEFT JOIN customer_ids AS here ON here.merchant = ?1 \
             AND here.public_id = ?2 AND here.connection = routing.connection LEFT JOIN customer_ids AS there \
             ON there.merchant = ?1 AND there.public_id = ?2 AND there.connection = routing.other \
             WHERE routing.merchant = ?1 AND (here.provider_id IS NULL OR there.provider_id IS NULL)) \
             {copied}AND NOT EXISTS ({OPEN_WRITE})"
        );
        let values = [
            Value::Text(&self.merchant),
            Value::Text(&self.public_id),
            number(self.version),
            Value::Integer(group.now.saturating_sub(self.lag)),
        ];
        Ok(session.execute(&update, &values).await? == 1)
    }
}

/// Keeps where a copy is, and which version it reflects.
pub(in crate::store) struct Copied {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) version: u64,
    pub(in crate::store) connection: String,
    pub(in crate::store) provider_id: String,
    pub(in crate::store) origin: IdOrigin,
    pub(in crate::store) seen: Vec<u8>,
    /// The home, and what its row keeps.
    pub(in crate::store) home: Option<(String, Vec<u8>)>,
}

#[async_trait]
impl Work for Copied {
    type Done = bool;

    /// It writes two tables, the second by what became of the first.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let id = [&self.merchant, &self.public_id, &self.connection, &self.provider_id].map(|text| Value::Text(text));
        let [merchant, public_id, ..] = id;
        let insert = "INSERT INTO customer_ids (merchant, public_id, connection, provider_id, origin, seen, copied_at) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let how = [Value::Text(self.origin.as_str()), Value::Bytes(&self.seen), Value::Integer(group.now)];
        if session.execute(insert, &[&id[..], &how].concat()).await? == 0 {
            let update = "UPDATE customer_ids SET seen = ?5 WHERE merchant = ?1 AND public_id = ?2 \
                          AND connection = ?3 AND provider_id = ?4";
            if session.execute(update, &[&id[..], &how[1..2]].concat()).await? == 0 {
                return Ok(false);
            }
        }
        if let Some((home, seen)) = &self.home {
            let update = "UPDATE customer_ids SET seen = ?4 WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3";
            session.execute(update, &[merchant, public_id, Value::Text(home), Value::Bytes(seen)]).await?;
        }
        let update = "UPDATE customers SET copied_version = ?3, copied_at = ?4 WHERE merchant = ?1 AND public_id = ?2 \
                      AND copied_version <= ?3 AND version >= ?3 AND deletion IS NULL";
        let values = [merchant, public_id, number(self.version), Value::Integer(group.now)];
        Ok(session.execute(update, &values).await? == 1)
    }
}

/// What is wrong with a customer at its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Lost {
    /// The home does not find it.
    Gone,
    /// The home answers its id with another customer's record.
    Merged,
}

/// Notes whether a customer is found at its home, and pins one who is not.
pub(in crate::store) struct NoteLost {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) lost: Lost,
    pub(in crate::store) is_so: bool,
}

#[async_trait]
impl Work for NoteLost {
    type Done = ();

    /// One statement on one row.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        // Who is gone stays where it was, whatever becomes active.
        let column = match self.lost {
            Lost::Gone => "gone_at",
            Lost::Merged => "merged_at",
        };
        let update = format!(
            "UPDATE customers SET {column} = CASE WHEN CAST(?3 AS BIGINT) IS NULL THEN NULL \
                      WHEN {column} IS NULL THEN CAST(?3 AS BIGINT) ELSE {column} END, \
                      pinned = CASE WHEN CAST(?3 AS BIGINT) IS NULL THEN pinned \
                      ELSE COALESCE(pinned, (SELECT connection FROM routing WHERE merchant = ?1)) END \
                      WHERE merchant = ?1 AND public_id = ?2"
        );
        let at = Value::integer(self.is_so.then_some(group.now));
        session.execute(&update, &[Value::Text(&self.merchant), Value::Text(&self.public_id), at]).await.map(|_| ())
    }
}

/// Lets claims on a customer wait, or go on.
pub(in crate::store) struct Hold {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) time: Option<i64>,
}

#[async_trait]
impl Work for Hold {
    type Done = ();

    /// One statement on one row.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE customers SET held_until = ?3 WHERE merchant = ?1 AND public_id = ?2";
        let until = self.time.map_or(0, |time| group.now.saturating_add(time));
        let values = [Value::Text(&self.merchant), Value::Text(&self.public_id), Value::Integer(until)];
        session.execute(update, &values).await.map(|_| ())
    }
}

/// Drops the id of a record that the gateway has made and that does not exist any more.
pub(in crate::store) struct Forget {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) provider_id: String,
}

#[async_trait]
impl Work for Forget {
    type Done = bool;

    /// It looks at the other ids of the customer.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let delete = "DELETE FROM customer_ids WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3 \
                      AND provider_id = ?4 AND origin = 'created' AND EXISTS (SELECT 1 FROM customer_ids AS other \
                      WHERE other.merchant = ?1 AND other.public_id = ?2 AND other.connection <> ?3)";
        let values =
            [&self.merchant, &self.public_id, &self.connection, &self.provider_id].map(|text| Value::Text(text));
        Ok(session.execute(delete, &values).await? == 1)
    }
}

/// Which customers are read.
pub(in crate::store) enum Which {
    All { after: String },
    Marked { after: String },
    Pinned { connection: String, after: String },
    HasContact { kind: ContactKind, hash: Vec<u8> },
}

impl Which {
    /// The condition, with its parameters from `?3` on.
    fn condition(&self) -> (&'static str, Vec<Value<'_>>) {
        match self {
            Self::All { after } => ("public_id > ?3", vec![Value::Text(after)]),
            Self::Marked { after } => (concat!(is_marked!(), " AND public_id > ?3"), vec![Value::Text(after)]),
            Self::Pinned { connection, after } => (
                "pinned IS NOT NULL AND pinned = ?4 AND public_id > ?3",
                vec![Value::Text(after), Value::Text(connection)],
            ),
            Self::HasContact { kind: ContactKind::Email, hash } => {
                ("email_hash IS NOT NULL AND email_hash = ?3", vec![Value::Bytes(hash)])
            }
            Self::HasContact { kind: ContactKind::Phone, hash } => {
                ("phone_hash IS NOT NULL AND phone_hash = ?3", vec![Value::Bytes(hash)])
            }
        }
    }
}

/// Customers with all of their ids, by their public ids.
pub(in crate::store) struct ReadCustomers {
    pub(in crate::store) merchant: String,
    pub(in crate::store) which: Which,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for ReadCustomers {
    type Done = Vec<KnownCustomer>;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        matches!(self.which, Which::HasContact { .. })
    }

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<KnownCustomer>, StoreError> {
        let (condition, mut values) = self.which.condition();
        values.splice(0..0, [Value::Text(&self.merchant), Value::Integer(limited(self.limit))]);
        let select = format!(
            concat!(
                "SELECT ",
                customer!(),
                " FROM (SELECT public_id AS chosen FROM customers WHERE merchant = ?1 AND {condition} \
                 ORDER BY public_id LIMIT ?2) AS page CROSS JOIN customers LEFT JOIN customer_ids AS ids \
                 ON ids.merchant = customers.merchant AND ids.public_id = customers.public_id \
                 WHERE customers.merchant = ?1 AND customers.public_id = page.chosen ORDER BY customers.public_id"
            ),
            condition = condition
        );
        let mut customers = Vec::new();
        for mut row in session.rows(&select, &values).await? {
            let public_id = row.text()?;
            collect(&mut customers, public_id, &mut row)?;
        }
        Ok(customers)
    }
}

/// Counts the customers of a merchant.
pub(in crate::store) struct Count {
    pub(in crate::store) merchant: String,
    /// The marks of customers that this switch does not copy until a person decides are not counted.
    pub(in crate::store) switch_id: Option<String>,
}

#[async_trait]
impl Work for Count {
    type Done = IdCounts;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<IdCounts, StoreError> {
        let merchant = [Value::Text(&self.merchant)];
        // A customer who was deleted lives nowhere. Its pin stays with the tombstone.
        let select = "SELECT pinned, count(*) FROM customers WHERE merchant = ?1 AND pinned IS NOT NULL \
                      AND (deletion IS NULL OR deletion <> 'confirmed') GROUP BY pinned";
        let mut counts = IdCounts::default();
        for mut row in session.rows(select, &merchant).await? {
            counts.pinned.insert(row.text()?, unsigned(row.integer()?));
        }
        let select = concat!(
            "SELECT count(*), min(CASE WHEN written_at > 0 THEN written_at END) FROM customers WHERE merchant = ?1 AND ",
            is_marked!(),
            " AND NOT EXISTS (SELECT 1 FROM switch_records AS record WHERE record.switch_id = ?2 \
             AND record.public_id = customers.public_id AND record.outcome IN ('left', 'refused', 'needs_decision', 'gone'))"
        );
        let of_switch = Value::Text(self.switch_id.as_deref().unwrap_or_default());
        if let Some(mut row) = session.rows(select, &[merchant[0], of_switch]).await?.pop() {
            (counts.marked, counts.oldest_mark) = (unsigned(row.integer()?), row.maybe_integer()?);
        }
        let select = "SELECT count(*) FROM switch_records AS record CROSS JOIN customers WHERE record.switch_id = ?2 \
             AND record.outcome IN ('refused', 'needs_decision', 'in_doubt', 'left', 'gone') \
             AND customers.merchant = ?1 AND customers.public_id = record.public_id \
             AND (customers.deletion IS NULL OR customers.deletion <> 'confirmed') \
             AND customers.pinned <> (SELECT connection FROM routing WHERE merchant = ?1)";
        if self.switch_id.is_some()
            && let Some(mut row) = session.rows(select, &[merchant[0], of_switch]).await?.pop()
        {
            counts.staying = unsigned(row.integer()?);
        }
        Ok(counts)
    }
}
