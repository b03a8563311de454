//! The signatures that this process has accepted, for as long as they are valid. The memory is looked at first, so that a
//! replay to the same process costs no query. Each signer has a record of its own, so that the clients of one merchant
//! cannot fill the record of another merchant.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::Response;
use passerelle_providers::model::{Error, Kind};
use tokio::sync::watch;

use super::{LARGEST_ANSWER, LIFETIME, Once, REPEATABLE, used};
use crate::merchant::SignerId;

/// How many signatures of one signer are remembered: as many as a hash table with 2^18 places takes. They need 13 MB.
/// Beyond it, requests of this signer are refused until its oldest signature is forgotten.
const MAX_SIGNATURES: usize = (1 << 18) / 8 * 7;
/// How many answers to one signer are kept for that long. Without its answer, a repeated write is refused.
const MAX_ANSWERS: usize = 1 << 10;

/// What the memory says about a request whose signature was verified.
#[derive(Debug)]
pub(super) enum Remembered {
    /// The signature is new to this process. One without a nonce comes as [`Seen`].
    New(Option<Seen>),
    /// The same read was executed a moment ago, and may be executed again.
    Repeated(Seen),
    /// The same write is in flight, or was executed a moment ago.
    Again(Repeated),
}

/// A signature without a nonce that was admitted. Repetitions of the request wait for its answer. If it is dropped and
/// not settled, they are refused.
#[derive(Debug)]
pub(super) struct Seen {
    signer: SignerId,
    digest: ShortDigest,
    answer: Option<watch::Sender<MaybeAnswer>>,
}

impl Seen {
    /// Whether repetitions of the request wait for its answer.
    pub(super) const fn awaits_answer(&self) -> bool {
        self.answer.is_some()
    }
}

/// A repeated request, which waits for the answer to the first one.
#[derive(Debug)]
pub struct Repeated(watch::Receiver<MaybeAnswer>);

/// The answer to a request, `None` while it is in flight.
type MaybeAnswer = Option<Response<Bytes>>;

impl Repeated {
    /// A repeated request whose answer is known.
    pub(super) fn answered(answer: Response<Bytes>) -> Self {
        Self(watch::channel(Some(answer)).1)
    }

    /// Waits for the answer to the first request.
    pub async fn answer(mut self) -> Result<Response<Bytes>, Error> {
        let answer = self.0.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answer.ok_or_else(used)
    }
}

/// Half of a digest. A signer could only find two requests with the same one by 2^64 attempts.
type ShortDigest = [u8; 16];

fn shortened(digest: [u8; 32]) -> ShortDigest {
    let mut short = ShortDigest::default();
    short.copy_from_slice(&digest[..16]);
    short
}

/// The signatures that were accepted, by their signers. Only a signer of the configuration has a record.
#[derive(Default)]
pub(super) struct Memory(Mutex<Records>);

#[derive(Default)]
struct Records {
    by_signer: HashMap<SignerId, SeenSignatures>,
    /// When empty records were last removed.
    swept: i64,
}

/// The signatures of one signer.
#[derive(Default)]
struct SeenSignatures {
    /// When each signature was last accepted as new.
    seen: HashMap<ShortDigest, i64>,
    /// The same, in the order of arrival. A signature that another process accepted first may have an earlier time than the
    /// one before it; it is forgotten later than it could be.
    order: VecDeque<(ShortDigest, i64)>,
    /// The answers to writes without a nonce.
    answers: HashMap<ShortDigest, watch::Receiver<MaybeAnswer>>,
    /// The same writes, in the order of arrival.
    recent: VecDeque<(ShortDigest, i64)>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Memory(of {} signers)", self.records().by_signer.len())
    }
}

impl Memory {
    /// Decides about a request with a verified signature. An error means that the signature was used before.
    pub(super) fn admit(&self, once: Once, now: i64) -> Result<Remembered, Error> {
        let Once { signer, digest, has_nonce, is_read } = once;
        let digest = shortened(digest);
        let mut records = self.records();
        records.sweep(now);
        let record = records.by_signer.entry(signer).or_default();
        record.forget_before(now);
        if let Some(at) = record.seen.get(&digest) {
            if has_nonce || now.saturating_sub(*at) > REPEATABLE {
                return Err(used());
            }
            if is_read {
                return Ok(Remembered::Repeated(Seen { signer, digest, answer: None }));
            }
            return record
                .answers
                .get(&digest)
                .cloned()
                .map(|answer| Remembered::Again(Repeated(answer)))
                .ok_or_else(used);
        }
        if record.order.len() >= MAX_SIGNATURES {
            return Err(Error::new(
                Kind::Overloaded,
                "the gateway remembers too many signatures of this client to accept another one; try again later",
            ));
        }
        record.seen.insert(digest, now);
        record.order.push_back((digest, now));
        if has_nonce {
            return Ok(Remembered::New(None));
        }
        let answer = (!is_read && record.recent.len() < MAX_ANSWERS).then(|| {
            let (sender, receiver) = watch::channel(None);
            record.answers.insert(digest, receiver);
            record.recent.push_back((digest, now));
            sender
        });
        Ok(Remembered::New(Some(Seen { signer, digest, answer })))
    }

    /// Notes that another process has accepted a signature that was new to this one, and when.
    pub(super) fn was_seen(&self, Once { signer, digest, .. }: Once, at: i64) {
        let digest = shortened(digest);
        let mut records = self.records();
        let Some(record) = records.by_signer.get_mut(&signer) else { return };
        record.seen.insert(digest, at);
        // Both have the signature near their ends.
        for entries in [&mut record.order, &mut record.recent] {
            if let Some((_, noted)) = entries.iter_mut().rev().find(|(seen, _)| *seen == digest) {
                *noted = at;
            }
        }
    }

    /// Forgets a signature that was not accepted after all.
    pub(super) fn forget(&self, Once { signer, digest, .. }: Once) {
        if let Some(record) = self.records().by_signer.get_mut(&signer) {
            record.seen.remove(&shortened(digest));
        }
    }

    /// Keeps the answer to a request, for its repetitions. If the gateway answered with a server error, the signature
    /// is forgotten, so that the client can send the request again.
    pub(super) fn settle(&self, Seen { signer, digest, answer: sender }: Seen, answer: &Response<Bytes>) {
        let is_failure = answer.status().is_server_error();
        if is_failure && let Some(record) = self.records().by_signer.get_mut(&signer) {
            record.seen.remove(&digest);
        }
        if let Some(sender) = sender.filter(|_| is_failure || answer.body().len() <= LARGEST_ANSWER) {
            sender.send_replace(Some(answer.clone()));
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// Removes the records that are empty, once in the lifetime of a signature, so that the memory of a burst is
    /// returned.
    fn sweep(&mut self, now: i64) {
        if now.saturating_sub(self.swept) > LIFETIME {
            self.swept = now;
            self.by_signer.retain(|_, record| {
                record.forget_before(now);
                !record.order.is_empty()
            });
        }
    }
}

impl SeenSignatures {
    fn forget_before(&mut self, now: i64) {
        while let Some((oldest, at)) = self.order.front().copied().filter(|(_, at)| now.saturating_sub(*at) > LIFETIME)
        {
            self.order.pop_front();
            // A signature that was forgotten after a server error and accepted again has a later entry.
            if self.seen.get(&oldest) == Some(&at) {
                self.seen.remove(&oldest);
            }
        }
        while let Some((oldest, at)) =
            self.recent.front().copied().filter(|(_, at)| now.saturating_sub(*at) > REPEATABLE)
        {
            self.recent.pop_front();
            if self.seen.get(&oldest).is_none_or(|seen| *seen == at) {
                self.answers.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(number: u8, is_read: bool) -> Once {
        Once { signer: [0; 32], digest: [number; 32], has_nonce: false, is_read }
    }

    fn first(memory: &Memory, once: Once, now: i64) -> Option<Seen> {
        match memory.admit(once, now) {
            Ok(Remembered::New(seen)) => seen,
            Ok(Remembered::Repeated(seen)) => Some(seen),
            _ => panic!("it was not accepted as new"),
        }
    }

    fn answered(status: u16, size: usize) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from(vec![b'1'; size]));
        *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        answer
    }

    #[tokio::test]
    async fn a_repeated_write_gets_the_first_answer_and_is_not_executed() {
        let memory = Memory::default();
        let seen = first(&memory, once(1, false), 100).expect("it has no nonce");
        first(&memory, once(2, false), 100);
        let Ok(Remembered::Again(early)) = memory.admit(once(1, false), 100) else { panic!("while it is in flight") };
        memory.settle(seen, &answered(200, 1));
        let Ok(Remembered::Again(late)) = memory.admit(once(1, false), 100 + REPEATABLE) else {
            panic!("a moment later")
        };
        for repeated in [early, late] {
            assert_eq!(repeated.answer().await.expect("the same answer").body(), "1");
        }
        for late in [101 + REPEATABLE, 100 + LIFETIME] {
            assert!(memory.admit(once(1, false), late).is_err(), "as long as the signature is valid");
        }
        assert!(memory.records().by_signer[&[0; 32]].answers.is_empty(), "no repetition can ask for them any more");
    }

    #[tokio::test]
    async fn a_repeated_write_without_a_kept_answer_is_refused() {
        let memory = Memory::default();
        let seen = first(&memory, once(1, false), 100);
        let Ok(Remembered::Again(repeated)) = memory.admit(once(1, false), 100) else { panic!("it is in flight") };
        drop(seen);
        assert!(repeated.answer().await.is_err(), "the first request ended without an answer");
        let large = first(&memory, once(2, false), 100).expect("it has no nonce");
        memory.settle(large, &answered(200, LARGEST_ANSWER + 1));
        let Ok(Remembered::Again(repeated)) = memory.admit(once(2, false), 100) else { panic!("it was accepted") };
        assert!(repeated.answer().await.is_err(), "its answer was too large to keep");
        for number in 0..MAX_ANSWERS {
            let mut digest = [7; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            first(&memory, Once { digest, ..once(0, false) }, 100);
        }
        first(&memory, once(3, false), 100);
        assert!(memory.admit(once(3, false), 100).is_err(), "too many answers are kept");
    }

    #[test]
    fn a_read_without_a_nonce_may_be_repeated_for_a_moment() {
        let memory = Memory::default();
        first(&memory, once(1, true), 100);
        first(&memory, once(1, true), 100 + REPEATABLE);
        assert!(memory.admit(once(1, true), 101 + REPEATABLE).is_err());
        let drawn = || Once { has_nonce: true, ..once(2, true) };
        assert!(first(&memory, drawn(), 100).is_none(), "a nonce is never forgotten before its lifetime is over");
        assert!(memory.admit(drawn(), 100).is_err());
    }

    #[tokio::test]
    async fn a_signature_is_forgotten_after_a_server_error_or_its_lifetime() {
        let memory = Memory::default();
        let seen = first(&memory, once(1, false), 100).expect("it has no nonce");
        let Ok(Remembered::Again(repeated)) = memory.admit(once(1, false), 100) else { panic!("it is in flight") };
        memory.settle(seen, &answered(502, 1));
        assert_eq!(repeated.answer().await.expect("the failure").status(), 502);
        let again = first(&memory, once(1, false), 101).expect("accepted again after the server error");
        memory.settle(again, &answered(200, 2));
        let Ok(Remembered::Again(late)) = memory.admit(once(1, false), 101 + REPEATABLE) else {
            panic!("a moment later")
        };
        assert_eq!(late.answer().await.expect("the later answer").body(), "11");
        first(&memory, once(2, false), 101 + LIFETIME);
        assert!(memory.admit(once(1, false), 101 + LIFETIME).is_err(), "the later entry stays");
        first(&memory, once(3, false), 102 + LIFETIME);
        assert_eq!(memory.records().by_signer[&[0; 32]].seen.len(), 2);
    }

    #[test]
    fn a_signer_that_fills_its_record_does_not_refuse_another_signer() {
        let memory = Memory::default();
        let drawn = |signer: u8, number: usize| {
            let mut digest = [signer; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            Once { signer: [signer; 32], digest, has_nonce: true, is_read: false }
        };
        for number in 0..MAX_SIGNATURES {
            first(&memory, drawn(1, number), 100);
        }
        let refused = memory.admit(drawn(1, MAX_SIGNATURES), 100).expect_err("its record is full");
        assert_eq!(refused.kind, Kind::Overloaded);
        first(&memory, drawn(2, 0), 100);
        assert!(memory.admit(drawn(1, 0), 101 + REPEATABLE).is_err(), "a full record still knows its signatures");
        first(&memory, drawn(1, MAX_SIGNATURES), 101 + LIFETIME);
        assert_eq!(memory.records().by_signer.len(), 1, "the record of the other signer is empty, and removed");
    }

    #[tokio::test]
    async fn a_signature_that_another_process_accepted_is_as_old_as_there() {
        let memory = Memory::default();
        for number in [1, 2] {
            first(&memory, once(number, false), 100);
            memory.was_seen(once(number, false), 100 - REPEATABLE);
        }
        assert!(memory.admit(once(1, false), 101).is_err(), "it was repeatable until a moment ago");
        first(&memory, once(3, false), 101 - REPEATABLE + LIFETIME);
        let records = memory.records();
        let record = &records.by_signer[&[0; 32]];
        assert_eq!((record.seen.len(), record.order.len(), record.answers.len()), (1, 1, 1), "it is forgotten earlier");
    }
}
