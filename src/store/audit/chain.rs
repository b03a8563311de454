//! The audit chain: every intent and every outcome is a record that carries the hash of the one before, so
//! that a record that is changed, left out or moved breaks the chain. Nothing here does I/O.

use std::fmt;

use aws_lc_rs::digest;
use jiff::Timestamp;

use crate::store::{
    database::head::{BEGINNING, Hash, Head},
    operation_id::OperationId,
};

/// What happened to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It was claimed, or is to be sent once more: from here on it may be sent.
    Intent,
    /// Another attempt took it over, after its lease ran out or its time to reconcile came.
    TakenOver,
    /// It happened.
    Done,
    /// It did not happen.
    Failed,
    /// Its outcome is not known, and will be reconciled.
    Unknown,
    /// Its outcome is not known, and an operator has to decide.
    Held,
    /// Nothing was sent, which is certain.
    NotSent,
}

impl Event {
    const ALL: [Self; 7] =
        [Self::Intent, Self::TakenOver, Self::Done, Self::Failed, Self::Unknown, Self::Held, Self::NotSent];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::TakenOver => "taken_over",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Held => "held",
            Self::NotSent => "not_sent",
        }
    }

    /// The event that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }
}

/// A record of the chain. It contains no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place: the first is 1, and there are no gaps.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// The merchant.
    pub merchant: String,
    /// The connection that it goes through.
    pub connection: String,
    /// The kind of the operation.
    pub operation: String,
    /// The write.
    pub id: OperationId,
    /// The attempt.
    pub attempt: u32,
    /// The keyed hash of the request.
    pub request_hash: Vec<u8>,
    /// Of the intent of a write: the name of the client's API key, if it has one. Of a command of the operator: who gave it,
    /// and what it changed. As JSON.
    pub detail: Option<String>,
    /// The hash over all of it and the record before.
    pub hash: Hash,
}

impl AuditRecord {
    /// The hash that this record must have after another.
    pub fn hash_after(&self, previous: &Hash) -> Hash {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(b"passerelle audit 1");
        part(previous);
        part(&self.sequence.to_be_bytes());
        part(&self.at.as_millisecond().to_be_bytes());
        part(self.event.as_str().as_bytes());
        part(self.merchant.as_bytes());
        part(self.connection.as_bytes());
        part(self.operation.as_bytes());
        part(self.id.uuid().as_bytes());
        part(&self.attempt.to_be_bytes());
        part(&self.request_hash);
        if let Some(detail) = &self.detail {
            part(detail.as_bytes());
        }
        let mut hash = BEGINNING;
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// The first place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// A record that should be here is not.
    Missing(u64),
    /// This record, or the one before it, is not what was written.
    Changed(u64),
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(sequence) => write!(formatter, "audit record {sequence} is missing"),
            Self::Changed(sequence) => write!(formatter, "audit record {sequence} is not as it was written"),
        }
    }
}

impl std::error::Error for Broken {}

/// Checks records that follow a known place, [`Head::BEGINNING`] for the first ones. Answers the place
/// after them, or the first record that does not hold.
pub fn verify(mut head: Head, records: &[AuditRecord]) -> Result<Head, Broken> {
    for record in records {
        if record.sequence != head.sequence + 1 {
            return Err(Broken::Missing(head.sequence + 1));
        }
        if record.hash != record.hash_after(&head.hash) {
            return Err(Broken::Changed(record.sequence));
        }
        head = Head { sequence: record.sequence, hash: record.hash };
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: u64) -> Vec<AuditRecord> {
        let mut previous = BEGINNING;
        let link = |sequence| {
            let mut record = AuditRecord {
                sequence,
                at: Timestamp::UNIX_EPOCH,
                event: Event::Intent,
                merchant: "acme".to_owned(),
                connection: "main".to_owned(),
                operation: "create".to_owned(),
                id: OperationId::now(),
                attempt: 1,
                request_hash: vec![7; 32],
                detail: (sequence % 3 == 0).then(|| "{}".to_owned()),
                hash: BEGINNING,
            };
            record.hash = record.hash_after(&previous);
            previous = record.hash;
            record
        };
        (1..=count).map(link).collect()
    }

    #[test]
    fn a_whole_chain_holds_in_pieces_too() {
        let records = chain(9);
        let head = verify(Head::BEGINNING, &records[..4]).expect("the first piece");
        let head = verify(head, &records[4..]).expect("the second piece");
        assert_eq!(head, Head { sequence: 9, hash: records[8].hash });
    }

    #[test]
    fn the_first_broken_record_is_named() {
        let mut changed = chain(9);
        changed[3].merchant.push('!');
        assert_eq!(verify(Head::BEGINNING, &changed), Err(Broken::Changed(4)));
        let mut missing = chain(9);
        missing.remove(3);
        assert_eq!(verify(Head::BEGINNING, &missing), Err(Broken::Missing(4)));
        let mut moved = chain(9);
        moved.swap(3, 4);
        assert_eq!(verify(Head::BEGINNING, &moved), Err(Broken::Missing(4)));
        let mut covered = chain(9);
        covered[3].attempt = 2;
        covered[3].hash = covered[3].hash_after(&covered[2].hash);
        assert_eq!(verify(Head::BEGINNING, &covered), Err(Broken::Changed(5)));
        let mut other = chain(9);
        other[2].detail = None;
        assert_eq!(verify(Head::BEGINNING, &other), Err(Broken::Changed(3)));
    }

    #[test]
    fn words_read_back() {
        for event in Event::ALL {
            assert_eq!(Event::parse(event.as_str()), Some(event));
        }
    }
}
