//! The types of the interface: a write to be claimed, what a claim finds, how an attempt ends, and what is stored.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::store::{carried::CarriedChanges, contacts::ContactChanges, ids::HomeOfWrite, operation_id::OperationId};

/// What the store did with the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It keeps the end.
    Stored,
    /// It changed nothing: a newer attempt has taken the operation over.
    Overtaken,
    /// It changed nothing: the customer of this create is the outcome of another create.
    Shared,
}

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Claimed; it may be on its way to the provider.
    Sending,
    /// It happened.
    Done,
    /// It did not happen; the provider refused it.
    Failed,
    /// The outcome is not known. Without a time to reconcile the operation is held: it waits for an operator.
    Unknown,
}

impl State {
    /// The word of the API and of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// The state that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Sending, Self::Done, Self::Failed, Self::Unknown].into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the outcome is known.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// One write, as the store knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: OperationId,
    /// The merchant whose client requested it.
    pub merchant: String,
    /// The connection that it goes through.
    pub connection: String,
    /// Its kind: `create`, `update`, ….
    pub operation: String,
    /// The id of the customer, where it is known.
    pub customer: Option<String>,
    /// Whether the caller gave an idempotency key.
    pub keyed: bool,
    /// How far it has come.
    pub state: State,
    /// The attempt that may finish it; older ones are fenced off.
    pub attempt: u32,
    /// When it was claimed first, and may have been sent first.
    pub created_at: Timestamp,
    /// When it may have been sent last.
    pub sent_at: Timestamp,
    /// When its outcome became known.
    pub finished_at: Option<Timestamp>,
    /// When it is due to be reconciled.
    pub reconcile_after: Option<Timestamp>,
    /// The canonical command, kept until the outcome is known.
    pub command: Option<Bytes>,
    /// The status that was answered; it outlives the answer.
    pub status: Option<u16>,
    /// What was answered.
    pub answer: Option<StoredAnswer>,
    /// Whether it is a write of the copier.
    pub is_copy: bool,
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Record")
            .field("id", &self.id)
            .field("merchant", &self.merchant)
            .field("connection", &self.connection)
            .field("operation", &self.operation)
            .field("state", &self.state)
            .field("attempt", &self.attempt)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A stored answer. It can be given again byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The status.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for StoredAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoredAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl StoredAnswer {
    /// The bytes that are sealed: the status, the number of headers, each part behind its length, the body.
    pub(in crate::store) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.body.len());
        bytes.extend(self.status.to_be_bytes());
        bytes.extend(length(self.headers.len()));
        for part in self.headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]) {
            bytes.extend(length(part.len()));
            bytes.extend(part);
        }
        bytes.extend(&self.body);
        bytes
    }

    pub(in crate::store) fn from_bytes(mut bytes: Bytes) -> Option<Self> {
        let status = u16::from_be_bytes(bytes.split_to_checked(2)?.as_ref().try_into().ok()?);
        let count = read_length(&mut bytes)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            let mut part = || {
                let length = read_length(&mut bytes)?;
                bytes.split_to_checked(length)
            };
            let (name, value) = (part()?, part()?);
            headers.push((HeaderName::from_bytes(&name).ok()?, HeaderValue::from_maybe_shared(value).ok()?));
        }
        Some(Self { status, headers, body: bytes })
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn read_length(bytes: &mut Bytes) -> Option<usize> {
    let four = bytes.split_to_checked(4)?;
    usize::try_from(u32::from_be_bytes(four.as_ref().try_into().ok()?)).ok()
}

trait SplitChecked: Sized {
    fn split_to_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitChecked for Bytes {
    fn split_to_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_to(at))
    }
}

/// A write that is about to be sent.
#[derive(Clone)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// The merchant whose client requested it.
    pub merchant: String,
    /// The connection that it goes through.
    pub connection: String,
    /// Its kind.
    pub operation: String,
    /// The id of the customer, where it is known.
    pub customer: Option<String>,
    /// The caller's idempotency key. Only a keyed hash of it is kept.
    pub key: Option<String>,
    /// The name of the API key of the client that requested it, for the audit. It is no secret.
    pub key_name: Option<Arc<str>>,
    /// Whether, without a key, it may join an operation with the same content that is in flight, unknown or
    /// undelivered.
    pub joins: bool,
    /// The content of the request: the same bytes for the same request. Only a keyed hash of it is kept.
    pub request: Bytes,
    /// The contents that earlier versions made of the same request.
    pub earlier: EarlierContents,
    /// The canonical command, kept sealed until the outcome is known.
    pub command: Bytes,
    /// The customer of whom this write is a copy. `None`: a client requested the write.
    pub copy: Option<CopyOf>,
    /// Where it was planned for. `None`: its merchant had no routing row.
    pub home: Option<HomeOfWrite>,
    /// The contacts of the customer that a create makes, for a merchant with a routing row.
    pub contacts: CreatedContacts,
}

/// The contacts of a customer that an unfinished create makes. Equal values must be given as equal texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CreatedContacts {
    /// The e-mail address.
    pub email: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
}

impl fmt::Debug for CreatedContacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CreatedContacts")
    }
}

/// The customer of whom a write is a copy. Copies have keys of their own: one for each customer at each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOf {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The version of the customer whose state is copied. The claim is refused if that is another by then. `None`: a
    /// deletion copies no state.
    pub version: Option<u64>,
}

impl fmt::Debug for NewOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewOperation")
            .field("id", &self.id)
            .field("merchant", &self.merchant)
            .field("connection", &self.connection)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// Makes the contents that earlier versions made of a request. The store calls it only where a row has another content.
#[derive(Clone)]
pub struct EarlierContents(pub Arc<dyn Fn() -> Vec<Vec<u8>> + Send + Sync>);

impl fmt::Debug for EarlierContents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EarlierContents")
    }
}

impl Default for EarlierContents {
    /// There are none.
    fn default() -> Self {
        Self(Arc::new(Vec::new))
    }
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No such write. The claim is durable, and the caller may send.
    New {
        /// The attempt to finish it with.
        attempt: u32,
    },
    /// The same write is being sent.
    InFlight(Record),
    /// The same write was sent, and its outcome is not known.
    Unknown(Record),
    /// The same write has its answer.
    Finished(Record),
    /// The key belongs to this operation, which another request made.
    Reused(OperationId),
    /// The same write was answered, too long ago for the answer to be kept.
    Expired(Record),
    /// The same write was answered, and its customer was deleted since, with all that was kept of it.
    Erased(Record),
    /// No such write, but it was planned for another epoch or another home than there is now. Nothing is claimed, and the
    /// caller plans anew.
    Moved,
}

/// Whether an attempt may send again a write that it has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// It may, and the store has noted that durably.
    Noted,
    /// A newer write to the same customer would be undone.
    Overtaken,
    /// The lease has run out, or another attempt has taken the operation over.
    Lost,
    /// The connection is not the home of the customer any more, or, for a create, not the active one.
    Moved,
}

/// Whether a create made a customer that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It did, and that is recorded.
    Own,
    /// The store recorded nothing: another create made the customer, or another attempt has taken this create over.
    Refused,
    /// Another create with the same content is in flight, and may turn out to have made it.
    Open,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "most writes end like this, and an end is moved a few times only")]
pub enum End {
    /// It happened.
    Done {
        /// The id of the customer.
        customer: Option<String>,
        /// What changes about the customer's contacts.
        contacts: ContactChanges,
        /// What changes about the fields that the gateway keeps of the customer.
        carried: CarriedChanges,
        /// The answer to the client.
        answer: StoredAnswer,
    },
    /// It was a copy, and has made a new record. The row of the record is written with this end.
    Copied {
        /// The id of the record.
        provider_id: String,
        /// What is kept instead of an answer.
        answer: StoredAnswer,
    },
    /// It did not happen, for a definite reason.
    Failed {
        /// The answer to the client.
        answer: StoredAnswer,
    },
    /// The outcome is not known.
    Unknown {
        /// When to reconcile. Without it, the operation is held for an operator.
        reconcile_after: Option<Timestamp>,
        /// The answer to the client until then.
        answer: StoredAnswer,
    },
    /// No attempt of this write has sent anything, which is certain. The claim is released, and the key is free again.
    NotSent,
}

/// How much a reaping deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Answers whose lifetime was over; the tombstones stay.
    pub answers: u64,
    /// Tombstones whose lifetime was over.
    pub tombstones: u64,
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn an_answer_reads_back_and_a_cut_one_does_not() {
        let headers = [(header::LOCATION, "/v1/customers/é"), (header::ETAG, "")];
        let headers =
            headers.map(|(name, value)| (name, HeaderValue::try_from(value.as_bytes()).expect("a value"))).into();
        let answer = StoredAnswer { status: 201, headers, body: Bytes::from_static(b"\x00\xff{}") };
        let bytes = Bytes::from(answer.to_bytes());
        assert_eq!(StoredAnswer::from_bytes(bytes.clone()), Some(answer.clone()));
        for end in 0..bytes.len() - answer.body.len() {
            assert_eq!(StoredAnswer::from_bytes(bytes.slice(..end)), None, "{end}");
        }
    }

    #[test]
    fn nothing_of_a_customer_is_printed() {
        let answer = StoredAnswer { status: 200, headers: Vec::new(), body: Bytes::from_static(b"Amadou") };
        assert!(!format!("{answer:?}").contains("Amadou"));
    }
}
