//! Signatures of drop-in clients that were used, so that no replica accepts one again, also after a restart.
//! [`Signatures`] is their handle. `state/replays` asks it about every signature that its process has not seen yet, and
//! decides what a repetition is answered with.
//!
//! A row has the keyed hash of a nonce or of a signature, never the value. It is deleted when the signature is no longer
//! valid. The answer to a write that an honest client may repeat is in the row for a few seconds, sealed.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::{
    database::{
        Group, Session, Work, read,
        values::{Row, Value},
        write,
    },
    error::StoreError,
    opened::Opened,
    operations::StoredAnswer,
    sealed::SIGNATURE_ANSWER,
};

/// How many rows one transaction deletes, so that the work in the queue does not wait long.
const BATCH: i64 = 500;

/// The signatures that were used. Clones share one store.
#[derive(Clone)]
pub struct Signatures {
    store: Arc<Opened>,
}

impl fmt::Debug for Signatures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signatures").field("database", &self.store.database).finish_non_exhaustive()
    }
}

/// A signature as the store knows it: a keyed hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureId(String);

/// A signature that was recorded before.
#[derive(Debug, PartialEq, Eq)]
pub struct Earlier {
    /// How long ago, by the clock of the database.
    pub age: Duration,
    /// Whether the first request has ended, so that a repeated one does not wait for an answer.
    pub is_ended: bool,
    /// The answer to the first request, where it is kept.
    pub answer: Option<StoredAnswer>,
}

impl Signatures {
    pub(super) fn of(store: &Arc<Opened>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// The id of what a signer signed.
    pub fn id(&self, signer: &[u8; 32], digest: &[u8; 32]) -> SignatureId {
        // Half of the hash is enough, as in the memory of a process.
        SignatureId(HEXLOWER.encode(self.store.hashes.signature(signer, digest).split_at(16).0))
    }

    /// Whether the store could not write, and has not been ready since.
    pub fn are_failing(&self) -> bool {
        self.store.is_failing()
    }

    /// Records a signature. `None`: it is new. With `awaits_answer`, [`Signatures::keep_answer`] follows.
    pub async fn admit(&self, id: &SignatureId, awaits_answer: bool) -> Result<Option<Earlier>, StoreError> {
        self.store.admit().await?;
        let admission = crate::chance::id().simple().to_string();
        let found = write(&*self.store.database, Admit { id: id.clone(), admission, awaits_answer }).await;
        let found = found.inspect_err(|error| self.store.note_failure(error))?;
        found.map(|found| self.opened(id, found)).transpose()
    }

    /// Reads the record of a signature.
    pub async fn find(&self, id: &SignatureId) -> Result<Option<Earlier>, StoreError> {
        let found = read(&*self.store.database, Find(id.clone())).await?;
        found.map(|found| self.opened(id, found)).transpose()
    }

    /// Keeps the answer for repetitions. `None`: they get none.
    pub async fn keep_answer(&self, id: &SignatureId, answer: Option<&StoredAnswer>) -> Result<(), StoreError> {
        let seal = |answer: &StoredAnswer| self.store.keyring.seal(SIGNATURE_ANSWER.at(&id.0), &answer.to_bytes());
        let answer = answer.map(seal).transpose()?;
        write(&*self.store.database, KeepAnswer { id: id.clone(), answer }).await
    }

    /// Forgets a signature, so that the client can send the request again.
    pub async fn forget(&self, id: &SignatureId) -> Result<(), StoreError> {
        write(&*self.store.database, Forget(id.clone())).await
    }

    /// Deletes the signatures that are older than `signatures`, and the answers that are older than `answers`. Returns how
    /// many signatures were deleted.
    pub async fn reap(&self, signatures: Duration, answers: Duration) -> Result<u64, StoreError> {
        // While the store is failing, signed reads do not use it. This regular write then clears the failing state.
        self.store.admit().await?;
        let mut all = 0;
        loop {
            // A limited number at a time, so that other work can run between.
            let (deleted, erased) = write(&*self.store.database, Reap { signatures, answers }).await?;
            if deleted == 0 && erased == 0 {
                return Ok(all);
            }
            all += deleted;
        }
    }

    fn opened(&self, id: &SignatureId, found: Found) -> Result<Earlier, StoreError> {
        let unreadable = || StoreError::Damaged("the answer to a signed request cannot be read".to_owned());
        let open = |sealed: Vec<u8>| {
            let bytes = self.store.keyring.open(SIGNATURE_ANSWER.at(&id.0), &sealed)?;
            StoredAnswer::from_bytes(Bytes::from(bytes)).ok_or_else(unreadable)
        };
        Ok(Earlier { age: found.age, is_ended: found.is_ended, answer: found.answer.map(open).transpose()? })
    }
}

/// A row, with its answer sealed.
struct Found {
    admission: String,
    age: Duration,
    is_ended: bool,
    answer: Option<Vec<u8>>,
}

async fn find(session: &mut dyn Session, id: &SignatureId, now: i64) -> Result<Option<Found>, StoreError> {
    let select = "SELECT admission, seen_at, ended, answer FROM signatures WHERE hash = ?1";
    let read = |mut row: Row| {
        let (admission, seen_at) = (row.text()?, row.integer()?);
        let age = Duration::from_millis(now.saturating_sub(seen_at).try_into().unwrap_or_default());
        Ok(Found { admission, age, is_ended: row.integer()? != 0, answer: row.maybe_bytes()? })
    };
    session.rows(select, &[Value::Text(&id.0)]).await?.pop().map(read).transpose()
}

/// Records a signature, or finds that it was recorded.
struct Admit {
    id: SignatureId,
    admission: String,
    awaits_answer: bool,
}

#[async_trait]
impl Work for Admit {
    type Done = Option<Found>;

    /// One statement decides: of two replicas that insert the same row, the second waits until the first has committed, and
    /// then inserts nothing.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Option<Found>, StoreError> {
        let insert = "INSERT INTO signatures (hash, admission, seen_at, ended) VALUES (?1, ?2, ?3, ?4) \
                      ON CONFLICT (hash) DO NOTHING";
        let ended = i64::from(!self.awaits_answer);
        let [hash, admission] = [&self.id.0, &self.admission].map(|text| Value::Text(text));
        let values = [hash, admission, Value::Integer(group.now), Value::Integer(ended)];
        while session.execute(insert, &values).await? == 0 {
            // The row is gone where its request has failed between the two statements.
            if let Some(found) = find(session, &self.id, group.now).await? {
                // A transaction whose commit was not confirmed is executed again, and finds its own row.
                return Ok(Some(found).filter(|found| found.admission != self.admission));
            }
        }
        Ok(None)
    }
}

struct Find(SignatureId);

#[async_trait]
impl Work for Find {
    type Done = Option<Found>;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        true
    }

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Option<Found>, StoreError> {
        find(session, &self.0, group.now).await
    }
}

struct KeepAnswer {
    id: SignatureId,
    answer: Option<Vec<u8>>,
}

#[async_trait]
impl Work for KeepAnswer {
    type Done = ();

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE signatures SET ended = 1, answer = ?2 WHERE hash = ?1 AND ended = 0";
        session.execute(update, &[Value::Text(&self.id.0), Value::bytes(self.answer.as_deref())]).await?;
        Ok(())
    }
}

struct Forget(SignatureId);

#[async_trait]
impl Work for Forget {
    type Done = ();

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        session.execute("DELETE FROM signatures WHERE hash = ?1", &[Value::Text(&self.0.0)]).await?;
        Ok(())
    }
}

/// Deletes one batch of old signatures, and one of old answers. Returns how many each were.
struct Reap {
    signatures: Duration,
    answers: Duration,
}

#[async_trait]
impl Work for Reap {
    type Done = (u64, u64);

    /// Each statement selects and changes its rows at once. Where two replicas select the same rows, the second finds that
    /// they are gone.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(u64, u64), StoreError> {
        let before = |age: Duration| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            [Value::Integer(group.now.saturating_sub(age)), Value::Integer(BATCH)]
        };
        let delete = "DELETE FROM signatures WHERE hash IN (SELECT hash FROM signatures \
                      WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2)";
        let deleted = session.execute(delete, &before(self.signatures)).await?;
        let update = "UPDATE signatures SET answer = NULL WHERE hash IN (SELECT hash FROM signatures \
                      WHERE answer IS NOT NULL AND seen_at < ?1 ORDER BY seen_at LIMIT ?2)";
        Ok((deleted, session.execute(update, &before(self.answers)).await?))
    }
}
