//! What must survive a restart: every write with its outcome, so that none is sent twice, and an audit of
//! it. [`Store`] is all that the rest of the program sees. It seals and fingerprints on this side of the
//! database, which holds ids, hashes, times and sealed bytes.
//!
//! `ledger`, `claims`, `ends`, `takeovers` and `upkeep` say what is done, in statements that both databases
//! understand; `sqlite` and `postgres` only run it, in groups that are committed at once. `docs/store.md` tells
//! operators the rest.

pub mod audit;
mod claims;
mod database;
mod ends;
mod error;
mod inspection;
mod keyring;
mod lease;
mod ledger;
mod postgres;
mod record;
mod settings;
mod sqlite;
mod takeovers;
mod upkeep;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

pub use audit::{AuditRecord, Event};
pub use error::StoreError;
pub use inspection::Inspection;
pub use lease::{LONGEST_ATTEMPT, Lease};
pub use record::{
    Adopted, Answer, Claim, End, NewOperation, NoOperationId, OperationId, Reaped, Record, Resend, State,
};
pub use settings::{Clock, Settings, is_literal};

use claims::Found;
use database::{Answered, Database, Work, closed, job};
use keyring::{Hashes, Key, Keyring, Place};
use lease::SignsOfLife;
use ledger::{Stored, Terms};

/// How long anybody waits for the store. A database that hangs is an unavailable one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many rows are sealed anew, or audited, at a time.
const PAGE: usize = 200;

/// The store. Clones share one database.
#[derive(Clone)]
pub struct Store {
    database: Arc<dyn Database>,
    keyring: Arc<Keyring>,
    hashes: Arc<Hashes>,
    terms: Arc<Terms>,
    signs: Arc<SignsOfLife>,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store: reserves it, brings its form up to date, checks the key, and seals anew what an
    /// older key sealed.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let clock = settings.clock.clone();
        let (database, key, alone): (Arc<dyn Database>, Key, bool) = match &settings.place {
            settings::Place::Memory => (Arc::new(sqlite::Sqlite::memory(clock)?), Key::random()?, true),
            settings::Place::File(path) => {
                let reserved = sqlite::reserve(path)?;
                let key = match &settings.key {
                    Some(key) => key.clone(),
                    None => Key::beside(&reserved.key_path(), reserved.is_new)?,
                };
                (Arc::new(sqlite::Sqlite::open(reserved, clock)?), key, true)
            }
            settings::Place::Server(url) => {
                // Settings without a key name no server.
                let key = settings.key.clone().ok_or_else(closed)?;
                (Arc::new(postgres::Postgres::open(url, clock).await?), key, false)
            }
        };
        let keyring = Keyring::new(&key, &settings.previous_keys)?;
        let hashes = unlock(&*database, &keyring).await?;
        let terms = Terms {
            worker: Uuid::new_v4().simple().to_string(),
            alone,
            lease: settings.lease,
            joining: settings.joining,
            answers: settings.keep_answers,
            tombstones: settings.keep_tombstones,
        };
        let store = Self {
            database,
            keyring: Arc::new(keyring),
            hashes: Arc::new(hashes),
            signs: Arc::new(SignsOfLife::from(Instant::now(), terms.lease)),
            terms: Arc::new(terms),
        };
        if !settings.previous_keys.is_empty() {
            store.reseal().await?;
        }
        Ok(store)
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.read(ledger::ReadHead).await.map(|_| ())
    }

    /// Claims a write before it is sent. Only [`Claim::New`] may be sent, by whoever got it.
    pub async fn claim(&self, new: NewOperation) -> Result<Claim, StoreError> {
        let row = new.id.to_string();
        let command = self.keyring.seal(operations("command", &row), &new.command)?;
        let work = claims::MakeClaim {
            terms: Arc::clone(&self.terms),
            id: new.id,
            key_hash: new.key.as_deref().map(|key| self.hashes.key(&new.merchant, key)),
            joins: new.joins,
            fingerprint: self.hashes.fingerprint(&new.merchant, &new.request),
            merchant: new.merchant,
            connection: new.connection,
            operation: new.operation,
            customer: new.customer,
            command,
            inserted: Arc::default(),
        };
        let found = self.claimed(new.id, work).await?;
        Ok(match found {
            Found::Nothing => Claim::New { attempt: 1 },
            Found::InFlight(stored) => Claim::InFlight(self.opened(stored)?),
            Found::Unknown(stored) => Claim::Unknown(self.opened(stored)?),
            Found::Finished(stored) => Claim::Finished(self.opened(stored)?),
            Found::Reused => Claim::Reused,
            Found::Expired(stored) => Claim::Expired(self.opened(stored)?),
            Found::Erased(stored) => Claim::Erased(self.opened(stored)?),
        })
    }

    /// Makes a claim. One that becomes durable only when nobody waits for it any more, or may be durable though the
    /// database did not say so, is taken back: whoever asked was told that nothing is sent.
    async fn claimed(&self, id: OperationId, work: claims::MakeClaim) -> Result<Found, StoreError> {
        let inserted = Arc::clone(&work.inserted);
        let (job, mut answer) = job(work);
        self.database.write(job);
        let (refusal, late) = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(Ok(Ok(found))) => return Ok(found),
            Ok(Ok(Err(error))) => (error, None),
            Ok(Err(_)) => (closed(), None),
            Err(_) => (silent(), Some(answer)),
        };
        let store = self.clone();
        tokio::spawn(async move {
            if let Some(answer) = late {
                let _ = answer.await;
            }
            if inserted.load(Ordering::Relaxed) {
                store.take_back(id).await;
            }
        });
        Err(refusal)
    }

    async fn take_back(&self, id: OperationId) {
        const EVERY: Duration = Duration::from_millis(500);
        // Then somebody else takes it over.
        let gives_up = Instant::now() + self.terms.lease;
        while let Err(error) = self.finish(id, 1, End::NotSent).await {
            if Instant::now() > gives_up {
                tracing::warn!(operation.id = %id, "a claim cannot be taken back: {error}");
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Tells how an attempt ended. `false`: a newer attempt has taken over, and nothing was changed. After
    /// an error it may be told again.
    pub async fn finish(&self, id: OperationId, attempt: u32, end: End) -> Result<bool, StoreError> {
        self.end(id, attempt, end, false).await
    }

    /// The same of a write without a key that nobody waits for any more: the next request that is the same, if it
    /// comes soon, is whoever asked first, and gets the answer.
    pub async fn finish_unheard(&self, id: OperationId, attempt: u32, end: End) -> Result<bool, StoreError> {
        self.end(id, attempt, end, true).await
    }

    /// Says that somebody has heard a write's end after all.
    pub async fn hear(&self, id: OperationId) -> Result<(), StoreError> {
        self.write(ends::Hear { id, is_heard: true }).await
    }

    /// Says that nobody has heard it yet: whoever the claim told it to had gone before.
    pub async fn unhear(&self, id: OperationId) -> Result<(), StoreError> {
        self.write(ends::Hear { id, is_heard: false }).await
    }

    async fn end(&self, id: OperationId, attempt: u32, end: End, unheard: bool) -> Result<bool, StoreError> {
        let (event, customer, reconcile_after, answer) = match end {
            End::Done { customer, answer } => (Event::Done, customer, None, Some(answer)),
            End::Failed { answer } => (Event::Failed, None, None, Some(answer)),
            End::Unknown { reconcile_after: Some(after), answer } => (Event::Unknown, None, Some(after), Some(answer)),
            End::Unknown { reconcile_after: None, answer } => (Event::Held, None, None, Some(answer)),
            End::NotSent => (Event::NotSent, None, None, None),
        };
        let row = id.to_string();
        let sealed = answer.as_ref().map(|answer| self.keyring.seal(operations("answer", &row), &answer.to_bytes()));
        self.write(ends::Finish {
            id,
            attempt,
            event,
            customer,
            reconcile_after: reconcile_after.map(Timestamp::as_millisecond),
            status: answer.map(|answer| answer.status),
            answer: sealed.transpose()?,
            unheard,
        })
        .await
    }

    /// A lease on whatever is claimed or taken over from now on. Nothing may be sent that is not sent before its end.
    pub fn lease(&self) -> Lease {
        Lease::begin(Instant::now(), &self.signs)
    }

    /// How often a sign of life is due: two may fail before a lease has run out.
    pub fn renewal(&self) -> Duration {
        self.terms.lease / 3
    }

    /// A sign of life for all that this process is at work on. An attempt that lasts longer than
    /// [`LONGEST_ATTEMPT`] gets none any more.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        self.write(takeovers::Renew { terms: Arc::clone(&self.terms) }).await?;
        self.signs.given(asked, Instant::now());
        Ok(())
    }

    /// Whether leases of this process may have run out since its last sign of life.
    pub fn is_renewal_overdue(&self) -> bool {
        self.signs.are_overdue(Instant::now())
    }

    /// Notes that an attempt is about to send its write once more. Only [`Resend::Noted`] may be sent.
    pub async fn send_again(&self, id: OperationId, attempt: u32) -> Result<Resend, StoreError> {
        self.write(takeovers::SendAgain { terms: Arc::clone(&self.terms), id, attempt }).await
    }

    /// Says that a customer is what came of a create, unless it is another's: by a mark that is certain, by content
    /// only once no other one with the same is being sent.
    pub async fn adopt(
        &self,
        id: OperationId,
        attempt: u32,
        customer: &str,
        is_marked: bool,
    ) -> Result<Adopted, StoreError> {
        self.write(takeovers::Adopt { id, attempt, customer: customer.to_owned(), is_marked }).await
    }

    /// Takes over what was being sent by somebody who gave no sign of life, and what is unknown and due to
    /// be looked up. Each is a new attempt of this process; older ones are fenced off. Not while
    /// [`Store::is_renewal_overdue`], or a process that stood still would take its own work from itself.
    pub async fn take_over(&self, limit: usize) -> Result<Vec<Record>, StoreError> {
        let taken = self.write(takeovers::TakeOver { terms: Arc::clone(&self.terms), only: None, limit }).await?;
        taken.into_iter().map(|stored| self.opened(stored)).collect()
    }

    /// Takes over one write, even before it is due to be looked up, and even if it is held. `None` where
    /// somebody is at work on it, or its outcome is known.
    pub async fn take_over_one(&self, id: OperationId) -> Result<Option<Record>, StoreError> {
        let only = takeovers::TakeOver { terms: Arc::clone(&self.terms), only: Some(id), limit: 1 };
        self.write(only).await?.pop().map(|stored| self.opened(stored)).transpose()
    }

    /// One write of a merchant.
    pub async fn operation(&self, merchant: &str, id: OperationId) -> Result<Option<Record>, StoreError> {
        let work = ledger::ReadOperations {
            merchant: Some(merchant.to_owned()),
            id: Some(id),
            limit: 1,
            ..ledger::ReadOperations::default()
        };
        self.read(work).await?.pop().map(|stored| self.opened(stored)).transpose()
    }

    /// Writes, the newest first; `after` goes on behind one.
    pub async fn operations(
        &self,
        merchant: Option<&str>,
        state: Option<State>,
        after: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let work = ledger::ReadOperations { merchant: merchant.map(str::to_owned), id: None, state, after, limit };
        self.read(work).await?.into_iter().map(|stored| self.opened(stored)).collect()
    }

    /// Takes away what has outlived its time: answers first, tombstones later, what is unknown never.
    pub async fn reap(&self) -> Result<Reaped, StoreError> {
        let mut all = Reaped::default();
        loop {
            // A handful at a time: writes go between.
            let some = self.write(upkeep::Reap { terms: Arc::clone(&self.terms) }).await?;
            if some == Reaped::default() {
                return Ok(all);
            }
            all.answers += some.answers;
            all.tombstones += some.tombstones;
        }
    }

    /// Audit records behind a place, in their order.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        self.read(ledger::ReadAudit { after, limit }).await
    }

    /// Checks the whole audit chain, to the end that the database knows: also a record cut off there is
    /// missed. Answers how far the chain holds.
    pub async fn verify_audit(&self) -> Result<Result<audit::Head, audit::Broken>, StoreError> {
        inspection::verify_audit(&*self.database).await
    }

    /// Seals anew what an older key sealed; answers how many operations that were. Done at every start with
    /// `previous_keys`.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let page = self.read(upkeep::ReadSealed { after: after.clone(), limit: PAGE }).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = last.id.to_string();
            for stored in page {
                let row = stored.id.to_string();
                let anew = |column: &'static str, sealed: Option<Vec<u8>>| {
                    let Some(old) = sealed else { return Ok(None) };
                    let new = self.keyring.reseal(operations(column, &row), &old)?;
                    Ok::<_, StoreError>(new.map(|new| (old, new)))
                };
                let (command, answer) = (anew("command", stored.command)?, anew("answer", stored.answer)?);
                if command.is_some() || answer.is_some() {
                    self.write(upkeep::ReplaceSealed { id: stored.id, command, answer }).await?;
                    count += 1;
                }
            }
        }
    }

    async fn write<W: Work>(&self, work: W) -> Result<W::Done, StoreError> {
        write(&*self.database, work).await
    }

    async fn read<W: Work>(&self, work: W) -> Result<W::Done, StoreError> {
        inspection::read(&*self.database, work).await
    }

    fn opened(&self, mut stored: Stored) -> Result<Record, StoreError> {
        let row = stored.id.to_string();
        let open = |column: &'static str, sealed: Option<Vec<u8>>| {
            sealed.map(|sealed| self.keyring.open(operations(column, &row), &sealed).map(Bytes::from)).transpose()
        };
        let unreadable = || StoreError::Damaged(format!("the answer of {row} cannot be read"));
        let command = open("command", stored.command.take())?;
        let answer = open("answer", stored.answer.take())?;
        let answer = answer.map(|bytes| Answer::from_bytes(bytes).ok_or_else(unreadable)).transpose()?;
        Ok(stored.record(command, answer))
    }
}

const fn operations<'a>(column: &'a str, row: &'a str) -> Place<'a> {
    Place { table: "operations", column, row }
}

/// Opens the store's own secret with the keyring, or makes one for a new store.
async fn unlock(database: &dyn Database, keyring: &Keyring) -> Result<Hashes, StoreError> {
    const PLACE: Place<'_> = Place { table: "meta", column: "value", row: "secret" };
    let fresh = keyring.seal(PLACE, &Hashes::fresh_secret()?)?;
    let sealed = write(database, upkeep::Secret { fresh }).await?;
    let secret = keyring.open(PLACE, &sealed)?;
    if let Some(new) = keyring.reseal(PLACE, &sealed)? {
        write(database, upkeep::ReplaceSecret { old: sealed, new }).await?;
    }
    Ok(Hashes::derive(&secret))
}

async fn write<W: Work>(database: &dyn Database, work: W) -> Result<W::Done, StoreError> {
    let (job, answer) = job(work);
    database.write(job);
    settled(answer).await
}

async fn settled<T>(answer: Answered<T>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(closed()),
        Err(_) => Err(silent()),
    }
}

fn silent() -> StoreError {
    StoreError::Unavailable("the store's database does not answer".to_owned())
}
