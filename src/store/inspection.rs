//! The store as the command line looks at it: read only, beside a gateway that may be serving, and without the
//! key, because nothing sealed is opened.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::{
    AuditRecord, OperationId, PAGE, Record, Settings, State, StoreError, audit,
    database::{Database, Work, job},
    ledger, postgres, settings, settled, sqlite,
};

/// A store that is only looked at.
pub struct Inspection(Arc<dyn Database>);

impl fmt::Debug for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Inspection").field(&self.0).finish()
    }
}

impl Inspection {
    /// Opens a store to look at it.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        Ok(Self(match &settings.place {
            settings::Place::Memory => {
                let told = "the store is in the gateway's memory (sqlite::memory:): ask the gateway itself, with \
                            GET /v1/operations";
                return Err(StoreError::Settings(told.to_owned()));
            }
            settings::Place::File(path) => Arc::new(sqlite::Sqlite::look_at(path)?),
            settings::Place::Server(url) => Arc::new(postgres::Postgres::look_at(url)?),
        }))
    }

    /// Writes, the newest first, without their sealed parts; `after` goes on behind one.
    pub async fn operations(
        &self,
        merchant: Option<&str>,
        state: Option<State>,
        after: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let work = ledger::ReadOperations { merchant: merchant.map(str::to_owned), id: None, state, after, limit };
        Ok(read(&*self.0, work).await?.into_iter().map(|stored| stored.record(None, None)).collect())
    }

    /// Audit records behind a place, in their order.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        read(&*self.0, ledger::ReadAudit { after, limit }).await
    }

    /// Checks the whole audit chain, to the end that the database knows. Answers how far it holds.
    pub async fn verify_audit(&self) -> Result<Result<audit::Head, audit::Broken>, StoreError> {
        verify_audit(&*self.0).await
    }
}

pub(super) async fn verify_audit(database: &dyn Database) -> Result<Result<audit::Head, audit::Broken>, StoreError> {
    let end = read(database, ledger::ReadHead).await?;
    let mut head = audit::Head::BEGINNING;
    while head.sequence < end.sequence {
        let records = read(database, ledger::ReadAudit { after: head.sequence, limit: PAGE }).await?;
        if records.is_empty() {
            return Ok(Err(audit::Broken::Missing(head.sequence + 1)));
        }
        match audit::verify(head, &records) {
            Ok(reached) => head = reached,
            Err(broken) => return Ok(Err(broken)),
        }
    }
    Ok(Ok(head))
}

pub(super) async fn read<W: Work>(database: &dyn Database, work: W) -> Result<W::Done, StoreError> {
    let (job, answer) = job(work);
    database.read(job);
    settled(answer).await
}

impl ledger::Stored {
    /// The record, with its sealed parts as they were opened.
    pub(super) fn record(self, command: Option<bytes::Bytes>, answer: Option<super::Answer>) -> Record {
        let time = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap_or_default();
        Record {
            id: self.id,
            merchant: self.merchant,
            connection: self.connection,
            operation: self.operation,
            customer: self.customer,
            keyed: self.keyed,
            state: self.state,
            attempt: self.attempt,
            created_at: time(self.created_at),
            sent_at: time(self.sent_at),
            finished_at: self.finished_at.map(time),
            reconcile_after: self.reconcile_after.map(time),
            command,
            status: self.status,
            answer,
        }
    }
}
