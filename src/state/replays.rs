//! Signatures are taken once. What was seen is kept in the memory of this process for as long as a signature
//! can hold, so each replica behind a balancer keeps its own record, and a restart begins a new one.
//!
//! A client that signs by the second sends the very same request when it asks for the same twice within one.
//! What changes nothing is then done again; of what does, the answer is told again, and nothing is done.

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

/// How long a signature can hold, in seconds: its time may be as far ahead as behind.
const KEPT: i64 = 2 * WINDOW;
/// How many are kept. Beyond it, signed requests are refused until the oldest can be forgotten.
const MOST: usize = 1 << 18;
/// How long a request without a nonce may be seen again, in seconds.
const REPEATS: i64 = 5;
/// How many answers are kept for that long, and how large they may be. Beyond it, a repetition is refused.
const MOST_ANSWERS: usize = 1 << 10;
const LARGEST_ANSWER: usize = 1 << 14;

/// What must not be seen again.
#[derive(Debug)]
pub struct Once {
    /// The digest of what no two requests share.
    pub digest: [u8; 32],
    /// Whether it was drawn afresh for this request.
    pub has_nonce: bool,
    /// Whether the request changes nothing.
    pub is_read: bool,
}

/// What becomes of a request whose signature was verified.
#[derive(Debug)]
pub enum Admitted {
    /// It is carried out. A signature that a client may honestly send again is [settled](Replays::settle) then.
    First(Option<Seen>),
    /// The very same is on its way, or was carried out a moment ago.
    Again(Repeated),
}

/// A signature without a nonce that was admitted, and who waits for what comes of it.
#[derive(Debug)]
pub struct Seen {
    digest: [u8; 32],
    told: Option<watch::Sender<Kept>>,
}

/// The answer to a request that came again.
#[derive(Debug)]
pub struct Repeated(watch::Receiver<Kept>);

/// An answer, once there is one.
type Kept = Option<Response<Bytes>>;

impl Repeated {
    /// What the first one was answered, which is waited for.
    pub async fn answer(mut self) -> Result<Response<Bytes>, Error> {
        let told = self.0.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        told.ok_or_else(used)
    }
}

fn used() -> Error {
    refused("the signature was used before")
}

/// The signatures that were seen, and when.
#[derive(Default)]
pub struct Replays(Mutex<Record>);

#[derive(Default)]
struct Record {
    seen: HashMap<[u8; 32], i64>,
    order: VecDeque<([u8; 32], i64)>,
    answers: HashMap<[u8; 32], watch::Receiver<Kept>>,
    /// The order of the answers.
    recent: VecDeque<([u8; 32], i64)>,
}

impl fmt::Debug for Replays {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Replays({})", self.record().seen.len())
    }
}

impl Replays {
    /// Takes a signature that was verified, unless it was seen before.
    pub fn admit(&self, once: Once, now: i64) -> Result<Admitted, Error> {
        let Once { digest, has_nonce, is_read } = once;
        let mut record = self.record();
        record.forget_before(now);
        if let Some(at) = record.seen.get(&digest) {
            if has_nonce || now.saturating_sub(*at) > REPEATS {
                return Err(used());
            }
            if is_read {
                return Ok(Admitted::First(Some(Seen { digest, told: None })));
            }
            return record.answers.get(&digest).cloned().map(|told| Admitted::Again(Repeated(told))).ok_or_else(used);
        }
        if record.order.len() >= MOST {
            return Err(Error::new(Kind::Overloaded, "too many signatures are remembered; try again later"));
        }
        record.seen.insert(digest, now);
        record.order.push_back((digest, now));
        if has_nonce {
            return Ok(Admitted::First(None));
        }
        let told = (!is_read && record.recent.len() < MOST_ANSWERS).then(|| {
            let (told, waits) = watch::channel(None);
            record.answers.insert(digest, waits);
            record.recent.push_back((digest, now));
            told
        });
        Ok(Admitted::First(Some(Seen { digest, told })))
    }

    /// Keeps what a request was answered for those who send it again. One that failed on our side is forgotten, so
    /// that its client can try again.
    pub fn settle(&self, Seen { digest, told }: Seen, answer: &Response<Bytes>) {
        let is_failure = answer.status().is_server_error();
        if is_failure {
            self.record().seen.remove(&digest);
        }
        if let Some(told) = told.filter(|_| is_failure || answer.body().len() <= LARGEST_ANSWER) {
            told.send_replace(Some(answer.clone()));
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn forget_before(&mut self, now: i64) {
        while let Some((oldest, at)) = self.order.front().copied().filter(|(_, at)| now.saturating_sub(*at) > KEPT) {
            self.order.pop_front();
            // One that was forgotten and came again has a later entry.
            if self.seen.get(&oldest) == Some(&at) {
                self.seen.remove(&oldest);
            }
        }
        while let Some((oldest, at)) = self.recent.front().copied().filter(|(_, at)| now.saturating_sub(*at) > REPEATS)
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
        Once { digest: [number; 32], has_nonce: false, is_read }
    }

    fn first(replays: &Replays, once: Once, now: i64) -> Option<Seen> {
        match replays.admit(once, now) {
            Ok(Admitted::First(seen)) => seen,
            _ => panic!("it was not seen before"),
        }
    }

    fn answered(status: u16, size: usize) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from(vec![b'1'; size]));
        *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        answer
    }

    #[tokio::test]
    async fn a_write_is_carried_out_once() {
        let replays = Replays::default();
        let seen = first(&replays, once(1, false), 100).expect("it has no nonce");
        first(&replays, once(2, false), 100);
        let Ok(Admitted::Again(early)) = replays.admit(once(1, false), 100) else { panic!("while it is on its way") };
        replays.settle(seen, &answered(200, 1));
        let Ok(Admitted::Again(late)) = replays.admit(once(1, false), 100 + REPEATS) else { panic!("a moment later") };
        for repeated in [early, late] {
            assert_eq!(repeated.answer().await.expect("the same answer").body(), "1");
        }
        for late in [101 + REPEATS, 100 + KEPT] {
            assert!(replays.admit(once(1, false), late).is_err(), "as long as it can hold");
        }
        assert!(replays.record().answers.is_empty(), "nobody can ask for them any more");
    }

    #[tokio::test]
    async fn a_write_of_which_no_answer_is_known_is_refused() {
        let replays = Replays::default();
        let seen = first(&replays, once(1, false), 100);
        let Ok(Admitted::Again(waits)) = replays.admit(once(1, false), 100) else { panic!("it is on its way") };
        drop(seen);
        assert!(waits.answer().await.is_err(), "it broke off");
        let large = first(&replays, once(2, false), 100).expect("it has no nonce");
        replays.settle(large, &answered(200, LARGEST_ANSWER + 1));
        let Ok(Admitted::Again(waits)) = replays.admit(once(2, false), 100) else { panic!("it was seen") };
        assert!(waits.answer().await.is_err(), "it was too large");
        for number in 0..MOST_ANSWERS {
            let mut digest = [7; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            first(&replays, Once { digest, ..once(0, false) }, 100);
        }
        first(&replays, once(3, false), 100);
        assert!(replays.admit(once(3, false), 100).is_err(), "too many are kept");
    }

    #[test]
    fn a_read_that_looks_alike_is_taken_for_a_moment() {
        let replays = Replays::default();
        first(&replays, once(1, true), 100);
        first(&replays, once(1, true), 100 + REPEATS);
        assert!(replays.admit(once(1, true), 101 + REPEATS).is_err());
        let drawn = || Once { has_nonce: true, ..once(2, true) };
        assert!(first(&replays, drawn(), 100).is_none(), "never to be forgotten before its time");
        assert!(replays.admit(drawn(), 100).is_err());
    }

    #[tokio::test]
    async fn what_can_no_longer_hold_is_forgotten() {
        let replays = Replays::default();
        let seen = first(&replays, once(1, false), 100).expect("it has no nonce");
        let Ok(Admitted::Again(waits)) = replays.admit(once(1, false), 100) else { panic!("it is on its way") };
        replays.settle(seen, &answered(502, 1));
        assert_eq!(waits.answer().await.expect("the failure").status(), 502);
        let again = first(&replays, once(1, false), 101).expect("after a failure of ours");
        replays.settle(again, &answered(200, 2));
        let Ok(Admitted::Again(late)) = replays.admit(once(1, false), 101 + REPEATS) else { panic!("a moment later") };
        assert_eq!(late.answer().await.expect("the later answer").body(), "11");
        first(&replays, once(2, false), 101 + KEPT);
        assert!(replays.admit(once(1, false), 101 + KEPT).is_err(), "the later entry stays");
        first(&replays, once(3, false), 102 + KEPT);
        assert_eq!(replays.record().seen.len(), 2);
    }
}
