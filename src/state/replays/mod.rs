//! Protects against replayed requests: a signature is accepted once. `drop_in` calls [`Replays::admit`] after it has
//! verified a signature, and [`Replays::settle`] when it has the answer.
//!
//! The signatures that this process has accepted are in its memory (`memory`). A signature that is new there is recorded in
//! the store, which knows those of all replicas, and of the time before a restart. So a replay is refused by every process.
//!
//! A client that signs without a nonce, by the time in seconds, makes the same signature for two equal requests within
//! one second. So for a few seconds such a request is accepted again: a read is executed again; a write is not, and its
//! client gets the answer to the first request. Where another process has that answer, this one waits until it is in the
//! store.
//!
//! If the store fails, a signed write is refused: it could be a replay, and writes need the store anyway. A read is served,
//! as other reads are, and only the memory protects it: a replayed read changes nothing.

mod memory;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use passerelle_providers::{
    kit::sign::WINDOW,
    model::{Error, auth::refused},
};
use tokio::time::Instant;

pub use memory::Repeated;
use memory::{Memory, Remembered};

use crate::{
    merchant::SignerId,
    store::{Earlier, SignatureId, Signatures, StoreError, StoredAnswer},
};

/// How long a signature is remembered, in seconds. It is valid for so long: the time in it may be as far ahead of the
/// gateway's clock as behind it.
const LIFETIME: i64 = 2 * WINDOW;
/// How long the store has a signature. The clocks of the replicas may differ by a minute.
const STORED: Duration = Duration::from_secs(LIFETIME.unsigned_abs() + 60);
/// How long a request without a nonce may be repeated, in seconds.
const REPEATABLE: i64 = 5;
/// The largest answer that is kept, in bytes.
const LARGEST_ANSWER: usize = 1 << 14;
/// How often the store is asked for the answer to a request that another process executes.
const POLL: Duration = Duration::from_millis(100);
/// How often old signatures are deleted from the store.
const REAP_INTERVAL: Duration = Duration::from_mins(1);

/// A verified signature, which must not be accepted again.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    /// The signer, whose record decides.
    pub signer: SignerId,
    /// The digest of the part of the request that is unique: the nonce, or the signature.
    pub digest: [u8; 32],
    /// Whether that part is a nonce, which the client draws anew for every request.
    pub has_nonce: bool,
    /// Whether the request changes nothing.
    pub is_read: bool,
}

/// What to do with a request whose signature was verified.
#[derive(Debug)]
pub enum Admitted {
    /// Execute it. A signature that an honest client may repeat comes as [`Seen`], for [`Replays::settle`].
    First(Option<Seen>),
    /// Do not execute it: the same request is in flight, or was executed a moment ago.
    Again(Repeated),
}

/// Why a request is not executed.
#[derive(Debug)]
pub enum NotAdmitted {
    /// Its signature was used before, or its signer sends too many requests.
    Refused(Error),
    /// It is a write, and the store does not say whether its signature was used before. Repetitions that wait for its answer
    /// get the one that the caller settles.
    Store(StoreError, Option<Seen>),
}

impl From<Error> for NotAdmitted {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// A signature without a nonce that was admitted. Repetitions of the request wait for its answer. If it is dropped and
/// not settled, they are refused.
#[derive(Debug)]
pub struct Seen {
    remembered: memory::Seen,
    /// Its id in the store, if this request has recorded it there.
    recorded: Option<SignatureId>,
}

fn used() -> Error {
    refused("the signature was used before")
}

/// The signatures that were accepted, by their signers. Only a signer of the configuration has a record.
#[derive(Debug)]
pub struct Replays {
    memory: Memory,
    signatures: Signatures,
}

impl Replays {
    /// Those of a store.
    pub fn new(signatures: Signatures) -> Self {
        Self { memory: Memory::default(), signatures }
    }

    /// Decides about a request with a verified signature. A repeated write waits at most for the time `wait` for the answer
    /// of another process.
    pub async fn admit(&self, once: Once, now: i64, wait: Duration) -> Result<Admitted, NotAdmitted> {
        match self.memory.admit(once, now)? {
            Remembered::New(seen) => self.record(once, seen, now, wait).await,
            Remembered::Repeated(remembered) => Ok(Admitted::First(Some(Seen { remembered, recorded: None }))),
            Remembered::Again(repeated) => Ok(Admitted::Again(repeated)),
        }
    }

    /// Records a signature that is new to this process in the store.
    async fn record(
        &self,
        once: Once,
        seen: Option<memory::Seen>,
        now: i64,
        wait: Duration,
    ) -> Result<Admitted, NotAdmitted> {
        let id = self.signatures.id(&once.signer, &once.digest);
        if once.is_read && self.signatures.are_failing() {
            return Ok(Admitted::First(with_record(seen, None)));
        }
        let awaits_answer = seen.as_ref().is_some_and(memory::Seen::awaits_answer);
        let ends = Instant::now() + wait;
        loop {
            let earlier = match self.signatures.admit(&id, awaits_answer).await {
                Ok(None) => return Ok(Admitted::First(with_record(seen, Some(id)))),
                Ok(Some(earlier)) => earlier,
                Err(_) if once.is_read => return Ok(Admitted::First(with_record(seen, None))),
                Err(error) => {
                    self.memory.forget(once);
                    return Err(NotAdmitted::Store(error, with_record(seen, None)));
                }
            };
            let age = i64::try_from(earlier.age.as_secs()).unwrap_or(i64::MAX);
            self.memory.was_seen(once, now.saturating_sub(age));
            if once.has_nonce || age > REPEATABLE {
                return Err(used().into());
            }
            if once.is_read {
                return Ok(Admitted::First(with_record(seen, None)));
            }
            match self.ended(&id, earlier, ends).await {
                Ok(Some(Earlier { answer, .. })) => {
                    let answer = response(answer.ok_or_else(used)?);
                    if let Some(remembered) = seen {
                        self.memory.settle(remembered, &answer);
                    }
                    return Ok(Admitted::Again(Repeated::answered(answer)));
                }
                // The first request has failed, so this one may be executed.
                Ok(None) => {}
                Err(error) => {
                    self.memory.forget(once);
                    return Err(NotAdmitted::Store(error, with_record(seen, None)));
                }
            }
        }
    }

    /// Waits until a request that another process executes has ended. `None`: its signature was forgotten. A request that
    /// has not ended in time has no answer.
    async fn ended(
        &self,
        id: &SignatureId,
        mut earlier: Earlier,
        ends: Instant,
    ) -> Result<Option<Earlier>, StoreError> {
        while !earlier.is_ended && Instant::now() < ends {
            tokio::time::sleep(POLL).await;
            match self.signatures.find(id).await? {
                Some(found) => earlier = found,
                None => return Ok(None),
            }
        }
        Ok(Some(earlier))
    }

    /// Keeps the answer to a request, for its repetitions. If the gateway answered with a server error, the signature
    /// is forgotten, so that the client can send the request again.
    pub async fn settle(&self, Seen { remembered, recorded }: Seen, answer: &Response<Bytes>) {
        let awaits_answer = remembered.awaits_answer();
        self.memory.settle(remembered, answer);
        // While the store fails, repetitions at other replicas are refused or wait, as they do after a crash.
        let Some(id) = recorded.filter(|_| !self.signatures.are_failing()) else { return };
        let kept = if answer.status().is_server_error() {
            self.signatures.forget(&id).await
        } else if awaits_answer {
            self.signatures.keep_answer(&id, stored(answer).as_ref()).await
        } else {
            Ok(())
        };
        if let Err(error) = kept {
            tracing::warn!("the answer to a signed request is not kept for other replicas: {error}");
        }
    }

    /// Deletes old signatures from the store. It never ends.
    pub async fn keep_reaping(&self) {
        loop {
            tokio::time::sleep(REAP_INTERVAL).await;
            if let Err(error) = self.reap().await {
                tracing::warn!("old signatures cannot be deleted: {error}");
            }
        }
    }

    /// Deletes the signatures that are not valid any more from the store, and the answers that are too old
    /// for a repeated request.
    pub async fn reap(&self) -> Result<u64, StoreError> {
        self.signatures.reap(STORED, Duration::from_secs(REPEATABLE.unsigned_abs() + 1)).await
    }
}

/// An admitted signature, with its record in the store if it has one.
fn with_record(seen: Option<memory::Seen>, recorded: Option<SignatureId>) -> Option<Seen> {
    seen.map(|remembered| Seen { remembered, recorded })
}

/// The answer as the store keeps it, if it is small.
fn stored(answer: &Response<Bytes>) -> Option<StoredAnswer> {
    let headers = answer.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let stored = StoredAnswer { status: answer.status().as_u16(), headers, body: answer.body().clone() };
    Some(stored).filter(|stored| stored.body.len() <= LARGEST_ANSWER)
}

fn response(stored: StoredAnswer) -> Response<Bytes> {
    let mut response = Response::new(stored.body);
    *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or_default();
    response.headers_mut().extend(stored.headers);
    response
}
