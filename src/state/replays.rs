//! Protects against replayed requests: a signature is accepted once. `drop_in` calls [`Replays::admit`] after it has
//! verified a signature, and [`Replays::settle`] when it has the answer.
//!
//! The signatures are in the memory of this process, for as long as a signature is valid. So each replica behind a
//! balancer has its own list, and a restart begins an empty one. Each signer has a record of its own, so that the
//! clients of one merchant cannot fill the record of another merchant.
//!
//! A client that signs without a nonce, by the time in seconds, makes the same signature for two equal requests within
//! one second. So for a few seconds such a request is accepted again: a read is executed again; a write is not, and its
//! client gets the answer to the first request.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::Response;
use passerelle_providers::{
    kit::sign::WINDOW,
    model::{Error, Kind, auth::refused},
};
use tokio::sync::watch;

use crate::merchant::SignerId;

/// How long a signature is remembered, in seconds. It is valid for so long: the time in it may be as far ahead of the
/// gateway's clock as behind it.
const LIFETIME: i64 = 2 * WINDOW;
/// How many signatures of one signer are remembered: as many as a hash table with 2^18 places takes. They need 13 MB.
/// Beyond it, requests of this signer are refused until its oldest signature is forgotten.
const MAX_SIGNATURES: usize = (1 << 18) / 8 * 7;
/// How long a request without a nonce may be repeated, in seconds.
const REPEATABLE: i64 = 5;
/// How many answers to one signer are kept for that long. Without its answer, a repeated write is refused.
const MAX_ANSWERS: usize = 1 << 10;
/// The largest answer that is kept, in bytes.
const LARGEST_ANSWER: usize = 1 << 14;

/// A verified signature, which must not be accepted again.
#[derive(Debug)]
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

/// A signature without a nonce that was admitted. Repetitions of the request wait for its answer. If it is dropped and
/// not settled, they are refused.
#[derive(Debug)]
pub struct Seen {
    signer: SignerId,
    digest: ShortDigest,
    answer: Option<watch::Sender<MaybeAnswer>>,
}

/// A repeated request, which waits for the answer to the first one.
#[derive(Debug)]
pub struct Repeated(watch::Receiver<MaybeAnswer>);

/// The answer to a request, `None` while it is in flight.
type MaybeAnswer = Option<Response<Bytes>>;

impl Repeated {
    /// Waits for the answer to the first request.
    pub async fn answer(mut self) -> Result<Response<Bytes>, Error> {
        let answer = self.0.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answer.ok_or_else(used)
    }
}

fn used() -> Error {
    refused("the signature was used before")
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
pub struct Replays(Mutex<Records>);

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
    /// The same, the oldest first.
    order: VecDeque<(ShortDigest, i64)>,
    /// The answers to writes without a nonce.
    answers: HashMap<ShortDigest, watch::Receiver<MaybeAnswer>>,
    /// The same writes, the oldest first.
    recent: VecDeque<(ShortDigest, i64)>,
}

impl fmt::Debug for Replays {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Replays(of {} signers)", self.records().by_signer.len())
    }
}

impl Replays {
    /// Decides about a request with a verified signature. An error means that the signature was used before.
    pub fn admit(&self, once: Once, now: i64) -> Result<Admitted, Error> {
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
                return Ok(Admitted::First(Some(Seen { signer, digest, answer: None })));
            }
            return record
                .answers
                .get(&digest)
                .cloned()
                .map(|answer| Admitted::Again(Repeated(answer)))
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
            return Ok(Admitted::First(None));
        }
        let answer = (!is_read && record.recent.len() < MAX_ANSWERS).then(|| {
            let (sender, receiver) = watch::channel(None);
            record.answers.insert(digest, receiver);
            record.recent.push_back((digest, now));
            sender
        });
        Ok(Admitted::First(Some(Seen { signer, digest, answer })))
    }

    /// Keeps the answer to a request, for its repetitions. If the gateway answered with a server error, the signature
    /// is forgotten, so that the client can send the request again.
    pub fn settle(&self, Seen { signer, digest, answer: sender }: Seen, answer: &Response<Bytes>) {
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

    fn first(replays: &Replays, once: Once, now: i64) -> Option<Seen> {
        match replays.admit(once, now) {
            Ok(Admitted::First(seen)) => seen,
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
        let replays = Replays::default();
        let seen = first(&replays, once(1, false), 100).expect("it has no nonce");
        first(&replays, once(2, false), 100);
        let Ok(Admitted::Again(early)) = replays.admit(once(1, false), 100) else { panic!("while it is in flight") };
        replays.settle(seen, &answered(200, 1));
        let Ok(Admitted::Again(late)) = replays.admit(once(1, false), 100 + REPEATABLE) else {
            panic!("a moment later")
        };
        for repeated in [early, late] {
            assert_eq!(repeated.answer().await.expect("the same answer").body(), "1");
        }
        for late in [101 + REPEATABLE, 100 + LIFETIME] {
            assert!(replays.admit(once(1, false), late).is_err(), "as long as the signature is valid");
        }
        assert!(replays.records().by_signer[&[0; 32]].answers.is_empty(), "no repetition can ask for them any more");
    }

    #[tokio::test]
    async fn a_repeated_write_without_a_kept_answer_is_refused() {
        let replays = Replays::default();
        let seen = first(&replays, once(1, false), 100);
        let Ok(Admitted::Again(repeated)) = replays.admit(once(1, false), 100) else { panic!("it is in flight") };
        drop(seen);
        assert!(repeated.answer().await.is_err(), "the first request ended without an answer");
        let large = first(&replays, once(2, false), 100).expect("it has no nonce");
        replays.settle(large, &answered(200, LARGEST_ANSWER + 1));
        let Ok(Admitted::Again(repeated)) = replays.admit(once(2, false), 100) else { panic!("it was accepted") };
        assert!(repeated.answer().await.is_err(), "its answer was too large to keep");
        for number in 0..MAX_ANSWERS {
            let mut digest = [7; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            first(&replays, Once { digest, ..once(0, false) }, 100);
        }
        first(&replays, once(3, false), 100);
        assert!(replays.admit(once(3, false), 100).is_err(), "too many answers are kept");
    }

    #[test]
    fn a_read_without_a_nonce_may_be_repeated_for_a_moment() {
        let replays = Replays::default();
        first(&replays, once(1, true), 100);
        first(&replays, once(1, true), 100 + REPEATABLE);
        assert!(replays.admit(once(1, true), 101 + REPEATABLE).is_err());
        let drawn = || Once { has_nonce: true, ..once(2, true) };
        assert!(first(&replays, drawn(), 100).is_none(), "a nonce is never forgotten before its lifetime is over");
        assert!(replays.admit(drawn(), 100).is_err());
    }

    #[tokio::test]
    async fn a_signature_is_forgotten_after_a_server_error_or_its_lifetime() {
        let replays = Replays::default();
        let seen = first(&replays, once(1, false), 100).expect("it has no nonce");
        let Ok(Admitted::Again(repeated)) = replays.admit(once(1, false), 100) else { panic!("it is in flight") };
        replays.settle(seen, &answered(502, 1));
        assert_eq!(repeated.answer().await.expect("the failure").status(), 502);
        let again = first(&replays, once(1, false), 101).expect("accepted again after the server error");
        replays.settle(again, &answered(200, 2));
        let Ok(Admitted::Again(late)) = replays.admit(once(1, false), 101 + REPEATABLE) else {
            panic!("a moment later")
        };
        assert_eq!(late.answer().await.expect("the later answer").body(), "11");
        first(&replays, once(2, false), 101 + LIFETIME);
        assert!(replays.admit(once(1, false), 101 + LIFETIME).is_err(), "the later entry stays");
        first(&replays, once(3, false), 102 + LIFETIME);
        assert_eq!(replays.records().by_signer[&[0; 32]].seen.len(), 2);
    }

    #[test]
    fn a_signer_that_fills_its_record_does_not_refuse_another_signer() {
        let replays = Replays::default();
        let drawn = |signer: u8, number: usize| {
            let mut digest = [signer; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            Once { signer: [signer; 32], digest, has_nonce: true, is_read: false }
        };
        for number in 0..MAX_SIGNATURES {
            first(&replays, drawn(1, number), 100);
        }
        let refused = replays.admit(drawn(1, MAX_SIGNATURES), 100).expect_err("its record is full");
        assert_eq!(refused.kind, Kind::Overloaded);
        first(&replays, drawn(2, 0), 100);
        assert!(replays.admit(drawn(1, 0), 101 + REPEATABLE).is_err(), "a full record still knows its signatures");
        first(&replays, drawn(1, MAX_SIGNATURES), 101 + LIFETIME);
        assert_eq!(replays.records().by_signer.len(), 1, "the record of the other signer is empty, and removed");
    }
}
