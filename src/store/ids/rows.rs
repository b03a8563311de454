//! The statements over the tables of ids, the same for both databases.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;

use super::{Added, Deletion, IdAt, IdOrigin, KnownCustomer, NewId, Resolved, routes};
use crate::store::{
    database::{
        Group, Session, Work,
        lists::places,
        values::{Row, Value, unsigned},
    },
    error::StoreError,
};

/// The most ids of one statement.
pub(super) const CHUNK: usize = 512;

/// The merchants with a routing row.
pub(in crate::store) struct ReadRouted;

#[async_trait]
impl Work for ReadRouted {
    type Done = BTreeSet<String>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<BTreeSet<String>, StoreError> {
        session.rows("SELECT merchant FROM routing", &[]).await?.into_iter().map(|mut row| row.text()).collect()
    }
}

/// Writes the first routing row of a merchant.
pub(in crate::store) struct Route {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
}

#[async_trait]
impl Work for Route {
    type Done = ();

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let insert = "INSERT INTO routing (merchant, connection, epoch) VALUES (?1, ?2, 0) \
                      ON CONFLICT (merchant) DO NOTHING";
        session.execute(insert, &[Value::Text(&self.merchant), Value::Text(&self.connection)]).await.map(|_| ())
    }
}

/// Adds the id of a customer at a connection.
pub(in crate::store) struct Add {
    pub(in crate::store) merchant: String,
    pub(in crate::store) new: NewId,
}

#[async_trait]
impl Work for Add {
    type Done = Added;

    /// It reads the row that it could not write, and then writes another table.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Added, StoreError> {
        let NewId { public_id, connection, provider_id, pinned } = &self.new;
        let [merchant, public, connection, provider] =
            [&self.merchant, public_id, connection, provider_id].map(|text| Value::Text(text));
        if session.rows("SELECT epoch FROM routing WHERE merchant = ?1", &[merchant]).await?.is_empty() {
            return Ok(Added::NotRouted);
        }
        let insert = "INSERT INTO customer_ids (merchant, public_id, connection, provider_id) \
                      VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        if session.execute(insert, &[merchant, public, connection, provider]).await? == 0 {
            let select = "SELECT provider_id FROM customer_ids \
                          WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3 AND provider_id = ?4";
            let same = session.rows(select, &[merchant, public, connection, provider]).await?;
            return Ok(if same.is_empty() { Added::Taken } else { Added::Stored });
        }
        let insert = "INSERT INTO customers (merchant, public_id, pinned) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        session.execute(insert, &[merchant, public, Value::text(pinned.as_deref())]).await?;
        Ok(Added::Stored)
    }
}

/// The columns of a customer at a connection, in the order of [`collect`].
macro_rules! customer {
    () => {
        "customers.public_id, customers.pinned, customers.version, customers.copied_version, customers.written_at, \
         customers.deletion, customers.gone_at, customers.held_until, customers.shown, customers.merged_at, ids.connection, \
         ids.provider_id, ids.origin, ids.copied_at"
    };
}
pub(super) use customer;

/// Adds a row to its customer. A customer whose last id was given to another one has no id.
pub(super) fn collect(customers: &mut Vec<KnownCustomer>, public_id: String, row: &mut Row) -> Result<(), StoreError> {
    let customer = KnownCustomer {
        public_id,
        pinned: row.maybe_text()?,
        at: HashMap::new(),
        version: unsigned(row.integer()?),
        copied_version: unsigned(row.integer()?),
        written_at: row.integer()?.max(0),
        deletion: row.maybe_text()?.as_deref().and_then(Deletion::parse),
        gone_at: row.maybe_integer()?,
        held_until: row.integer()?,
        shown: row.bytes()?,
        merged_at: row.maybe_integer()?,
    };
    let at = row.maybe_text()?.zip(row.maybe_text()?);
    let origin = row.maybe_text()?.as_deref().and_then(IdOrigin::parse).unwrap_or_default();
    let place = customers.iter().rposition(|known| known.public_id == customer.public_id).unwrap_or_else(|| {
        customers.push(customer);
        customers.len() - 1
    });
    let copied_at = row.maybe_integer()?;
    if let Some((connection, provider_id)) = at {
        customers[place].at.insert(connection, IdAt { provider_id, origin, copied_at });
    }
    Ok(())
}

/// The routing of a merchant, and every row of the customers that an id names. No id names none. An id that is a public id names
/// no other customer.
const RESOLVE: &str = concat!(
    "SELECT connection AS active, epoch, switch_id, other, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
     NULL, NULL, NULL, NULL, NULL FROM routing WHERE merchant = ?1 \
     UNION ALL SELECT NULL, NULL, NULL, NULL, ",
    customer!(),
    " FROM customers LEFT JOIN customer_ids AS ids \
     ON ids.merchant = customers.merchant AND ids.public_id = customers.public_id \
     WHERE customers.merchant = ?1 AND customers.public_id = ?2 \
     UNION ALL SELECT NULL, NULL, NULL, NULL, ",
    customer!(),
    " FROM customer_ids AS named CROSS JOIN customers CROSS JOIN customer_ids AS ids \
     WHERE named.merchant = ?1 AND named.provider_id = ?2 \
     AND customers.merchant = ?1 AND customers.public_id = named.public_id \
     AND ids.merchant = ?1 AND ids.public_id = named.public_id \
     AND NOT EXISTS (SELECT 1 FROM customers WHERE merchant = ?1 AND public_id = ?2)"
);

/// What an id means.
pub(in crate::store) struct Resolve {
    pub(in crate::store) merchant: String,
    /// `None`: only the routing is read.
    pub(in crate::store) id: Option<String>,
}

#[async_trait]
impl Work for Resolve {
    type Done = Option<Resolved>;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        true
    }

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<Resolved>, StoreError> {
        let values = [Value::Text(&self.merchant), Value::text(self.id.as_deref())];
        let (mut routing, mut customers) = (None, Vec::<KnownCustomer>::new());
        for mut row in session.rows(RESOLVE, &values).await? {
            if let Some(connection) = row.maybe_text()? {
                routing = Some(routes::read(connection, &mut row)?);
                continue;
            }
            let _ = (row.maybe_integer()?, row.maybe_text()?, row.maybe_text()?);
            let public_id = row.text()?;
            collect(&mut customers, public_id, &mut row)?;
        }
        Ok(routing.map(|routing| Resolved { routing, customers }))
    }
}

/// A customer at a connection, as a row has it.
pub(in crate::store) struct AtConnection {
    pub(in crate::store) connection: String,
    pub(in crate::store) provider_id: String,
    pub(in crate::store) public_id: String,
}

/// The customers who have these ids at any connection.
pub(in crate::store) struct ReadPublic {
    pub(in crate::store) merchant: String,
    pub(in crate::store) provider_ids: Vec<String>,
}

#[async_trait]
impl Work for ReadPublic {
    type Done = Vec<AtConnection>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<AtConnection>, StoreError> {
        let mut found = Vec::new();
        for ids in self.provider_ids.chunks(CHUNK) {
            let mut values = vec![Value::Text(&self.merchant)];
            let places = places(&mut values, ids.iter().map(|id| Value::Text(id)));
            let select = format!(
                "SELECT connection, provider_id, public_id FROM customer_ids \
                 WHERE merchant = ?1 AND provider_id IN ({places})"
            );
            for mut row in session.rows(&select, &values).await? {
                found.push(AtConnection { connection: row.text()?, provider_id: row.text()?, public_id: row.text()? });
            }
        }
        Ok(found)
    }
}
