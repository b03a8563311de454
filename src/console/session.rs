//! Sessions of the console. A session is a cookie: it holds a number, the digest of the operator's key, when the session was
//! used last and when it ends, sealed with a key that derives from the store's own secret. So every replica accepts it, and a
//! browser can neither read nor change it.
//!
//! It ends eight hours after the login, after half an hour without use, at logout, and when its key leaves the configuration.
//! The store keeps only the sessions that were logged out of, so that no replica accepts them again.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretBox};
use uuid::Uuid;

use crate::{
    chance, clock,
    store::{EndedSessions, Store, StoreError},
};

/// How long a session lasts, in seconds.
const LIFE: i64 = 8 * 60 * 60;

/// After how many seconds without use a session ends.
const LONGEST_PAUSE: i64 = 30 * 60;

/// A cookie is replaced at most once in so many seconds, so that not every answer has a new one.
const RENEWAL: i64 = 60;

/// How many seconds the clocks of two replicas may differ by.
const CLOCKS: i64 = 60;

/// What the sealed bytes are for, so that they open nowhere else.
const PURPOSE: &[u8] = b"passerelle console session 2";

/// The cookie over TLS. Browsers accept a name that begins like this only from the host itself, over TLS, for `/`.
const SECURE_COOKIE: &str = "__Host-passerelle-console";
/// The cookie without TLS.
const COOKIE: &str = "passerelle-console";

/// The most sessions that this process remembers as ended. Only operators can end one, and each is forgotten after its time.
const MOST_ENDED: usize = 10_000;

/// What a cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    id: Uuid,
    /// When it ends at the latest, in seconds since 1970.
    until: i64,
    /// When it was used last, in seconds since 1970.
    used: i64,
    /// The digest of the operator's key.
    pub(super) key: [u8; 32],
}

impl Session {
    fn begin(key: [u8; 32], now: Timestamp) -> Self {
        Self { id: chance::id(), until: now.as_second() + LIFE, used: now.as_second(), key }
    }

    fn written(self) -> Vec<u8> {
        [self.id.as_bytes().as_slice(), &self.until.to_be_bytes(), &self.used.to_be_bytes(), &self.key].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (used, rest) = rest.split_first_chunk::<8>()?;
        let [until, used] = [until, used].map(|seconds| i64::from_be_bytes(*seconds));
        Some(Self { id: Uuid::from_bytes(*id), until, used, key: <[u8; 32]>::try_from(rest).ok()? })
    }

    /// Whether its time is not over. A clock that was wrong for a while must not make a session that never ends.
    fn lasts(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        (now..=now + LIFE + CLOCKS).contains(&self.until)
    }

    /// Whether it was used a short time ago.
    fn is_in_use(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        (now - LONGEST_PAUSE..=now + CLOCKS).contains(&self.used)
    }

    /// The session as it is when it is used now. `None`: the difference is too small for a new cookie.
    fn used_at(self, now: Timestamp) -> Option<Self> {
        let used = now.as_second();
        (used - self.used >= RENEWAL).then_some(Self { used, ..self })
    }
}

/// Seals sessions into the values of cookies, and opens them.
struct Seal(Option<RandomizedNonceKey>);

impl Seal {
    fn of(key: &SecretBox<[u8; 32]>) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret()).ok())
    }

    fn seal(&self, session: Session) -> Option<String> {
        let mut bytes = session.written();
        let nonce = self.0.as_ref()?.seal_in_place_append_tag(Aad::from(PURPOSE), &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat()))
    }

    /// Opens the value of a cookie. The session may have ended.
    fn open(&self, text: &str) -> Option<Session> {
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        Session::read(self.0.as_ref()?.open_in_place(nonce, Aad::from(PURPOSE), bytes).ok()?)
    }

    /// The sessions of a request whose time is not over. A browser that reaches the console with and without TLS has two.
    fn of_request(&self, headers: &HeaderMap, now: Timestamp) -> Vec<Session> {
        cookies(headers).filter_map(|value| self.open(value)).filter(|session| session.lasts(now)).collect()
    }
}

/// Begins, finds and ends the sessions of the console.
pub(super) struct Sessions {
    seal: Seal,
    /// The sessions that were logged out of, at any replica.
    ended: EndedSessions,
    /// Those that were logged out of at this process, with the times when they end by themselves. They count also while the
    /// store cannot record them.
    ended_here: Mutex<HashMap<Uuid, i64>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sessions([redacted])")
    }
}

impl Sessions {
    /// The sessions of all consoles of a store.
    pub(super) fn new(store: &Store) -> Self {
        let (seal, ended) = (Seal::of(&store.session_key()), store.ended_sessions().clone());
        Self { seal, ended, ended_here: Mutex::default() }
    }

    /// The session of a request, if it has not ended.
    pub(super) async fn of(&self, headers: &HeaderMap) -> Result<Option<Session>, StoreError> {
        let now = clock::now();
        for session in self.seal.of_request(headers, now) {
            let may_last = session.is_in_use(now) && !self.ended_here().contains_key(&session.id);
            if may_last && !self.ended.contain(session.id).await? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// The header that begins a session for the operator's key with this digest.
    pub(super) fn cookie(&self, key: [u8; 32], headers: &HeaderMap) -> Option<HeaderValue> {
        let value = self.seal.seal(Session::begin(key, clock::now()))?;
        set_cookie(&value, LIFE, headers)
    }

    /// The header that notes in the cookie that a session is used now. `None`: the cookie is new enough.
    pub(super) fn renewed(&self, session: Session, headers: &HeaderMap) -> Option<HeaderValue> {
        let now = clock::now();
        let session = session.used_at(now)?;
        set_cookie(&self.seal.seal(session)?, session.until - now.as_second(), headers)
    }

    /// Ends the sessions of a request at every replica, also for a browser that keeps its cookie. A copy of the cookie may be in
    /// use although this one is not. If the store cannot record it, this process alone knows of it.
    pub(super) async fn end(&self, headers: &HeaderMap) -> Result<(), StoreError> {
        let now = clock::now();
        let sessions = self.seal.of_request(headers, now);
        for session in &sessions {
            self.note(session, now);
        }
        let mut recorded = Ok(());
        for session in sessions {
            let until = Timestamp::from_second(session.until).unwrap_or(Timestamp::MAX);
            recorded = recorded.and(self.ended.add(session.id, until).await.map(drop));
        }
        recorded
    }

    /// Remembers in this process that a session has ended.
    fn note(&self, session: &Session, now: Timestamp) {
        let mut ended = self.ended_here();
        ended.retain(|_, until| *until >= now.as_second());
        if ended.len() < MOST_ENDED {
            ended.insert(session.id, session.until);
        }
    }

    fn ended_here(&self) -> MutexGuard<'_, HashMap<Uuid, i64>> {
        self.ended_here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer sets the cookie to. The layer of every route makes one and adds the header to the answer; what knows the session
/// of the request sets it.
#[derive(Debug, Clone, Default)]
pub(super) struct NewCookie(Arc<OnceLock<HeaderValue>>);

impl NewCookie {
    /// Sets the header. The first one counts.
    pub(super) fn set(&self, header: Option<HeaderValue>) {
        if let Some(header) = header {
            let _ = self.0.set(header);
        }
    }

    /// Adds the header to an answer, if it was set.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        headers.extend(self.0.get().cloned().map(|header| (header::SET_COOKIE, header)));
    }
}

/// The header that removes the cookie.
pub(super) fn removed(headers: &HeaderMap) -> Option<HeaderValue> {
    set_cookie("", 0, headers)
}

/// The listener itself has no TLS. A proxy in front of it that has says so in `X-Forwarded-Proto`. A client that says it
/// without such a proxy gets a cookie that its browser does not send back.
fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn set_cookie(value: &str, seconds: i64, headers: &HeaderMap) -> Option<HeaderValue> {
    let (name, secure) = if is_over_tls(headers) { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The values of the console's cookies.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            [SECURE_COOKIE, COOKIE].contains(&name).then_some(value)
        })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn seal(key: u8) -> Seal {
        Seal::of(&SecretBox::new(Box::new([key; 32])))
    }

    fn later(time: Timestamp, seconds: i64) -> Timestamp {
        time + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_session_is_accepted_by_every_replica_until_eight_hours_have_passed() {
        let begun = clock::now();
        let cookie = seal(1).seal(Session::begin(KEY, begun)).expect("a cookie");
        let session = seal(1).open(&cookie).expect("another process with the same store opens it");
        assert_eq!(session.key, KEY);
        let lasts = |seconds| session.lasts(later(begun, seconds));
        assert_eq!([lasts(0), lasts(LIFE), lasts(LIFE + 1)], [true, true, false]);
        assert_eq!([lasts(-CLOCKS), lasts(-CLOCKS - 1)], [true, false], "it would last longer than a session does");
        assert!(seal(2).open(&cookie).is_none(), "another store");
    }

    #[test]
    fn a_session_ends_after_half_an_hour_without_use_and_use_never_makes_it_longer() {
        let begun = clock::now();
        let mut session = Session::begin(KEY, begun);
        assert!(session.is_in_use(later(begun, LONGEST_PAUSE)));
        assert!(!session.is_in_use(later(begun, LONGEST_PAUSE + 1)));
        assert!(!session.is_in_use(later(begun, -CLOCKS - 1)), "a clock was wrong");
        assert_eq!(session.used_at(later(begun, RENEWAL - 1)), None, "not every answer has a new cookie");
        let mut now = begun;
        while session.lasts(now) {
            assert!(session.is_in_use(now));
            now = later(now, LONGEST_PAUSE);
            session = session.used_at(now).expect("a new cookie");
        }
        assert_eq!(now, later(begun, LIFE + LONGEST_PAUSE));
    }

    #[test]
    fn a_changed_or_cut_cookie_opens_nothing() {
        let seal = seal(1);
        let cookie = seal.seal(Session::begin(KEY, clock::now())).expect("a cookie");
        let length = URL_SAFE_NO_PAD.decode(&cookie).expect("bytes").len();
        assert_eq!(length, NONCE_LEN + 16 + 8 + 8 + 32 + 16);
        for place in 0..length {
            let mut bytes = URL_SAFE_NO_PAD.decode(&cookie).expect("bytes");
            bytes[place] ^= 1;
            assert!(seal.open(&URL_SAFE_NO_PAD.encode(&bytes)).is_none(), "byte {place}");
            assert!(seal.open(&URL_SAFE_NO_PAD.encode(&bytes[..place])).is_none());
        }
    }

    #[test]
    fn behind_tls_the_cookie_is_for_this_host_and_tls_only() {
        let mut headers = HeaderMap::new();
        let plain = set_cookie("value", LIFE, &headers).expect("a cookie");
        assert!(plain.to_str().expect("text").starts_with("passerelle-console="));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let secure = set_cookie("value", LIFE, &headers).expect("a cookie");
        let text = secure.to_str().expect("text");
        assert!(text.starts_with("__Host-") && text.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{text}");
    }
}
