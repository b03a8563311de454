//! Erasures: what the deletion of a customer has to reach at the connections that are not its home (R31). The transaction that
//! ends the deletion writes them ([`reach`]); any process tries them until each has its outcome.

use async_trait::async_trait;

use super::{Ids, folded};
use crate::store::{
    contacts::{self, ContactChanges, ContactsOf},
    database::{
        Group, Session, Work, read,
        values::{Row, Value, limited, unsigned},
        write,
    },
    error::StoreError,
};

/// How long a process has for one try, in milliseconds. Then another one may try.
const LEASE: i64 = 120_000;
/// The longest time between two tries, in milliseconds.
const LONGEST_PAUSE: i64 = 3_600_000;

/// An erasure that has no outcome yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The merchant.
    pub merchant: String,
    /// The id of the customer that the merchant knows.
    pub public_id: String,
    /// The connection that may hold it.
    pub connection: String,
    /// The id there. `None`: a copy may have made a record.
    pub provider_id: Option<String>,
    /// How often it was tried.
    pub tries: u64,
}

/// The outcome of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erased {
    /// The connection holds the customer no more.
    Deleted,
    /// It cannot be deleted there, for this reason.
    Cannot(String),
    /// It is tried again.
    Pending,
}

/// What is kept about an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptErasure {
    /// The connection.
    pub connection: String,
    /// Whether the connection is known to hold a record.
    pub has_record: bool,
    /// Its outcome.
    pub erased: Erased,
}

impl Ids {
    /// Takes erasures that are due. No other process takes them for a while.
    pub async fn due_erasures(&self, limit: usize) -> Result<Vec<Erasure>, StoreError> {
        // Nearly always there is none, and a read locks nothing.
        if !read(&*self.store.database, HasDue).await? {
            return Ok(Vec::new());
        }
        write(&*self.store.database, TakeDue { limit }).await
    }

    /// Stores how a try ended.
    pub async fn end_erasure(&self, of: Erasure, erased: Erased) -> Result<(), StoreError> {
        write(&*self.store.database, EndErasure { of, erased }).await
    }

    /// What is kept about the erasures of a customer, by their connections.
    pub async fn erasures(&self, merchant: &str, public_id: &str) -> Result<Vec<KeptErasure>, StoreError> {
        let work = ReadErasures { merchant: merchant.to_owned(), public_id: folded(public_id) };
        read(&*self.store.database, work).await
    }

    /// Begins to erase a customer at every connection but its home. `false`: it has another home by now, or it is deleted.
    pub async fn erase_elsewhere(&self, merchant: &str, public_id: &str, home: &str) -> Result<bool, StoreError> {
        let (merchant, public_id, home) = (merchant.to_owned(), folded(public_id), home.to_owned());
        write(&*self.store.database, EraseElsewhere { merchant, public_id, home }).await
    }

    /// Forgets the record of a customer that a connection does not have any more, and the copy that made it, so that it can be
    /// made again. `false`: the customer lives there, or it is deleted.
    pub async fn forget_copy(
        &self,
        merchant: &str,
        public_id: &str,
        connection: &str,
        provider_id: &str,
    ) -> Result<bool, StoreError> {
        let [merchant, connection] = [merchant, connection].map(str::to_owned);
        let [public_id, provider_id] = [public_id, provider_id].map(folded);
        write(&*self.store.database, ForgetCopy { merchant, public_id, connection, provider_id }).await
    }
}

/// Writes the erasures of a customer at every connection but `home`, and erases what the gateway keeps about it there. It
/// belongs to the transaction that ends the deletion.
pub(in crate::store) async fn reach(
    session: &mut dyn Session,
    merchant: &str,
    public_id: &str,
    home: &str,
    now: i64,
) -> Result<(), StoreError> {
    let customer = [merchant, public_id].map(Value::Text);
    let begin = "INSERT INTO erasures (merchant, public_id, connection, provider_id, outcome, tries, due_at) \
                 VALUES (?1, ?2, ?3, ?4, 'pending', 0, ?5) ON CONFLICT (merchant, public_id, connection) DO UPDATE SET \
                 provider_id = coalesce(excluded.provider_id, erasures.provider_id), outcome = 'pending', reason = NULL, \
                 tries = 0, due_at = excluded.due_at WHERE erasures.outcome = 'cannot'";
    let select = "SELECT connection, provider_id FROM customer_ids WHERE merchant = ?1 AND public_id = ?2";
    let mut holders: Vec<(String, Option<String>)> = Vec::new();
    for mut row in session.rows(select, &customer).await? {
        holders.push((row.text()?, Some(row.text()?)));
    }
    // A copy to the other side of the open switch may be in doubt. It has no row yet.
    let select = "SELECT connection, other FROM routing WHERE merchant = ?1 AND switch_id IS NOT NULL";
    for mut row in session.rows(select, &customer[..1]).await? {
        for side in [row.maybe_text()?, row.maybe_text()?].into_iter().flatten() {
            if holders.iter().all(|(connection, _)| *connection != side) {
                holders.push((side, None));
            }
        }
    }
    for (connection, provider_id) in holders.iter().filter(|(connection, _)| connection != home) {
        let at = [Value::Text(connection), Value::text(provider_id.as_deref()), Value::Integer(now)];
        session.execute(begin, &[&customer[..], &at].concat()).await?;
        let Some(provider_id) = provider_id else { continue };
        let of = ContactsOf { merchant, connection };
        let erase = "UPDATE operations SET answer = NULL, erased = 1, unheard = 0 WHERE merchant = ?1 \
                     AND connection = ?2 AND customer = ?3 AND copy_of IS NULL \
                     AND NOT (operation = 'delete' AND state = 'done') \
                     AND (answer IS NOT NULL OR state IN ('sending', 'unknown'))";
        let record = [merchant, connection, provider_id].map(Value::Text);
        session.execute(erase, &record).await?;
        contacts::remove_others(session, of, provider_id, &ContactChanges::forget(), "").await?;
        let delete = "DELETE FROM switch_targets WHERE provider_id = ?3 AND switch_id IN \
                      (SELECT id FROM switches WHERE merchant = ?1 AND target = ?2)";
        session.execute(delete, &record).await?;
    }
    let forget = "UPDATE customer_ids SET seen = NULL WHERE merchant = ?1 AND public_id = ?2 AND seen IS NOT NULL";
    session.execute(forget, &customer).await?;
    let forget = "UPDATE switch_records SET differences = NULL, candidates = NULL WHERE public_id = ?2 AND switch_id IN \
                  (SELECT id FROM switches WHERE merchant = ?1)";
    session.execute(forget, &customer).await.map(|_| ())
}

/// The same for a deletion that happened, by the id at the home. The carried fields go as well.
pub(in crate::store) async fn reach_deleted(
    session: &mut dyn Session,
    merchant: &str,
    home: &str,
    provider_id: &str,
    now: i64,
) -> Result<(), StoreError> {
    let provider_id = folded(provider_id);
    let id = [merchant, &*provider_id, home].map(Value::Text);
    let select = "SELECT public_id FROM customer_ids WHERE merchant = ?1 AND provider_id = ?2 AND connection = ?3";
    let Some(mut row) = session.rows(select, &id).await?.pop() else { return Ok(()) };
    let public_id = row.text()?;
    reach(session, merchant, &public_id, home, now).await?;
    let customer = [merchant, &*public_id].map(Value::Text);
    let delete = "DELETE FROM carried WHERE merchant = ?1 AND public_id = ?2";
    session.execute(delete, &customer).await?;
    // The open switch counts the customer as deleted from now on, and waits for no decision about it. Only a copy in doubt
    // may still have made a record.
    let note = "UPDATE switch_records SET outcome = 'deleted', code = NULL, level = NULL, field = NULL, detail = NULL \
                WHERE public_id = ?2 AND outcome <> 'in_doubt' \
                AND switch_id IN (SELECT switch_id FROM routing WHERE merchant = ?1)";
    session.execute(note, &customer).await.map(|_| ())
}

/// Whether an erasure is due.
struct HasDue;

#[async_trait]
impl Work for HasDue {
    type Done = bool;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let select = "SELECT merchant FROM erasures WHERE outcome = 'pending' AND due_at <= ?1 LIMIT 1";
        Ok(!session.rows(select, &[Value::Integer(group.now)]).await?.is_empty())
    }
}

struct TakeDue {
    limit: usize,
}

#[async_trait]
impl Work for TakeDue {
    type Done = Vec<Erasure>;

    /// It reads which erasures are due, and takes these.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Vec<Erasure>, StoreError> {
        let select = "SELECT merchant, public_id, connection, provider_id, tries FROM erasures \
                      WHERE outcome = 'pending' AND due_at <= ?1 ORDER BY due_at LIMIT ?2";
        let due = [Value::Integer(group.now), Value::Integer(limited(self.limit))];
        let erasure = |mut row: Row| {
            Ok::<_, StoreError>(Erasure {
                merchant: row.text()?,
                public_id: row.text()?,
                connection: row.text()?,
                provider_id: row.maybe_text()?,
                tries: unsigned(row.integer()?),
            })
        };
        let due: Vec<Erasure> = session.rows(select, &due).await?.into_iter().map(erasure).collect::<Result<_, _>>()?;
        for erasure in &due {
            let update = "UPDATE erasures SET due_at = ?4, tries = tries + 1 \
                          WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3";
            let until = Value::Integer(group.now.saturating_add(LEASE));
            session.execute(update, &[&erasure.key()[..], &[until]].concat()).await?;
        }
        Ok(due)
    }
}

impl Erasure {
    fn key(&self) -> [Value<'_>; 3] {
        [&self.merchant, &self.public_id, &self.connection].map(|text| Value::Text(text))
    }
}

struct EndErasure {
    of: Erasure,
    erased: Erased,
}

#[async_trait]
impl Work for EndErasure {
    type Done = ();

    /// One statement on one row.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let (outcome, reason) = match &self.erased {
            Erased::Deleted => ("deleted", None),
            Erased::Cannot(reason) => ("cannot", Some(&**reason)),
            Erased::Pending => ("pending", None),
        };
        let pause = (1000_i64 << self.of.tries.min(12)).min(LONGEST_PAUSE);
        let update = "UPDATE erasures SET outcome = ?4, reason = ?5, due_at = ?6 \
                      WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3 AND outcome = 'pending'";
        let how = [Value::Text(outcome), Value::text(reason), Value::Integer(group.now.saturating_add(pause))];
        session.execute(update, &[&self.of.key()[..], &how].concat()).await.map(|_| ())
    }
}

struct ReadErasures {
    merchant: String,
    public_id: String,
}

#[async_trait]
impl Work for ReadErasures {
    type Done = Vec<KeptErasure>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<KeptErasure>, StoreError> {
        let select = "SELECT connection, provider_id, outcome, reason FROM erasures \
                      WHERE merchant = ?1 AND public_id = ?2 ORDER BY connection";
        let customer = [&self.merchant, &self.public_id].map(|text| Value::Text(text));
        let mut kept = Vec::new();
        for mut row in session.rows(select, &customer).await? {
            let (connection, has_record) = (row.text()?, row.maybe_text()?.is_some());
            let (outcome, reason) = (row.text()?, row.maybe_text()?);
            let erased = match &*outcome {
                "deleted" => Erased::Deleted,
                "cannot" => Erased::Cannot(reason.unwrap_or_default()),
                _ => Erased::Pending,
            };
            kept.push(KeptErasure { connection, has_record, erased });
        }
        Ok(kept)
    }
}

/// The home of a customer who is not deleted.
const HOME: &str = "SELECT coalesce(customers.pinned, routing.connection) FROM customers CROSS JOIN routing \
                    WHERE customers.merchant = ?1 AND customers.public_id = ?2 AND routing.merchant = ?1 \
                    AND customers.deletion IS NULL";

struct EraseElsewhere {
    merchant: String,
    public_id: String,
    home: String,
}

#[async_trait]
impl Work for EraseElsewhere {
    type Done = bool;

    /// It reads the home before it writes.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let customer = [&self.merchant, &self.public_id].map(|text| Value::Text(text));
        let home = session.rows(HOME, &customer).await?.pop().map(|mut row| row.text()).transpose()?;
        if home.as_ref() != Some(&self.home) {
            return Ok(false);
        }
        reach(session, &self.merchant, &self.public_id, &self.home, group.now).await?;
        Ok(true)
    }
}

struct ForgetCopy {
    merchant: String,
    public_id: String,
    connection: String,
    provider_id: String,
}

#[async_trait]
impl Work for ForgetCopy {
    type Done = bool;

    /// It reads the home before it writes.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let customer = [&self.merchant, &self.public_id].map(|text| Value::Text(text));
        let home = session.rows(HOME, &customer).await?.pop().map(|mut row| row.text()).transpose()?;
        if home.is_none_or(|home| home == self.connection) {
            return Ok(false);
        }
        let at = [&self.connection, &self.provider_id].map(|text| Value::Text(text));
        let delete = "DELETE FROM customer_ids WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3 \
                      AND provider_id = ?4";
        session.execute(delete, &[&customer[..], &at].concat()).await?;
        let delete = "DELETE FROM operations WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 AND copy_of IS NOT NULL \
                      AND state IN ('done', 'failed')";
        session.execute(delete, &[&customer[..1], &at].concat()).await?;
        let delete = "DELETE FROM erasures WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3";
        session.execute(delete, &[&customer[..], &at[..1]].concat()).await?;
        Ok(true)
    }
}
